/**
 * Reader source: a source of several instruments for the test of a reader. It publishes trades, quotes and books
 * over its own connection, reconnects when that ends, and knows everything that it ever sent: each event has a
 * unique time, so what readers and the journal have of it can be looked up.
 */

import type { Prng } from '../../src/base/prng';
import { SystemClock } from '../../src/base/clock';
import { book, instrument, trade } from '../support/feed';
import type { Json } from '../support/kill-rows';
import { StreamClient } from '../support/stream-client';

/** Shares of the events: one instrument is always busy, one is quiet, one is nearly silent. */
const INSTRUMENTS = [
  { symbol: 'BUSY', share: 100, has: 'book' },
  { symbol: 'MID', share: 30, has: 'book' },
  { symbol: 'QUOTED', share: 20, has: 'quotes' },
  { symbol: 'QUIET', share: 3, has: 'book' },
  { symbol: 'SLEEPY', share: 1, has: 'trades' },
] as const;
export const SYMBOLS = INSTRUMENTS.map(({ symbol }) => symbol);
const SHARES = INSTRUMENTS.reduce((sum, { share }) => sum + share, 0);
const TICK_MS = 20;
const OUTSTANDING_MAX = 64;
/** Levels a side that the source keeps: more than readers see. */
const DEPTH = 16;

type Side = Map<number, number>;

interface Own {
  readonly symbol: string;
  readonly share: number;
  readonly has: 'book' | 'quotes' | 'trades';
  mid: number;
  trades: number;
  readonly bids: Side;
  readonly asks: Side;
}

const PRICE = 2;
const QUANTITY = 3;
const clock = new SystemClock();

