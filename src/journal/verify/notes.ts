/**
 * Verify notes: whether the notes of a journal are consistent: epochs, reasons of gaps,
 * checkpoints, and the tables beside the table of records.
 *
 * Notes are in no block. So each is checked against something else: its two times must be equal, a
 * checkpoint has a checksum, a gap ends where records are missing, and its reason must fit to what
 * follows it. Bounded: the notes of the journal.
 */

import type { Database } from 'bun:sqlite';

import { Nanos } from '../../../protocol/time';
import type { GapReason } from '../journal';
import type { JournalReading } from '../recover/reading';
import { parseDefinition, type RecordRow } from '../records';
import { idOf, KIND, MARK_SIDE, SELECT_RECORD, seqOf, SLOT, SLOTS } from '../schema';
import type { Definition } from './messages';

const REASONS: ReadonlySet<string> = new Set<GapReason>([
  'disk',
  'crash',
  'damage',
  'missing',
  'retention',
]);

export class Notes {
  private readonly rows: readonly RecordRow[];

  /** @param upToSeq notes behind it are ignored */
  constructor(db: Database, upToSeq: number) {
    this.rows = db
      .query<RecordRow, [number]>(
        `${SELECT_RECORD.replace(/\btext\b/, `CASE WHEN kind <> ${KIND.checkpoint} THEN text END AS text`)}
           WHERE id IN (SELECT id FROM note) AND id <= ? ORDER BY id`,
      )
      .all(idOf(upToSeq, SLOTS - 1));
  }

  /** The first inconsistency; undefined if there is none. */
  fault(reading: JournalReading): string | undefined {
    for (const row of this.rows) {
      const wrong = timeFault(row) ?? (row.kind === KIND.gap ? this.gapFault(row) : undefined);
      if (wrong !== undefined) return wrong;
    }
    return this.epochFault(reading) ?? this.checkpointFault();
  }

  /**
   * The last seq of each gap that the market went on over, from its state before the gap. The
   * market never saw what a crash lost, or what was set aside before the next epoch began.
   */
  continuedGaps(): ReadonlySet<number> {
    const continued = new Set<number>();
    for (const [i, row] of this.rows.entries()) {
      if (row.kind === KIND.gap && this.isContinued(row, i)) continued.add(seqOf(row.id));
    }
    return continued;
  }

  private isContinued(row: RecordRow, i: number): boolean {
    if (row.text === 'crash' || row.text === 'missing') return true;
    if (row.text !== 'damage') return false;
    let seq = seqOf(row.id);
    for (const next of this.rows.slice(i + 1)) {
      if (next.kind === KIND.gap && next.ref === seq + 1) seq = seqOf(next.id);
      else return next.id === idOf(seq, SLOT.opened) && timeOf(next).compare(timeOf(row)) >= 0;
    }
    return false;
  }

  private gapFault(row: RecordRow): string | undefined {
    const to = seqOf(row.id);
    const reason = row.text ?? '';
    const gap = `the gap from ${row.ref} to ${to} (${reason})`;
    if (!REASONS.has(reason)) return `${gap} has a reason that is none`;
    if ((reason === 'retention' || reason === 'missing') && row.ref !== 1)
      return `${gap} does not begin at the first record`;
    const isFollowedBy = (slot: number): boolean =>
      this.rows.some(({ id }) => id === idOf(to, slot));
    if ((reason === 'crash' || reason === 'missing') && !isFollowedBy(SLOT.opened))
      return `${gap} has no epoch behind it`;
    return undefined;
  }

  /** Each epoch begins where the one before it ended, under a new number. The numbers are in no order. */
  private epochFault({ seqFirst, seqLast }: JournalReading): string | undefined {
    const epochs = this.rows.filter(({ kind }) => kind === KIND.epoch);
    const isWhole = !this.rows.some(
      ({ kind, text }) => kind === KIND.gap && text !== 'crash' && text !== 'disk',
    );
    if (seqFirst > 0 && epochs.length === 0) return 'no epoch is on record';
    const begun = new Set<number>();
    for (const [i, row] of epochs.entries()) {
      const before = epochs[i - 1];
      const next = epochs[i + 1];
      const wrong =
        numberFault(row, begun) ??
        (isOpening(row)
          ? this.openingFault(row, before, isWhole ? seqFirst : 0)
          : closingFault(row, before, next, isWhole, seqLast));
      if (wrong !== undefined) return wrong;
      if (isOpening(row)) begun.add(numberOf(row));
    }
    return undefined;
  }

  /** @param firstSeq of a journal that has all from its beginning; 0 for others */
  private openingFault(
    row: RecordRow,
    before: RecordRow | undefined,
    firstSeq: number,
  ): string | undefined {
    const seq = seqOf(row.id);
    if (before === undefined) {
      if (firstSeq === 0 || seq < firstSeq) return undefined;
      return `epoch ${row.ref} begins at ${seq + 1}; expected ${firstSeq}`;
    }
    // An epoch that numbered nothing ends where it began. Its end has the lower id, so it is read first.
    const isEmpty = before.ref === row.ref && seqOf(before.id) === seq;
    if (isEmpty || isOpening(before) || this.isInGap(seqOf(before.id), seq)) return undefined;
    return `epoch ${row.ref} begins at ${seq + 1}; expected ${seqOf(before.id) + 1}`;
  }

  /** Whether all records behind one seq, up to another, are missing. */
  private isInGap(from: number, to: number): boolean {
    let seq = from;
    for (const row of this.rows) {
      if (row.kind === KIND.gap && (row.ref ?? 0) <= seq + 1) seq = Math.max(seq, seqOf(row.id));
    }
    return seq >= to;
  }

