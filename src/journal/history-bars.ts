/**
 * Past bars, folded from the trades in the order of their places, as the live ones are.
 *
 * What a bar holds depends on the one before it only by where that ended. So the fold begins some
 * trades (`WARM_UP_TRADES`) before the first that lies in the range, and what it makes there is dropped.
 * Bounded: `limit` bars, and `tradesMax` trades, behind which the next page begins. It is read in parts,
 * between which others are answered; what is journaled meanwhile is in it, or in the next page.
 */

import type { Database, Statement } from 'bun:sqlite';

import {
  BAR_SECONDS,
  barEndsByClock,
  BarFold,
  barMessage,
  type OpenBar,
  type TradeFields,
} from '../../protocol/bars';
import { toJsonText } from '../../protocol/json-text';
import type { Instrument } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { fieldFault, type Fault } from '../../protocol/codes';
import { ALWAYS, ID_MAX, PART_BLOCKS, TIME_MAX, type Blocks } from './history-blocks';
import type { Gaps } from './history-gaps';
import type { BarsPage, BarsQuestion } from './history-messages';
import { Topic, type TopicRow } from './history-topics';
import { idOf, KIND, seqOf } from './schema';

const WARM_UP_TRADES = 2_000;
/** Blocks whose times are looked at in one go for the newest trade. */
const NEWEST_PARTS = 16;

const SELECT_TRADE = `SELECT id, prev_seq, event_time >> 32 AS hi, event_time & 4294967295 AS lo,
  receive_time >> 32 AS receive_hi, receive_time & 4294967295 AS receive_lo, price, quantity FROM record`;

interface TradeRow extends TopicRow {
  hi: number;
  lo: number;
  receive_hi: number;
  receive_lo: number;
  price: number;
  quantity: number;
}

interface PartTimes {
  first_id: number;
  last_id: number;
  hi: number;
  lo: number;
}

export class PastBars {
  private readonly blocks: Blocks;
  private readonly gaps: Gaps;
  private readonly trades: Topic<TradeRow>;
  private readonly latestParts: Statement<PartTimes, [instrument: number, offset: number]>;
  private readonly latest: Statement<{ hi: number; lo: number }, [number, number, number]>;

  constructor(db: Database, blocks: Blocks, gaps: Gaps) {
    this.blocks = blocks;
    this.gaps = gaps;
    this.trades = new Topic<TradeRow>(db, blocks, 'trade', SELECT_TRADE);
    this.latestParts = db.prepare(
      `SELECT first_id, last_id, time_max >> 32 AS hi, time_max & 4294967295 AS lo FROM part
         WHERE instrument = ? AND trade_seq > 0 ORDER BY time_max DESC LIMIT ${NEWEST_PARTS} OFFSET ?`,
    );
    this.latest = db.prepare(
      `SELECT event_time >> 32 AS hi, event_time & 4294967295 AS lo FROM record
         WHERE id >= ? AND id <= ? AND kind = ${KIND.trade} AND instrument = ? ORDER BY event_time DESC LIMIT 1`,
    );
  }

  /** Each part only inside a transaction. */
  *read(
    q: BarsQuestion,
    instrument: number,
    definition: Instrument,
  ): Generator<undefined, BarsPage | Fault> {
    const to = q.to === null ? null : new Nanos(q.to.hi, q.to.lo);
    const from = this.begin(q, instrument, to);
    const items: string[] = [];
    const next = yield* this.fold(q, instrument, from, to, (bar, final) => {
      const message = barMessage(q.symbol, bar, 0, final, 1);
      items.push(toJsonText(message, () => definition));
    });
    if (next === 'too-many') {
      const expected = `one whose bars hold at most ${q.tradesMax} trades`;
      return fieldFault('interval', q.interval, expected);
    }
    const end = next ?? to;
    const times = { first: from, last: end === null ? TIME_MAX : end.plus(-1) };
    const gaps = this.gaps.within(0, Number.MAX_SAFE_INTEGER, instrument, times);
    return { items: `[${items.join(',')}]`, next: next?.toString() ?? null, gaps };
  }

