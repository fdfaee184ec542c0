/**
 * The load of the endurance programs: sources of a market that is generated while it runs, evenly paced, each on
 * its own connection; and traders on venues, whose orders rest, trade and are cancelled. All of them reconnect when
 * the server is back. It is a separate process that receives jobs.
 *
 * Bounded: the books have a thousand levels, a trader has some hundred resting orders, and a few hundred messages
 * wait for acknowledgements; beyond that nothing is sent until some are acknowledged.
 */

import type { SourceEvent } from '../../protocol/messages';
import { SystemClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { TapedeckClient, TapedeckError } from '../../src/client';
import { GeneratedFeed } from '../bench/generated-market';

export type SourceJob =
  | {
      readonly act: 'start';
      readonly url: string;
      readonly key: string;
      readonly feeds: readonly string[];
      readonly sources: number;
      readonly eventsPerSecond: number;
      readonly venues: readonly string[];
      readonly ordersPerSecond: number;
    }
  | { readonly act: 'look' };

export interface SourceDone {
  readonly events: number;
  readonly orders: number;
  /** Cancels of orders that had traded meanwhile are not counted. */
  readonly refused: number;
  /** Events that were not sent because too many were in flight, or there was no server. */
  readonly heldBack: number;
}

const EVERY_MS = 10;
/** How often it checks for a server that has gone. */
const LOOK_EVERY_MS = 50;
/** How much time a source makes up for after its process was delayed. */
const CATCH_UP_MS = 200;
const UNDER_WAY_MAX = 200;
const TRADE_SHARE = 0.4;
const RESTING_MAX = 300;
const PRICE = 10_000;

const clock = new SystemClock();
const sum = { events: 0, orders: 0, refused: 0, heldBack: 0 };

/** A number of actions a second, in even steps; what could not be done in time is given up. */
class Pace {
  private readonly perSecond: number;
  private atMs = performance.now();
  private rest = 0;

  constructor(perSecond: number) {
    this.perSecond = perSecond;
  }

  due(): number {
    const nowMs = performance.now();
    const due = (Math.min(nowMs - this.atMs, CATCH_UP_MS) * this.perSecond) / 1000 + this.rest;
    this.atMs = nowMs;
    this.rest = due % 1;
    return Math.floor(due);
  }
}

function count(e: unknown): void {
  const isGone =
    e instanceof TapedeckError && /connection-failed|closed|shutting-down/.test(e.code);
  if (isGone) return;
  sum.refused += 1;
  console.error(String(e));
}

class Source {
  private readonly client: TapedeckClient;
  private readonly feeds: readonly GeneratedFeed[];
  private readonly random: Prng;
  private readonly pace: Pace;
  private underWay = 0;

  constructor(client: TapedeckClient, symbols: readonly string[], perSecond: number, seed: number) {
    this.client = client;
    this.random = new Prng(seed);
    this.feeds = symbols.map((symbol) => new GeneratedFeed(symbol, this.random));
    this.pace = new Pace(perSecond);
    // A restarted server does not know what happened meanwhile.
    client.on('connected', () => this.begin());
    this.begin();
    setInterval(() => this.step(), EVERY_MS);
  }

  private begin(): void {
    const now = clock.now();
    this.publish(this.feeds.flatMap((feed) => [feed.definition(), feed.snapshot(now)]));
  }

  private step(): void {
    const due = this.pace.due();
    if (due === 0) return;
    if (this.client.state !== 'connected' || this.underWay >= UNDER_WAY_MAX) {
      sum.heldBack += due;
      return;
    }
    const now = clock.now();
    const { random, feeds } = this;
    const events = Array.from({ length: due }, (): SourceEvent => {
      const feed = feeds[random.int(0, feeds.length - 1)]!;
      return random.chance(TRADE_SHARE) ? feed.trade(now) : feed.delta(now);
    });
    sum.events += due;
    this.publish(events);
  }

  private publish(events: readonly SourceEvent[]): void {
    this.underWay += 1;
    this.client
      .publish(events)
      .catch(count)
      .finally(() => (this.underWay -= 1));
  }
}

class Trader {
  private readonly client: TapedeckClient;
  private readonly symbol: string;
  private readonly random: Prng;
  private readonly pace: Pace;
  private readonly resting: string[] = [];
  private underWay = 0;
  private names = 0;

  constructor(client: TapedeckClient, symbol: string, perSecond: number, seed: number) {
    this.client = client;
    this.symbol = symbol;
    this.random = new Prng(seed);
    this.pace = new Pace(perSecond);
    setInterval(() => this.step(), EVERY_MS);
  }

  private step(): void {
    const due = this.pace.due();
    if (this.client.state !== 'connected' || this.underWay >= UNDER_WAY_MAX) return;
    for (let i = 0; i < due; i++) {
      if (this.resting.length >= RESTING_MAX) this.ask(this.cancel(this.resting.shift()!));
      else this.ask(this.order());
    }
  }

  private ask(answer: Promise<unknown>): void {
    this.underWay += 1;
    sum.orders += 1;
    answer
      .catch((e: unknown) => {
        // It has traded.
        if (!(e instanceof TapedeckError && e.code === 'unknown-order')) count(e);
      })
      .finally(() => (this.underWay -= 1));
  }

  private cancel(clientOrderId: string): Promise<unknown> {
    return this.client.cancel({ symbol: this.symbol, clientOrderId });
  }

  private order(): Promise<unknown> {
    const { random, symbol } = this;
    const side = random.chance(0.5) ? 'buy' : 'sell';
    const quantity = { scaled: random.int(1, 2_000) };
    if (random.chance(0.1)) return this.client.order({ symbol, side, quantity, kind: 'market' });
    const clientOrderId = `${this.symbol}-${clock.now().toString()}-${(this.names += 1)}`;
    this.resting.push(clientOrderId);
    const away = Math.round(Math.abs(random.normal()) * 10) - 2;
    const price = { scaled: PRICE + (side === 'buy' ? -away : away) };
    return this.client.order({ symbol, side, quantity, price, clientOrderId });
  }
}

/** The i-th of a number of equal shares of the list. */
function share(list: readonly string[], i: number, of: number): string[] {
  return list.filter((_, at) => at % of === i);
}

/** A source does not wait for the server: the readers wait for the source. */
async function connect(url: string, key: string): Promise<TapedeckClient> {
  const client = await TapedeckClient.connect(url, { key, client: 'endurance source' });
  setInterval(() => client.reconnectNow(), LOOK_EVERY_MS);
  return client;
}

async function start(job: Extract<SourceJob, { act: 'start' }>): Promise<void> {
  const { url, key, feeds, sources, eventsPerSecond, venues, ordersPerSecond } = job;
  for (let i = 0; i < sources; i++) {
    new Source(await connect(url, key), share(feeds, i, sources), eventsPerSecond / sources, i); // oxlint-disable-line no-new
  }
  for (const [i, venue] of venues.entries()) {
    new Trader(await connect(url, key), venue, ordersPerSecond / venues.length, 1_000 + i); // oxlint-disable-line no-new
  }
}

async function run(job: SourceJob): Promise<void> {
  if (job.act === 'start') await start(job);
  process.send!({ ...sum } satisfies SourceDone);
}

process.on('message', (job: SourceJob) => void run(job));
process.on('disconnect', () => process.exit(0));
