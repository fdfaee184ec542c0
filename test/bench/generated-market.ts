/**
 * A generated market: the events of a source for some instruments, seeded, similar to a busy crypto pair (eight
 * decimals, a book of 500 levels a side, most changes near the top). For each instrument and round of the
 * generator: one event in four is a trade, the others are deltas of one to six levels.
 */

import type { Book, Instrument, SourceEvent, Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import type { Clock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { check, type Config } from '../../src/config/config';
import { StartFault } from '../../src/base/start-fault';
import { Market } from '../../src/market/market';
import type { Batch } from '../../src/base/contracts/batch';
import { Sequencer } from '../../src/sequencer/sequencer';

const PRICE_START = 6_183_763_000_000;
const INCREMENT = 1_000_000;
const LEVELS = 500;
const TRADE_SHARE = 0.25;
/** Mean time between two events, in ns. */
const STEP_NANOS = 8_000_000;
/** Events in one submission. */
const SUBMISSION = 100;

export interface MarketShape {
  readonly symbols: readonly string[];
  /** Trades and deltas of all instruments together. */
  readonly events: number;
  readonly seed: number;
  /** Time of the first event. */
  readonly start: Nanos;
  /** Share of trades among the events; by default a quarter. */
  readonly tradeShare?: number;
}

/** Definition and snapshot of each instrument, then trades and deltas. */
export function generateMarket(shape: MarketShape): SourceEvent[] {
  const { symbols, events, seed, start, tradeShare = TRADE_SHARE } = shape;
  const random = new Prng(seed);
  const feeds = symbols.map((symbol) => new GeneratedFeed(symbol, random));
  const out: SourceEvent[] = [];
  let time = start;
  for (const feed of feeds) out.push(feed.definition(), feed.snapshot(time));
  for (let i = 0; i < events; i++) {
    time = time.plus(Math.floor(random.exponential() * STEP_NANOS));
    const feed = feeds[random.int(0, feeds.length - 1)]!;
    out.push(random.chance(tradeShare) ? feed.trade(time) : feed.delta(time));
  }
  return out;
}

/** Endless events of a source for one instrument. */
export class GeneratedFeed {
  private readonly symbol: string;
  private readonly random: Prng;
  private bookSeq = 1_000_000;
  private tradeSeq = 3_000_000_000;

  constructor(symbol: string, random: Prng) {
    this.symbol = symbol;
    this.random = random;
  }

  definition(): Instrument {
    return {
      type: 'instrument',
      symbol: this.symbol,
      seq: 0,
      market: 'feed',
      priceScale: 8,
      quantityScale: 8,
      priceIncrement: 1,
      quantityIncrement: 1,
      previousClose: null,
      rules: null,
      shard: null,
    };
  }

  snapshot(time: Nanos): Book {
    const side = (sign: number): number[] =>
      Array.from({ length: LEVELS }, (_, i) => [
        PRICE_START + sign * (i + 1) * INCREMENT,
        this.quantity(),
      ]).flat();
    return this.book('snapshot', time, side(-1), side(1));
  }

  delta(time: Nanos): Book {
    const side = (sign: number, levels: number): number[] =>
      Array.from({ length: levels }, () => [
        PRICE_START + sign * Math.floor(LEVELS ** this.random.unit()) * INCREMENT,
        this.random.chance(0.3) ? 0 : this.quantity(),
      ]).flat();
    return this.book(
      'delta',
      time,
      side(-1, this.random.int(1, 3)),
      side(1, this.random.int(0, 3)),
    );
  }

  trade(time: Nanos): Trade {
    this.tradeSeq += 1;
    return {
      type: 'trade',
      symbol: this.symbol,
      seq: this.tradeSeq,
      prevSeq: this.tradeSeq - 1,
      eventTime: time,
      receiveTime: time.plus(this.random.int(100_000, 900_000)),
      price: PRICE_START + this.random.int(-9, 9) * INCREMENT,
      quantity: this.quantity(),
      aggressor: this.random.chance(0.5) ? 'buy' : 'sell',
      tradeId: this.tradeSeq,
      timing: null,
    };
  }

  private book(form: Book['form'], time: Nanos, bids: number[], asks: number[]): Book {
    const prevSeq = form === 'snapshot' ? 0 : this.bookSeq;
    this.bookSeq += 1;
    return {
      type: 'book',
      symbol: this.symbol,
      seq: this.bookSeq,
      prevSeq,
      eventTime: time,
      receiveTime: time.plus(this.random.int(100_000, 900_000)),
      form,
      bids,
      asks,
      crc: null,
      count: 1,
      mark: null,
    };
  }

  /** A hundredth of a unit to some units; small trades are the most frequent. */
  private quantity(): number {
    return Math.ceil(10 ** (3 + this.random.unit() * 5)) * 10;
  }
}

/** A busy machine makes turns long; these are not logged. */
const LOG = { turnMs: 60_000 };

/** The default settings of a server, with some of them changed. */
export function settings(changes: Record<string, unknown> = {}): Config {
  const config = check({ log: LOG, ...changes });
  if (config instanceof StartFault) throw new Error(config.message);
  return config;
}

/** A market and its sequencer, without a journal; batches go to `take`. */
export function openMarket(
  clock: Clock,
  take: (batch: Batch) => void,
): { market: Market; sequencer: Sequencer } {
  const { limits } = settings();
  const market = new Market(limits);
  const options = { ...limits, epoch: 1, lastSeq: 0, schedule: () => {} };
  const sequencer = new Sequencer(options, market, clock, (batch, onDurable) => {
    if (batch !== null) take(batch);
    onDurable();
  });
  return { market, sequencer };
}

/** Everything that the market makes of these events, and the market itself. */
export function runMarket(
  events: readonly SourceEvent[],
  clock: Clock,
): { market: Market; made: BatchEvent[] } {
  const made: BatchEvent[] = [];
  const { market, sequencer } = openMarket(clock, (batch) => void made.push(...batch.events));
  for (let i = 0; i < events.length; i += SUBMISSION) {
    sequencer.submit(1, events.slice(i, i + SUBMISSION), (result) => {
      if ('fault' in result) throw new Error(`event ${i + result.index}: ${result.fault.message}`);
    });
    sequencer.drain();
  }
  return { market, made };
}
