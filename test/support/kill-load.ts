/**
 * Load on a server that is about to be killed: traders who name their orders and repeat some, and a source that
 * numbers its events, loses some of them, and repeats what was not acknowledged. Each continues until its
 * connection ends, and knows afterwards what it sent.
 */

import { SystemClock } from '../../src/base/clock';
import type { Prng } from '../../src/base/prng';
import { book, instrument, trade, type Levels } from './feed';
import type { Json } from './kill-rows';
import type { Seen, StreamClient } from './stream-client';

export const VENUES = ['ACME', 'BOLT'] as const;
export const FED = 'FEED';

const clock = new SystemClock();

/** The answers to requests, by their ids. */
export function answersOf(client: StreamClient, from = 0): Map<unknown, Seen> {
  const answers = new Map<unknown, Seen>();
  for (const m of client.seen.slice(from)) {
    if ((m.type !== 'ack' && m.type !== 'error') || m['id'] === null) continue;
    if (answers.has(m['id']))
      throw new Error(`the request ${JSON.stringify(m['id'])} has two answers`);
    answers.set(m['id'], m);
  }
  return answers;
}

function pick<T>(random: Prng, from: readonly T[]): T {
  return from[random.int(0, from.length - 1)]!;
}

function decimals(units: number, scale: number): string {
  return (units / 10 ** scale).toFixed(scale);
}

export class Trader {
  readonly owner: string;
  readonly client: StreamClient;
  /** Requests by id, in the order in which they were sent. */
  readonly sent = new Map<number, Json>();
  private readonly random: Prng;
  private readonly loaded: number;
  private readonly names: string[] = [];
  private readonly orders = new Map<string, Json>();

  constructor(owner: string, client: StreamClient, random: Prng, loaded: number) {
    this.owner = owner;
    this.client = client;
    this.random = random;
    this.loaded = loaded;
  }

  /** Keeps two requests in flight most of the time. */
  run(): Promise<unknown> {
    return Promise.all([this.loop(), this.loop()]);
  }

  private async loop(): Promise<void> {
    const { client, random } = this;
    while (client.ended === undefined) {
      const count = random.chance(0.03) ? random.int(30, 120) : random.int(1, 8);
      const frame = Array.from({ length: count }, () => this.request());
      const from = client.seen.length;
      client.send(...frame);
      const last = frame.at(-1)!['id'];
      await client.find((m) => m['id'] === last, from).catch(() => undefined);
      await Bun.sleep(random.int(0, 8));
    }
  }

  /** Sends a request again, with a new id. */
  repeat(request: Json): number {
    const id = this.numbered({ ...request });
    this.client.send({ ...request, id });
    return id;
  }

  private numbered(request: Json): number {
    const id = this.sent.size + 1;
    this.sent.set(id, { ...request, id });
    return id;
  }

  private request(): Json {
    const draw = this.random.unit();
    const name = this.names.at(-this.random.int(1, 30));
    if (name === undefined || draw < 0.62) return this.order();
    const known = this.orders.get(name)!;
    const target = { symbol: known['symbol'], orderId: null, clientOrderId: name };
    if (draw < 0.66) return this.keep(known);
    if (draw < 0.67) return this.keep({ ...known, quantity: '9.999' });
    if (draw < 0.85) return this.keep({ type: 'cancel', ...target });
    const price = this.random.chance(0.6) ? this.price() : null;
    const quantity = price === null || this.random.chance(0.4) ? this.quantity() : null;
    return this.keep({ type: 'amend', ...target, price, quantity });
  }

  private order(): Json {
    const { random } = this;
    const isNamed = random.chance(0.9);
    const clientOrderId = isNamed ? `${this.loaded}.${this.names.length + 1}` : '';
    const isMarket = random.chance(0.12);
    const order = {
      type: 'order',
      symbol: pick(random, VENUES),
      clientOrderId,
      side: random.chance(0.5) ? 'buy' : 'sell',
      kind: isMarket ? 'market' : 'limit',
      timeInForce: isMarket || random.chance(0.1) ? pick(random, ['ioc', 'fok']) : 'gtc',
      postOnly: random.chance(0.06),
      price: isMarket ? null : random.chance(0.02) ? '700.00' : this.price(),
      quantity: this.quantity(),
    };
    if (isNamed) {
      this.names.push(clientOrderId);
      this.orders.set(clientOrderId, order);
    }
    return this.keep(order);
  }

  private keep(request: Json): Json {
    const id = this.numbered(request);
    return this.sent.get(id)!;
  }

  private price(): string {
    return decimals(10_000 + Math.round(this.random.normal() * 8), 2);
  }

  private quantity(): string {
    return decimals(this.random.int(1, 4_000), 3);
  }
}

/** What a publish contained, and what its acknowledgement says of all publishes before it. */
interface Published {
  readonly id: number;
  readonly lastTrade: number;
}

/** The external market that one source reports; it outlives the servers. */
export class Outside {
  private readonly random: Prng;
  private seq = 0;
  private tradeSeq = 0;
  private readonly bids = new Map<number, number>();
  private readonly asks = new Map<number, number>();
  /** Trades that no acknowledgement covers. */
  private unacknowledged: Json[] = [];
  private missing = 0;

