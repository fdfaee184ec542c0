/**
 * Writes at members that follow, in virtual time: requests and answers are lost, late and repeated, leaders are killed
 * or go on for a while after another one has taken over. The log decides what was carried out.
 */

import { afterAll, expect, test } from 'bun:test';

import { BatchEncoder, decodeBatch } from '../../protocol/batch';
import { Nanos } from '../../protocol/time';
import type { Fault } from '../../protocol/codes';
import type { Command } from '../../protocol/records';
import { RemoteLeader } from '../../src/app/leader-remote';
import { writeServer } from '../../src/app/leader-writes';
import type { Recorder } from '../../src/app/recorder';
import { openReplica, type Replica } from '../../src/app/replica';
import { Prng } from '../../src/base/prng';
import type { OrderOutcome, OwnerCancelled } from '../../src/base/contracts/order-entry';
import { StartFault } from '../../src/base/start-fault';
import type { Asked, WriteTransport } from '../../src/cluster/writes';
import { order, venue } from '../orders/market-run';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';
import { testConfig } from '../support/test-recorder';
import { VirtualTime } from '../support/virtual-time';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const encoder = new BatchEncoder();
const LEADER_WAIT_MS = 2_000;
const ANSWER_MS = 5_000;
const RUN_MS = 15_000;
/** Longer than any command is under way. */
const SETTLE_MS = 40_000;
const OWNERS = ['ada', 'bob'] as const;
const EXPECTED = new Set(['no-leader', 'unknown-outcome', 'unknown-order', 'shutting-down']);

type Entry = { readonly epoch: number } | { readonly bytes: Uint8Array };

interface Order {
  readonly owner: string;
  readonly clientOrderId: string;
  readonly side: 'buy' | 'sell';
  readonly price: number;
  /** Every answer to it. */
  readonly outcomes: { readonly result: OrderOutcome | Fault; readonly byLeader: boolean }[];
  asked: number;
}

interface Cancel {
  readonly orderId: number;
  readonly result: OrderOutcome | Fault;
  readonly byLeader: boolean;
  /** Whether the log had it open when the answer came. */
  readonly isOpen: boolean;
}

interface CancelAll {
  readonly owner: string;
  readonly result: OwnerCancelled | Fault;
  readonly byLeader: boolean;
  /** Whether the log had no open order of the owner, at some time between question and answer. */
  readonly wasEmpty: boolean;
}

/** A server of the cluster. */
class Node {
  readonly replica: Replica;
  readonly remote: RemoteLeader;
  recorder: Recorder | undefined;
  isAlive = true;
  private delivered = 0;

  constructor(
    private readonly world: World,
    name: string,
  ) {
    const { time } = world;
    const config = testConfig(scratch.fresh());
    const replica = openReplica(config, time.clock, { following: { keepUpTo: Infinity } });
    if (replica instanceof StartFault) throw new Error(replica.message);
    this.replica = replica;
    replica.follow(({ epoch, ...batch }) => {
      if (epoch !== this.recorder?.epoch) return;
      const bytes = encoder.encode({ epoch, ...batch, time: Nanos.ZERO });
      world.append(this, bytes);
    });
    this.remote = new RemoteLeader({
      transport: world.transport,
      epoch: () => replica.epoch,
      has: (epoch, seq) => replica.has(epoch, seq),
      leaderWaitMs: LEADER_WAIT_MS,
      writer: name,
      nowMs: () => time.nowMs,
      later: (ms, act) => {
        let isMeant = true;
        time.after(ms, () => isMeant && act());
        return () => (isMeant = false);
      },
    });
    replica.leader = this.remote;
  }

  deliver(most: number): void {
    const { log } = this.world;
    for (let left = most; left > 0 && this.delivered < log.length; left--) {
      const entry = log[this.delivered++]!;
      if ('epoch' in entry) {
        this.replica.beginEpoch(entry.epoch);
        this.remote.epochBegan();
      } else {
        const batch = decodeBatch(entry.bytes);
        if ('code' in batch) throw new Error(batch.message);
        this.replica.take(batch);
      }
    }
  }

