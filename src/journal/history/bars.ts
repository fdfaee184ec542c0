/**
 * Past bars: a past bar is made of all trades whose market time lies in it, as a live bar is.
 *
 * So the order of the trades in the journal does not matter. The blocks that may have trades in the
 * range are read in the order of their earliest times (for the last bars: backwards by their latest
 * times). A bar is complete when no remaining block can have a trade of it. Pages of any size add
 * up to the same bars as one page. Bounded: `limit` bars and one more, and `tradesMax` trades,
 * after which the next page begins. It is read in parts, between which other questions are
 * answered. What is recorded meanwhile is not in the answer, as if the question had been asked
 * earlier.
 */

import type { Database, Statement } from 'bun:sqlite';

import {
  BAR_SECONDS,
  barEndsByClock,
  barMessage,
  type BarInterval,
  type OpenBar,
} from '../../../protocol/bars';
import { fieldFault, type Fault } from '../../../protocol/codes';
import { toJsonText } from '../../../protocol/json-text';
import type { Instrument } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import { BarSet } from './bar-set';
import { ALWAYS, PART_BLOCKS, TIME_MAX, type Blocks, type Stretch } from './blocks';
import type { Gaps } from './gaps';
import type { PastBarsPage } from '../../base/contracts/past';
import type { BarsQuestion } from './messages';
import { PartsByTime } from './parts';
import { FEW, Topic, type TopicRow } from './topics';
import { timingOf } from '../records';
import { ORDER_TIME, KIND, seqOf } from '../schema';

export const SELECT_TRADE = `SELECT id, prev_seq, event_time >> 32 AS hi, event_time & 4294967295 AS lo,
  receive_time >> 32 AS receive_hi, receive_time & 4294967295 AS receive_lo, price, quantity, flags FROM record`;

export interface TradeRow extends TopicRow {
  hi: number;
  lo: number;
  receive_hi: number;
  receive_lo: number;
  price: number;
  quantity: number;
  flags: number | null;
}

interface Found {
  /** Oldest first. */
  readonly bars: readonly OpenBar[];
  /** Whether a bar is known to follow these. */
  readonly isFollowed: boolean;
  /** Where the next page begins; null if there is none. */
  readonly next: Nanos | null;
  /** Whether nothing in the range precedes these. */
  readonly isFirst: boolean;
}

export class PastBars {
  private readonly blocks: Blocks;
  private readonly gaps: Gaps;
  private readonly trades: Topic<TradeRow>;
  private readonly parts: PartsByTime;
  private readonly latest: Statement<{ hi: number; lo: number }, [number, number, number]>;

  constructor(db: Database, blocks: Blocks, gaps: Gaps) {
    this.blocks = blocks;
    this.gaps = gaps;
    this.trades = new Topic<TradeRow>(db, blocks, 'trade', SELECT_TRADE);
    this.parts = new PartsByTime(db);
    this.latest = db.prepare(
      `SELECT ${ORDER_TIME} >> 32 AS hi, ${ORDER_TIME} & 4294967295 AS lo FROM record
         WHERE id >= ? AND id <= ? AND kind = ${KIND.trade} AND instrument = ? ORDER BY ${ORDER_TIME} DESC LIMIT 1`,
    );
  }

  /** Run each part inside a transaction. */
  *read(
    q: BarsQuestion,
    instrument: number,
    definition: Instrument,
  ): Generator<undefined, PastBarsPage | Fault> {
    const seconds = BAR_SECONDS[q.interval];
    const first = q.from === null ? Nanos.ZERO : nextBegin(q.from, seconds);
    const end = q.to === null ? null : nextBegin(q.to, seconds);
    if (end !== null && end.compare(first) <= 0) return { items: '[]', next: null, gaps: [] };
    const last = end === null ? new Nanos(TIME_MAX.hi, TIME_MAX.lo) : end.plus(-1);
    const found = yield* this.find(q, instrument, first, last);
    if (found === 'too-many') {
      const expected = `one whose bars hold at most ${q.tradesMax} trades`;
      return fieldFault('interval', q.interval, expected);
    }
    const { bars, next } = found;
    const items = bars.map((bar, i) => {
      const isFinal = i < bars.length - 1 || found.isFollowed || this.isOver(bar, instrument, q);
      return toJsonText(barMessage(q.symbol, bar, 0, isFinal, 1), () => definition);
    });
    const begin = q.from === null && !found.isFirst ? bars[0]!.openTime : first;
    const times = {
      first: begin.compare(Nanos.ZERO) === 0 ? ALWAYS.first : begin,
      last: next === null ? last : next.plus(-1),
    };
    const gaps = this.gaps.within(0, Number.MAX_SAFE_INTEGER, instrument, times);
    return { items: `[${items.join(',')}]`, next: next?.toString() ?? null, gaps };
  }

