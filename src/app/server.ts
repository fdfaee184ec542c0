/**
 * Server: the map. Every part is made here, in the order in which data flows:
 *
 *     WebSocket · REST ─► core (sequencer ─► market ─► memtable ─► journal) ─► publishers ─► readers
 *                                              │         │          │
 *                       queries ◄── L1, live ◄─┴── L2 ◄──┘    L3 ◄──┘  history, a thread on the journal
 *
 * The core is a recorder, or in a cluster a replica. The publishers are the topics of WebSocket sessions, the ring and iceoryx2. A batch goes to them once the journal
 * has it, as durably as the settings demand; the answer to a submission goes out in the same turn.
 */

import type { Clock } from '../base/clock';
import type { Batch } from '../base/contracts/batch';
import type { ClusterStatus } from '../base/contracts/cluster';
import type { Core } from '../base/contracts/core';
import type { IngestSource } from '../base/contracts/ingest';
import { descriptorsMax } from '../base/descriptors';
import type { Secrets } from '../base/secrets';
import { StartFault } from '../base/start-fault';
import { Memtable } from '../cache/memtable';
import type { Playbacks } from '../broadcast/playback/playbacks';
import type { Config } from '../config/config';
import type { Role } from '../gateway/auth/stored-keys';
import { listen, type Listening } from '../gateway/listen';
import { slicesOf } from '../journal/write/checkpoints';
import { meteredWriter } from '../journal/write/metered-writer';
import { createThreadWriter } from '../journal/write/thread-writer';
import type { CreateWriter } from '../journal/write/writer';
import type { Log } from '../log/contract';
import { createBroadcasting, type Broadcasting } from './broadcasting';
import { Freshness } from './freshness';
import { createGateway, type GatewayParts } from './gateway';
import { prepareGround, type Ground } from './ground';
import { hydrate } from './hydration';
import { beginMarket, type LeadingSources } from './leading';
import { logStarted } from './lifecycle';
import type { LocalMarket } from './local-market';
import type { ClusterMember, Membership } from './membership';
import { journalNotices } from './notices';
import { LoopLag, Published, watchTurns } from './observing';
import { createPast } from './past';
import type { PublisherSet } from './publisher-set';
import { createPublishers, openLocalPublishers, topicsOf } from './publishers';
import { createReading } from './reading';
import { openRecorder, Recorder, type RecorderHooks } from './recorder';
import { openReplica, Replica } from './replica';
import { RunningServer, type Server } from './running';
import { Shards } from './shards';
import { Sources } from './sources';
import { LOOK_EVERY_MS, startTimers, type Timers } from './timers';

export interface ServerOptions {
  /** What may be done without a key, besides reading. */
  readonly anonymousRoles?: readonly Role[];
  /** Who writes the journal; by default a thread of its own. */
  readonly createWriter?: CreateWriter;
  /** Source of the epoch's number; by default the generator of the system. */
  readonly secrets?: Secrets;
  /** More sources, which run as long as the server numbers events. */
  readonly sources?: LeadingSources;
  /** Makes the server a member of a cluster: its batches come from a leader, until it leads. */
  readonly membership?: Membership | undefined;
}

/** For files, threads and REST, besides those of sessions. */
const OWN_DESCRIPTORS = 256;

export function startServer(
  config: Config,
  clock: Clock,
  log: Log,
  options: ServerOptions = {},
): Server | StartFault {
  const ground = prepareGround(config, clock, log, options.anonymousRoles ?? []);
  if (ground instanceof StartFault) return ground;
  watchTurns(clock.turns, config.log.turnMs, ground.repeated);

  const memtable = new Memtable({
    eventsMax: config.cache.memtableEventsMax,
    tradesMax: config.cache.recentTradesMax,
    tradesInAllMax: config.cache.recentTradesInAllMax,
  });
  const hooks = hooksOf(ground, memtable, options);
  const core = openCore(ground, options.membership, hooks);
  if (core instanceof StartFault) return core;
  const shards = new Shards([{ name: null, core, memtable }]);
  const past = createPast(ground, shards);
  const broadcasting = createBroadcasting(ground, shards, past);
  const published = new Published(clock);
  const publishers = openPublishers(ground, core, memtable, broadcasting, published);
  if (publishers instanceof StartFault) return publishers;
  const wrong = beginAlone(core, config, publishers);
  if (wrong !== undefined) return wrong;

  const sources = new Sources(core.entry, config.market, clock, ground.account, ground.clients);
  const reading = createReading(ground, shards, core, past.history);
  const loopLag = new LoopLag(clock, LOOK_EVERY_MS);
  const freshness = new Freshness(() => core.instruments.feeds(), clock, config);
  const measured = {
    broadcasting,
    past,
    reading,
    memtable,
    publishers,
    published,
    freshness,
    loopLag,
  };
  const state = { isStopping: false };
  const isStopping = (): boolean => state.isStopping;
  const { membership } = options;
  const cluster = membership && ((): ClusterStatus => membership.status());
  const parts = { core, sources, broadcasting, reading, measured, isStopping, cluster };
  const listening = openPort(ground, parts, publishers);
  if (listening instanceof StartFault) return listening;
  for (const thread of past.threads) thread.prepare(); // before clients take their descriptors
  const { ingest, lead } = startSources(sources, options.sources);
  if (core instanceof Recorder) lead(core);
  const timers = startServerTimers(ground, broadcasting, past.playbacks, () => {
    loopLag.tick();
    publishers.beat();
  });
  const started = core.past.flush();
  void started.then(() => logStarted(log, config, listening.url, core));
  const running = { core, ingest, listening, publishers, broadcasting, past, freshness, timers };
  if (core instanceof Replica) membership?.begin(memberOf(core, ground, memtable, hooks, lead));
  return new RunningServer(ground, { ...running, membership }, state, started);
}

