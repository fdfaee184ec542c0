/**
 * Gaps: ranges of sequence numbers that are not in the journal, as it declares them.
 *
 * Whether a gap concerns a range of time follows from the records of the instrument on both sides
 * of the gap: what is missing lies between their times, unless the clock of the source stepped back
 * in between. Two kinds of gaps are not noted: an open gap, which a failing disk has not yet
 * written, and blocks that were found not to be sound (`Proofs`). So ask for gaps after the reads
 * that they concern.
 */

import type { Database, Statement } from 'bun:sqlite';

import type { MessageOf } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import { ALWAYS, type Blocks, type Times } from './blocks';
import type { MissingRange } from '../../base/contracts/past';
import type { TimeHalves } from '../../base/contracts/times';
import { DAMAGED } from '../proofs';
import { idOf, KIND, ORDER_TIME, seqOf, SLOT } from '../schema';

/** The reason that a reader is sent. @see DAMAGED for the one that is not noted */
export type SentReason = MessageOf<'gap'>['reason'];

/** @param reason as noted: a `GapReason` */
export function sentReason(reason: string): SentReason {
  if (reason === 'damage' || reason === DAMAGED) return 'damaged';
  return reason === 'retention' ? 'retention' : 'not-journaled';
}

/** Whether the market went on after the gap from its state before the gap. */
export function isContinued({ reason }: MissingRange): boolean {
  return reason === 'crash' || reason === 'damage';
}

/**
 * Published and not committed: a reader that resumes passes over it, and the gap is declared to it.
 */
export function isCrash({ reason }: MissingRange): boolean {
  return reason === 'crash';
}

interface GapRow {
  id: number;
  ref: number;
  text: string;
}

interface TimeRow {
  hi: number;
  lo: number;
}

export class Gaps {
  private readonly blocks: Blocks;
  private readonly noted: Statement<GapRow, [number]>;
  private readonly newest: Statement<{ id: number | null }, []>;
  private readonly before: Statement<TimeRow, [number, number, number]>;
  private readonly behind: Statement<TimeRow, [number, number, number]>;
  private open: MissingRange | null = null;

  constructor(db: Database, blocks: Blocks) {
    this.blocks = blocks;
    this.noted = db.prepare(
      `SELECT r.id, r.ref, r.text FROM note n JOIN record r ON r.id = n.id
         WHERE n.kind = ${KIND.gap} AND n.id >= ? ORDER BY n.id`,
    );
    this.newest = db.prepare('SELECT max(id) AS id FROM record');
    // A snapshot has the times of a book event that may lie on the other side of the gap.
    const time = `SELECT ${ORDER_TIME} >> 32 AS hi, ${ORDER_TIME} & 4294967295 AS lo FROM record
      WHERE id >= ? AND id <= ? AND instrument = ? AND kind NOT IN (${KIND.instrument}, ${KIND.snapshot}) ORDER BY id`;
    this.before = db.prepare(`${time} DESC LIMIT 1`);
    this.behind = db.prepare(`${time} LIMIT 1`);
  }

  /**
   * @param open what the disk had not taken when the question was asked; it may have been written
   * since
   */
  begin(open: MissingRange | null): void {
    this.open = open;
    this.blocks.proofs.begin();
    if (open === null) return;
    const from = Math.max(open.from, seqOf(this.newest.get()?.id ?? -1) + 1);
    this.open = from > open.to ? null : { ...open, from };
  }

  /** The newest seq on record. */
  newestSeq(): number {
    return seqOf(this.newest.get()?.id ?? 0);
  }

  /** All gaps that end at this sequence number or above it, in order and without overlap. */
  from(seq: number): MissingRange[] {
    const damaged = this.blocks.proofs.damaged().filter(({ to }) => to >= seq);
    if (damaged.length === 0) return this.notedFrom(seq);
    // A gap that is noted inside a damaged block keeps its own reason, also if it ends before `seq`.
    const noted = this.notedFrom(Math.min(seq, damaged[0]!.from));
    const found = damaged.flatMap((range) => without(range, noted));
    return [...noted, ...found].filter(({ to }) => to >= seq).sort((a, b) => a.from - b.from);
  }

  private notedFrom(seq: number): MissingRange[] {
    const gaps = this.noted
      .all(idOf(seq, SLOT.gap))
      .map(({ id, ref, text }): MissingRange => ({ from: ref, to: seqOf(id), reason: text }));
    if (this.open !== null && this.open.to >= seq) gaps.push(this.open);
    return gaps;
  }

  /** The gap that contains a seq. */
  at(seq: number): MissingRange | undefined {
    return this.from(seq).find((gap) => gap.from <= seq);
  }

  /**
   * The gaps between two sequence numbers, both inclusive, that may hold records of an instrument
   * in a range of time.
   */
  within(first: number, last: number, of: number, times: Times): MissingRange[] {
    return this.from(first).filter((gap) => gap.from <= last && this.concerns(gap, of, times));
  }

  private concerns({ from, to }: MissingRange, of: number, times: Times): boolean {
    if (times.last !== ALWAYS.last) {
      const before = this.timeBefore(idOf(from), of);
      if (before !== null && compare(before, times.last) > 0) return false;
    }
    if (times.first === ALWAYS.first) return true;
    const behind = this.timeBehind(idOf(to), of);
    return behind === null || compare(behind, times.first) >= 0;
  }

  private timeBefore(id: number, of: number): TimeHalves | null {
    for (const { first, last } of this.blocks.upTo(id - 1, of, ALWAYS, 'anything')) {
      const row = this.before.get(first, last, of);
      if (row !== null) return row;
    }
    return null;
  }

  private timeBehind(id: number, of: number): TimeHalves | null {
    for (const { first, last } of this.blocks.from(id + 1, of, ALWAYS, 'anything')) {
      const row = this.behind.get(first, last, of);
      if (row !== null) return row;
    }
    return null;
  }
}

/** The parts of a range that are in none of the gaps, which must be in order. */
export function without(range: MissingRange, gaps: readonly MissingRange[]): MissingRange[] {
  const left: MissingRange[] = [];
  let { from } = range;
  for (const gap of gaps) {
    if (gap.to < from) continue;
    if (gap.from > range.to) break;
    if (gap.from > from) left.push({ ...range, from, to: gap.from - 1 });
    from = gap.to + 1;
  }
  if (from <= range.to) left.push({ ...range, from });
  return left;
}

function compare(a: TimeHalves, b: TimeHalves): number {
  return new Nanos(a.hi, a.lo).compare(new Nanos(b.hi, b.lo));
}

/** As text for a message. */
export function describeGap({ from, to, reason }: MissingRange): string {
  return from === to
    ? `record ${from} is missing (${reason})`
    : `records ${from} to ${to} are missing (${reason})`;
}
