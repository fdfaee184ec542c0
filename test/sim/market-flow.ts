/**
 * Market flow: the events that the market publishes in a run. Trades with their ticks, quotes, books (whole, as
 * changes, and incomplete), statuses, snapshots for the journal alone, and sometimes a new instrument.
 */

import { bookChecksum } from '../../protocol/checksum';
import { diffLevels } from '../../protocol/levels';
import type { Book, Instrument, MarketEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { TradeStatistics, type StatisticsState } from '../../protocol/statistics';
import type { ManualClock } from '../../src/base/clock';
import type { Prng } from '../../src/base/prng';
import { instrument } from '../support/market-events';
import type { Truth } from './truth';

/** No more than these are defined. */
const SYMBOLS = ['A', 'B', 'C', 'D', 'E', 'F'];

interface Quoted {
  bids: number[];
  asks: number[];
  form: Book['form'] | 'none';
  volume: number;
}

export class MarketFlow {
  /** Those defined so far. */
  readonly symbols: string[] = [];
  /** The newest seq that was made; it may not have been published yet. */
  seq = 0;
  private definitions = new Map<string, Instrument>();
  private quoted = new Map<string, Quoted>();
  private heads = new Map<string, number>();
  private readonly random: Prng;
  private readonly clock: ManualClock;

  constructor(random: Prng, clock: ManualClock) {
    this.random = random;
    this.clock = clock;
  }

  /** Defines the next symbol; undefined when all are defined. */
  define(): Instrument | undefined {
    const symbol = SYMBOLS[this.symbols.length];
    if (symbol === undefined) return undefined;
    this.symbols.push(symbol);
    return this.definition(symbol);
  }

  /** The events of one turn. */
  batch(most: number): BatchEvent[] {
    const events: BatchEvent[] = [];
    if (this.random.chance(0.01)) {
      const added = this.random.chance(0.7) ? this.define() : this.definition(this.pick());
      if (added !== undefined) events.push(added);
    }
    for (let i = this.random.int(1, most); i > 0; i--) events.push(...this.some(this.pick()));
    const last = new Map<string, Book>();
    for (const event of events) if (event.type === 'book') last.set(event.symbol, event);
    for (const [symbol, book] of last) {
      const { bids, asks } = this.quoted.get(symbol)!;
      if (book.form !== 'incomplete') book.crc = bookChecksum(bids, asks);
    }
    return events;
  }

  /** Continues after what was published last, whatever was made after it. */
  restart(truth: Truth): void {
    this.seq = truth.lastSeq;
    this.heads = new Map();
    for (const symbol of this.symbols) {
      for (const channel of ['tick', 'trade', 'bbo', 'book']) {
        this.heads.set(`${channel}:${symbol}`, truth.head(`${channel}:${symbol}`, this.seq));
      }
      const of = this.quotedOf(symbol);
      const levels = truth.book(symbol, this.seq);
      of.form =
        levels === undefined ? 'none' : levels.crc === undefined ? 'incomplete' : 'snapshot';
      of.bids = [...(levels?.bids ?? [])];
      of.asks = [...(levels?.asks ?? [])];
      const tick = truth.newest(`tick:${symbol}`);
      of.volume = tick?.type === 'tick' ? Number(tick.volume) : 0;
    }
    this.heads.set('status', truth.head('status', this.seq));
  }

  /** What a start finds: definitions, the newest message of each topic, and the statistics of all trades. */
  recovered(truth: Truth): {
    newest: MarketEvent[];
    statistics: Record<string, StatisticsState>;
  } {
    const newest: MarketEvent[] = [];
    const statistics: Record<string, StatisticsState> = {};
    const states = new Map<string, MarketEvent>();
    const of = new Map<string, TradeStatistics>();
    for (const event of truth.events) {
      if (event.type === 'status') states.set(event.symbol, event);
      if (event.type === 'instrument') this.definitions.set(event.symbol, event);
      if (event.type !== 'trade') continue;
      if (!of.has(event.symbol)) of.set(event.symbol, new TradeStatistics(0));
      const { session, bars } = of.get(event.symbol)!;
      session.add(event);
      for (const fold of bars) fold.add(event);
    }
    for (const symbol of this.symbols) {
      newest.push(this.definitions.get(symbol)!);
      for (const channel of ['tick', 'bbo', 'trade']) {
        const message = truth.newest(`${channel}:${symbol}`);
        if (message !== undefined) newest.push(message);
      }
      const book = truth.newest(`book:${symbol}`);
      const levels = truth.book(symbol, truth.lastSeq);
      if (book?.type === 'book' && levels !== undefined) {
        const form = levels.crc === undefined ? 'incomplete' : 'snapshot';
        const sides = { bids: [...levels.bids], asks: [...levels.asks] };
        newest.push({ ...book, form, ...sides, crc: levels.crc ?? null });
      }
      const trades = of.get(symbol);
      if (trades !== undefined) statistics[symbol] = trades.state();
    }
    newest.push(...[...states.values()].sort((a, b) => a.seq - b.seq));
    return { newest, statistics };
  }

  private definition(symbol: string): Instrument {
    const definition = { ...instrument(symbol), seq: ++this.seq };
    definition.previousClose = this.random.int(90, 110);
    this.definitions.set(symbol, definition);
    return definition;
  }

  private pick(): string {
    return this.symbols[this.random.int(0, this.symbols.length - 1)]!;
  }

  private position(topic: string) {
    const prevSeq = this.heads.get(topic) ?? 0;
    const seq = ++this.seq;
    this.heads.set(topic, seq);
    const now = this.clock.now();
    return { seq, prevSeq, eventTime: now, receiveTime: now };
  }

  private some(symbol: string): BatchEvent[] {
    const { random } = this;
    const price = 100 + random.int(-5, 5);
    const kind = random.int(0, 15);
    if (kind === 0) {
      const state = random.chance(0.5) ? 'live' : 'stale';
      return [
        {
          type: 'status',
          symbol,
          ...this.position('status'),
          state,
          reason: 'told',
          missed: 0,
          events: null,
        },
      ];
    }
    if (kind === 1) return this.snapshot(symbol);
    if (kind < 6) {
      const of = this.quotedOf(symbol);
      const quantity = random.int(1, 9);
      of.volume += quantity;
      return [
        {
          type: 'trade',
          symbol,
          ...this.position(`trade:${symbol}`),
          price,
          quantity,
          aggressor: 'buy',
          tradeId: 0,
          timing: null,
        },
        {
          type: 'tick',
          symbol,
          ...this.position(`tick:${symbol}`),
          last: price,
          bid: null,
          ask: null,
          quantity,
          volume: of.volume,
          count: 1,
        },
      ];
    }
    if (kind < 9)
      return [
        {
          type: 'bbo',
          symbol,
          ...this.position(`bbo:${symbol}`),
          bid: price,
          bidQuantity: 1,
          ask: null,
          askQuantity: 0,
          count: 1,
          mark: null,
        },
      ];
    return [this.book(symbol)];
  }

  private quotedOf(symbol: string): Quoted {
    let of = this.quoted.get(symbol);
    if (of === undefined)
      this.quoted.set(symbol, (of = { bids: [], asks: [], form: 'none', volume: 0 }));
    return of;
  }

  private snapshot(symbol: string): BatchEvent[] {
    const { bids, asks, form } = this.quotedOf(symbol);
    if (form === 'none' || form === 'incomplete') return [];
    const now = this.clock.now();
    const crc = bookChecksum(bids, asks);
    return [
      {
        type: 'snapshot',
        symbol,
        seq: ++this.seq,
        eventTime: now,
        receiveTime: now,
        bids,
        asks,
        crc,
      },
    ];
  }

  private book(symbol: string): Book {
    const { random } = this;
    const of = this.quotedOf(symbol);
    const whole = of.form === 'none' || of.form === 'incomplete' || random.chance(0.05);
    const side = (from: number, step: number): number[] =>
      Array.from({ length: random.int(0, 10) }, (_, i) => [
        from + step * (i + 1),
        random.int(1, 9),
      ]).flat();
    const [bids, asks] = [side(100, -1), side(100, 1)];
    const opening = {
      type: 'book' as const,
      symbol,
      ...this.position(`book:${symbol}`),
      crc: null,
      count: 1,
      mark: null,
    };
    if (of.form !== 'none' && random.chance(0.02)) {
      Object.assign(of, { bids: [], asks: [], form: 'incomplete' });
      return { ...opening, form: 'incomplete', bids: [], asks: [] };
    }
    const before = { ...of };
    Object.assign(of, { bids, asks, form: 'snapshot' });
    if (whole) return { ...opening, form: 'snapshot', bids, asks };
    const changes = {
      bids: diffLevels(before.bids, bids, 'bid'),
      asks: diffLevels(before.asks, asks, 'ask'),
    };
    return { ...opening, form: 'delta', ...changes };
  }
}
