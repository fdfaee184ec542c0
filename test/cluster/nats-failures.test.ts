/**
 * The batch log on three real servers that are killed and stopped, with writers that replace each other: what was
 * acknowledged is there once and in order, for every reader, and nobody who was deposed has appended.
 */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { join } from 'node:path';

import type { WireBatch } from '../../protocol/batch';
import { SystemClock } from '../../src/base/clock';
import { ClusterFault } from '../../src/cluster/cluster-fault';
import type { LogHole, LogPosition } from '../../src/cluster/frame-chain';
import { LogReader } from '../../src/cluster/log-reader';
import { LogWriter, startAt, type WriterEnd, type WriterStart } from '../../src/cluster/log-writer';
import { NatsBroker } from '../../src/cluster/nats-broker';
import { NATS_DEFAULTS } from '../../src/cluster/nats-settings';
import { findEvent } from '../../src/cluster/locate';
import { contentsOf, tradesBatch } from '../support/log-batches';
import { hasNats, NatsServers, type NatsServer } from '../support/nats';
import { deep } from '../support/tier';
import { until } from '../support/until';
import { valueOf } from './broker-contract';
import type { ChildLine } from './writer-child';

const clock = new SystemClock();
const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
const SHARD = 'main';
const LOOK_MS = 20;
const MAKE_MS = 2;

/** The content of an event, so that one of another epoch is recognized. */
const contentOf = (epoch: number, seq: number): number => epoch * 1_000_000 + seq;

async function connect(
  servers: readonly string[],
  mayCreate = false,
  shard = SHARD,
): Promise<NatsBroker> {
  const broker = await NatsBroker.open(
    {
      ...NATS_DEFAULTS,
      servers,
      name: 'test',
      shard,
      mayCreate,
      logBytesMax: 64 * 1024 * 1024,
      openMs: 30_000,
    },
    clock,
  );
  if (broker instanceof ClusterFault) throw new Error(`${broker.code}: ${broker.message}`);
  return broker;
}

/** A leader that makes batches all the time. */
class Leader {
  readonly broker: NatsBroker;
  readonly writer: LogWriter;
  readonly epoch: number;
  readonly acknowledged: number[] = [];
  hasOpened = false;
  end: WriterEnd | null = null;
  private readonly timers: Timer[];

  private constructor(broker: NatsBroker, start: WriterStart, name: string) {
    this.broker = broker;
    this.epoch = start.epoch + 1;
    this.writer = new LogWriter(
      {
        broker,
        clock,
        log: SILENT,
        shard: SHARD,
        epoch: this.epoch,
        writer: name,
        start,
        queueBytesMax: 1024 * 1024,
        queueBatchesMax: 10_000,
      },
      {
        opened: () => (this.hasOpened = true),
        acknowledged: (lastSeq) => {
          if (this.end !== null) throw new Error('acknowledged after its end');
          this.acknowledged.push(lastSeq);
        },
        stopped: (end) => (this.end = end),
      },
    );
    this.timers = [
      setInterval(() => this.writer.look(), LOOK_MS),
      setInterval(() => this.make(), MAKE_MS),
    ];
  }

  /** Takes over behind what the log ends with, however often another is faster. */
  static async takeOver(servers: NatsServers, name: string): Promise<Leader> {
    const broker = await connect(servers.urls, true);
    for (let tries = 0; ; tries++) {
      const end = await until(async () => {
        const answer = await broker.last();
        return answer.outcome === 'ok' ? answer.value : null;
      });
      const start = startAt(end) as WriterStart;
      const leader = new Leader(broker, start, `${name}x${tries}`);
      await until(() => leader.hasOpened || leader.end !== null, `${name} opens an epoch`);
      if (leader.hasOpened) return leader;
      leader.rest();
    }
  }

  get acknowledgedSeq(): number {
    return this.acknowledged.at(-1) ?? 0;
  }

  rest(): void {
    for (const timer of this.timers) clearInterval(timer);
  }

  async close(): Promise<void> {
    clearInterval(this.timers[1]);
    this.writer.close();
    await until(() => this.end !== null, 'the writer stops');
    this.rest();
    await this.broker.close();
  }

  private make(): void {
    const { epoch, writer } = this;
    const large = writer.position % 500 === 499;
    if (!writer.hasRoom) return;
    const count = large ? 100 : 1 + (writer.position % 3);
    writer.accept(tradesBatch(epoch, writer.position + 1, count, (seq) => contentOf(epoch, seq)));
  }
}

