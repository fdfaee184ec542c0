/**
 * Bar world: a real journal, the real broadcast stage in front of it, and readers that know only the rules of the
 * protocol. Trades are random, many of them late; the server restarts and crashes; the test decides when the
 * journal answers. The expected bars are computed from the trades in the plainest way.
 */

import { join } from 'node:path';

import type { BarInterval } from '../../protocol/bars';
import { decodeTextFrame, isFault } from '../../protocol/codec';
import type { Bar, Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { TradeStatistics } from '../../protocol/statistics';
import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import type { Prng } from '../../src/base/prng';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import type { PlaybackChunk } from '../../src/broadcast/playback/chunk';
import type { BarsBehind } from '../../src/base/contracts/past';
import { PastBarQueries } from '../../src/broadcast/resume/past-bars';
import { PastEpochs } from '../../src/broadcast/resume/past-epochs';
import { Playbacks } from '../../src/broadcast/playback/playbacks';
import { type PlaybackSource } from '../../src/broadcast/playback/playback';
import { playbackLimits } from './steered-playbacks';
import type { Journal } from '../../src/journal/journal';
import { isCrash } from '../../src/journal/history/gaps';
import type { PastBarsPage } from '../../src/base/contracts/past';
import { HistoryReader } from '../../src/journal/history/reader';
import type { ReplayOpened } from '../../src/journal/playback/messages';
import { PlaybackReader } from '../../src/journal/playback/reader';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { instrument, trade } from '../support/market-events';
import { openedJournal } from '../support/test-journal';

export const SYMBOLS = ['A', 'B'];
const START_MS = 1_700_000_000_000;

export interface NaiveBar {
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly trades: number;
}

interface PastBarName {
  readonly symbol: string;
  readonly interval: BarInterval;
  readonly openTime: Nanos;
}

export class BarWorld {
  readonly clock = new ManualClock(Nanos.fromMillis(START_MS));
  broadcaster!: Broadcaster;
  epoch = 0;
  lastSeq = 0;
  /** All events that are in the journal or published, without those that a crash lost. */
  events: BatchEvent[] = [];
  /** How far trades may lie behind the clock at most, in seconds. */
  lateMs = 8_000;
  /** Requests to the journal that wait for the test to release them. */
  readonly held: (() => void)[] = [];
  asked = 0;
  private journal!: Journal & { abandon(): void };
  private history!: HistoryReader;
  private playback!: PlaybackReader;
  private wakeAtMs = Infinity;
  /** The first event that is still in memory. */
  private memoryFrom = 0;
  private readonly publish = new Map<string, Set<(data: string | Uint8Array) => void>>();
  private readonly past = new Map<string, PastBarName>();
  private readonly random: Prng;
  private readonly directory: string;
  private readonly memory: number;
  private revisedEpoch = 0;
  /** The epoch in which a revision is being read; 0: none is being read. */
  private revising = 0;

  /** @param memory how many of the newest events the server holds */
  constructor(directory: string, random: Prng, memory: number) {
    this.directory = directory;
    this.random = random;
    this.memory = memory;
    this.clock.advance(3_600e9);
    this.open();
    const definitions = SYMBOLS.map((symbol, i) => ({ ...instrument(symbol), seq: i + 1 }));
    this.push(definitions);
    void this.journal.flush();
  }

  subscribe(topic: string, take: (data: string | Uint8Array) => void): void {
    const takers = this.publish.get(topic) ?? new Set();
    this.publish.set(topic, takers.add(take));
  }

  unsubscribe(topic: string, take: (data: string | Uint8Array) => void): void {
    this.publish.get(topic)?.delete(take);
  }

  /** Publishes some trades, in one batch. */
  batch(): void {
    const { random } = this;
    const trades: Trade[] = [];
    for (let n = random.int(1, 5); n > 0; n--)
      trades.push(this.trade(this.lastSeq + 1 + trades.length, trades));
    this.push(trades);
  }

  advance(ms: number): void {
    this.clock.advance(ms * 1e6);
    if (this.clock.now().millis < this.wakeAtMs) return;
    this.wakeAtMs = Infinity;
    this.broadcaster.endBars();
  }

  /** Releases one request, and waits for what follows from it. */
  async answerOne(): Promise<void> {
    const next = this.held.splice(this.random.int(0, Math.max(0, this.held.length - 1)), 1)[0];
    next?.();
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /**
   * Reads a bar that is no longer kept and publishes it when the test releases the request; one at a time, as the
   * server does.
   */
  revise(): void {
    const [entry] = this.past;
    if (entry === undefined || this.revising === this.revisedEpoch) return;
    this.revising = this.revisedEpoch;
    const [key, { symbol, interval, openTime }] = entry;
    this.past.delete(key);
    const { revisedEpoch } = this;
    void this.gate(async () => {
      await this.journal.flush();
      const page = this.history.answer({
        kind: 'bars',
        symbol,
        interval,
        from: openTime,
        to: openTime.plus(1),
        limit: 1,
        tradesMax: 1e6,
        now: Nanos.ZERO,
      }) as PastBarsPage;
      const bars = decodeTextFrame(page.items, this.broadcaster.encoders.scalesOf) as Bar[];
      if (bars.some((bar) => isFault(bar))) throw new Error('a bar does not decode');
      return bars;
    }).then((bars) =>
      this.gate(() => Promise.resolve()).then(() => {
        if (revisedEpoch !== this.revisedEpoch) return;
        this.revising = 0;
        this.broadcaster.revise(bars);
      }),
    );
  }

  get isRevising(): boolean {
    return this.past.size > 0 || this.revising === this.revisedEpoch;
  }

  /** Ends the server and starts another. @param crashes whether events that were not committed are lost */
  async restart(crashes: boolean): Promise<void> {
    if (!crashes) await this.journal.flush();
    for (let n = this.held.length; n > 0; n--) this.held.shift()!();
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    this.journal.abandon();
    this.history.close();
    this.playback.close();
    this.publish.clear();
    this.past.clear();
    this.open();
  }

  close(): void {
    this.journal.abandon();
    this.history.close();
    this.playback.close();
  }

  trades(symbol: string): Trade[] {
    return this.events.filter((e): e is Trade => e.type === 'trade' && e.symbol === symbol);
  }

  /** Expected bars by their opening second. */
  bars(symbol: string, seconds: number): Map<number, NaiveBar> {
    const byOpen = Map.groupBy(
      this.trades(symbol),
      ({ eventTime }) => Math.floor(eventTime.seconds / seconds) * seconds,
    );
    return new Map([...byOpen].map(([open, trades]) => [open, naiveBar(trades)]));
  }

  private trade(seq: number, before: readonly Trade[]): Trade {
    const { random } = this;
    const symbol = random.chance(0.7) ? 'A' : 'B';
    if (random.chance(0.4)) this.clock.advance(random.int(0, 900) * 1e6);
    const receiveTime = this.clock.now();
    const lateMs = random.chance(0.2) ? random.int(0, this.lateMs) : random.int(0, 30);
    const eventTime = Nanos.fromMillis(Math.max(START_MS, receiveTime.millis - lateMs));
    const own = before.findLast((e) => e.symbol === symbol) ?? this.trades(symbol).at(-1);
    return trade({
      symbol,
      seq,
      prevSeq: own?.seq ?? 0,
      eventTime,
      receiveTime,
      price: random.int(90, 110),
      quantity: random.int(1, 9),
    });
  }

  private push(events: readonly BatchEvent[]): void {
    const firstSeq = this.lastSeq + 1;
    this.lastSeq += events.length;
    this.events.push(...events);
    this.journal.append({ epoch: this.epoch, firstSeq, lastSeq: this.lastSeq, events }, () => {});
    this.broadcaster.accept({ lastSeq: this.lastSeq, events, executions: [] });
  }

  private open(): void {
    const opened = openedJournal(
      this.directory,
      { durability: 'async', commitEveryMs: 60_000 },
      this.clock,
    );
    const { recovered } = opened;
    this.revisedEpoch += 1;
    this.journal = opened.journal;
    this.epoch = recovered.epoch;
    this.lastSeq = recovered.lastSeq;
    const lost = [...recovered.pastEpochs.values()];
    this.events = this.events.filter(
      ({ seq }) => !lost.some(({ kept, pushed }) => kept < seq && seq <= pushed),
    );
    this.memoryFrom = Math.max(0, ...lost.filter((e) => e.kept < e.pushed).map((e) => e.pushed));
    const path = join(this.directory, JOURNAL_FILE);
    this.history = new HistoryReader(path);
    this.playback = new PlaybackReader(path);
    const broadcaster = new Broadcaster(
      { topicsMax: 1_000, sessionBoundary: 0 },
      { publish: (topic, data) => this.publish.get(topic)?.forEach((take) => take(data)) },
      this.clock,
    );
    this.broadcaster = broadcaster;
    broadcaster.wakeIn = (ms) => (this.wakeAtMs = this.clock.now().millis + ms);
    broadcaster.onPastBar = (symbol, interval, openTime) => {
      if (interval === '1s' || interval === '1m')
        this.past.set(`${symbol} ${interval} ${openTime.toString()}`, {
          symbol,
          interval,
          openTime,
        });
    };
    const { subscriptions } = broadcaster;
    const numbering = broadcaster.numberings.at(0);
    numbering.epoch = this.epoch;
    numbering.pastEpochs = new PastEpochs(recovered.pastEpochs);
    numbering.since = (seq) => {
      const from = Math.max(this.memoryFrom, this.lastSeq - this.memory);
      return seq < from ? undefined : [this.events.filter((e) => e.seq > seq)];
    };
    subscriptions.playbacks = new Playbacks(this.playbackSource, playbackLimits(2, 2));
    subscriptions.pastBars = new PastBarQueries((request) =>
      this.gate(async () => {
        this.asked += 1;
        await this.journal.flush();
        return this.history.answer({
          kind: 'bars-behind',
          ...request,
          tradesMax: 1e6,
        }) as BarsBehind;
      }),
    );
    const statistics = Object.fromEntries(
      SYMBOLS.map((symbol) => {
        const own = new TradeStatistics(0);
        for (const each of this.trades(symbol)) own.add(each);
        return [symbol, own.state()];
      }),
    );
    const definitions = this.events.filter((e) => e.type === 'instrument');
    if (definitions.length > 0) broadcaster.hydrate(definitions, this.lastSeq, statistics);
  }

  private readonly playbackSource: PlaybackSource = {
    open: (id, request) =>
      this.gate(async () => {
        await this.journal.flush();
        const opened = this.playback.answer({
          kind: 'replay-open',
          replay: id,
          ...request,
          from: null,
          to: null,
        }) as ReplayOpened;
        const { fromSeq, toSeq, gaps } = opened;
        return { fromSeq, toSeq, isBroken: !gaps.every(isCrash) };
      }),
    next: (id) =>
      this.gate(() =>
        Promise.resolve(this.playback.answer({ kind: 'replay-next', replay: id }) as PlaybackChunk),
      ),
    close: (id) => void this.playback.answer({ kind: 'replay-close', replay: id }),
  };

  private async gate<T>(then: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => void this.held.push(resolve));
    return then();
  }
}

export function secondsOf(interval: string): number {
  return interval === '1s' ? 1 : 60;
}

function naiveBar(trades: readonly Trade[]): NaiveBar {
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