export class ReaderSource {
  published = 0;
  private readonly own: readonly Own[];
  private readonly random: Prng;
  private readonly rate: number;
  /** What was sent, by symbol and time. */
  private readonly said = new Map<string, string>();
  private client: StreamClient | undefined;
  private address: { url: string; key: string } | undefined;
  private sent = 0;
  private lastMicros = 0;
  private due = 0;
  private connecting = false;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(random: Prng, rate: number) {
    this.random = random;
    this.rate = rate;
    this.own = INSTRUMENTS.map(({ symbol, share, has }): Own => {
      return { symbol, share, has, mid: 10_000, trades: 0, bids: new Map(), asks: new Map() };
    });
    for (const own of this.own) if (own.has === 'book') this.fill(own);
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** Switches to a server. */
  use(url: string, key: string): void {
    this.address = { url, key };
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.address = undefined;
    if (this.client?.ended === undefined) await this.client?.close();
  }

  /** Whether the source sent this trade. */
  knows(m: Json): boolean {
    const { symbol, eventTime, price, quantity, aggressor, tradeId } = m;
    return (
      this.said.get(`trade ${String(symbol)} ${String(eventTime)}`) ===
      JSON.stringify([price, quantity, aggressor, tradeId])
    );
  }

  /** The ten best levels after the event of that time; undefined where none is known. */
  topAt(symbol: string, eventTime: string): string | undefined {
    return this.said.get(`book ${symbol} ${eventTime}`);
  }

  private tick(): void {
    if (this.address === undefined) return;
    if (this.client === undefined || this.client.ended !== undefined) {
      if (!this.connecting) void this.connect(this.address);
      return;
    }
    this.due += (this.rate * TICK_MS) / 1000;
    const burst = this.random.chance(0.01) ? this.random.int(20, 200) : 0;
    let count = Math.floor(this.due) + burst;
    this.due -= Math.floor(this.due);
    while (count > 0 && this.sent - this.client.seen.length < OUTSTANDING_MAX) {
      const events = Array.from({ length: Math.min(count, this.random.int(1, 6)) }, () =>
        this.event(),
      );
      count -= events.length;
      this.publish(events);
    }
  }

  private async connect({ url, key }: { url: string; key: string }): Promise<void> {
    this.connecting = true;
    try {
      this.client = await StreamClient.json(url, { authorization: `Bearer ${key}` });
      this.sent = 0;
      this.publish(this.own.flatMap((own) => [instrument(own.symbol), ...this.opening(own)]));
    } catch {
      await Bun.sleep(100);
    } finally {
      this.connecting = false;
    }
  }

  private publish(events: Json[]): void {
    this.sent += 1;
    this.published += events.length;
    try {
      this.client!.send({ type: 'publish', id: this.sent, events, continues: null });
    } catch {
      // It has ended meanwhile; the next tick notices it.
    }
  }

  private opening(own: Own): Json[] {
    return own.has === 'book' ? [this.book(own, 'snapshot', own.bids, own.asks)] : [];
  }

  private event(): Json {
    let at = this.random.int(1, SHARES);
    const own = this.own.find(({ share }) => (at -= share) <= 0)!;
    if (own.has === 'trades' || this.random.chance(0.4)) return this.trade(own);
    return own.has === 'quotes' ? this.quote(own) : this.delta(own);
  }

  private trade(own: Own): Json {
    const price = text(own.mid + this.random.int(-3, 3), PRICE);
    const quantity = text(this.random.int(1, 5_000), QUANTITY);
    const aggressor = this.random.chance(0.5) ? 'buy' : 'sell';
    const tradeId = (own.trades += 1);
    const eventTime = this.time();
    this.said.set(
      `trade ${own.symbol} ${eventTime}`,
      JSON.stringify([price, quantity, aggressor, tradeId]),
    );
    return trade(own.symbol, price, quantity, { eventTime, aggressor, tradeId });
  }

  private quote(own: Own): Json {
    this.walk(own);
    const quantity = (): string => text(this.random.int(1, 9_000), QUANTITY);
    return {
      type: 'bbo',
      symbol: own.symbol,
      seq: 0,
      prevSeq: 0,
      eventTime: this.time(),
      receiveTime: '0',
      bid: text(own.mid - 1, PRICE),
      bidQuantity: quantity(),
      ask: text(own.mid + 1, PRICE),
      askQuantity: quantity(),
      count: 1,
    };
  }

  private delta(own: Own): Json {
    if (this.random.chance(0.002)) return this.book(own, 'snapshot', own.bids, own.asks);
    const before = [new Map(own.bids), new Map(own.asks)] as const;
    this.walk(own);
    this.fill(own);
    for (let n = this.random.int(1, 3); n > 0; n--) {
      const isBid = this.random.chance(0.5);
      const offset = this.random.int(1, DEPTH);
      (isBid ? own.bids : own.asks).set(
        own.mid + (isBid ? -offset : offset),
        this.random.int(1, 9_000),
      );
    }
    return this.book(own, 'delta', changes(before[0], own.bids), changes(before[1], own.asks));
  }

  private walk(own: Own): void {
    if (this.random.chance(0.3)) own.mid = Math.max(1_000, own.mid + this.random.int(-3, 3));
  }

  /** Levels on both sides of the middle, none crossing it. */
  private fill({ bids, asks, mid }: Own): void {
    for (const [side, sign] of [
      [bids, -1],
      [asks, 1],
    ] as const) {
      for (const price of side.keys()) {
        const away = (price - mid) * sign;
        if (away <= 0 || away > DEPTH) side.delete(price);
      }
      for (let away = 1; away <= DEPTH; away++) {
        const price = mid + away * sign;
        if (!side.has(price)) side.set(price, this.random.int(1, 9_000));
      }
    }
  }

  private book(own: Own, form: 'snapshot' | 'delta', bids: Side, asks: Side): Json {
    const eventTime = this.time();
    const top = JSON.stringify([best(own.bids, -1), best(own.asks, 1)]);
    this.said.set(`book ${own.symbol} ${eventTime}`, top);
    return book(own.symbol, form, levels(bids, -1), levels(asks, 1), { eventTime });
  }

  /** The present time in nanoseconds, different from every time before. */
  private time(): string {
    const micros = Math.floor(Number(clock.now().toString()) / 1_000);
    this.lastMicros = Math.max(micros, this.lastMicros + 1);
    return `${this.lastMicros}000`;
  }
}

function changes(before: Side, after: Side): Side {
  const changed: Side = new Map();
  for (const price of before.keys()) if (!after.has(price)) changed.set(price, 0);
  for (const [price, quantity] of after) {
    if (before.get(price) !== quantity) changed.set(price, quantity);
  }
  return changed;
}

function levels(side: Side, sign: 1 | -1): [string, string][] {
  return [...side]
    .sort(([a], [b]) => (a - b) * sign)
    .map(([price, quantity]) => [text(price, PRICE), text(quantity, QUANTITY)]);
}

function best(side: Side, sign: 1 | -1): [string, string][] {
  return levels(side, sign).slice(0, 10);
}

function text(value: number, scale: number): string {
  const digits = String(value).padStart(scale + 1, '0');
  return `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
