/**
 * Extract: the records of one kind of one instrument in a range of time, in order, as a stream.
 *
 * The definition that holds at the first record comes before it; a new definition comes where it
 * changes. A book delta whose predecessor is outside the range is preceded by the whole book with
 * the predecessor's seq, so that a reader that begins here has the same ten levels. If records are
 * missing that may have been of this kind, a gap stands between the records, followed by the whole
 * book. A block without the instrument, or outside the range, is not read. A block that is not
 * sound becomes such a gap, with the reason `damaged`; none of its records is output. Bounded: one
 * page of rows.
 */

import type { Database } from 'bun:sqlite';

import { EXPORTED_CHANNELS } from '../../../protocol/channels';
import { BOOK_FORMS, type Book, type Instrument } from '../../../protocol/messages';
import { orderTime, type BatchEvent, type Snapshot } from '../../../protocol/records';
import type { Nanos } from '../../../protocol/time';
import { Books } from './extract-books';
import { ALWAYS, Blocks, type Stretch, type Times } from '../history/blocks';
import { Gaps, without } from '../history/gaps';
import type { GapNote } from '../journal';
import { DAMAGED } from '../proofs';
import type { InstrumentRow, JournalReading } from '../recover/reading';
import { parseDefinition, rowToEvent, type RecordRow } from '../records';
import { idOf, KIND, SELECT_RECORD, seqOf, SLOTS } from '../schema';
import { connectToRead, watchUnchanged } from '../read-connection';
import { Notes } from '../verify/notes';

export const EXTRACT_KINDS = [...EXPORTED_CHANNELS, 'snapshot', 'command'] as const;
export type ExtractKind = (typeof EXTRACT_KINDS)[number];

export interface Range {
  readonly kind: ExtractKind;
  readonly instrument: InstrumentRow;
  /** First order time; null: from the beginning. */
  readonly from: Nanos | null;
  /** The order time to end before; null: to the end. */
  readonly to: Nanos | null;
}

/** A gap that the journal declares, or a block that was found not to be sound. */
export type ExtractGap = Omit<GapNote, 'reason'> & {
  readonly reason: GapNote['reason'] | typeof DAMAGED;
};

export type Extracted = BatchEvent | ExtractGap;

const PAGE_ROWS = 5_000;

/** The events page by page; a page may be empty. @throws Error when a record cannot be read */
export function* extract(reading: JournalReading, range: Range): Generator<Extracted[]> {
  const db = connectToRead(reading.path);
  try {
    yield* new Extraction(db, reading, range).pages();
  } finally {
    db.close();
  }
}

class Extraction {
  private readonly db: Database;
  private readonly reading: JournalReading;
  private readonly range: Range;
  private readonly times: Times;
  private readonly blocks: Blocks;
  private readonly books: Books;
  private readonly definitions: Definitions;
  /** Oldest first; those that were passed are removed. */
  private readonly gaps: ExtractGap[];
  /**
   * The last seq of each gap that may hold requested records, judged by the times on both sides of
   * it.
   */
  private readonly concerned: Set<number>;
  private readonly damaged = new Set<number>();
  private hasGiven = false;

  constructor(db: Database, reading: JournalReading, range: Range) {
    const { instrument, from, to } = range;
    this.db = db;
    this.reading = reading;
    this.range = range;
    // The range excludes its end. A block with that time alone is read needlessly.
    this.times = { first: from ?? ALWAYS.first, last: to ?? ALWAYS.last };
    this.blocks = new Blocks(db);
    this.books = new Books(reading.gaps, new Notes(db, reading.seqLast).continuedGaps());
    this.definitions = new Definitions(db, this.blocks, reading, instrument);
    const gaps = new Gaps(db, this.blocks);
    gaps.begin(null);
    const within = gaps.within(0, reading.seqLast, instrument.id, this.times);
    this.concerned = new Set(within.map((gap) => gap.to));
    this.gaps = [...reading.gaps];
  }

  *pages(): Generator<Extracted[]> {
    const checkUnchanged = watchUnchanged(this.reading.path);
    const { kind, instrument } = this.range;
    let gone = -1; // records up to this id were passed
    for (const stretch of this.blocks.from(0, instrument.id, this.times, holdingOf(kind))) {
      this.takeDamage();
      if (kind === 'book') this.passOver(gone, stretch.first);
      for (const events of this.read(stretch)) {
        const page: Extracted[] = [];
        for (const event of events) this.take(event, page);
        yield page;
        checkUnchanged();
      }
      gone = stretch.last;
    }
    this.takeDamage();
    this.hasGiven = false;
    yield [...this.gapsBefore(Infinity), ...this.definitions.atEnd()];
  }

  /** Adds the blocks found not to be sound so far. It runs before anything behind them is taken. */
  private takeDamage(): void {
    const { gaps, seqLast } = this.reading;
    const noted = gaps.map(({ from, to, reason }) => ({ from, to, reason }));
    for (const range of this.blocks.proofs.damaged()) {
      if (range.from > seqLast || this.damaged.has(range.from)) continue;
      this.damaged.add(range.from);
      for (const { from, to } of without({ ...range, to: Math.min(range.to, seqLast) }, noted)) {
        const gap: ExtractGap = { type: 'gap', from, to, reason: DAMAGED };
        this.concerned.add(to);
        this.gaps.push(gap);
        this.books.lose(gap);
      }
    }
    this.gaps.sort((a, b) => a.from - b.from);
  }