/** A reader on one server, which keeps what it gets and holds it to its order. */
class Replica {
  readonly contents: number[] = [0];
  readonly wrong: string[] = [];
  readonly holes: LogHole[] = [];
  readonly epochs: LogPosition[] = [];
  hasCaughtUp = false;
  readonly reader: LogReader;
  readonly broker: NatsBroker;
  private readonly timer: Timer;

  private constructor(broker: NatsBroker, shard: string) {
    this.broker = broker;
    const start = { epoch: 0, seq: 0 };
    this.reader = new LogReader(
      { broker, clock, log: SILENT, shard, start, heldBytesMax: 1024 * 1024 },
      {
        checkpoint: () => this.wrong.push('a checkpoint that nobody asked for'),
        batch: (batch) => this.take(batch),
        epoch: (position) => this.epochs.push(position),
        hole: (hole) => this.holes.push(hole),
        caughtUp: () => (this.hasCaughtUp = true),
      },
    );
    this.timer = setInterval(() => this.reader.look(), LOOK_MS);
  }

  static async on(server: NatsServer, shard = SHARD): Promise<Replica> {
    return new Replica(await connect([server.url], false, shard), shard);
  }

  get lastSeq(): number {
    return this.contents.length - 1;
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    this.reader.stop();
    await this.broker.close();
  }

  private take(batch: WireBatch): void {
    if (batch.firstSeq !== this.contents.length) {
      this.wrong.push(`batch ${batch.firstSeq} at ${this.lastSeq}`);
    }
    this.contents.push(...contentsOf(batch));
  }
}

/** A leader in a process of its own. */
class Child {
  readonly process: Bun.Subprocess<'ignore', 'pipe', 'inherit'>;
  epoch = 0;
  /** Where its epoch begins, and the last event that it was acknowledged. */
  from = 0;
  acknowledged = 0;
  end = '';

  private constructor(args: readonly string[]) {
    const command = [process.execPath, join(import.meta.dir, 'writer-child.ts'), ...args];
    this.process = Bun.spawn(command, { stdio: ['ignore', 'pipe', 'inherit'] });
    void this.listen();
  }

  /** Resolves when it leads. */
  static async start(servers: NatsServers, shard: string, name: string): Promise<Child> {
    const child = new Child([shard, name, ...servers.urls]);
    await until(() => child.epoch > 0, `${name} leads`);
    return child;
  }

  private async listen(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const bytes of this.process.stdout) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.take(JSON.parse(line) as ChildLine);
    }
  }

  private take(line: ChildLine): void {
    if ('end' in line) this.end = line.end;
    else if ('acknowledged' in line) this.acknowledged = line.acknowledged;
    else {
      this.epoch = line.opened;
      this.from = line.at;
      this.acknowledged = line.at;
    }
  }
}

type Round = 'follower' | 'leader' | 'takeover' | 'stopped' | 'takeover, leader' | 'all';
const KINDS: readonly Round[] = [
  'follower',
  'takeover',
  'leader',
  'stopped',
  'takeover, leader',
  'follower',
  'all',
  'leader',
];
/** By hand, as many as are asked for. */
const asked = Number(process.env['TAPEDECK_NATS_ROUNDS'] ?? 0);
const ROUNDS =
  asked > 0 ? Array.from({ length: asked }, (_, i) => KINDS[i % KINDS.length]!) : deep(KINDS, 1);

