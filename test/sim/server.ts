/**
 * Server: the whole broadcast stage, joined as the server joins it, behind real connections over virtual sockets
 * and a manual clock. Market and journal are replaced by a list of events.
 */

import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Execution, MarketEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { StatisticsState } from '../../protocol/statistics';
import type { ManualClock } from '../../src/base/clock';
import { SliceQueue } from '../../src/base/slice-queue';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import type { PastEpoch } from '../../src/base/contracts/past';
import { PastEpochs } from '../../src/broadcast/resume/past-epochs';
import { Playbacks, type PlaybackLimits } from '../../src/broadcast/playback/playbacks';
import { type PlaybackSource } from '../../src/broadcast/playback/playback';
import { ReplayRequests } from '../../src/broadcast/replay/replay-requests';
import { Session } from '../../src/broadcast/sessions/session';
import { pongNumber } from '../../src/broadcast/sessions/connection';
import type { SessionLimits } from '../../src/broadcast/sessions/session-limits';
import { Memtable } from '../../src/cache/memtable';
import { Keyring } from '../../src/gateway/auth/auth';
import type { Principal } from '../../src/gateway/auth/principal';
import type { Role } from '../../src/gateway/auth/stored-keys';
import { WrongKeys } from '../../src/gateway/auth/wrong-keys';
import { Connections } from '../../src/gateway/ws/connections';
import { StreamConnection } from '../../src/gateway/ws/stream';
import { Shares } from '../../src/gateway/auth/shares';
import { StreamCounts } from '../../src/gateway/ws/counts';
import type { StreamHub } from '../../src/gateway/ws/hub';
import { settings } from '../bench/generated-market';
import { namedLimits } from '../support/welcome';
import type { Truth } from './truth';
import { Wire, type WireLimits } from './wire';
import type { OrderStage } from '../../src/base/contracts/order-entry';

export interface ServerOptions {
  readonly epoch: number;
  readonly pastEpochs: ReadonlyMap<number, PastEpoch>;
  readonly session: SessionLimits;
  readonly memtableEventsMax: number;
  readonly playbacks: PlaybackLimits;
  readonly statesAtOnceMax: number;
}

export class SimServer {
  readonly wires = new Set<Wire>();
  readonly broadcaster: Broadcaster;
  readonly playbacks: Playbacks;
  readonly connections: Connections;
  readonly options: ServerOptions;
  /** Sessions that the server closed for being slow. */
  ended = 0;
  private readonly memtable: Memtable;
  private readonly clock: ManualClock;
  private readonly hub: StreamHub<Session>;
  /** Replays and resumes from the journal that were opened. */
  playbacksOpened = 0;
  /** Batches that the journal has not committed. */
  private readonly waiting: { events: readonly BatchEvent[]; lastSeq: number }[] = [];
  private readonly timers = new Set<{ readonly atMs: number; readonly call: () => void }>();
  private barsAtMs = Infinity;
  private sessions = 0;

  constructor(options: ServerOptions, clock: ManualClock, source: PlaybackSource) {
    this.options = options;
    this.clock = clock;
    this.connections = new Connections(clock);
    this.memtable = new Memtable({ eventsMax: options.memtableEventsMax, tradesMax: 10 });
    const publish = (topic: string, data: string | Uint8Array): void => {
      for (const wire of this.wires) if (wire.native.has(topic)) wire.send(data);
    };
    const broadcaster = new Broadcaster(
      { topicsMax: 1_000, sessionBoundary: 0, statesAtOnceMax: options.statesAtOnceMax },
      { publish },
      clock,
    );
    this.broadcaster = broadcaster;
    const numbering = broadcaster.numberings.at(0);
    numbering.epoch = options.epoch;
    numbering.pastEpochs = new PastEpochs(options.pastEpochs);
    numbering.since = (seq) => this.memtable.since(seq);
    broadcaster.wakeIn = (ms) => (this.barsAtMs = clock.monotonicMs() + ms);
    broadcaster.ended = () => (this.ended += 1);
    const counted: PlaybackSource = {
      open: (playback, request) => {
        this.playbacksOpened += 1;
        return source.open(playback, request);
      },
      next: (playback) => source.next(playback),
      close: (playback) => source.close(playback),
    };
    this.playbacks = new Playbacks(counted, options.playbacks);
    broadcaster.subscriptions.playbacks = this.playbacks;
    this.hub = this.createHub();
  }

  /** Starts after a past epoch. @param tail its newest events, as a start reads them from a checkpoint on */
  hydrate(
    newest: readonly MarketEvent[],
    { lastSeq, lost }: Truth,
    tail: readonly BatchEvent[],
    statistics: Readonly<Record<string, StatisticsState>>,
  ): void {
    const kept = tail.filter(({ seq }) => !lost.some(({ from, to }) => from <= seq && seq <= to));
    const first = tail[0]?.seq ?? lastSeq + 1;
    for (const run of runsOf(kept)) this.memtable.accept(run);
    for (const { to } of lost) if (to >= first) this.memtable.gap(to);
    this.broadcaster.hydrate(newest, lastSeq, statistics);
  }