  /** Whether records behind one seq, up to another, were given up. */
  private isGapBetween(from: number, to: number): boolean {
    return this.rows.some(
      ({ id, kind, text }) =>
        kind === KIND.gap && text === 'disk' && seqOf(id) > from && seqOf(id) <= to,
    );
  }

  private checkpointFault(): string | undefined {
    for (const row of this.rows) {
      if (row.kind !== KIND.checkpoint) continue;
      const seq = seqOf(row.id);
      const gap = this.rows.find(({ id }) => id === idOf(seq, SLOT.gap));
      const isBehindGap = gap?.text === 'disk';
      if (row.side === MARK_SIDE) {
        if (this.isGapBetween(row.prev_seq, seq))
          return `the checkpoint at ${seq} began before a gap`;
        continue;
      }
      if (row.side !== 0 && !(row.side === 1 && isBehindGap))
        return `the checkpoint at ${seq} says that it stands behind a gap`;
      if (row.side === 0 && isBehindGap)
        return `the checkpoint at ${seq} does not say that it stands behind a gap`;
      if (row.prev_seq !== 0)
        return `the checkpoint at ${seq} says that it began at ${row.prev_seq}`;
    }
    return undefined;
  }
}

function timeOf(row: RecordRow): Nanos {
  return new Nanos(row.event_hi, row.event_lo);
}

function isOpening({ id }: RecordRow): boolean {
  return id % SLOTS === SLOT.opened;
}

/** Of the note of an epoch: its number. */
function numberOf({ ref }: RecordRow): number {
  return ref ?? -1;
}

/** What is wrong with the note of an epoch in itself. @param begun epochs that began before it */
function numberFault(row: RecordRow, begun: ReadonlySet<number>): string | undefined {
  const seq = seqOf(row.id);
  const epoch = numberOf(row);
  if (row.text !== (isOpening(row) ? 'opened' : 'closed'))
    return `the epoch noted at ${seq} says ${row.text}`;
  if (epoch < 1) return `the epoch noted at ${seq} is ${epoch}; expected at least 1`;
  if (isOpening(row) && begun.has(epoch))
    return `epoch ${epoch} begins a second time at ${seq + 1}`;
  return undefined;
}

/** @param isWhole whether the journal has all from its beginning @param seqLast its last record */
function closingFault(
  row: RecordRow,
  before: RecordRow | undefined,
  next: RecordRow | undefined,
  isWhole: boolean,
  seqLast: number,
): string | undefined {
  const seq = seqOf(row.id);
  if (next === undefined && seq !== seqLast)
    return `the newest epoch ends at ${seq}; the records end at ${seqLast}`;
  // If epochs follow that numbered nothing, the end that is noted is that of one of them.
  const isOfEmpty = next !== undefined && seqOf(next.id) === seq;
  const hasBegun =
    before === undefined ? !isWhole : isOpening(before) && before.ref === numberOf(row);
  if (hasBegun || isOfEmpty) return undefined;
  return `epoch ${numberOf(row)} ends at ${seq}, but never began`;
}

/** Both times of a note are the time when it was made. */
function timeFault(row: RecordRow): string | undefined {
  const same = row.event_hi === row.receive_hi && row.event_lo === row.receive_lo;
  return same ? undefined : `what is noted at ${seqOf(row.id)} has two times`;
}

/** Finds entries in the other tables that belong to no record. */
export function strayFault(db: Database): string | undefined {
  const count = (sql: string): number =>
    (db.query(`SELECT count(*) AS n FROM ${sql}`).get() as { n: number }).n;
  if (count('part p WHERE NOT EXISTS (SELECT 1 FROM block b WHERE b.last_id = p.last_id)') > 0)
    return 'there are parts of blocks that are not there';
  if (count('part WHERE instrument NOT IN (SELECT id FROM instrument)') > 0)
    return 'there are parts of instruments that are not in the table';
  if (count('block WHERE last_id > (SELECT ifnull(max(id), -1) FROM record)') > 0)
    return 'there is a block behind the last record';
  if (count(`note WHERE kind NOT IN (${KIND.gap}, ${KIND.checkpoint}, ${KIND.epoch})`) > 0)
    return 'the list of notes names kinds that are none';
  if (count('note WHERE id > (SELECT ifnull(max(id), -1) FROM record)') > 0)
    return 'the list of notes continues after the last record';
  return undefined;
}

/** Whether the table of instruments has the newest recorded definition of each. */
export function instrumentFault(
  db: Database,
  { instruments, gaps }: JournalReading,
  definitions: ReadonlyMap<number, Definition>,
): string | undefined {
  const scales = db
    .query<{ id: number; p: number; q: number }, []>(
      'SELECT id, price_scale AS p, quantity_scale AS q FROM instrument',
    )
    .all();
  for (const { id, symbol, definition: text } of instruments) {
    const recorded = definitions.get(id);
    const d = parseDefinition(text);
    if (d === undefined && recorded !== undefined)
      return `${symbol} is defined otherwise in the table of instruments than by record ${recorded.seq}`;
    const isMissing = gaps.some(({ from, to }) => d !== undefined && d.seq >= from && d.seq <= to);
    if (
      recorded === undefined
        ? !isMissing
        : recorded.text !== text && !(isMissing && d!.seq > recorded.seq)
    ) {
      if (recorded === undefined)
        return `${symbol} is in the table of instruments, but no record defines it`;
      return `${symbol} is defined otherwise in the table of instruments than by record ${recorded.seq}`;
    }
    const scale = scales.find((row) => row.id === id);
    if (d!.symbol !== symbol || d!.priceScale !== scale?.p || d!.quantityScale !== scale.q) {
      return `${symbol} stands in the table of instruments as another than it is defined`;
    }
  }
  return undefined;
}
