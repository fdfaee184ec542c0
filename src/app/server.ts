/**
 * Server: the map. Every stage is made here and joined to the next in the order in which data flows:
 *
 *     WebSocket · REST ─► recorder (sequencer ─► market ─► memtable ─► journal) ─► broadcaster
 *                                                   │         │
 *                    queries ◄── tiers (L1, live) ◄─┴── (L2) ◄┘◄── (L3) history, a thread on the journal
 *
 * The broadcaster is one of the publishers; the ring and iceoryx2, for processes on this machine, are
 * the others (publishers.ts).
 *
 * A batch goes on to readers when the journal has it, as durable as was chosen; who asks is told of it
 * in the turn that made it.
 */

import { join } from 'node:path';

import type { Fault } from '../../protocol/codes';
import { BOOK_DEPTH } from '../../protocol/units';
import { ByteAccount } from '../base/byte-account';
import type { Clock } from '../base/clock';
import { descriptorsMax } from '../base/descriptors';
import { Prng } from '../base/prng';
import { SliceQueue } from '../base/slice-queue';
import type { Secrets } from '../base/secrets';
import { StartFault } from '../base/start-fault';
import { Broadcaster } from '../broadcast/broadcaster';
import { PastEpochs } from '../broadcast/resume/past-epochs';
import { Plays } from '../broadcast/playback/playbacks';
import { Replays } from '../broadcast/replay/replay-requests';
import { Memtable } from '../cache/memtable';
import { Tiers } from '../cache/tiers';
import { isLoopback, openAccess } from './access';
import { reviseBars } from './bar-revisions';
import { DamagedBlocks } from './damaged-blocks';
import { barsBehind } from './bars-behind';
import type { Config } from '../config/config';
import { createApp } from '../gateway/rest/app';
import { Connections } from '../gateway/ws/connections';
import { listen } from '../gateway/listen';
import { limitedOrders } from '../gateway/auth/limits';
import { Orders } from '../gateway/rest/orders';
import { Queries } from '../gateway/rest/queries';
import { readiness } from '../gateway/metrics/readiness';
import { RestCounts } from '../gateway/rest/counts';
import { Sessions } from '../gateway/rest/sessions';
import { Shares } from '../gateway/auth/shares';
import type { Role } from '../gateway/auth/stored-keys';
import { StreamConnection } from '../gateway/ws/stream';
import { StreamCounts } from '../gateway/ws/counts';
import { StreamTurns } from '../gateway/ws/turns';
import { createOrderStage, finishAuctions, Sources } from './entry';
import { Freshness } from './freshness';
import { createIngest } from './ingest-requests';
import { createHub } from './hub';
import { hydrate } from './hydration';
import { journalNotices } from './notices';
import { definerOf, definitionsOf } from './instruments';
import { createPublishers, lanesOf, openLocalPublishers } from './publishers';
import { History, startHistoryThread, startPlaybackThread } from '../journal/history/history';
import type { MissingRange } from '../base/contracts/past';
import type { AnswerTo, PastQuestion } from '../journal/history/messages';
import { slicesOf } from '../journal/write/checkpoints';
import { JOURNAL_FILE } from '../journal/recover/reading';
import { meteredWriter } from '../journal/write/metered-writer';
import { createThreadWriter } from '../journal/write/thread-writer';
import type { CreateWriter } from '../journal/write/writer';
import { FeedInstrument } from '../market/feed-instrument';
import type { MarketInstrument } from '../market/instrument';
import type { Market } from '../market/market';
import type { MarketOutput } from '../market/output';
import { createMetrics, LoopLag, Published, watchTurns } from './observing';
import { playSource } from './playback';
import { openRecorder, timeLimitsOf, type Recorder } from './recorder';
import { logStarted, logStopped } from './lifecycle';
import { merged, waiting, type Limits } from './reload';
import type { Log } from '../log/contract';
import { Repeated } from '../log/repeated';
import { shutDown } from './shutdown';
import { LOOK_EVERY_MS, startTimers } from './timers';
import { VERSION } from '../version';

