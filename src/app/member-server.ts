/**
 * Member server: a server that belongs to a cluster. It starts again, on the same port, whenever it has to begin again:
 * deposed by another leader, or with events that the cluster does not have.
 */

import { join } from 'node:path';

import type { Clock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import type { Lost } from '../cluster/member';
import type { Config } from '../config/config';
import type { Log } from '../log/contract';
import { ClusterMembership, type Joining } from './cluster';
import type { Server } from './running';
import { startServer, type ServerOptions } from './server';

const AGAIN_MS = 1_000;

export class MemberServer implements Server {
  readonly url: string;
  readonly started: Promise<void>;
  private readonly config: Config;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly options: ServerOptions;
  private current: Server;
  private isStopping = false;
  /** Whether `current` has ended, and another one is not there yet. */
  private isDown = false;
  /** The end of a server that begins again. */
  private ending: Promise<unknown> = Promise.resolve();

  static async start(
    config: Config,
    clock: Clock,
    log: Log,
    options: ServerOptions,
  ): Promise<MemberServer | StartFault> {
    let member: MemberServer | undefined;
    let early: LostShard | undefined;
    const begins = (why: LostShard): void => {
      if (member === undefined) early = why;
      else member.beginAgain(why);
    };
    const first = await started(config, clock, log, options, { begins });
    if (first === null) throw new Error('nobody has ended the first start');
    if (first instanceof StartFault) return first;
    member = new MemberServer(config, clock, log, options, first);
    if (early !== undefined) member.beginAgain(early);
    return member;
  }

  private constructor(
    config: Config,
    clock: Clock,
    log: Log,
    options: ServerOptions,
    first: Server,
  ) {
    this.url = first.url;
    this.started = first.started;
    this.current = first;
    // The port that it has got stays its own.
    const port = Number(new URL(first.url).port);
    this.config = { ...config, server: { ...config.server, port } };
    this.clock = clock;
    this.log = log;
    this.options = options;
  }

  get epoch(): number {
    return this.current.epoch;
  }

  reload(wanted: Config): void {
    this.current.reload(wanted);
  }

  async stop(reason?: string): Promise<Error | undefined> {
    this.isStopping = true;
    await this.ending;
    return this.isDown ? undefined : this.current.stop(reason);
  }

  private beginAgain(why: LostShard): void {
    if (this.isStopping) return;
    this.ending = this.restart(why);
  }

  private async restart(why: LostShard): Promise<void> {
    // Nobody is to be served what the cluster does not have.
    await this.current.stop(`cluster: ${why.reason}`, 0);
    this.isDown = true;
    const { config, clock, log, options } = this;
    while (!this.isStopping) {
      const begins = (next: LostShard): void => this.beginAgain(next);
      const isOver = (): boolean => this.isStopping;
      const next = await started(config, clock, log, options, { begins, again: why, isOver });
      if (next === null) return;
      if (!(next instanceof StartFault)) {
        this.current = next;
        this.isDown = false;
        return;
      }
      const { code, message, hint } = next;
      log.error({ code, hint }, `this member cannot begin again: ${message}`);
      await Bun.sleep(AGAIN_MS);
    }
  }
}

/** Why a member has to begin again, and in which of its shards. */
interface LostShard extends Lost {
  readonly index: number;
}

interface Starting {
  /** Called once, when the server has to end and begin again. */
  readonly begins: (why: LostShard) => void;
  /** Why it begins again; absent: it begins. */
  readonly again?: LostShard;
  readonly isOver?: () => boolean;
}

async function started(
  config: Config,
  clock: Clock,
  log: Log,
  options: ServerOptions,
  { begins, again, isOver }: Starting,
): Promise<Server | StartFault | null> {
  let hasBegun = false;
  const joining = (index: number): Joining => ({
    begins: (why) => {
      if (!hasBegun) begins({ ...why, index });
      hasBegun = true;
    },
    beginAt: again?.index === index ? again.beginAt : null,
    ...(isOver !== undefined && { isOver }),
  });
  const joined = await Promise.all(
    shardSettings(config).map((own, i) => ClusterMembership.join(own, clock, log, joining(i))),
  );
  const memberships = joined.filter((one) => one instanceof ClusterMembership);
  const stop = (): Promise<unknown> => Promise.all(memberships.map((one) => one.stop()));
  const unfit = joined.find((one) => !(one instanceof ClusterMembership));
  if (unfit !== undefined) {
    await stop();
    return joined.find((one) => one instanceof StartFault) ?? null;
  }
  const server = startServer(config, clock, log, { ...options, memberships });
  if (server instanceof StartFault) await stop();
  return server;
}

/** The settings of each shard: those of an edge of several have directories of their own for their journals. */
function shardSettings(config: Config): Config[] {
  const { shards } = config.cluster;
  return shards.length === 0 ? [config] : shards.map((shard) => settingsOf(config, shard));
}

function settingsOf(config: Config, shard: string): Config {
  const { cluster, journal } = config;
  const directory = join(journal.directory, shard);
  return {
    ...config,
    cluster: { ...cluster, shard, shards: [] },
    journal: { ...journal, directory },
  };
}