  constructor(random: Prng) {
    this.random = random;
    for (let i = 0; i < 60; i++) this.move();
  }

  /** What a source sends first on a connection. */
  opening(): Json[] {
    const { random } = this;
    const early = random.chance(0.3) ? [this.delta(), this.delta()] : [];
    return [instrument(FED), ...early, ...this.unacknowledged, this.snapshot()];
  }

  /** Changes the market while no source is connected. */
  pass(): void {
    for (let i = this.random.int(0, 20); i > 0; i--) this.move();
  }

  step(): Json[] {
    const { random } = this;
    const events: Json[] = [];
    for (let i = random.int(1, 6); i > 0; i--) {
      const draw = random.unit();
      if (draw < 0.45) events.push(...this.change());
      else if (draw < 0.5) events.push(...this.unacknowledged.slice(-1));
      else events.push(this.trade());
    }
    return events;
  }

  /** What was acknowledged need not be sent again. @returns the newest trade that was */
  settle(published: readonly Published[], answered: ReadonlyMap<unknown, Seen>): number {
    const covered = published.findLast(({ id }) => answered.get(id)?.type === 'ack');
    if (covered === undefined) return 0;
    this.unacknowledged = this.unacknowledged.filter(
      (t) => (t['seq'] as number) > covered.lastTrade,
    );
    return covered.lastTrade;
  }

  get lastTrade(): number {
    return this.tradeSeq;
  }

  private change(): Json[] {
    const { random } = this;
    if (this.missing > 0 && --this.missing === 0) return [this.snapshot()];
    if (random.chance(0.01)) {
      this.move(); // and no message reports it
      this.missing = 4;
    }
    const delta = this.delta();
    return random.chance(0.4) ? [delta, this.quote()] : [delta];
  }

  private move(): { bids: Levels; asks: Levels } {
    const { random } = this;
    const isBid = random.chance(0.5);
    const price = isBid ? random.int(4_970, 5_000) : random.int(5_001, 5_030);
    const quantity = random.chance(0.35) ? 0 : random.int(1, 9_000);
    const side = isBid ? this.bids : this.asks;
    if (quantity === 0) side.delete(price);
    else side.set(price, quantity);
    this.seq += 1;
    const level = [[decimals(price, 2), decimals(quantity, 3)]] as const;
    return isBid ? { bids: level, asks: [] } : { bids: [], asks: level };
  }

  private delta(): Json {
    const { bids, asks } = this.move();
    return book(FED, 'delta', bids, asks, {
      seq: this.seq,
      prevSeq: this.seq - 1,
      eventTime: now(),
    });
  }

  private snapshot(): Json {
    const bids = levels(this.bids, -1);
    return book(FED, 'snapshot', bids, levels(this.asks, 1), { seq: this.seq, eventTime: now() });
  }

  private quote(): Json {
    const [bid] = levels(this.bids, -1);
    const [ask] = levels(this.asks, 1);
    return {
      type: 'bbo',
      symbol: FED,
      seq: this.seq,
      prevSeq: this.seq,
      eventTime: now(),
      receiveTime: '0',
      bid: bid?.[0] ?? null,
      bidQuantity: bid?.[1] ?? '0.000',
      ask: ask?.[0] ?? null,
      askQuantity: ask?.[1] ?? '0.000',
      count: 1,
    };
  }

  private trade(): Json {
    const { random } = this;
    const lateNs = random.chance(0.02) ? random.int(1, 3_000) * 1e6 : random.int(0, 40) * 1e6;
    const seq = ++this.tradeSeq;
    const made = trade(
      FED,
      decimals(random.int(4_980, 5_020), 2),
      decimals(random.int(1, 900), 3),
      {
        seq,
        prevSeq: seq - 1,
        tradeId: 70_000 + seq,
        eventTime: now(lateNs),
      },
    );
    this.unacknowledged.push(made);
    return made;
  }
}

function now(lateNs = 0): string {
  return clock.now().plus(-lateNs).toString();
}

function levels(side: ReadonlyMap<number, number>, sign: 1 | -1): [string, string][] {
  return [...side]
    .sort(([a], [b]) => (a - b) * sign)
    .map(([price, quantity]) => [decimals(price, 2), decimals(quantity, 3)]);
}

/** One connection of the source. */
export class Publisher {
  readonly client: StreamClient;
  readonly published: Published[] = [];
  private readonly outside: Outside;
  private readonly random: Prng;

  constructor(client: StreamClient, outside: Outside, random: Prng) {
    this.client = client;
    this.outside = outside;
    this.random = random;
  }

  async run(): Promise<void> {
    const { client, outside, random } = this;
    let id = this.say(outside.opening());
    while (client.ended === undefined) {
      if (random.chance(0.3)) await client.find((m) => m['id'] === id).catch(() => undefined);
      await Bun.sleep(random.int(0, 5));
      if (client.ended === undefined) id = this.say(outside.step());
    }
  }

  private say(events: readonly Json[]): number {
    const id = this.published.length + 1;
    this.published.push({ id, lastTrade: this.outside.lastTrade });
    this.client.send({ type: 'publish', id, events, continues: null });
    return id;
  }
}