export interface Server {
  readonly url: string;
  readonly epoch: number;
  readonly market: Market;
  /** Does something to the market in its turn; `done` when that is journaled. */
  act(act: (out: MarketOutput) => void, done?: () => void): void;
  /** Resolves when the journal has all that this start said of itself. */
  readonly started: Promise<void>;
  /** Takes on what of these settings a running server can; says in the log what it did. */
  reload(wanted: Config): void;
  /**
   * No more connections; readers are told and have what waits for them, within `server.drainMs`;
   * everything written, the journal closed.
   * @param reason why it is stopped, for the log
   * @returns why something could not be written, if so
   */
  stop(reason?: string): Promise<Error | undefined>;
}

export interface ServerOptions {
  /** What may be done without a key, besides reading, where that may. */
  readonly anonymousRoles?: readonly Role[];
  /** Who writes the journal, if not a thread of its own. */
  readonly createWriter?: CreateWriter;
  /** What the number of the epoch is drawn from, if not the system's generator. */
  readonly secrets?: Secrets;
}

/** Of one play there may be one under way, and those to close others before it. */
const QUESTIONS_A_PLAY = 8;

/** Of files, threads and REST, beside those of sessions. */
const OWN_DESCRIPTORS = 256;

export function startServer(
  config: Config,
  clock: Clock,
  log: Log,
  options: ServerOptions = {},
): Server | StartFault {
  const limits = { ...config.limits }; // as they are now: a reload changes them in place
  const access = openAccess({ ...config, limits }, clock, log, options.anonymousRoles ?? []);
  if (access instanceof StartFault) return access;
  const { turns } = clock;
  const { memtableEventsMax, recentTradesMax, recentTradesInAllMax } = config.cache;
  const memtable = new Memtable({
    eventsMax: memtableEventsMax,
    tradesMax: recentTradesMax,
    tradesInAllMax: recentTradesInAllMax,
  });
  const published = new Published(clock);
  const repeated = new Repeated(log, clock);
  watchTurns(turns, config.log.turnMs, repeated);
  const native = {
    publish: (topic: string, data: string | Uint8Array<ArrayBuffer>) =>
      app.server?.publish(topic, data),
  };
  const account = new ByteAccount(limits);
  const { sessionBoundary } = config.market;
  const { heartbeatMs } = config.push;
  const topics = {
    sessionBoundary,
    heartbeatMs,
    logsBytesMax: config.push.logsBytesMax,
    get topicsMax() {
      return limits.topicsMax;
    },
  };
  const broadcaster = new Broadcaster(topics, native, clock);
  const publishers = createPublishers(log);
  const recorder = openRecorder(
    config,
    clock,
    (batch) => {
      publishers.accept(batch);
      published.accept(batch);
    },
    {
      createWriter: meteredWriter(options.createWriter ?? createThreadWriter, turns),
      slices: slicesOf(turns),
      secrets: options.secrets,
      ...journalNotices(log, clock, repeated),
      recent: memtable,
      account: { open: (source, shed) => account.open(sources.clientOf(source), shed) },
      fail: (fault) => {
        log.error({ code: fault.code, hint: fault.hint }, fault.message);
        process.exit(fault.exitCode);
      },
    },
  );
  if (recorder instanceof StartFault) return recorder;
  const { market, sequencer, warnings } = recorder;
  for (const { code, message, hint } of warnings) log.warn({ code, hint }, message);
  const newest = hydrate(recorder, memtable, broadcaster, recentTradesMax);
  broadcaster.subscriptions.epoch = sequencer.epoch;
  broadcaster.subscriptions.pastEpochs = new PastEpochs(recorder.pastEpochs);
  broadcaster.subscriptions.since = (seq) => memtable.since(seq);
  const definitions = definitionsOf(recorder, config.instruments);
  if (definitions instanceof StartFault) {
    recorder.close();
    return definitions;
  }
  const { epoch } = sequencer;
  const unopened = openLocalPublishers(config, publishers, epoch, market.size, clock, log);
  if (unopened !== undefined) {
    recorder.close();
    return unopened;
  }
  publishers.hydrate(newest, sequencer.lastSeq);
  publishers.add(lanesOf(broadcaster)); // last: who is nearest is not kept waiting by the sockets
  sequencer.act((out) => market.announceRecovered(out));
  for (const definition of definitions) sequencer.act((out) => market.define(definition, out));
  finishAuctions(recorder);

  const { keys } = access;
  account.areKeys = () => keys.hasKeys;
  const entry = createOrderStage(recorder, config.limits.waitingEventsMax);
  const orders = limitedOrders(entry, limits, clock);
  const sources = new Sources(recorder, config.market, turns, account);
  const path = join(config.journal.directory, JOURNAL_FILE);
  const missing = (): MissingRange | null => {
    const open = recorder.journal.missing();
    return open && { from: open.from, to: open.to, reason: open.reason };
  };
  const flush = (): Promise<void> => recorder.journal.flush();
  const damaged = new DamagedBlocks(log);
  const history = new History({
    questionsMax: config.limits.pastQueriesMax,
    flush,
    open: missing,
    onDamage: damaged.tell,
    turns,
    start: () => startHistoryThread(path),
  });
  const playback = new History({
    questionsMax: 2 * config.limits.playbacksMax * QUESTIONS_A_PLAY, // of replays, and of resumes
    flush: () => {}, // when a play is opened, and not for each of its chunks
    open: missing,
    onDamage: damaged.tell,
    turns,
    start: () => startPlaybackThread(path),
  });
  const revisions = reviseBars(broadcaster, history, limits, clock, repeated);
  const plays = new Plays(playSource(playback, flush), limits);
  broadcaster.subscriptions.plays = plays;
  broadcaster.subscriptions.pastBars = barsBehind(history);
  const replays = new Replays({
    plays,
    clock,
    lastSeq: () => broadcaster.lastSeq,
    isDefined: (symbol) => broadcaster.encoders.scalesOf(symbol) !== undefined,
  });
  const tiers = new Tiers(config.cache, clock, memtable);
  const slices = new SliceQueue(clock);
  const queries = createQueries(recorder, tiers, history, limits, clock, slices);
  const connections = new Connections(clock);
  let isStopping = false;
  let running = config;
  const counts = { stream: new StreamCounts(), rest: new RestCounts(clock) };
  const freshness = new Freshness(() => market.feeds(), clock, config);
  const loopLag = new LoopLag(clock, LOOK_EVERY_MS);
  const shares = new Shares(limits, clock, (client) => sequencer.isCrowded(client));
  const registers = { keys, connections, shares, limits, account, slices, counts: counts.stream };
  const hub = createHub(
    config,
    clock,
    repeated,
    registers,
    broadcaster,
    replays,
    recorder,
    sources,
    orders,
  );
  const app = createApp(
    {
      ...config.limits,
      limits,
      backlogBytesMax: config.push.backlogBytesMax,
      origins: config.server.origins,
      hosts: access.hosts,
      isTls: access.tls !== null && !isLoopback(config.server.host),
      sessionBoundary,
    },
    {
      queries,
      keys,
      orders: new Orders(orders, (operator, owner, done) => {
        log.info({ operator, owner, ...done }, 'the open orders of an owner were cancelled');
      }),
      sessions: new Sessions(connections, clock),
      definer: definerOf(recorder, queries),
      connection: (...of) => new StreamTurns(turns, new StreamConnection(hub, ...of)),
      connections,
      account,
      shares,
      ingest: createIngest(recorder, sources, limits, slices),
      readiness: () =>
        readiness(recorder.journal.status(), isStopping, freshness.stale(), warnings),
      isStopping: () => isStopping,
      version: VERSION,
      counts: counts.rest,
      metrics: createMetrics({
        recorder,
        broadcaster,
        account,
        shares,
        publishers,
        published,
        plays,
        tiers,
        memtable,
        freshness,
        loopLag,
        clock,
        slices,
        revisions,
        damaged,
        counts,
        directory: config.journal.directory,
      }),
      clock,
      reportError: (error) => {
        const { name, stack } = error instanceof Error ? error : new Error(String(error));
        repeated.tell('error', 'a request failed', name, { error: String(error), stack });
      },
    },
  );
  const listening = listen(app, config.server, access.tls);
  if (listening instanceof StartFault) {
    publishers.close();
    recorder.close();
    return listening;
  }
  for (const thread of [history, playback]) thread.prepare(); // before strangers take what it needs
  const descriptors = descriptorsMax() ?? Infinity;
  if (descriptors < limits.sessionsMax + OWN_DESCRIPTORS) {
    log.warn(
      { descriptors },
      'fewer descriptors than limits.sessionsMax; raise the limit of open files',
    );
  }
  sequencer.drain(); // what the settings define is there when this returns
  broadcaster.ended = ({ name }, reason) => {
    const what = 'a session was closed for being slow';
    repeated.tell('warn', what, reason, { session: name, reason });
  };
  const timers = startTimers({
    turns,
    heartbeatMs,
    broadcaster,
    plays,
    look: () => {
      loopLag.tick();
      publishers.beat();
      account.enforce();
    },
    watch: () => {
      access.watch(connections, limits.helloMs);
      repeated.look();
    },
  });
  const started = recorder.journal.flush();
  void started.then(() => logStarted(log, config, listening.url, recorder));
  return {
    url: listening.url,
    epoch: sequencer.epoch,
    market,
    started,
    act: (act, done) => sequencer.act(act, done),
    reload: (wanted) => {
      access.reload(connections, limits.helloMs);
      const next = merged(running, wanted);
      const defined = next instanceof StartFault ? next : definitionsOf(recorder, next.instruments);
      if (next instanceof StartFault || defined instanceof StartFault) {
        const { code, message } = next instanceof StartFault ? next : (defined as StartFault);
        log.error({ code }, `settings stay as they are: ${message}`);
        return;
      }
      Object.assign(limits, next.limits);
      plays.beginWaiting();
      freshness.configure(next);
      market.configure(timeLimitsOf(next));
      for (const definition of defined) sequencer.act((out) => market.define(definition, out));
      log.info(
        { restart: waiting(running, wanted) },
        'settings were read; those under restart take one',
      );
      running = next;
    },
    stop: async (reason = 'unknown') => {
      const beganMs = clock.monotonicMs();
      isStopping = true;
      timers.rest();
      revisions.stop();
      sources.stop();
      const stages = { listening, recorder, broadcaster, threads: [history, playback] };
      const drained = await shutDown(stages, config.server.drainMs, new Prng(sequencer.epoch));
      timers.stop();
      publishers.close(); // what the journal still held has come before the end
      repeated.close();
      logStopped(log, reason, clock.monotonicMs() - beganMs, drained, recorder);
      return drained.unwritten;
    },
  };
}