/** The memtable before the journal, and the notices of the journal in the log. */
function hooksOf(
  { clock, log, repeated, account, clients }: Ground,
  memtable: Memtable,
  { createWriter = createThreadWriter, secrets }: ServerOptions,
): RecorderHooks {
  return {
    createWriter: meteredWriter(createWriter, clock.turns),
    slices: slicesOf(clock.turns),
    secrets,
    ...journalNotices(log, clock, repeated),
    recent: memtable,
    account: { open: (source, shed) => account.open(clients.of(source), shed) },
    fail: (fault) => {
      log.error({ code: fault.code, hint: fault.hint }, fault.message);
      process.exit(fault.exitCode);
    },
  };
}

/** The recorder; for a member of a cluster, the replica. */
function openCore(
  { config, clock, log }: Ground,
  membership: Membership | undefined,
  hooks: RecorderHooks,
): Recorder | Replica | StartFault {
  const core =
    membership === undefined
      ? openRecorder(config, clock, hooks)
      : openReplica(config, clock, { ...hooks, ...membership.hooks });
  if (core instanceof StartFault) return core;
  for (const { code, message, hint } of core.warnings) log.warn({ code, hint }, message);
  return core;
}

/** @param begun called with the market that this server leads from now on */
function memberOf(
  replica: Replica,
  { config, log, clients, slices }: Ground,
  memtable: Memtable,
  hooks: RecorderHooks,
  begun: (local: LocalMarket) => void,
): ClusterMember {
  return {
    replica,
    recent: (after) => memtable.since(after),
    slices,
    sources: clients,
    lead: (epoch, more) => {
      const recorder = replica.lead(epoch, { ...hooks, ...more });
      const wrong = beginMarket(recorder, config);
      if (wrong !== undefined) log.error({ code: wrong.code, hint: wrong.hint }, wrong.message);
      begun(recorder);
      return recorder;
    },
  };
}

/** Opens the publishers at the state of the core, and has them follow it. */
function openPublishers(
  { config, clock, log }: Ground,
  core: Core,
  memtable: Memtable,
  { broadcaster }: Broadcasting,
  published: Published,
): PublisherSet<Batch> | StartFault {
  const start = hydrate(core, memtable, config.cache.recentTradesMax);
  const local = openLocalPublishers(config, core.epoch, core.instruments.size, clock, log);
  if (local instanceof StartFault) {
    core.close();
    return local;
  }
  const publishers = createPublishers(log, memtable);
  // The topics come last, so that readers on this machine do not wait for the sockets.
  for (const publisher of [...local, topicsOf(broadcaster, 0)]) publishers.add(publisher, start);
  core.follow((batch) => {
    publishers.accept(batch);
    published.accept(batch);
  });
  return publishers;
}

/** The market of a server that is no member of a cluster. */
function beginAlone(
  core: Recorder | Replica,
  config: Config,
  publishers: PublisherSet<Batch>,
): StartFault | undefined {
  const wrong = core instanceof Recorder ? beginMarket(core, config) : undefined;
  if (wrong === undefined) return undefined;
  void publishers.close();
  core.close();
  return wrong;
}

/** @returns the sources that run, and `lead`, which starts those of a server that numbers events */
function startSources(
  sources: Sources,
  leading: LeadingSources = () => [],
): { readonly ingest: readonly IngestSource[]; readonly lead: (local: LocalMarket) => void } {
  const ingest: IngestSource[] = [sources];
  sources.start();
  const lead = (local: LocalMarket): void => {
    local.sequencer.drain(); // the instruments of the settings are there when this returns
    for (const source of leading(local)) {
      ingest.push(source);
      source.start();
    }
  };
  return { ingest, lead };
}

/** Opens the port, after which the native topics of the sessions exist. */
function openPort(
  ground: Ground,
  parts: GatewayParts,
  publishers: PublisherSet<Batch>,
): Listening | StartFault {
  const { config, access, limits, log } = ground;
  const app = createGateway(ground, parts);
  const listening = listen(app, config.server, access.tls);
  if (listening instanceof StartFault) {
    void publishers.close();
    parts.core.close();
    return listening;
  }
  parts.broadcasting.topics.connect(app.server);
  const descriptors = descriptorsMax() ?? Infinity;
  if (descriptors < limits.sessionsMax + OWN_DESCRIPTORS) {
    log.warn(
      { descriptors },
      'fewer descriptors than limits.sessionsMax; raise the limit of open files',
    );
  }
  return listening;
}

/** @param look called several times a second */
function startServerTimers(
  { config, clock, account, access, connections, limits, repeated }: Ground,
  { broadcaster }: Broadcasting,
  playbacks: Playbacks,
  look: () => void,
): Timers {
  return startTimers({
    turns: clock.turns,
    heartbeatMs: config.push.heartbeatMs,
    broadcaster,
    playbacks,
    look: () => {
      look();
      account.enforce();
    },
    watch: () => {
      access.watch(connections, limits.helloMs);
      repeated.look();
    },
  });
}
