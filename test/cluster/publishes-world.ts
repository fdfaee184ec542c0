/**
 * A cluster in virtual time whose sources publish at members that follow. Requests and answers are lost, late and
 * repeated, a member is cut off, leaders are killed or go on for a while after another one has taken over. The log
 * decides what was taken.
 */

import { BatchEncoder, decodeBatch } from '../../protocol/batch';
import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { LeaderPublishes } from '../../src/app/leader-publishes';
import { Receipts } from '../../src/app/receipts';
import { RemoteSources } from '../../src/app/remote-sources';
import type { Recorder } from '../../src/app/recorder';
import { openReplica, type Replica } from '../../src/app/replica';
import { NO_LEADER } from '../../src/app/no-leader';
import type { SubmitResult } from '../../src/base/contracts/submission';
import { Prng } from '../../src/base/prng';
import { SliceQueue } from '../../src/base/slice-queue';
import { StartFault } from '../../src/base/start-fault';
import type { Asked, WriteTransport } from '../../src/cluster/writes';
import { feed } from '../orders/market-run';
import { testConfig } from '../support/test-recorder';
import { VirtualTime } from '../support/virtual-time';

const encoder = new BatchEncoder();
export const LEADER_WAIT_MS = 2_000;
const ANSWER_MS = 5_000;
const SYMBOLS = ['AA', 'BB', 'CC', 'DD', 'EE', 'FF', 'GG', 'HH', 'JJ', 'KK'] as const;

type Entry = { readonly epoch: number } | { readonly bytes: Uint8Array };

/** What was published at once: trades with consecutive ids. */
export interface Publish {
  readonly session: string;
  readonly symbol: string;
  readonly firstId: number;
  readonly count: number;
  /** Index of an event that cannot be taken; -1: none. */
  readonly badAt: number;
  readonly node: Node;
  results: { readonly result: SubmitResult; readonly byLeader: boolean }[];
}

interface Session {
  readonly name: string;
  readonly source: number;
  readonly symbol: string;
  readonly node: Node;
}

/** A server of the cluster. */
export class Node {
  readonly replica: Replica;
  readonly sources: RemoteSources;
  recorder: Recorder | undefined;
  publishes: LeaderPublishes | undefined;
  isAlive = true;
  newestSource = 0;
  private receipts = new Receipts(0);
  private delivered = 0;

  constructor(
    private readonly world: PublishesWorld,
    name: string,
  ) {
    const { time } = world;
    const config = testConfig(world.directory());
    const replica = openReplica(config, time.clock, { following: { keepUpTo: Infinity } });
    if (replica instanceof StartFault) throw new Error(replica.message);
    this.replica = replica;
    replica.follow(({ epoch, ...batch }) => {
      if (epoch !== this.recorder?.epoch) return;
      const { firstSeq, lastSeq } = batch;
      const receipts = this.receipts.of(firstSeq, lastSeq);
      const bytes = encoder.encode({ epoch, ...batch, time: Nanos.ZERO, receipts });
      world.append(this, bytes, () => this.receipts.acknowledged(lastSeq));
    });
    this.sources = new RemoteSources({
      transport: world.transport(this),
      epoch: () => replica.epoch,
      epochBase: () => replica.epochBase,
      endOf: (epoch) => replica.endOf(epoch),
      has: (epoch, seq) => replica.has(epoch, seq),
      leaderWaitMs: LEADER_WAIT_MS,
      waitingEventsMax: 20_000,
      writer: name,
      nowMs: () => time.nowMs,
      now: () => time.clock.now(),
      challenge: () => {},
      later: (ms, act) => {
        let isMeant = true;
        time.after(ms, () => isMeant && act());
        return () => (isMeant = false);
      },
    });
    replica.leader = { ...NO_LEADER, entry: this.sources };
  }

  get isCaughtUp(): boolean {
    return this.delivered === this.world.log.length;
  }

  deliver(most: number): void {
    const { log } = this.world;
    for (let left = most; left > 0 && this.delivered < log.length; left--) {
      const entry = log[this.delivered++]!;
      if ('epoch' in entry) {
        this.replica.beginEpoch(entry.epoch);
        this.sources.epochBegan();
      } else {
        const batch = decodeBatch(entry.bytes);
        if ('code' in batch) throw new Error(batch.message);
        this.replica.take(batch);
        if (batch.receipts !== undefined) this.sources.logged(batch.epoch, batch.receipts);
      }
    }
  }