function createQueries(
  { market, sequencer, statistics }: Recorder,
  tiers: Tiers,
  history: History,
  limits: Limits,
  clock: Clock,
  slices: SliceQueue,
): Queries<MarketInstrument> {
  const askL3 = <Q extends PastQuestion>(question: Q): Promise<AnswerTo<Q> | Fault> => {
    tiers.counters.l3[question.kind] += 1;
    return history.ask<Q>({ ...question, blocksMax: limits.pastBlocksMax });
  };
  return new Queries<MarketInstrument>(
    {
      instrument: (symbol) => market.get(symbol),
      known: (symbol) => market.known(symbol),
      instruments: () => market.all(),
      tick: (instrument) => tiers.tick(instrument),
      book: (instrument) => tiers.book(instrument),
      stats: ({ definition }) => statistics.of(definition.symbol).session.message(definition, 0, 1),
      depthKnown: (instrument) =>
        instrument instanceof FeedInstrument && instrument.book.truncated ? BOOK_DEPTH : null,
      intake: (instrument) => (instrument instanceof FeedInstrument ? instrument.intake : null),
      trades: (instrument, before, limit) => tiers.trades(instrument, before, limit),
      ticks: (instrument, range, after, limit) => tiers.ticks(instrument, range, after, limit),
      past: {
        book: (symbol, at) => askL3({ kind: 'book', symbol, at }),
        trades: (symbol, before, limit) => askL3({ kind: 'trades', symbol, before, limit }),
        ticks: (symbol, range, after, limit) =>
          askL3({ kind: 'ticks', symbol, ...range, after, limit }),
        bars: (symbol, interval, range, limit) =>
          askL3({
            kind: 'bars',
            symbol,
            interval,
            ...range,
            limit,
            tradesMax: limits.barTradesMax,
            now: clock.now(),
          }),
      },
      epoch: sequencer.epoch,
      lastSeq: () => sequencer.lastSeq,
    },
    clock,
    slices,
  );
}