  connect(limits: WireLimits, isText: boolean, owner: string | null): Wire {
    const wire = new Wire(limits);
    const roles = new Set<Role>(owner === null ? ['read'] : ['read', 'trade']);
    const principal: Principal = {
      name: owner ?? 'nobody',
      roles,
      symbols: () => false,
      patterns: [],
      keyId: null,
      expiresAt: null,
      lapsed: () => undefined,
    };
    const form = isText ? SUBPROTOCOL_JSON : SUBPROTOCOL_MSGPACK;
    wire.connection = new StreamConnection(this.hub, form, principal);
    this.wires.add(wire);
    wire.connection.open(wire.asSocket());
    return wire;
  }

  /** Takes a batch of the market; it is published when the journal has it. */
  take(events: readonly BatchEvent[], lastSeq: number): void {
    if (events.length === 0) return;
    this.memtable.accept(events);
    this.waiting.push({ events, lastSeq });
  }

  /** The journal has committed the oldest batch: it is published. */
  push(executions: readonly { owner: string; message: Execution }[]): void {
    const next = this.waiting.shift();
    if (next !== undefined) this.broadcaster.accept({ ...next, executions });
  }

  /** The batch that is published next. */
  get next(): readonly BatchEvent[] | undefined {
    return this.waiting[0]?.events;
  }

  /** Drops the next batch. */
  drop(): readonly BatchEvent[] {
    return this.waiting.shift()!.events;
  }

  /** Whether a waiting batch defines an instrument. */
  get hasDefinition(): boolean {
    return this.waiting.some(({ events }) => events.some(({ type }) => type === 'instrument'));
  }

  get hasWaiting(): boolean {
    return this.waiting.length > 0;
  }

  /** Advances the time. */
  advance(ms: number): void {
    this.clock.advance(ms * 1e6);
    const nowMs = this.clock.monotonicMs();
    if (nowMs >= this.barsAtMs) {
      this.barsAtMs = Infinity;
      this.broadcaster.endBars();
    }
    for (const timer of this.timers) {
      if (timer.atMs > nowMs) continue;
      this.timers.delete(timer);
      timer.call();
    }
  }

  /** The process ends abruptly. */
  stop(): void {
    for (const wire of this.wires) wire.terminate();
    for (const wire of this.wires) wire.end();
    this.wires.clear();
  }

  private createHub(): StreamHub<Session> {
    const { broadcaster, clock, options } = this;
    const { subscriptions } = broadcaster;
    const replays = new ReplayRequests({
      playbacks: this.playbacks,
      clock,
      later: (ms, call) => {
        const timer = { atMs: clock.monotonicMs() + ms, call };
        this.timers.add(timer);
        return () => this.timers.delete(timer);
      },
      numberings: broadcaster.numberings,
      numberingOf: (symbol) => broadcaster.numberingOf(symbol),
    });
    return {
      numberings: broadcaster.numberings,
      server: 'sim',
      scalesOf: broadcaster.encoders.scalesOf,
      keys: new Keyring({
        anonymousRoles: ['read'],
        origins: [],
        now: () => clock.now().seconds,
        wrongKeys: new WrongKeys({ wrongKeysPerSecond: 1e9 }, () => 0),
      }),
      connections: this.connections,
      shares: new Shares({ workPerSecond: 1e9, publishWorkPerSecond: 1e9 }, clock), // nothing waits for a timer here
      topicsIn: (names) => names.length,
      sentBytes: () => broadcaster.encoders.own.bytes,
      counts: new StreamCounts(),
      orders: {} as OrderStage, // nobody enters orders here
      clock,
      slices: new SliceQueue(clock),
      limits: {
        ...settings({}).limits,
        messagesPerSecond: 1e9,
        bytesPerSecond: 1e12,
        workPerSecond: 1e9,
        frameBytesMax: 1_000_000,
      },
      welcomeLimits: () =>
        namedLimits({ frameBytesMax: 1_000_000, topicsMax: 1_000, heartbeatMs: 1_000 }),
      enter: (socket, form) => {
        const wire = socket as unknown as Wire;
        const session = new Session(
          `s${++this.sessions}`,
          form,
          wire,
          broadcaster.encoders,
          options.session,
        );
        wire.session = session;
        broadcaster.enter(session);
        return { session, source: 0 };
      },
      leave: (session) => broadcaster.leave(session),
      follow: (session, owner) => broadcaster.executions.set(session, owner),
      settle: (session) => broadcaster.executions.settle(session),
      acknowledge: (session, ack) => session.send([ack]),
      subscribe: (session, id, topics, intervalMs, done) =>
        subscriptions.subscribe(session, id, topics, intervalMs, done),
      resume: (session, request, done) => subscriptions.resume(session, request, done),
      replay: (session, request) => {
        const refused = replays.handle(session, request);
        if (refused === undefined && request.action === 'start') {
          for (const wire of this.wires) if (wire.session === session) wire.accepted(request.id);
        }
        return refused;
      },
      pong: (session, _, payload) => session.pong(clock.monotonicMs(), pongNumber(payload)),
      unsubscribe: (session, topics, done) => subscriptions.unsubscribe(session, topics, done),
      submit: () => {},
      note: () => {},
    };
  }
}

/** Events between gaps: runs of consecutive seqs. */
function runsOf(events: readonly BatchEvent[]): BatchEvent[][] {
  const runs: BatchEvent[][] = [];
  for (const event of events) {
    const run = runs.at(-1);
    if (run?.at(-1)?.seq === event.seq - 1) run.push(event);
    else runs.push([event]);
  }
  return runs;
}