  private take(event: BatchEvent, page: Extracted[]): void {
    const isIn = this.isWithin(event);
    const isBook =
      event.type === 'book' || (event.type === 'snapshot' && this.range.kind === 'book');
    const given = isBook ? this.books.take(event, isIn) : [event];
    if (!isIn || given.length === 0) return;
    page.push(...this.gapsBefore(event.seq));
    this.hasGiven = true;
    page.push(...this.definitions.before(event.seq), ...given);
  }

  /** The gaps to output: a gap between two output records always counts. */
  private gapsBefore(seq: number): ExtractGap[] {
    const end = this.gaps.findIndex(({ to }) => to >= seq);
    const passed = this.gaps.splice(0, end < 0 ? this.gaps.length : end);
    return passed.filter(({ to }) => this.hasGiven || this.concerned.has(to));
  }

  /** Takes the changes of a book from the blocks that were skipped, as far back as they matter. */
  private passOver(gone: number, upTo: number): void {
    const passed: Stretch[] = [];
    for (const stretch of this.blocks.upTo(upTo - 1, this.range.instrument.id, ALWAYS, 'book')) {
      if (stretch.last <= gone) break;
      const whole = this.newestWhole(stretch);
      passed.push({ ...stretch, first: Math.max(stretch.first, gone + 1, whole ?? 0) });
      if (whole !== null) break;
    }
    this.takeDamage();
    for (const stretch of passed.reverse()) {
      for (const events of this.read(stretch)) {
        for (const event of events) this.books.take(event as Book | Snapshot, false);
      }
    }
  }

  private newestWhole({ first, last }: Stretch): number | null {
    const row = this.db
      .query<{ id: number | null }, [number, number, number]>(
        `SELECT max(id) AS id FROM record WHERE id >= ? AND id <= ? AND instrument = ?
           AND (kind = ${KIND.snapshot} OR (kind = ${KIND.book} AND side <> ${BOOK_FORMS.indexOf('delta')}))`,
      )
      .get(first, last, this.range.instrument.id);
    return row?.id ?? null;
  }

  private *read({ first, last }: Stretch): Generator<BatchEvent[]> {
    const { kind, instrument } = this.range;
    const kinds = kind === 'book' ? [KIND.book, KIND.snapshot] : [KIND[kind]];
    const page = this.db.query<RecordRow, [number, number, number]>(
      `${SELECT_RECORD} WHERE id >= ? AND id <= ? AND instrument = ? AND kind IN (${kinds.join()})
         ORDER BY id LIMIT ${PAGE_ROWS}`,
    );
    const end = Math.min(last, idOf(this.reading.seqLast));
    for (let from = first; from <= end;) {
      const rows = page.all(from, end, instrument.id);
      yield rows.map((row) => eventOf(row, instrument.symbol));
      if (rows.length < PAGE_ROWS) return;
      from = rows.at(-1)!.id + 1;
    }
  }

  private isWithin(event: BatchEvent): boolean {
    if (event.type === 'instrument') return false;
    const { from, to } = this.range;
    const time = orderTime(event);
    return (from === null || time.compare(from) >= 0) && (to === null || time.compare(to) < 0);
  }
}

function holdingOf(kind: ExtractKind): 'trade' | 'book' | 'anything' {
  if (kind === 'trade') return 'trade';
  return kind === 'book' || kind === 'snapshot' ? 'book' : 'anything';
}

function eventOf(row: RecordRow, symbol: string): BatchEvent {
  const event = rowToEvent(row, symbol);
  if (event === undefined) throw new Error(`record ${seqOf(row.id)} does not read`);
  return event;
}

/** The definitions, each output where it takes effect. */
class Definitions {
  private readonly db: Database;
  private readonly blocks: Blocks;
  private readonly reading: JournalReading;
  private readonly id: number;
  private readonly newest: Instrument | undefined;
  /** Definitions to output, oldest first; null before the first output. */
  private waiting: Instrument[] | null = null;

  constructor(
    db: Database,
    blocks: Blocks,
    reading: JournalReading,
    { id, definition }: InstrumentRow,
  ) {
    this.db = db;
    this.blocks = blocks;
    this.reading = reading;
    this.id = id;
    this.newest = parseDefinition(definition);
  }

  /** The definitions to output before a record. */
  before(seq: number): Instrument[] {
    if (this.waiting === null) {
      const all = this.newest === undefined || this.newest.seq < seq ? [] : this.recorded();
      if (this.newest !== undefined && all.at(-1)?.seq !== this.newest.seq) all.push(this.newest);
      const holds = all.findLastIndex((d) => d.seq < seq);
      this.waiting = all.slice(Math.max(holds, 0));
      return this.waiting.splice(0, 1);
    }
    const next = this.waiting.findLastIndex((d) => d.seq < seq);
    return next < 0 ? [] : this.waiting.splice(0, next + 1).slice(-1);
  }

  /** The definition to output if there was no record. */
  atEnd(): Instrument[] {
    return this.waiting === null && this.newest !== undefined ? [this.newest] : [];
  }

  /** All definitions. Seldom needed, since most instruments are defined once. */
  private recorded(): Instrument[] {
    const page = this.db.query<{ id: number; text: string }, [number, number, number]>(
      `SELECT id, text FROM record WHERE id > ? AND id <= ? AND instrument = ? AND kind = ${KIND.instrument} ORDER BY id`,
    );
    const end = idOf(this.reading.seqLast);
    const found: Instrument[] = [];
    for (let from = -1; from < end; from += DEFINITION_IDS) {
      for (const { id, text } of page.all(from, Math.min(from + DEFINITION_IDS, end), this.id)) {
        const definition = this.blocks.proofs.covers(id) ? parseDefinition(text) : undefined;
        if (definition !== undefined) found.push(definition);
      }
    }
    return found;
  }
}

const DEFINITION_IDS = 100_000 * SLOTS;
