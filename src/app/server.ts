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
import { ShardedCore } from './sharded-core';
import { Shards, type Shard } from './shards';
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
  /**
   * Makes the server a member of a cluster, for each shard: its batches come from a leader, until it leads. Absent: it is
   * no member.
   */
  readonly memberships?: readonly Membership[];
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

  const shards = openShards(ground, options);
  if (shards instanceof StartFault) return shards;
  const market = shards.names.length === 0 ? shards.first.core : new ShardedCore(shards);
  const past = createPast(ground, shards);
  const broadcasting = createBroadcasting(ground, shards, past);
  const published = new Published(clock);
  const publishers = openPublishers(ground, shards, broadcasting, published);
  if (publishers instanceof StartFault) return publishers;
  const wrong = beginAlone(shards, config, publishers);
  if (wrong !== undefined) return wrong;

  const sources = new Sources(market.entry, config.market, clock, ground.account, ground.clients);
  const reading = createReading(ground, shards, market, past.history);
  const loopLag = new LoopLag(clock, LOOK_EVERY_MS);
  const freshness = new Freshness(() => market.instruments.feeds(), clock, config);
  const measured = { broadcasting, past, reading, publishers, published, freshness, loopLag };
  const state = { isStopping: false };
  const isStopping = (): boolean => state.isStopping;
  const { memberships = [] } = options;
  const cluster = (): ClusterStatus[] => memberships.map((membership) => membership.status());
  const isMember = memberships.length > 0;
  const served = { shards, market, sources, broadcasting, reading, measured, isStopping };
  const parts = { ...served, cluster: isMember ? cluster : undefined };
  const listening = openPort(ground, parts, publishers);
  if (listening instanceof StartFault) return listening;
  for (const thread of past.threads) thread.prepare(); // before clients take their descriptors
  const { ingest, lead } = startSources(sources, options.sources);
  const timers = startServerTimers(ground, broadcasting, past.playbacks, () => {
    loopLag.tick();
    for (const set of publishers) set.beat();
  });
  const started = Promise.all(shards.cores.map((core) => core.past.flush()));
  const begun = started.then(() => logStarted(log, config, listening.url, shards));
  const running = { shards, ingest, listening, publishers, broadcasting, past, freshness, timers };
  for (const [i, shard] of shards.all.entries()) {
    const { core } = shard;
    if (core instanceof Recorder) lead(core);
    else memberships[i]?.begin(memberOf(shard, core, ground, lead));
  }
  return new RunningServer(ground, { ...running, memberships }, state, begun);
}

/** A shard as it was opened. */
interface OpenShard extends Shard<Recorder | Replica> {
  /** The settings, with the directory of its journal. */
  readonly config: Config;
  readonly hooks: RecorderHooks;
}

/** One for each membership; a server that is no member has one. */
function openShards(
  ground: Ground,
  options: ServerOptions,
): Shards<Recorder | Replica, OpenShard> | StartFault {
  const opened: OpenShard[] = [];
  const memberships = options.memberships ?? [undefined];
  for (const membership of memberships) {
    const config = membership?.config ?? ground.config;
    const memtable = createMemtable(config);
    const hooks = hooksOf(ground, memtable, options);
    const core = openCore({ ...ground, config }, membership, hooks);
    if (core instanceof StartFault) {
      for (const other of opened) other.core.close();
      return core;
    }
    opened.push({ name: config.cluster.shard || null, core, memtable, config, hooks });
  }
  const shards = new Shards<Recorder | Replica, OpenShard>(opened);
  const conflict = shards.conflict();
  if (conflict === undefined) return shards;
  for (const { core } of opened) core.close();
  return conflict;
}

function createMemtable({ cache }: Config): Memtable {
  return new Memtable({
    eventsMax: cache.memtableEventsMax,
    tradesMax: cache.recentTradesMax,
    tradesInAllMax: cache.recentTradesInAllMax,
  });
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
  { memtable, hooks, config }: OpenShard,
  replica: Replica,
  { log, clients, slices }: Ground,
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

/** Opens the publishers of each shard at the state of its core, and has them follow it. */
function openPublishers(
  ground: Ground,
  shards: Shards<Recorder | Replica, OpenShard>,
  { broadcaster }: Broadcasting,
  published: Published,
): PublisherSet<Batch>[] | StartFault {
  const sets: PublisherSet<Batch>[] = [];
  for (const [index, shard] of shards.all.entries()) {
    const { core, memtable, hooks } = shard;
    const start = hydrate(core, memtable, ground.config.cache.recentTradesMax);
    const local = localPublishersOf(ground, shards, core);
    if (local instanceof StartFault) {
      closeAll(shards, sets);
      return local;
    }
    const publishers = createPublishers(ground.log, memtable);
    // The topics come last, so that readers on this machine do not wait for the sockets.
    for (const publisher of [...local, topicsOf(broadcaster, index)]) {
      publishers.add(publisher, start);
    }
    core.follow((batch) => {
      const conflict = shards.conflictOf(shard, batch.events);
      if (conflict !== undefined) hooks.fail?.(conflict);
      publishers.accept(batch);
      published.accept(batch);
    });
    sets.push(publishers);
  }
  return sets;
}

/** Those for processes on this machine know one numbering only. */
function localPublishersOf(
  { config, clock, log }: Ground,
  shards: Shards<Recorder | Replica, OpenShard>,
  { epoch, instruments }: Recorder | Replica,
): ReturnType<typeof openLocalPublishers> {
  if (shards.all.length > 1) return [];
  return openLocalPublishers(config, epoch, instruments.size, clock, log);
}

function closeAll(
  shards: Shards<Recorder | Replica, OpenShard>,
  publishers: readonly PublisherSet<Batch>[],
): void {
  for (const set of publishers) void set.close();
  for (const core of shards.cores) core.close();
}

/** The market of a server that is no member of a cluster. */
function beginAlone(
  shards: Shards<Recorder | Replica, OpenShard>,
  config: Config,
  publishers: readonly PublisherSet<Batch>[],
): StartFault | undefined {
  const { core } = shards.first;
  const wrong = core instanceof Recorder ? beginMarket(core, config) : undefined;
  if (wrong !== undefined) closeAll(shards, publishers);
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
  parts: GatewayParts & { readonly shards: Shards<Recorder | Replica, OpenShard> },
  publishers: readonly PublisherSet<Batch>[],
): Listening | StartFault {
  const { config, access, limits, log } = ground;
  const app = createGateway(ground, parts);
  const listening = listen(app, config.server, access.tls);
  if (listening instanceof StartFault) {
    closeAll(parts.shards, publishers);
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
