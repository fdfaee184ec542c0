/**
 * Extract: the records of one kind of one instrument in a range of time, in order, as a stream.
 *
 * Before the first of them stands the definition that holds there, and a new one where it changed. A
 * book delta whose predecessor is outside the range has the whole book before it, at that one's place,
 * so that whoever begins here holds the same ten levels. Where places are missing that may have held
 * such records, a gap stands between them, and the whole book behind it; changes of a book that nothing
 * there tells whole are in that one. Blocks without the instrument, or outside the range, are not read.
 * A block that is not sound is such a gap, of reason `damaged`, and none of its records is given.
 * Bounded: one page of rows.
 */

import type { Database } from 'bun:sqlite';

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

export const EXTRACT_KINDS = [
  'trade',
  'tick',
  'bbo',
  'book',
  'snapshot',
  'command',
  'status',
] as const;
export type ExtractKind = (typeof EXTRACT_KINDS)[number];

export interface Range {
  readonly kind: ExtractKind;
  readonly instrument: InstrumentRow;
  /** First time, of those by which events are ordered; null: from the beginning. */
  readonly from: Nanos | null;
  /** The time to end before; null: to the end. */
  readonly to: Nanos | null;
}

/** Noted in the journal, or of a block that was found not to be sound. */
export type ExtractGap = Omit<GapNote, 'reason'> & {
  readonly reason: GapNote['reason'] | typeof DAMAGED;
};

export type Extracted = BatchEvent | ExtractGap;

const PAGE_ROWS = 5_000;

/** The events page by page; a page may be empty. @throws Error when a record does not read */
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
  /** Oldest first; those that have gone by are taken out. */
  private readonly gaps: ExtractGap[];
  /** Where gaps end that may hold what is asked for, by the times on both sides of them. */
  private readonly concerned: Set<number>;
  private readonly damaged = new Set<number>();
  private hasGiven = false;

  constructor(db: Database, reading: JournalReading, range: Range) {
    const { instrument, from, to } = range;
    this.db = db;
    this.reading = reading;
    this.range = range;
    // The end of the range is behind it, so a block of that moment alone is read in vain.
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
    let gone = -1; // what stands up to this id has gone by
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

  /** What was found not to be sound by now: always before anything behind it is taken. */
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

  /** Those that are to be told: what lies between two records that are given is among what was asked for. */
  private gapsBefore(seq: number): ExtractGap[] {
    const end = this.gaps.findIndex(({ to }) => to >= seq);
    const passed = this.gaps.splice(0, end < 0 ? this.gaps.length : end);
    return passed.filter(({ to }) => this.hasGiven || this.concerned.has(to));
  }

  /** Takes the changes of a book in the blocks that are not read, as far back as they matter. */
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

/** The definitions that hold, told where they begin to. */
class Definitions {
  private readonly db: Database;
  private readonly blocks: Blocks;
  private readonly reading: JournalReading;
  private readonly id: number;
  private readonly newest: Instrument | undefined;
  /** Those that are to be told yet, oldest first; null before the first is. */
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

  /** Those that are to stand before a record. */
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

  /** What is told where there was no record. */
  atEnd(): Instrument[] {
    return this.waiting === null && this.newest !== undefined ? [this.newest] : [];
  }

  /** All of them: seldom needed, since most are defined once. */
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