  lead(epoch: number): Recorder {
    const recorder = this.replica.lead(epoch, {});
    this.recorder = recorder;
    this.replica.leader = this.remote; // also what comes now goes the long way
    this.remote.lead(recorder);
    return recorder;
  }

  end(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.remote.end();
  }
}

class World {
  readonly time = new VirtualTime();
  readonly log: Entry[] = [];
  readonly orders: Order[] = [];
  readonly cancels: Cancel[] = [];
  readonly cancelAlls: CancelAll[] = [];
  readonly all: Node[] = [];
  readonly transport: WriteTransport;
  isCalm = false;
  private readonly random: Prng;
  private readonly servers = new Map<number, (bytes: Uint8Array) => Promise<Uint8Array>>();
  private leader: Node | undefined;
  private standby: Node;
  private readonly edge: Node;
  /** Has the state that the log has. */
  private readonly truth: Node;
  /** By owner: when the log had no open order of it, last. */
  private readonly emptyMs = new Map<string, number>();
  private epoch = 0;

  constructor(seed: number) {
    this.random = new Prng(seed);
    this.transport = { ask: (...of) => this.ask(...of), serve: () => () => {} };
    this.truth = this.node();
    this.edge = this.node();
    this.standby = this.node();
    this.takeOver();
    const { market, sequencer } = this.leader!.recorder!;
    sequencer.act((out) => market.define(venue('ACME'), out));
    const { time, random } = this;
    time.every(3, () => {
      for (const { isAlive, recorder } of this.all) if (isAlive) recorder?.sequencer.drain();
    });
    time.every(5, () => {
      for (const node of [this.edge, this.standby]) {
        if (this.isCalm || random.chance(0.7)) node.deliver(random.int(1, 20));
      }
    });
    time.every(15, () => {
      if (this.isCalm) return;
      this.command(this.edge);
      if (random.chance(0.5)) this.command(this.standby);
    });
    this.planChange();
  }

  /** What the leader hands out goes into the log, unless another one has taken over. */
  append(from: Node, bytes: Uint8Array): void {
    this.time.after(10, () => {
      if (this.leader === from && from.isAlive) this.record({ bytes });
    });
  }

  private record(entry: Entry): void {
    this.log.push(entry);
    const { replica } = this.truth;
    if ('epoch' in entry) return replica.beginEpoch(entry.epoch);
    const batch = decodeBatch(entry.bytes);
    if ('code' in batch) throw new Error(batch.message);
    // Command by command: between two of them an owner may have had nothing open.
    for (let from = 0, to = 1; from < batch.events.length; from = to, to += 1) {
      while (to < batch.events.length && batch.events[to]!.type !== 'command') to += 1;
      const events = batch.events.slice(from, to);
      const [firstSeq, lastSeq] = [events[0]!.seq, events.at(-1)!.seq];
      replica.take({ ...batch, firstSeq, lastSeq, events, executions: [] });
      for (const owner of OWNERS) this.lookAt(owner);
    }
  }

  private lookAt(owner: string): void {
    const isEmpty = this.truth.replica.orders.openOf(owner, 0, 1).length === 0;
    if (isEmpty) this.emptyMs.set(owner, this.time.nowMs);
  }

  /** As the log does it: it stores a frame of its leader only, behind what that leader has numbered. */
  private isProven(by: Node): Promise<boolean> {
    const { lastSeq } = by.replica;
    return new Promise((resolve) => {
      const look = (): void => {
        const isLeader = this.leader === by && by.isAlive;
        if (isLeader && this.truth.replica.lastSeq < lastSeq) return this.time.after(5, look);
        resolve(isLeader);
      };
      this.time.after(5, look);
    });
  }

