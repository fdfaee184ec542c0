/**
 * Past bars, folded from the trades in the order of their places, as the live ones are.
 *
 * What a bar holds depends on the one before it only by where that ended. So the fold begins some
 * trades (`WARM_UP_TRADES`) before the first that lies in the range, and what it makes there is dropped.
 * Bounded: `limit` bars, and `TRADES_MAX` trades once there is a bar to answer with.
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
import { toJson } from '../../protocol/json';
import type { Instrument } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { BarsPage, BarsQuestion } from './history-messages';
import { KIND } from './schema';

const PAGE = 5_000;
const TRADES_MAX = 5_000_000;
const WARM_UP_TRADES = 2_000;

interface TradeRow {
  seq: number;
  hi: number;
  lo: number;
  receive_hi: number;
  receive_lo: number;
  price: number;
  quantity: number;
}

export class PastBars {
  private readonly first: Statement<{ seq: number | null }, [number, number, number]>;
  private readonly warmUp: Statement<{ seq: number | null }, [number, number]>;
  private readonly newest: Statement<{ hi: number; lo: number }, [number]>;
  private readonly page: Statement<TradeRow, [number, number]>;
  private readonly tradesMax: number;

  constructor(db: Database, tradesMax = TRADES_MAX) {
    this.tradesMax = tradesMax;
    const trades = `kind = ${KIND.trade} AND instrument = ?`;
    const time = 'event_time >> 32 AS hi, event_time & 4294967295 AS lo';
    this.first = db.prepare(
      `SELECT min(seq) AS seq FROM record INDEXED BY record_trade_time WHERE ${trades} AND event_time >= (? << 32) | ?`,
    );
    this.warmUp = db.prepare(
      `SELECT min(seq) AS seq FROM (SELECT seq FROM record INDEXED BY record_trade
         WHERE ${trades} AND seq < ? ORDER BY seq DESC LIMIT ${WARM_UP_TRADES})`,
    );
    this.newest = db.prepare(
      `SELECT ${time} FROM record INDEXED BY record_trade_time WHERE ${trades} ORDER BY event_time DESC LIMIT 1`,
    );
    this.page = db.prepare(
      `SELECT seq, ${time}, receive_time >> 32 AS receive_hi,
         receive_time & 4294967295 AS receive_lo, price, quantity FROM record INDEXED BY record_trade
         WHERE ${trades} AND seq >= ? ORDER BY seq LIMIT ${PAGE}`,
    );
  }

  /** Only inside a transaction. */
  read(q: BarsQuestion, instrument: number, definition: Instrument): BarsPage {
    const to = q.to === null ? null : new Nanos(q.to.hi, q.to.lo);
    const from = this.begin(q, instrument, to);
    const items: string[] = [];
    const fold = new BarFold(q.interval);
    const keep = (bar: OpenBar, final: boolean): void => {
      if (bar.openTime.compare(from) < 0) return;
      const message = barMessage(q.symbol, bar, 0, final, 1);
      items.push(JSON.stringify(toJson(message, () => definition)));
    };
    let folded = 0;
    for (const row of this.trades(instrument, from)) {
      const ended = fold.add(tradeOf(row));
      folded += 1;
      if (ended !== null) keep(ended, true);
      const open = fold.current!;
      if (to !== null && open.openTime.compare(to) >= 0) return { items: list(items), next: null };
      if (items.length >= q.limit || (folded >= this.tradesMax && items.length > 0)) {
        return { items: list(items), next: open.openTime.toString() };
      }
    }
    const open = fold.current;
    if (open !== null) {
      const over = barEndsByClock(open);
      keep(open, over !== null && new Nanos(q.now.hi, q.now.lo).compare(over) >= 0);
    }
    return { items: list(items), next: null };
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
    const row = this.newest.get(instrument);
    let newest = row === null ? Nanos.ZERO : new Nanos(row.hi, row.lo);
    if (to !== null && to.compare(newest) <= 0) newest = to.plus(-1);
    const last = newest.floorToSeconds(seconds).seconds;
    return Nanos.fromSeconds(Math.max(0, last - (q.limit - 1) * seconds), 0);
  }

  private *trades(instrument: number, from: Nanos): Iterable<TradeRow> {
    const first = this.first.get(instrument, from.hi, from.lo)?.seq ?? null;
    if (first === null) return;
    // In pages, since an open iterator would outlive a fold that ends early.
    for (let seq = this.warmUp.get(instrument, first)?.seq ?? first; ;) {
      const rows = this.page.all(instrument, seq);
      yield* rows;
      if (rows.length < PAGE) return;
      seq = rows.at(-1)!.seq + 1;
    }
  }
}

function tradeOf(row: TradeRow): TradeFields {
  return {
    seq: row.seq,
    eventTime: new Nanos(row.hi, row.lo),
    receiveTime: new Nanos(row.receive_hi, row.receive_lo),
    price: row.price,
    quantity: row.quantity,
  };
}

function list(items: readonly string[]): string {
  return `[${items.join(',')}]`;
}
