/**
 * As-of book: the ten levels of an instrument at a past time.
 *
 * It is the state after the last book record whose order time is not after that time. Order times
 * only rise: a book that is dated ahead, or before its predecessors, counts from when it arrived.
 * The levels come from the nearest whole book before that record (a snapshot, or a book record with
 * all levels) and the changes in between, found backwards along `prev_seq`.
 *
 * An answer is never a guess. If missing records may have changed the book between the record and
 * the time, or lie between the record and its whole book, a fault names them. Nothing of the book
 * is missing if the next book record names this one as its predecessor. A gap does not matter if
 * the instrument has a record before the gap that is later than the time. Bounded: the changes
 * since a whole book.
 */

import type { Database, Statement } from 'bun:sqlite';

import { bookChecksum } from '../../../protocol/checksum';
import { fault, type Fault } from '../../../protocol/codes';
import { formatLevels } from '../../../protocol/json';
import { decodeLevels } from '../../../protocol/layout';
import { TenLevels } from '../../../protocol/levels';
import { BOOK_FORMS, type Book } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import type { Scales } from '../../../protocol/units';
import { ALWAYS, ID_MAX, TIME_MAX, type Blocks } from './blocks';
import { describeGap, isContinued, type Gaps } from './gaps';
import type { MissingRange, PastBook } from '../../base/contracts/past';
import type { TimeHalves } from '../../base/contracts/times';
import { DAMAGED } from '../proofs';
import { orderTimeOf, rowToEvent, type RecordRow } from '../records';
import { idOf, KIND, ORDER_TIME, SELECT_RECORD, seqOf } from '../schema';

const DELTA = BOOK_FORMS.indexOf('delta');
const IS_BOOK = `kind = ${KIND.book}`;
const IS_WHOLE = `(kind = ${KIND.snapshot} OR (${IS_BOOK} AND side <> ${DELTA}))`;

type Within = [first: number, last: number, instrument: number];
type WithTime = [...Within, hi: number, lo: number];

export class PastBooks {
  private readonly blocks: Blocks;
  private readonly gaps: Gaps;
  private readonly lastBy: Statement<RecordRow, WithTime>;
  private readonly lastBook: Statement<RecordRow, Within>;
  private readonly lastWhole: Statement<RecordRow, Within>;
  private readonly firstBook: Statement<RecordRow, Within>;
  private readonly firstWhole: Statement<RecordRow, Within>;
  private readonly later: Statement<{ id: number }, WithTime>;
  private readonly byId: Statement<RecordRow, [number]>;

  constructor(db: Database, blocks: Blocks, gaps: Gaps) {
    this.blocks = blocks;
    this.gaps = gaps;
    const within = 'WHERE id >= ? AND id <= ? AND instrument = ? AND';
    const last = 'ORDER BY id DESC LIMIT 1';
    const first = 'ORDER BY id LIMIT 1';
    this.lastBy = db.prepare(
      `${SELECT_RECORD} ${within} kind IN (${KIND.book}, ${KIND.snapshot}) AND ${ORDER_TIME} <= (? << 32) | ? ${last}`,
    );
    this.lastBook = db.prepare(`${SELECT_RECORD} ${within} ${IS_BOOK} ${last}`);
    this.lastWhole = db.prepare(`${SELECT_RECORD} ${within} ${IS_WHOLE} ${last}`);
    this.firstBook = db.prepare(`${SELECT_RECORD} ${within} ${IS_BOOK} ${first}`);
    this.firstWhole = db.prepare(`${SELECT_RECORD} ${within} ${IS_WHOLE} ${first}`);
    this.later = db.prepare(
      `SELECT id FROM record ${within} kind <> ${KIND.instrument} AND ${ORDER_TIME} > (? << 32) | ? LIMIT 1`,
    );
    this.byId = db.prepare(`${SELECT_RECORD} WHERE id = ?`);
  }