  submits(): Map<string, Command[]> {
    const found = new Map<string, Command[]>();
    for (const command of this.commands()) {
      if (command.action !== 'submit') continue;
      const name = `${command.owner} ${command.clientOrderId}`;
      found.set(name, [...(found.get(name) ?? []), command]);
    }
    return found;
  }

  commands(): Command[] {
    return this.log.flatMap((entry) => {
      if ('epoch' in entry) return [];
      const batch = decodeBatch(entry.bytes);
      if ('code' in batch) throw new Error(batch.message);
      return batch.events.filter((event) => event.type === 'command');
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
    time.after(random.int(500, 4_000), () => {
      if (this.isCalm) return;
      const old = this.leader!;
      const { epoch } = old.recorder!;
      const isKilled = random.chance(0.5);
      // Killed, or it goes on for a while and does not know better.
      const restMs = isKilled ? 0 : random.int(500, 6_000);
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

  private takeOver(): void {
    const node = this.standby;
    node.deliver(Infinity);
    this.epoch += 1;
    this.leader = node;
    this.record({ epoch: this.epoch });
    const recorder = node.lead(this.epoch);
    recorder.sequencer.act((out) => recorder.market.announceRecovered(out));
    this.servers.set(
      this.epoch,
      writeServer(recorder, () => this.isProven(node)),
    );
    this.standby = this.node();
  }

  private ask(epoch: number, bytes: Uint8Array): Promise<Asked> {
    const { time, random } = this;
    const lost = (): boolean => !this.isCalm && random.chance(0.05);
    const travelMs = (): number => (lost() ? random.int(100, 4_000) : random.int(0, 10));
    return new Promise((resolve) => {
      time.after(ANSWER_MS, () => resolve({ outcome: 'unknown', reason: 'no answer in time' }));
      const arrive = (isFirst: boolean): void => {
        const handle = this.servers.get(epoch);
        if (handle === undefined) {
          // Said of the request itself only: another copy may have been carried out.
          if (isFirst) resolve({ outcome: 'nobody', reason: 'nobody' });
          return;
        }
        void handle(bytes).then((answer) => {
          if (lost()) return;
          time.after(travelMs(), () => resolve({ outcome: 'answered', bytes: answer }));
        });
      };
      if (lost()) return;
      const ms = travelMs();
      time.after(ms, () => arrive(true));
      if (lost()) time.after(ms + travelMs(), () => arrive(false));
    });
  }

  private command(node: Node): void {
    const { random, orders } = this;
    if (random.chance(0.05)) return this.cancelAll(node, OWNERS[random.int(0, 1)]!);
    const open = orders.flatMap(({ outcomes }) =>
      outcomes.flatMap(({ result }) => ('code' in result ? [] : [result.orderId])),
    );
    if (open.length > 0 && random.chance(0.2)) {
      return this.cancel(node, open[random.int(0, open.length - 1)]!);
    }
    const again = orders.filter(({ clientOrderId }) => clientOrderId !== '');
    if (again.length > 0 && random.chance(0.1)) {
      return this.submit(node, again[random.int(0, again.length - 1)]!);
    }
    const side = random.chance(0.5) ? 'buy' : 'sell';
    const fresh: Order = {
      owner: side === 'buy' ? 'ada' : 'bob',
      clientOrderId: random.chance(0.5) ? `c${orders.length}` : '',
      side,
      price: random.int(90, 110),
      outcomes: [],
      asked: 0,
    };
    orders.push(fresh);
    this.submit(node, fresh);
  }

  private submit(node: Node, one: Order): void {
    const { owner, clientOrderId, side, price, outcomes } = one;
    one.asked += 1;
    const fields = { ...order(), symbol: 'ACME', clientOrderId, side, price, quantity: 1 } as const;
    void node.replica.orders.submit(owner, fields).then((result) => {
      outcomes.push({ result, byLeader: node.recorder !== undefined });
    });
  }

  private cancel(node: Node, orderId: number): void {
    const by = node.replica.orders.find(orderId)?.owner ?? 'ada';
    const isSame = (one: { orderId: number }): boolean => one.orderId === orderId;
    const target = { symbol: 'ACME', orderId, clientOrderId: null };
    void node.replica.orders.cancel(by, target).then((result) => {
      const isOpen = this.truth.replica.orders.openOf(by, 0, Infinity).some(isSame);
      this.cancels.push({ orderId, result, isOpen, byLeader: node.recorder !== undefined });
    });
  }

  private cancelAll(node: Node, owner: string): void {
    this.lookAt(owner);
    const askedMs = this.time.nowMs;
    void node.replica.orders.cancelAll(owner).then((result) => {
      const wasEmpty = (this.emptyMs.get(owner) ?? -1) >= askedMs;
      const byLeader = node.recorder !== undefined;
      this.cancelAlls.push({ owner, result, wasEmpty, byLeader });
    });
  }
}

test('no order is carried out twice, and none is lost that a following member has acknowledged', async () => {
  const first = readSeed();
  const runs = deep(60, 2);
  const seen = new Map<string, number>();
  const count = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);
  for (let seed = first; seed < first + runs; seed++) {
    const world = new World(seed);
    world.time.run(RUN_MS);
    world.isCalm = true;
    world.time.run(SETTLE_MS);
    const submits = world.submits();
    for (const [name, commands] of submits)
      expect([seed, name, commands.length]).toEqual([seed, name, 1]);
    const bySeq = new Map(world.commands().map((command) => [command.seq, command]));
    for (const { owner, clientOrderId, outcomes, asked } of world.orders) {
      expect([seed, clientOrderId, outcomes.length]).toEqual([seed, clientOrderId, asked]);
      for (const { result, byLeader } of outcomes) {
        if (!('code' in result)) {
          count('acknowledged');
          // A leader's own answer is as durable as its settings say.
          if (byLeader) continue;
          const { seq, orderId } = result;
          expect([seed, bySeq.get(seq)]).toMatchObject([
            seed,
            { action: 'submit', owner, orderId, ...(clientOrderId !== '' && { clientOrderId }) },
          ]);
          continue;
        }
        count(result.code);
        expect([seed, EXPECTED.has(result.code), result]).toMatchObject([seed, true, {}]);
        // Refused, and never asked again: nothing came of it.
        if (result.code !== 'no-leader' || asked > 1 || clientOrderId === '') continue;
        expect([seed, submits.has(`${owner} ${clientOrderId}`)]).toEqual([seed, false]);
      }
    }
    for (const { orderId, result, byLeader, isOpen } of world.cancels) {
      if ('code' in result) {
        expect([seed, EXPECTED.has(result.code), result]).toMatchObject([seed, true, {}]);
        const isKnown = result.code === 'unknown-order' && !byLeader;
        if (isKnown) expect([seed, orderId, isOpen]).toEqual([seed, orderId, false]);
      } else if (!byLeader) {
        const command = bySeq.get(result.seq);
        expect([seed, command]).toMatchObject([seed, { action: 'cancel', orderId }]);
      }
    }
    for (const { owner, result, byLeader, wasEmpty } of world.cancelAlls) {
      // An owner without any order yet is unknown.
      const isNothing = 'code' in result ? result.code === 'invalid-field' : result.seq === null;
      if (isNothing) {
        if (byLeader) continue;
        count('nothing to cancel');
        expect([seed, owner, wasEmpty]).toEqual([seed, owner, true]);
      } else if ('code' in result) {
        expect([seed, EXPECTED.has(result.code), result]).toMatchObject([seed, true, {}]);
      } else if (!byLeader) {
        count('all cancelled');
        const command = bySeq.get(result.seq!);
        expect([seed, command]).toMatchObject([seed, { action: 'cancel', owner }]);
      }
    }
    await world.close();
  }
  expect([...seen.keys()]).toContain('nothing to cancel');
  expect([...seen.keys()]).toContain('acknowledged');
  console.log(Object.fromEntries(seen));
});
