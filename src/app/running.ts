/** Running server: what can be done to a server that has started: a reload of its settings, and its stop. */

import type { Batch } from '../base/contracts/batch';
import type { IngestSource } from '../base/contracts/ingest';
import { Prng } from '../base/prng';
import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import type { Listening } from '../gateway/listen';
import type { Broadcasting } from './broadcasting';
import type { Freshness } from './freshness';
import type { Ground } from './ground';
import { addressesOfOthers } from './cluster-status';
import { definitionsOf } from './instruments';
import { logStopped } from './lifecycle';
import type { Past } from './past';
import type { PublisherSet } from './publisher-set';
import type { Recorder } from './recorder';
import type { Replica } from './replica';
import type { Membership } from './membership';
import { merged, waiting } from './reload';
import { shutDown } from './shutdown';
import { timeLimitsOf } from './time-limits';
import type { Shards } from './shards';
import type { Timers } from './timers';

export interface Server {
  readonly url: string;
  readonly epoch: number;
  /** Resolves when the journal has everything that the start wrote. */
  readonly started: Promise<void>;
  /** Takes over those of these settings that a running server can, and logs what it did. */
  reload(wanted: Config): void;
  /**
   * Takes no more connections; readers are notified and get what waits for them, within `server.drainMs`; then
   * everything is written and the journal closed.
   * @param reason why it is stopped, for the log
   * @param drainMs in place of `server.drainMs`
   * @returns why something could not be written, if so
   */
  stop(reason?: string, drainMs?: number): Promise<Error | undefined>;
}

/** What a running server consists of, as far as its reload and its stop need it. */
export interface RunningParts {
  readonly shards: Shards<Recorder | Replica>;
  readonly ingest: readonly IngestSource[];
  readonly listening: Listening;
  readonly publishers: readonly PublisherSet<Batch>[];
  readonly broadcasting: Broadcasting;
  readonly past: Past;
  readonly freshness: Freshness;
  readonly timers: Timers;
  readonly memberships: readonly Membership[];
}

export class RunningServer implements Server {
  readonly url: string;
  readonly epoch: number;
  readonly started: Promise<void>;
  private readonly ground: Ground;
  private readonly parts: RunningParts;
  private readonly state: { isStopping: boolean };
  /** The settings as they are now. */
  private config: Config;

  /** @param state shared with the gateway, which refuses new sessions while the server stops */
  constructor(
    ground: Ground,
    parts: RunningParts,
    state: { isStopping: boolean },
    started: Promise<void>,
  ) {
    this.ground = ground;
    this.parts = parts;
    this.state = state;
    this.config = ground.config;
    this.url = parts.listening.url;
    this.epoch = parts.shards.first.core.epoch;
    this.started = started;
  }

  reload(wanted: Config): void {
    const { access, connections, limits, log } = this.ground;
    const { shards, past, freshness } = this.parts;
    const { core } = shards.first;
    const market = core.instruments;
    access.reload(connections, limits.helloMs);
    const next = merged(this.config, wanted);
    const defined = next instanceof StartFault ? next : definitionsOf({ market }, next.instruments);
    if (next instanceof StartFault || defined instanceof StartFault) {
      const { code, message } = next instanceof StartFault ? next : (defined as StartFault);
      log.error({ code }, `settings are unchanged: ${message}`);
      return;
    }
    Object.assign(limits, next.limits);
    past.playbacks.beginWaiting();
    freshness.configure(next);
    for (const { instruments } of shards.cores) instruments.configure(timeLimitsOf(next));
    // A replica leaves them to its leader, and defines them when it becomes the leader.
    for (const definition of defined) {
      core.sequencer?.act((out) => market.define(definition, out));
    }
    log.info(
      { restart: waiting(this.config, wanted) },
      'settings were read; those under restart take one',
    );
    this.config = next;
  }

  async stop(reason = 'unknown', drainMs?: number): Promise<Error | undefined> {
    const { clock, config, log, repeated } = this.ground;
    const { shards, listening, broadcasting, past, publishers, timers, memberships } = this.parts;
    const { broadcaster, revisions } = broadcasting;
    const beganMs = clock.monotonicMs();
    this.state.isStopping = true;
    await Promise.all(memberships.map((membership) => membership.refuse()));
    timers.rest();
    revisions.stop();
    for (const source of this.parts.ingest) void source.stop(); // the drain below waits for what they submitted
    const stages = { listening, cores: shards.cores, broadcaster, threads: past.threads };
    const random = new Prng(shards.first.core.epoch);
    const others = addressesOfOthers(memberships.map((membership) => membership.status()));
    const elsewhere = (): string | null => others[random.int(0, others.length - 1)] ?? null;
    const drained = await shutDown(stages, drainMs ?? config.server.drainMs, random, elsewhere);
    timers.stop();
    await Promise.all(memberships.map((membership) => membership.stop()));
    await Promise.all(publishers.map((set) => set.close())); // after the last batches that the journal still held
    repeated.close();
    logStopped(log, reason, clock.monotonicMs() - beganMs, drained, shards);
    return drained.unwritten;
  }
}