describe.skipIf(!hasNats)('servers that die', () => {
  let servers: NatsServers;
  let leader: Leader;
  const leaders: Leader[] = [];
  const children: Child[] = [];
  let replicas: Replica[] = [];

  beforeAll(async () => {
    servers = await NatsServers.three();
    leader = await Leader.takeOver(servers, 'first');
    leaders.push(leader);
    replicas = await Promise.all(servers.all.map((server) => Replica.on(server)));
  });
  afterAll(async () => {
    for (const { process } of children) process.kill('SIGKILL');
    for (const replica of replicas) await replica.close();
    for (const { broker } of leaders) await broker.close();
    await servers.remove();
  });

  /** The server that leads the stream, and one that does not. */
  async function members(): Promise<{ leads: NatsServer; follows: NatsServer }> {
    const name = await until(async () => {
      const info = await leader.broker.info();
      return info.outcome === 'ok' && info.value.replicas.find(({ isLeader }) => isLeader)?.name;
    });
    const leads = servers.named(name);
    return { leads, follows: servers.all.find((server) => server !== leads)! };
  }

  /** Everybody is past what was acknowledged now and a little more. */
  async function goesOn(): Promise<void> {
    const from = leader.acknowledgedSeq;
    await until(() => leader.acknowledgedSeq > from + 200, 'acknowledgements go on');
    const to = leader.acknowledgedSeq;
    await until(() => replicas.every(({ lastSeq }) => lastSeq >= to), 'the readers go on');
  }

  async function takeOver(name: string): Promise<void> {
    const before = leader;
    leader = await Leader.takeOver(servers, name);
    leaders.push(leader);
    await until(() => before.end !== null, 'the one before knows that it was deposed');
    expect(before.end).toMatchObject({ reason: 'deposed' });
    before.rest();
  }

  for (const [i, round] of ROUNDS.entries()) {
    test(`round ${i}, ${round}: the writers and the readers go on, and lose nothing`, async () => {
      await goesOn();
      const { leads, follows } = await members();
      if (round === 'follower') await follows.kill();
      if (round === 'leader' || round === 'takeover, leader') await leads.kill();
      if (round === 'all') await Promise.all(servers.all.map((server) => server.kill()));
      if (round === 'stopped') leads.signal('SIGSTOP');
      if (round === 'all') await servers.start();
      if (round.startsWith('takeover')) await takeOver(`r${i}`);
      await goesOn();
      leads.signal('SIGCONT');
      await servers.start();
      await goesOn();
    }, 120_000);
  }

  test('a leader that was stopped while another took over appends nothing when it goes on', async () => {
    const shard = 'stopped';
    const rounds = deep(8, 1);
    const start = async (name: string): Promise<Child> => {
      const child = await Child.start(servers, shard, name);
      children.push(child);
      return child;
    };
    let leads = await start('c0');
    const replica = await Replica.on(servers.all[1]!, shard);
    for (let i = 1; i <= rounds; i++) {
      await until(() => leads.acknowledged > leads.from + 200, 'it leads');
      leads.process.kill('SIGSTOP');
      const stopped = leads;
      leads = await start(`c${i}`);
      await until(() => leads.acknowledged > leads.from + 50, 'the next one leads');
      stopped.process.kill('SIGCONT');
      await stopped.process.exited;
      expect(stopped.end).toBe('deposed');
      // What was acknowledged to it lies before the epoch of its successor.
      expect(stopped.acknowledged).toBeLessThanOrEqual(leads.from);
    }
    await until(() => replica.lastSeq >= leads.acknowledged);
    leads.process.kill('SIGKILL');
    await leads.process.exited;
    expect(replica.wrong).toEqual([]);
    expect(replica.holes).toEqual([]);
    expect(replica.reader.figures()).toMatchObject({ voided: 0, damaged: 0 });
    for (const { epoch, from, acknowledged } of children) {
      for (let seq = from + 1; seq <= acknowledged; seq++) {
        if (replica.contents[seq] !== contentOf(epoch, seq)) throw new Error(`${epoch}: ${seq}`);
      }
    }
    await replica.close();
  }, 120_000);

  test('in the end every reader has all that was acknowledged, once, in order and of its epoch', async () => {
    await leader.close();
    const last = leader.acknowledgedSeq;
    await until(() => replicas.every(({ lastSeq }) => lastSeq >= last));
    const [one] = replicas;
    const expected: number[] = [0];
    for (const [i, { epoch }] of leaders.entries()) {
      const upTo = one!.epochs.find((position) => position.epoch === leaders[i + 1]?.epoch)?.seq;
      for (let seq = expected.length; seq <= (upTo ?? last); seq++) {
        expected.push(contentOf(epoch, seq));
      }
      // What it acknowledged lies in its own epoch.
      expect(leaders[i]!.acknowledgedSeq).toBeLessThanOrEqual(upTo ?? last);
    }
    for (const { contents, wrong, holes, reader } of replicas) {
      expect(wrong).toEqual([]);
      expect(holes).toEqual([]);
      expect(contents).toEqual(expected);
      expect(reader.figures()).toMatchObject({ voided: 0, damaged: 0, holes: 0 });
    }
    const late = await Replica.on(servers.all[0]!);
    replicas.push(late);
    await until(() => late.hasCaughtUp && late.lastSeq >= last);
    expect(late.contents).toEqual(expected);
    for (const { acknowledged } of leaders) {
      expect(acknowledged).toEqual(acknowledged.toSorted((a, b) => a - b));
    }
  });

  test('the frame that holds an event is found by its number', async () => {
    const { broker } = replicas[0]!;
    const last = leader.acknowledgedSeq;
    for (const seq of [1, 2, Math.floor(last / 3), Math.floor(last / 2), last - 1, last]) {
      const found = valueOf(await findEvent(broker, seq))!;
      expect(found.frame.firstSeq).toBeLessThanOrEqual(seq);
      expect(found.frame.lastSeq).toBeGreaterThanOrEqual(seq);
    }
    expect(valueOf(await findEvent(broker, last + 1))).toBeNull();
  });
});