  /**
   * All bars of a range, oldest first; null if they have too many trades.
   * @param first begin of the first interval
   * @param last end of the last interval, inclusive
   * @param count number of intervals
   */
  *allBetween(
    interval: BarInterval,
    instrument: number,
    first: Nanos,
    last: Nanos,
    count: number,
    tradesMax: number,
  ): Generator<undefined, OpenBar[] | null> {
    const now = Nanos.ZERO;
    const q: BarsQuestion = {
      kind: 'bars',
      symbol: '',
      interval,
      from: first,
      to: null,
      limit: count,
      tradesMax,
      now,
    };
    const bars: OpenBar[] = [];
    for (let from: Nanos | null = first; from !== null && from.compare(last) <= 0;) {
      const found: Found | 'too-many' = yield* this.find(q, instrument, from, last);
      if (found === 'too-many') return null;
      bars.push(...found.bars);
      from = found.next;
    }
    return bars;
  }

  /** Without `from` the last bars of the range, else the first. */
  private *find(
    q: BarsQuestion,
    instrument: number,
    first: Nanos,
    last: Nanos,
  ): Generator<undefined, Found | 'too-many'> {
    const set = new BarSet(q.interval, q.limit, q.from === null ? 'last' : 'first', first, last);
    const open = this.blocks.open();
    const end = open.first - 1;
    let few = true;
    const take = (rows: readonly TradeRow[]): void => {
      few = rows.length <= FEW;
      for (const row of rows) set.add(tradeOf(row));
    };
    take(this.trades.read(open, instrument, false));
    let blocks = 0;
    for (const part of this.parts.of(instrument, end, set)) {
      const whole = set.wholeBy(part.time);
      if (whole >= q.limit && set.size > whole) return foundOf(set, whole, part.time);
      if (set.taken >= q.tradesMax) {
        if (whole > 0) return foundOf(set, whole, part.time);
        if (set.size > 1) set.narrow();
        else if (set.taken >= q.tradesMax * 2) return 'too-many';
      }
      if (this.isSound(part)) take(this.trades.read(part, instrument, few));
      if (++blocks % PART_BLOCKS === 0) yield;
    }
    return foundOf(set, set.size, null);
  }

  /**
   * Whether a bar that no known bar follows is final: there is a later trade, or the clock has
   * passed its end.
   */
  private isOver(bar: OpenBar, instrument: number, { now }: BarsQuestion): boolean {
    const over = barEndsByClock(bar);
    if (over !== null && new Nanos(now.hi, now.lo).compare(over) >= 0) return true;
    return this.isTradedAt(bar.endTime, instrument);
  }

  /** Whether a trade has this market time or a later one. */
  private isTradedAt(time: Nanos, instrument: number): boolean {
    const isIn = (first: number, last: number): boolean => {
      const row = this.latest.get(first, last, instrument);
      return row !== null && new Nanos(row.hi, row.lo).compare(time) >= 0;
    };
    const open = this.blocks.open();
    if (isIn(open.first, open.last)) return true;
    const range = {
      order: 'last',
      first: time,
      last: new Nanos(TIME_MAX.hi, TIME_MAX.lo),
    } as const;
    // The latest time of a block may be that of a quote.
    for (const part of this.parts.of(instrument, open.first - 1, range))
      if (this.isSound(part) && isIn(part.first, part.last)) return true;
    return false;
  }

  private isSound({ first, last }: Stretch): boolean {
    return this.blocks.proofs.isSound(first, last);
  }
}

/** @param part the time of the first block that was not read; null: all were read */
function foundOf(set: BarSet, whole: number, part: Nanos | null): Found {
  const bars = set.page(whole);
  if (set.order === 'last') {
    const isFirst = part === null && !set.hasLeftOut && bars.length === set.size;
    return { bars, isFollowed: false, next: null, isFirst };
  }
  const next = set.behind(bars.length, part);
  return { bars, isFollowed: next !== null, next, isFirst: true };
}

/**
 * The first multiple of a bar's length that is not before a time, since the bar that is open at
 * that time began earlier.
 */
function nextBegin({ hi, lo }: { hi: number; lo: number }, seconds: number): Nanos {
  const time = new Nanos(hi, lo);
  const floor = time.floorToSeconds(seconds);
  return floor.compare(time) === 0 ? floor : floor.plus(seconds * 1e9);
}

export function tradeOf(row: TradeRow) {
  return {
    seq: seqOf(row.id),
    eventTime: new Nanos(row.hi, row.lo),
    receiveTime: new Nanos(row.receive_hi, row.receive_lo),
    price: row.price,
    quantity: row.quantity,
    timing: timingOf(row.flags),
  };
}