  lead(epoch: number, isProven: () => Promise<boolean>): Recorder {
    const base = this.replica.lastSeq;
    this.receipts = new Receipts(base);
    const recorder = this.replica.lead(epoch, {});
    this.recorder = recorder;
    this.publishes = new LeaderPublishes({
      entry: recorder.entry,
      epoch,
      lastSeq: () => this.replica.lastSeq,
      base,
      receipts: this.receipts,
      isProven,
      addSource: () => ++this.newestSource,
      endSource: () => {},
      clientOf: () => '',
      challenge: () => {},
      slices: new SliceQueue(this.world.time.clock, (slice) => this.world.time.after(1, slice)),
      nowMs: () => this.world.time.nowMs,
    });
    this.sources.lead(recorder.entry);
    return recorder;
  }

  end(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.sources.end();
  }
}

export class PublishesWorld {
  readonly time = new VirtualTime();
  readonly log: Entry[] = [];
  readonly published: Publish[] = [];
  readonly all: Node[] = [];
  readonly directory: () => string;
  isCalm = false;
  takeovers = 0;
  private readonly random: Prng;
  private readonly servers = new Map<number, LeaderPublishes>();
  private leader: Node | undefined;
  private standby: Node;
  private readonly edges: readonly Node[];
  private readonly sessions: Session[] = [];
  private readonly cutUntilMs = new Map<Node, number>();
  private epoch = 0;
  private newestId = 0;
  private newestSession = 0;

  constructor(seed: number, directory: () => string) {
    this.random = new Prng(seed);
    this.directory = directory;
    this.edges = [this.node(), this.node()];
    this.standby = this.node();
    this.takeOver();
    const { market, sequencer } = this.leader!.recorder!;
    sequencer.act((out) => {
      for (const symbol of SYMBOLS) market.define(feed(symbol), out);
    });
    const { time, random } = this;
    time.every(3, () => {
      for (const { isAlive, recorder, publishes } of this.all) {
        if (!isAlive) continue;
        recorder?.sequencer.drain();
        publishes?.look();
      }
    });
    time.every(5, () => {
      for (const node of [...this.edges, this.standby]) {
        if (this.isCalm || random.chance(0.7)) node.deliver(random.int(1, 20));
      }
    });
    time.every(10, () => {
      if (!this.isCalm) this.act();
    });
    this.planChange();
    this.planCut();
  }

  /** What the leader hands out goes into the log, unless another one has taken over. */
  append(from: Node, bytes: Uint8Array, stored: () => void): void {
    this.time.after(10, () => {
      if (this.leader !== from || !from.isAlive) return;
      this.log.push({ bytes });
      stored();
    });
  }

  /** Ids of the trades in the log, with their sequence numbers, in order. */
  logged(): { readonly id: number; readonly seq: number }[] {
    return this.log.flatMap((entry) => {
      if ('epoch' in entry) return [];
      const batch = decodeBatch(entry.bytes);
      if ('code' in batch) throw new Error(batch.message);
      return batch.events
        .filter((event) => event.type === 'trade')
        .map(({ tradeId: id, seq }) => ({ id, seq }));
    });
  }

  async close(): Promise<void> {
    for (const node of this.all) {
      node.end();
      node.replica.close();
    }
    await Promise.all(this.all.map(({ replica }) => replica.closed));
  }

  private node(): Node {
    const node = new Node(this, `n${this.all.length}`);
    this.all.push(node);
    return node;
  }

  private planChange(): void {
    const { time, random } = this;
    time.after(random.int(500, 5_000), () => {
      if (this.isCalm) return;
      const old = this.leader!;
      const { epoch } = old.recorder!;
      // Killed, or it goes on for a while and does not know better.
      const restMs = random.chance(0.5) ? 0 : random.int(500, 6_000);
      time.after(restMs, () => {
        old.end();
        this.servers.delete(epoch);
      });
      time.after(random.int(300, 3_500), () => {
        this.takeOver();
        this.planChange();
      });
    });
  }

  /** Cuts an edge off for longer than its lease, now and then. */
  private planCut(): void {
    const { time, random } = this;
    time.after(random.int(3_000, 12_000), () => {
      if (this.isCalm) return;
      const node = this.edges[random.int(0, this.edges.length - 1)]!;
      this.cutUntilMs.set(node, time.nowMs + random.int(1_000, 9_000));
      this.planCut();
    });
  }

