/**
 * Bar stream: random trades of one instrument, most in order and some very late, and what the server's own code
 * publishes of their bars; the expected bars are computed from the trades in the plainest way.
 */

import type { BarInterval } from '../../protocol/bars';
import type { Bar, Instrument, Message, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import type { Prng } from '../../src/base/prng';
import { DerivedTopics } from '../../src/broadcast/topics/derived-topics';
import { MirroredInstrument, type TopicState } from '../../src/broadcast/topics/mirror';

export const BAR_INTERVAL: BarInterval = '1s';

const DEFINITION: Instrument = {
  type: 'instrument',
  symbol: 'AAA',
  seq: 1,
  market: 'feed',
  priceScale: 2,
  quantityScale: 3,
  priceIncrement: 1,
  quantityIncrement: 1,
  previousClose: null,
  rules: null,
  shard: null,
};
const START = 1_700_000_000;

/** A bar as computed from its trades. */
type Naive = Pick<Bar, 'open' | 'high' | 'low' | 'close' | 'volume' | 'trades'>;

export class BarStream {
  readonly instrument = new MirroredInstrument(DEFINITION, 0);
  readonly topic: TopicState = this.instrument.topics[`bar:${BAR_INTERVAL}`];
  /** Trades of bars that only history can compute. */
  pastTrades = 0;
  /** How many trades there were. */
  trades = 0;
  private readonly byOpenTime = new Map<number, Trade[]>();
  private readonly random: Prng;
  private readonly derived: DerivedTopics;
  private readonly past = new Set<number>();
  private seq = 1;
  private nowMs = START * 1_000;

  /** @param published is called with each message that is published on the topic of the interval */
  constructor(random: Prng, published: (message: Message) => void) {
    this.random = random;
    this.topic.readers(false).join({ took: () => {}, mark: () => {} }, 0);
    this.derived = new DerivedTopics(
      new ManualClock(),
      (topic, message) => topic === this.topic && published(message),
      (_symbol, interval, openTime) => {
        if (interval !== BAR_INTERVAL) return;
        this.past.add(openTime.seconds);
        this.pastTrades += 1;
      },
    );
  }

  /** Publishes a batch of trades; then the changed bars that are no longer kept. */
  batch(): void {
    for (let n = this.random.int(1, 4); n > 0; n--) this.derived.add(this.instrument, this.trade());
    this.derived.seal();
    for (const seconds of this.past)
      this.derived.revise(this.instrument, this.barAt(seconds), this.seq);
    this.past.clear();
  }

  /** The expected bars by opening time, in seconds. */
  bars(): Map<number, Naive> {
    const naive = [...this.byOpenTime].map(([at, trades]) => [at, naiveBar(trades)] as const);
    return new Map(naive);
  }

  private barAt(seconds: number): Bar {
    const time = Nanos.fromSeconds(seconds, 0);
    const trades = this.byOpenTime.get(seconds)!;
    const { seq } = trades.at(-1)!;
    const head = { type: 'bar', symbol: 'AAA', seq, prevSeq: 0, interval: BAR_INTERVAL } as const;
    return {
      ...head,
      eventTime: time,
      receiveTime: time,
      openTime: time,
      ...naiveBar(trades),
      final: true,
      count: 0,
    };
  }

  private trade(): Trade {
    const { random } = this;
    this.nowMs += random.int(0, 400);
    const backMs = random.chance(0.3) ? random.int(0, 6_000) : 0;
    const eventTime = Nanos.fromMillis(Math.max(START * 1_000, this.nowMs - backMs));
    const prices = { price: random.int(90, 110), quantity: random.int(1, 9) };
    const head = {
      type: 'trade',
      symbol: 'AAA',
      seq: (this.seq += 2),
      prevSeq: this.seq - 4,
    } as const;
    const trade: Trade = {
      ...head,
      eventTime,
      receiveTime: Nanos.fromMillis(this.nowMs),
      ...prices,
      aggressor: 'buy',
      tradeId: 0,
      timing: null,
    };
    this.trades += 1;
    const { seconds } = eventTime;
    this.byOpenTime.set(seconds, [...(this.byOpenTime.get(seconds) ?? []), trade]);
    return trade;
  }
}

function naiveBar(trades: readonly Trade[]): Naive {
  const sorted = trades.toSorted((a, b) => a.eventTime.compare(b.eventTime) || a.seq - b.seq);
  const prices = sorted.map(({ price }) => price);
  return {
    open: prices[0]!,
    high: Math.max(...prices),
    low: Math.min(...prices),
    close: prices.at(-1)!,
    volume: sorted.reduce((sum, { quantity }) => sum + quantity, 0),
    trades: sorted.length,
  };
}

/**
 * A reader of a topic of bars, by the rule for states: it has the newest state of each bar, and no message is
 * missing.
 */
export class BarReader {
  last = 0;
  counted = 0;
  readonly bars = new Map<number, Bar>();
  /** Bars that were not sent as final before a later one arrived. */
  unended = 0;

  /** @throws Error when messages are missing before it */
  take(m: Bar): void {
    if (m.prevSeq > this.last)
      throw new Error(`bar ${m.seq} follows ${m.prevSeq}, and not ${this.last}`);
    this.last = Math.max(this.last, m.seq);
    this.counted += m.count;
    const at = m.openTime.seconds;
    for (const [seconds, bar] of this.bars) if (seconds < at && !bar.final) this.unended += 1;
    if (m.seq >= (this.bars.get(at)?.seq ?? 0)) this.bars.set(at, m);
  }

  /** What it holds, in the form of `BarStream.bars`. */
  naive(): Map<number, Naive> {
    const pairs = [...this.bars].map(([at, bar]) => {
      const { open, high, low, close, volume, trades } = bar;
      return [at, { open, high, low, close, volume, trades }] as const;
    });
    return new Map(pairs);
  }

  get newest(): Bar | undefined {
    return this.bars.get(Math.max(...this.bars.keys()));
  }
}