  /** @returns where the next page begins; null when there is none */
  private *fold(
    q: BarsQuestion,
    instrument: number,
    from: Nanos,
    to: Nanos | null,
    take: (bar: OpenBar, final: boolean) => void,
  ): Generator<undefined, Nanos | null | 'too-many'> {
    const fold = new BarFold(q.interval);
    let bars = 0;
    const keep = (bar: OpenBar, final: boolean): void => {
      if (bar.openTime.compare(from) < 0) return;
      take(bar, final);
      bars += 1;
    };
    let folded = 0;
    const first = yield* this.warmUpFrom(instrument, from);
    if (first === undefined) return null;
    let blocks = 0;
    for (const rows of this.trades.from(first, instrument, ALWAYS)) {
      for (const row of rows) {
        const ended = fold.add(tradeOf(row));
        folded += 1;
        if (ended !== null && 'ended' in ended) keep(ended.ended, true);
        const { openTime } = fold.current!;
        if (to !== null && openTime.compare(to) >= 0) return null;
        if (bars >= q.limit || (folded >= q.tradesMax && bars > 0)) return openTime;
      }
      if (folded >= q.tradesMax + WARM_UP_TRADES) return 'too-many';
      if (++blocks % PART_BLOCKS === 0) yield;
    }
    const open = fold.current;
    if (open === null) return null;
    const over = barEndsByClock(open);
    keep(open, over !== null && new Nanos(q.now.hi, q.now.lo).compare(over) >= 0);
    return null;
  }

  /** The beginning of the first bar. */
  private begin(q: BarsQuestion, instrument: number, to: Nanos | null): Nanos {
    const seconds = BAR_SECONDS[q.interval];
    if (q.from !== null) {
      // The bar that is open at `from` began before it; the first one to begin is the one asked for.
      const from = new Nanos(q.from.hi, q.from.lo);
      const floor = from.floorToSeconds(seconds);
      return floor.compare(from) === 0 ? floor : Nanos.fromSeconds(floor.seconds + seconds, 0);
    }
    let newest = this.newestTime(instrument);
    if (to !== null && to.compare(newest) <= 0) newest = to.plus(-1);
    const last = newest.floorToSeconds(seconds).seconds;
    return Nanos.fromSeconds(Math.max(0, last - (q.limit - 1) * seconds), 0);
  }

  /** The latest event time of a trade; zero without any. */
  private newestTime(instrument: number): Nanos {
    let newest = Nanos.ZERO;
    const look = (first: number, last: number): void => {
      const row = this.latest.get(first, last, instrument);
      if (row === null) return;
      const time = new Nanos(row.hi, row.lo);
      if (time.compare(newest) > 0) newest = time;
    };
    look(this.blocks.end() + 1, ID_MAX);
    // A block's latest time may be that of a quote: those behind it are looked at until none is later.
    for (let offset = 0; ; offset += NEWEST_PARTS) {
      const parts = this.latestParts.all(instrument, offset);
      for (const { hi, lo, first_id, last_id } of parts) {
        if (new Nanos(hi, lo).compare(newest) <= 0) return newest;
        look(first_id, last_id);
      }
      if (parts.length < NEWEST_PARTS) return newest;
    }
  }

  /** Id of a trade some before the first of the range; undefined where there is none of it. */
  private *warmUpFrom(instrument: number, from: Nanos): Generator<undefined, number | undefined> {
    const first = yield* this.firstFrom(instrument, from);
    if (first === undefined) return undefined;
    let id = first.id;
    let before = 0;
    for (const row of this.trades.below(seqOf(first.id), instrument)) {
      id = row.id;
      before += 1;
      if (before === WARM_UP_TRADES) break;
    }
    return id;
  }

  /** The first in order that is not before a moment. */
  private *firstFrom(instrument: number, from: Nanos): Generator<undefined, TradeRow | undefined> {
    const times = { first: from, last: TIME_MAX };
    let blocks = 0;
    for (const rows of this.trades.from(idOf(0), instrument, times)) {
      const found = rows.find(({ hi, lo }) => new Nanos(hi, lo).compare(from) >= 0);
      if (found !== undefined) return found;
      if (++blocks % PART_BLOCKS === 0) yield;
    }
    return undefined;
  }
}

function tradeOf(row: TradeRow): TradeFields {
  return {
    seq: seqOf(row.id),
    eventTime: new Nanos(row.hi, row.lo),
    receiveTime: new Nanos(row.receive_hi, row.receive_lo),
    price: row.price,
    quantity: row.quantity,
    timing: null,
  };
}