  private takeOver(): void {
    const node = this.standby;
    node.deliver(Infinity);
    this.epoch += 1;
    this.takeovers += 1;
    this.leader = node;
    this.log.push({ epoch: this.epoch });
    const recorder = node.lead(this.epoch, () => this.isProven(node));
    recorder.sequencer.act((out) => recorder.market.announceRecovered(out));
    this.servers.set(this.epoch, node.publishes!);
    this.standby = this.node();
  }

  /** As the log does it: it stores a frame of its leader only. */
  private isProven(by: Node): Promise<boolean> {
    return new Promise((resolve) => {
      this.time.after(15, () => resolve(this.leader === by && by.isAlive));
    });
  }

  transport(from: Node): WriteTransport {
    return { ask: (epoch, bytes) => this.ask(from, epoch, bytes), serve: () => () => {} };
  }

  private ask(from: Node, epoch: number, bytes: Uint8Array): Promise<Asked> {
    const { time, random } = this;
    const lost = (): boolean => !this.isCalm && random.chance(0.04);
    const travelMs = (): number => (lost() ? random.int(100, 7_000) : random.int(0, 3));
    const isCut = (): boolean => !this.isCalm && (this.cutUntilMs.get(from) ?? 0) > time.nowMs;
    return new Promise((resolve) => {
      time.after(ANSWER_MS, () => resolve({ outcome: 'unknown', reason: 'no answer in time' }));
      const arrive = (isFirst: boolean): void => {
        const server = this.servers.get(epoch);
        if (server === undefined) {
          // Said of the request itself only: another copy may have been carried out.
          if (isFirst) resolve({ outcome: 'nobody', reason: 'nobody' });
          return;
        }
        void server.handle(bytes).then((answer) => {
          if (lost() || isCut()) return;
          time.after(travelMs(), () => resolve({ outcome: 'answered', bytes: answer }));
        });
      };
      if (lost() || isCut()) return;
      const ms = travelMs();
      time.after(ms, () => arrive(true));
      if (lost()) time.after(ms + travelMs(), () => arrive(false));
    });
  }

  private act(): void {
    const { random, sessions } = this;
    if (sessions.length < 5) return this.enter();
    const at = random.int(0, sessions.length - 1);
    const session = sessions[at]!;
    if (!session.node.isAlive || random.chance(0.01)) {
      sessions.splice(at, 1);
      session.node.replica.entry.release(session.source, session.name);
      return;
    }
    if (random.chance(0.02)) session.node.replica.entry.yield(session.source, session.name);
    this.publish(session);
  }

  private enter(): void {
    const { random } = this;
    const nodes = [...this.edges, this.standby];
    const node = nodes[random.int(0, nodes.length - 1)]!;
    const symbol = SYMBOLS[random.int(0, SYMBOLS.length - 1)]!;
    const name = `k${++this.newestSession}`;
    node.newestSource += 1;
    this.sessions.push({ name, source: node.newestSource, symbol, node });
  }

  private publish({ node, source, symbol, name }: Session): void {
    const { random } = this;
    const isLong = random.chance(0.03);
    const count = isLong ? random.int(100, 3_000) : random.int(1, 5);
    const badAt = random.chance(0.03) ? random.int(0, count - 1) : -1;
    const firstId = this.newestId + 1;
    this.newestId += count;
    const events: SourceEvent[] = [];
    for (let i = 0; i < count; i++) events.push(trade(i === badAt ? 'NONE' : symbol, firstId + i));
    const publish: Publish = { session: name, symbol, firstId, count, badAt, node, results: [] };
    this.published.push(publish);
    const done = (result: SubmitResult): void =>
      void publish.results.push({ result, byLeader: node.recorder !== undefined });
    node.replica.entry.submit(source, events, done, { owner: name });
  }
}

/** Without a number of its source: nothing but the path that it takes keeps it from being taken twice. */
function trade(symbol: string, id: number): SourceEvent {
  return {
    type: 'trade',
    symbol,
    seq: 0,
    prevSeq: 0,
    eventTime: Nanos.fromMillis(1_700_000_000_000),
    receiveTime: Nanos.ZERO,
    price: 100 + (id % 50),
    quantity: 1,
    aggressor: 'buy',
    tradeId: id,
    timing: null,
  };
}