  /** Call it inside a transaction, so that all queries see one state of the journal. */
  at(symbol: string, instrument: number, scales: Scales, at: TimeHalves): PastBook | Fault {
    const found = this.recordBy(instrument, at);
    if (found === null) return this.tooEarly(symbol, instrument, at);
    const lost = this.lostBehind(found, instrument, at);
    if (lost !== undefined) return missing(symbol, lost);
    const record = this.ownerOf(found, instrument);
    if (isIncomplete(record)) {
      const since = orderTimeOf(record).toString();
      return fault(
        'book-incomplete',
        `the book of ${symbol} was known to be incomplete since ${since}`,
        'at',
      );
    }
    const levels = this.rebuild(found, instrument);
    if (levels === undefined) {
      return fault('internal', `the books before record ${seqOf(record.id)} cannot be read`);
    }
    if (!(levels instanceof TenLevels)) {
      const isTooOld = levels.reason === 'retention';
      return isTooOld ? this.tooEarly(symbol, instrument, at) : missing(symbol, levels);
    }
    return {
      seq: seqOf(record.id),
      eventTime: { hi: record.event_hi, lo: record.event_lo },
      receiveTime: { hi: record.receive_hi, lo: record.receive_lo },
      bids: formatLevels(levels.bids, scales),
      asks: formatLevels(levels.asks, scales),
    };
  }

  /**
   * The book after its newest record up to a seq, as a self-contained message. If it is not known:
   * the missing range that hides it. Null if there is none. Call it inside a transaction, like
   * `at`.
   */
  upTo(seq: number, symbol: string, instrument: number): Book | MissingRange | null {
    for (const { first, last } of this.blocks.upTo(idOf(seq), instrument, ALWAYS, 'book')) {
      const row = this.lastBook.get(first, last, instrument);
      if (row === null) continue;
      const book = rowToEvent(row, symbol);
      if (book?.type !== 'book') return null;
      const alone = { ...book, prevSeq: 0 };
      if (isIncomplete(row)) return alone;
      const levels = this.rebuild(row, instrument);
      if (!(levels instanceof TenLevels)) return levels ?? null;
      const { bids, asks } = levels;
      return { ...alone, form: 'snapshot', bids, asks, crc: bookChecksum(bids, asks) };
    }
    return null;
  }

  /** The predecessor that the first book record after a seq names; null if there is none. */
  before(seq: number, instrument: number): number | null {
    return this.bookBehind(idOf(seq), instrument)?.prev_seq ?? null;
  }

  private recordBy(instrument: number, at: TimeHalves): RecordRow | null {
    const times = { first: ALWAYS.first, last: at };
    for (const { first, last } of this.blocks.upTo(ID_MAX, instrument, times, 'book')) {
      const row = this.lastBy.get(first, last, instrument, at.hi, at.lo);
      if (row !== null) return row;
    }
    return null;
  }

  /** The missing range because of which the record may not be the newest at that time. */
  private lostBehind(
    record: RecordRow,
    instrument: number,
    at: TimeHalves,
  ): MissingRange | undefined {
    const seq = seqOf(record.id);
    const gaps = this.gaps.from(seq + 1);
    if (gaps.length === 0) return undefined;
    const next = this.bookBehind(record.id, instrument);
    const crossed = gaps.filter((gap) => next === null || idOf(gap.from) < next.id);
    const gap = next === null ? crossed.find((g) => !isContinued(g)) : crossed[0];
    if (gap === undefined) return undefined;
    if (next !== null && isNextTo(next, record)) return undefined;
    return this.isPast(at, record.id + 1, idOf(gap.from) - 1, instrument) ? undefined : gap;
  }

  private bookBehind(id: number, instrument: number): RecordRow | null {
    for (const { first, last } of this.blocks.from(id + 1, instrument, ALWAYS, 'book')) {
      const row = this.firstBook.get(first, last, instrument);
      if (row !== null) return row;
    }
    return null;
  }

  /** Whether the instrument has a record between two ids that is later than the time. */
  private isPast(at: TimeHalves, from: number, upTo: number, instrument: number): boolean {
    const times = { first: at, last: TIME_MAX };
    for (const { first, last } of this.blocks.from(from, instrument, times, 'anything')) {
      if (first > upTo) return false;
      const row = this.later.get(first, Math.min(last, upTo), instrument, at.hi, at.lo);
      if (row !== null) return true;
    }
    return false;
  }

