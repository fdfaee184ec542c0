/**
 * One run of hostile sources over simulated weeks, on a real journal with restarts. It checks that events sent =
 * recorded + refused + counted, and that last, volume, statistics, bars and past books equal an independent
 * computation.
 */

import { BAR_INTERVALS, type Stats, type Tick, type Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { TIME_LIMITS } from '../../src/market/market';
import { naiveBars, naiveSession, summary } from '../derived/naive-statistics';
import { recordPast, type Past } from '../history/past';
import { eventsOf } from '../support/test-recorder';
import { feedOf } from '../support/market-events';
import { FAULTS, HostileFeed, type Sent } from './hostile-feed';
import { pastBookFault } from './hostile-past';
import type { SubmitResult } from '../../src/base/contracts/submission';

export interface HostileReport {
  readonly sent: number;
  readonly recorded: number;
  readonly repeated: number;
  readonly waiting: number;
  readonly refused: number;
  readonly restarts: number;
  /** Requests for bars and past books that were compared. */
  readonly compared: number;
}

const PAUSES_S = [0, 0, 0, 0.001, 0.2, 1, 5, 61, 900, 7_200, 90_000];
const SYMBOLS = ['A', 'B'];
const BEGIN = Nanos.fromSeconds(1_700_000_000, 0);

/** @throws Error that names the seed and the step where the check fails */
export async function hostileRun(
  seed: number,
  freshDirectory: () => string,
  steps: number,
): Promise<HostileReport> {
  const run = new HostileRun(seed, freshDirectory());
  try {
    for (let i = 0; i < steps; i++) await run.step(i);
    await run.compareAll();
    return run.report();
  } catch (e) {
    throw new Error(`seed ${seed}, step ${run.at}: ${(e as Error).message}`, { cause: e });
  } finally {
    await run.close();
  }
}

/** The expected trades of a symbol, computed only from what was sent. */
interface Account {
  readonly feed: HostileFeed;
  readonly trades: Trade[];
  present: bigint | undefined;
  source: number;
}

class HostileRun {
  at = 0;
  private readonly random: Prng;
  private readonly directory: string;
  private readonly clock = new ManualClock(BEGIN);
  private readonly accounts: ReadonlyMap<string, Account>;
  private readonly events: BatchEvent[] = [];
  private past: Past;
  private sources = 0;
  private readonly counts = {
    sent: 0,
    recorded: 0,
    repeated: 0,
    waiting: 0,
    refused: 0,
    restarts: 0,
    compared: 0,
  };

  constructor(seed: number, directory: string) {
    this.random = new Prng(seed);
    this.directory = directory;
    this.past = this.open();
    this.accounts = new Map(
      SYMBOLS.map((symbol) => [
        symbol,
        {
          feed: new HostileFeed(this.random, symbol),
          trades: [],
          present: undefined,
          source: ++this.sources,
        },
      ]),
    );
    for (const { feed, source } of this.accounts.values()) {
      this.send(source, [{ event: feed.definition(), fate: 'recorded' }]);
    }
  }

  async step(index: number): Promise<void> {
    this.at = index;
    const { random, clock } = this;
    const kind = this.pick(FAULTS);
    // Numbers do not begin again within the variation of the source's clock.
    const pauseS = this.pick(PAUSES_S) + (kind === 'restart' ? 2 : 0);
    clock.advance(pauseS * 1e9 + 1);
    const account = this.accounts.get(this.pick(SYMBOLS))!;
    if (random.chance(0.02)) this.anotherSession(account);
    for (const sent of account.feed.step(kind, clock.now())) {
      this.send(account.source, [sent], account);
    }
    this.compare(account);
    if (random.chance(0.01)) await this.restart();
    if (random.chance(0.01)) await this.comparePast(account);
  }

  private pick<T>(list: readonly T[]): T {
    return list[this.random.int(0, list.length - 1)]!;
  }

  report(): HostileReport {
    return this.counts;
  }

  async compareAll(): Promise<void> {
    for (const account of this.accounts.values()) await this.comparePast(account);
  }

  async close(): Promise<void> {
    await this.past.close();
  }

  private open(): Past {
    return recordPast(this.directory, { checkpointEveryEvents: 300 }, 64, { clock: this.clock });
  }

  private async restart(): Promise<void> {
    this.collect();
    await this.past.close();
    this.past = this.open();
    this.counts.restarts += 1;
    for (const account of this.accounts.values()) {
      account.source = ++this.sources;
      account.feed.forget();
    }
  }

  private anotherSession(account: Account): void {
    const { market, sequencer } = this.past.recorder;
    const { source } = account;
    sequencer.act((out) => market.release(source, out));
    sequencer.drain();
    account.source = ++this.sources;
  }

  private collect(): void {
    this.events.push(...eventsOf(this.past.batches));
    this.past.batches.length = 0;
  }

  private send(source: number, list: readonly Sent[], account?: Account): void {
    const { sequencer } = this.past.recorder;
    const { counts } = this;
    let result: SubmitResult | undefined;
    sequencer.submit(
      source,
      list.map(({ event }) => event),
      (r) => (result = r),
    );
    sequencer.drain();
    for (const { event, fate } of list) {
      counts.sent += 1;
      const became = fateOf(result!);
      counts[became] += 1;
      if (fate !== 'any' && became !== fate) {
        throw new Error(`${event.type} ${JSON.stringify(event)} was ${became}; expected ${fate}`);
      }
      if (event.type === 'trade' && fate === 'recorded') this.expectTrade(event, account!);
    }
  }

  /** The trade must be the newest recorded one, with the content that was sent. */
  private expectTrade(sent: Trade, account: Account): void {
    this.collect();
    const found = this.events.findLast((e) => e.type === 'trade' && e.symbol === sent.symbol);
    const made = found as Trade;
    const same =
      made.tradeId === sent.tradeId && made.price === sent.price && made.quantity === sent.quantity;
    if (!same || made.eventTime.compare(sent.eventTime) !== 0) {
      throw new Error(`recorded ${JSON.stringify(made)} of ${JSON.stringify(sent)}`);
    }
    const timing = timingOf(sent, this.clock.now(), account);
    if (made.timing !== timing) throw new Error(`timing ${made.timing}; expected ${timing}`);
    account.trades.push({ ...made, timing });
  }

  /** Compares the newest state: last price, volume, statistics, and the book with that of the source. */
  private compare({ feed, trades }: Account): void {
    const { market, statistics } = this.past.recorder;
    const live = feedOf(market, feed.symbol);
    if (trades.length > 0) {
      const { trades: own, previousClose } = naiveSession(trades, 0);
      if (own.length > 0) {
        const expected = { ...summary(own), volume: sumOf(own) };
        const tick: Tick = live.currentTick()!;
        same('last', tick.last, expected.close);
        same('volume', BigInt(tick.volume), expected.volume);
        const stats: Stats = statistics.of(feed.symbol).session.message(live.definition, 0, 1);
        same('open', stats.open, expected.open);
        same('high', stats.high, expected.high);
        same('low', stats.low, expected.low);
        same('stats.volume', BigInt(stats.volume), expected.volume);
        same('trades', stats.trades, expected.trades);
        same('previousClose', stats.previousClose, previousClose);
      }
    }
    const { book } = live;
    if (book.state !== 'live' || book.truncated) return;
    const { bids, asks } = live.levels(1_000);
    if (!feed.knows(book.sourceSeq, bids, asks)) {
      throw new Error(
        `the book at ${book.sourceSeq} is not the source's: ${bids.join()} | ${asks.join()}`,
      );
    }
  }

  /** Compares bars of all intervals, and books at random times. */
  private async comparePast({ feed, trades }: Account): Promise<void> {
    this.collect();
    const { history } = this.past;
    for (const interval of BAR_INTERVALS) {
      const expected = naiveBars(trades, interval);
      if (expected.length === 0) continue;
      const from = expected[this.random.int(0, expected.length - 1)]!.openTime;
      const wanted = expected.filter((bar) => bar.openTime >= from).slice(0, 20);
      const answer = await history.ask({
        kind: 'bars',
        symbol: feed.symbol,
        interval,
        from: Nanos.fromBigInt(from),
        to: null,
        limit: 20,
        tradesMax: 1_000_000,
        now: this.clock.now(),
      });
      if ('code' in answer) throw new Error(answer.message);
      const bars = JSON.parse(answer.items) as Record<string, string | number>[];
      same(`number of ${interval} bars`, bars.length, wanted.length);
      for (const [i, bar] of bars.entries()) {
        const own = wanted[i]!;
        const { open, high, low, close } = summary(own.trades);
        same('openTime', bar['openTime'], own.openTime.toString());
        const prices = [bar['open'], bar['high'], bar['low'], bar['close']].map((p) =>
          Math.round(Number(p) * 100),
        );
        same('prices', prices.join(), [open, high, low, close].join());
        same('bar.volume', bar['volume'], decimal(sumOf(own.trades)));
        same('bar.trades', bar['trades'], own.trades.length);
      }
      this.counts.compared += 1;
    }
    for (let i = 0; i < 5; i++) {
      const span = this.clock.now().since(BEGIN);
      const time = BEGIN.plus(Math.floor((this.random.int(0, 1_000) / 1_000) * span));
      const fault = await pastBookFault(history, this.events, feed.symbol, time);
      if (fault !== undefined) throw new Error(fault);
      this.counts.compared += 1;
    }
  }
}

function fateOf(result: SubmitResult): 'recorded' | 'repeated' | 'waiting' | 'refused' {
  if ('fault' in result) return 'refused';
  if (result.intake.repeated > 0) return 'repeated';
  return result.intake.waiting > 0 ? 'waiting' : 'recorded';
}

/** [D3], computed without the code of the product. */
function timingOf({ eventTime }: Trade, now: Nanos, account: Account): Trade['timing'] {
  const [event, received] = [eventTime.toBigInt(), now.toBigInt()];
  const isAhead = event - received > BigInt(TIME_LIMITS.timeAheadMs) * 1_000_000n;
  const time = isAhead ? received : event;
  const { present } = account;
  const day = 86_400_000_000_000n;
  const isLate =
    present !== undefined &&
    (present - time > BigInt(TIME_LIMITS.latenessMs) * 1_000_000n || time / day < present / day);
  if (!isLate && (present === undefined || time > present)) account.present = time;
  if (isLate) return isAhead ? 'late-and-ahead' : 'late';
  return isAhead ? 'ahead' : null;
}

function sumOf(trades: readonly Trade[]): bigint {
  return trades.reduce((sum, { quantity }) => sum + BigInt(quantity), 0n);
}

/** At the quantity scale of the test instruments, 3. */
function decimal(scaled: bigint): string {
  const digits = scaled.toString().padStart(4, '0');
  return `${digits.slice(0, -3)}.${digits.slice(-3)}`;
}

function same(what: string, is: unknown, expected: unknown): void {
  if (is !== expected) throw new Error(`${what} is ${String(is)}; expected ${String(expected)}`);
}
