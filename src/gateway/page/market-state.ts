/**
 * Market state: the market data of the page: a row per instrument; and book, trades and statistics of the
 * chosen one. Views paint from it. Bounded: `TRADES_MAX` trades.
 */

import type { Instrument, Item, Nanos, RestTrade, Stats, Trade } from '../../client/index';
import { Nanos as Time, parseDecimal } from '../../client/index';

export interface Row {
  definition: Instrument;
  last: number | null;
  bid: number | null;
  ask: number | null;
  state: string;
  /** The server's reason for the state. */
  reason: string;
  /** Mark of bid and ask: last known values of a source that is gone, or from before a restart. */
  mark: 'stale' | 'recovered' | null;
  /** When the server received the newest message; undefined before the first one. */
  receiveTime: Nanos | undefined;
  /** Change of the newest trade against the one before it. */
  turn: 'up' | 'down' | '';
  /** Whether the row has changed since it was painted. */
  changed: boolean;
}

export interface TapeTrade {
  readonly seq: number;
  readonly price: number;
  readonly quantity: number;
  readonly aggressor: 'buy' | 'sell' | 'none';
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
  readonly timing: Trade['timing'];
}

/** Levels as flat lists, best first, as in a local book. */
export interface DisplayedBook {
  readonly seq: number;
  readonly bids: readonly number[];
  readonly asks: readonly number[];
  readonly trusted: boolean;
}

export const TRADES_MAX = 120;

export class MarketState {
  readonly rows = new Map<string, Row>();
  chosen: string | undefined;
  stats: Stats | undefined;
  /** Newest first. */
  trades: TapeTrade[] = [];
  /** Seqs of missing trades, newest first. */
  tapeGap: string | undefined;
  private announced = new Set<string>();

  get row(): Row | undefined {
    return this.chosen === undefined ? undefined : this.rows.get(this.chosen);
  }

  /** @returns whether the instrument is new */
  define(definition: Instrument): boolean {
    this.announced.add(definition.symbol);
    const row = this.rows.get(definition.symbol);
    if (row !== undefined) {
      row.definition = definition;
      row.changed = true;
      return false;
    }
    this.rows.set(definition.symbol, emptyRow(definition));
    return true;
  }

  /** A connection begins: the server announces its instruments again. */
  connected(): void {
    this.announced = new Set();
  }

  choose(symbol: string): void {
    this.chosen = symbol;
    this.clearChosen();
  }

  clearChosen(): void {
    this.stats = undefined;
    this.trades = [];
    this.tapeGap = undefined;
  }

  /** Handles an item of the subscription to all instruments. */
  takeOverview(item: Item): void {
    if (item.type === 'reset') {
      this.begin(item.reason === 'other-epoch', item.shard);
      return;
    }
    if (item.type === 'gap') return;
    const row = this.rows.get(item.symbol);
    if (row === undefined) return;
    row.changed = true;
    if (item.type === 'tick') {
      if (row.last !== null && item.last !== row.last)
        row.turn = item.last > row.last ? 'up' : 'down';
      row.last = item.last;
      row.receiveTime = item.receiveTime;
    } else if (item.type === 'bbo') {
      row.bid = item.bid;
      row.ask = item.ask;
      row.mark = item.mark;
      row.receiveTime = item.receiveTime;
    } else if (item.type === 'status') {
      if (item.state !== row.state) row.reason = item.reason; // the other items are reports within a state
      row.state = item.state;
      // No later message repeats this mark for the values from before a restart. The next quote clears it.
      if (item.state === 'recovered' && (row.bid ?? row.ask) !== null) row.mark = 'recovered';
    }
  }

  /** Handles an item of the chosen instrument. */
  takeChosen(item: Item): void {
    if (item.type === 'stats') this.stats = item;
    else if (item.type === 'trade') this.addTrade(item);
    else if (item.type === 'gap') this.tapeGap = `${item.count} not received`;
    else if (item.type === 'reset') {
      this.tapeGap = item.reason === 'other-epoch' ? 'server restarted' : 'loaded again';
    }
  }

  /** Adds trades from before the page was opened, behind the live ones. */
  fillTrades(symbol: string, older: readonly RestTrade[]): void {
    if (symbol !== this.chosen || this.row === undefined) return;
    const known = new Set(this.trades.map(({ seq }) => seq));
    const { definition } = this.row;
    const added = older.flatMap((trade) => readTrade(trade, definition));
    const all = [...this.trades, ...added.filter(({ seq }) => !known.has(seq))];
    this.trades = all.sort((a, b) => b.seq - a.seq).slice(0, TRADES_MAX);
  }

  private addTrade(trade: TapeTrade): void {
    this.trades.unshift(trade);
    if (this.trades.length > TRADES_MAX) this.trades.length = TRADES_MAX;
  }

  /** Data from before are invalid, of one shard or of all. With another epoch, instruments may have been removed too. */
  private begin(otherEpoch: boolean, shard: string | null): void {
    for (const [symbol, row] of this.rows) {
      if (shard !== null && row.definition.shard !== shard) continue;
      if (otherEpoch && !this.announced.has(symbol)) this.rows.delete(symbol);
      else
        Object.assign(row, { ...emptyRow(row.definition), state: row.state, reason: row.reason });
    }
  }
}

function emptyRow(definition: Instrument): Row {
  return {
    definition,
    last: null,
    bid: null,
    ask: null,
    state: 'live',
    reason: '',
    mark: null,
    receiveTime: undefined,
    turn: '',
    changed: true,
  };
}

/** A trade of history in the form of a live one; an empty list if it cannot be parsed. */
export function readTrade(trade: RestTrade, definition: Instrument): TapeTrade[] {
  const price = parseDecimal(trade.price, definition.priceScale);
  const quantity = parseDecimal(trade.quantity, definition.quantityScale);
  const eventTime = Time.parse(trade.eventTime);
  const receiveTime = Time.parse(trade.receiveTime);
  if (typeof price !== 'number' || typeof quantity !== 'number') return [];
  if (eventTime === undefined || receiveTime === undefined) return [];
  const { seq, aggressor, timing } = trade;
  return [{ seq, price, quantity, aggressor, eventTime, receiveTime, timing }];
}