  /** The book record whose state a snapshot has: the one before it, unless that is missing. */
  private ownerOf(record: RecordRow, instrument: number): RecordRow {
    if (record.kind !== KIND.snapshot) return record;
    const { id } = record;
    for (const { first, last } of this.blocks.upTo(id - 1, instrument, ALWAYS, 'book')) {
      const book = this.lastBook.get(first, last, instrument);
      if (book === null) continue;
      const isBetween = this.gaps.from(seqOf(book.id) + 1).some((gap) => idOf(gap.to) < id);
      return isBetween ? record : book;
    }
    return record;
  }

  /**
   * It also applies to an instrument whose first records were deleted: what is left begins with a
   * whole book.
   */
  private tooEarly(symbol: string, instrument: number, at: TimeHalves): Fault {
    for (const { first, last } of this.blocks.from(0, instrument, ALWAYS, 'book')) {
      const row = this.firstWhole.get(first, last, instrument);
      if (row === null) continue;
      // The books of that time may be in a block that cannot be read.
      const lost = this.gaps
        .from(1)
        .find((gap) => gap.reason === DAMAGED && idOf(gap.from) < row.id);
      if (lost !== undefined) return missing(symbol, lost);
      const asked = new Nanos(at.hi, at.lo).toString();
      const since = orderTimeOf(row);
      return fault(
        'before-first-record',
        `at is ${asked}; books of ${symbol} exist since ${since.toString()} (${since.toISOString()})`,
        'at',
      );
    }
    const lost = this.gaps.from(1).at(-1);
    const but = lost === undefined ? '' : `; ${describeGap(lost)}`;
    return fault('no-data', `no book of ${symbol} is known yet${but}`, 'at');
  }

  /** The levels after a record; or a missing range that they depend on; undefined: unsound. */
  private rebuild(record: RecordRow, instrument: number): TenLevels | MissingRange | undefined {
    const base = this.wholeAt(record.id, instrument);
    const changes: number[] = [];
    for (let row = record; row.id !== base?.id;) {
      if (row.kind !== KIND.book || row.side !== DELTA) return undefined;
      changes.push(row.id);
      // A snapshot has the state of the preceding book record, whether that record exists or not.
      if (base?.kind === KIND.snapshot && idOf(row.prev_seq) < base.id) break;
      const before = this.record(row.prev_seq);
      if (before === null) return this.gaps.at(row.prev_seq);
      if (before.instrument !== instrument) return undefined;
      row = before;
    }
    const whole = base === null || isIncomplete(base) ? undefined : levelsOf(base);
    if (whole === undefined) return undefined;
    const levels = new TenLevels();
    levels.replace(whole.bids, whole.asks);
    for (let i = changes.length - 1; i >= 0; i--) {
      const change = levelsOf(this.byId.get(changes[i]!)!);
      if (change === undefined) return undefined;
      levels.apply(change.bids, change.asks);
    }
    return levels;
  }

  /** The record with a seq, if it exists and is proven. */
  private record(seq: number): RecordRow | null {
    return this.blocks.proofs.covers(idOf(seq)) ? this.byId.get(idOf(seq)) : null;
  }

  private wholeAt(id: number, instrument: number): RecordRow | null {
    for (const { first, last } of this.blocks.upTo(id, instrument, ALWAYS, 'book')) {
      const row = this.lastWhole.get(first, last, instrument);
      if (row !== null) return row;
    }
    return null;
  }
}

/** Whether a book record directly follows another one, or a snapshot. */
function isNextTo(next: RecordRow, { id, kind }: RecordRow): boolean {
  const seq = seqOf(id);
  return kind === KIND.snapshot ? next.prev_seq <= seq : next.prev_seq === seq;
}

function isIncomplete({ kind, side }: RecordRow): boolean {
  return kind === KIND.book && BOOK_FORMS[side ?? -1] === 'incomplete';
}

function levelsOf({ levels }: RecordRow): { bids: number[]; asks: number[] } | undefined {
  return levels === null ? undefined : decodeLevels(levels);
}

function missing(symbol: string, gap: MissingRange): Fault {
  const message = `the book of ${symbol} at that time is not known: ${describeGap(gap)}`;
  return fault('records-missing', message, 'at');
}
