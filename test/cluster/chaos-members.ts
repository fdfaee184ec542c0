/** Members and brokers of a chaos run: real processes, on ports of their own, that are killed, stopped and come back. */

import { freePort } from '../support/ports';
import { NatsServers, type NatsServer } from '../support/nats';
import { Scratch, ServerProcess } from '../support/tapedeck-process';

export type MemberName = 'leader' | 'standby' | 'edge1' | 'edge2';
export const MEMBER_NAMES: readonly MemberName[] = ['leader', 'standby', 'edge1', 'edge2'];

const CLUSTER = 'chaos';
const ORDERS_PER_SECOND = 40;
/** Of one start: a broker that elects takes its time. */
const RUN_MS_MAX = 3_600_000;
const STREAM = `TD_${CLUSTER}`;

/** A server of the cluster. It is killed and started again on the same data and the same port. */
export class ChaosMember {
  readonly name: MemberName;
  readonly data: string;
  /** Starts that failed, with what the server said. */
  readonly failedStarts: string[] = [];
  /** What each of its processes wrote to its log. */
  readonly logs: string[] = [];
  isStopped = false;
  private readonly port: number;
  private readonly args: readonly string[];
  private readonly config: string;
  private process: ServerProcess | null = null;

  constructor(
    name: MemberName,
    { data, port, urls, config }: { data: string; port: number; urls: string[]; config: string },
  ) {
    const role = name.startsWith('edge') ? 'edge' : name;
    const demo = role === 'edge' ? [] : ['--demo', '--rate', String(ORDERS_PER_SECOND)];
    this.name = name;
    this.data = data;
    this.port = port;
    this.config = config;
    this.args = ['--port', String(port), '--cluster', CLUSTER, '--nats', urls.join(',')];
    this.args = [...this.args, '--role', role, ...demo];
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get isRunning(): boolean {
    return this.process?.alive === true;
  }

  /** Starts it, however often that takes. */
  async start(): Promise<void> {
    for (;;) {
      try {
        const { args, config, data } = this;
        const options = { args, config, data, logLevel: 'info', timeoutMs: RUN_MS_MAX };
        this.process = await ServerProcess.start(options);
        this.isStopped = false;
        return;
      } catch (e) {
        this.failedStarts.push(String(e));
        if (this.failedStarts.length > 50) throw e;
      }
    }
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number> {
    const { process } = this;
    if (process === null) return 0;
    const { code, stderr } = await process.stop(signal);
    this.logs.push(stderr);
    this.process = null;
    return code;
  }

  /** Whether it has ended by itself. */
  get hasDied(): boolean {
    return this.process?.alive === false;
  }

  pause(): void {
    this.isStopped = true;
    this.process?.signal('SIGSTOP');
  }

  goOn(): void {
    this.isStopped = false;
    this.process?.signal('SIGCONT');
  }

  /** The newest event that it serves; -1: it does not answer. */
  async seq(): Promise<number> {
    try {
      const answer = await fetch(`${this.url}/v1/instruments`, {
        signal: AbortSignal.timeout(1_000),
      });
      return ((await answer.json()) as { seq: number }).seq;
    } catch {
      return -1;
    }
  }

  /** Whether it says that it leads the cluster. */
  async leads(): Promise<boolean> {
    try {
      const answer = await fetch(`${this.url}/v1/cluster`, { signal: AbortSignal.timeout(1_000) });
      const { members } = (await answer.json()) as {
        members: { isSelf: boolean; state: string }[];
      };
      return members.some(({ isSelf, state }) => isSelf && state === 'leading');
    } catch {
      return false;
    }
  }
}

export class ChaosCluster {
  readonly brokers: NatsServers;
  readonly members: ReadonlyMap<MemberName, ChaosMember>;
  private readonly scratch: Scratch;

  private constructor(
    brokers: NatsServers,
    members: ReadonlyMap<MemberName, ChaosMember>,
    scratch: Scratch,
  ) {
    this.brokers = brokers;
    this.members = members;
    this.scratch = scratch;
  }

  static async start(durability: 'replicated' | 'async'): Promise<ChaosCluster> {
    const brokers = await NatsServers.three();
    const scratch = new Scratch();
    const config = `[journal]
durability = "${durability}"
[push]
heartbeatMs = 500
[cluster]
replicas = 3
logBytesMax = 500000000
checkpointBytesMax = 100000000
checkpointEveryMs = 10000
`;
    const members = new Map<MemberName, ChaosMember>();
    for (const name of MEMBER_NAMES) {
      const options = { data: scratch.fresh(), port: await freePort(), config };
      members.set(name, new ChaosMember(name, { ...options, urls: brokers.urls }));
    }
    const cluster = new ChaosCluster(brokers, members, scratch);
    await cluster.members.get('leader')!.start();
    for (const name of MEMBER_NAMES.slice(1)) await cluster.members.get(name)!.start();
    return cluster;
  }

  of(name: MemberName): ChaosMember {
    return this.members.get(name)!;
  }

  /** The broker that leads the stream, or one that does not; undefined: it is not known now. */
  async broker(isLeader: boolean): Promise<NatsServer | undefined> {
    for (const { monitorPort, isRunning } of this.brokers.all) {
      if (!isRunning) continue;
      const name = await streamLeader(monitorPort);
      if (name === undefined) continue;
      return isLeader
        ? this.brokers.named(name)
        : this.brokers.all.find((one) => one.name !== name && one.isRunning);
    }
    return undefined;
  }

  async remove(): Promise<void> {
    for (const member of this.members.values()) {
      member.goOn();
      await member.end('SIGKILL');
    }
    await this.brokers.remove();
    this.scratch.remove();
  }
}

interface StreamsAnswer {
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string;
      readonly cluster?: { readonly leader?: string };
    }[];
  }[];
}

async function streamLeader(monitorPort: number): Promise<string | undefined> {
  try {
    const url = `http://127.0.0.1:${monitorPort}/jsz?streams=true`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    const { account_details: accounts = [] } = (await answer.json()) as StreamsAnswer;
    const streams = accounts.flatMap(({ stream_detail: all = [] }) => all);
    return streams.find(({ name }) => name === STREAM)?.cluster?.leader;
  } catch {
    return undefined;
  }
}
