/**
 * Log world: one run of the batch log in virtual time. Leaders that replace each other, also several at once and in
 * the same epoch, over a broker that loses, repeats, elects and trims; readers that stall, vanish and come back. In
 * the end everybody reads up, and it is seen whether each has everything that was acknowledged.
 */

import { decodeLogFrame, type LogFrame } from '../../protocol/log-frame';
import type { WireBatch } from '../../protocol/batch';
import { Prng } from '../../src/base/prng';
import { FrameChain, type LogHole, type LogPosition } from '../../src/cluster/frame-chain';
import { LogReader } from '../../src/cluster/log-reader';
import { LogWriter, startAt, type WriterEnd, type WriterStart } from '../../src/cluster/log-writer';
import { contentsOf, tradesBatch } from '../support/log-batches';
import { VirtualLog, type BrokerFaults, type VirtualBroker } from '../support/virtual-broker';
import { VirtualTime } from '../support/virtual-time';

const LOOK_MS = 50;
const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
const SHARD = 'main';

function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** What the runs did, all together: that a test does what its name says. */
export interface WorldCounts {
  acknowledged: number;
  delivered: number;
  takeovers: number;
  deposed: number;
  lostContests: number;
  duplicates: number;
  resends: number;
  parts: number;
  holes: Record<LogHole['reason'], number>;
  repairs: number;
  restarts: number;
  fromCheckpoint: number;
  fulls: number;
}

export function noCounts(): WorldCounts {
  return {
    acknowledged: 0,
    delivered: 0,
    takeovers: 0,
    deposed: 0,
    lostContests: 0,
    duplicates: 0,
    resends: 0,
    parts: 0,
    holes: { 'missing': 0, 'never-logged': 0, 'damaged': 0, 'forked': 0 },
    repairs: 0,
    restarts: 0,
    fromCheckpoint: 0,
    fulls: 0,
  };
}

/** A leader, or one that tries to be. */
class Leader {
  readonly broker: VirtualBroker;
  readonly epoch: number;
  readonly name: string;
  readonly writer: LogWriter;
  /** By seq; the content of what it numbered. */
  readonly contents = new Map<number, number>();
  /** What it made, for when its writer is full. */
  readonly journal: WireBatch[] = [];
  end: WriterEnd | null = null;
  hasOpened = false;
  private readonly world: LogWorld;
  private lastSeq: number;

  constructor(
    world: LogWorld,
    broker: VirtualBroker,
    start: WriterStart,
    epoch: number,
    name: string,
  ) {
    this.world = world;
    this.broker = broker;
    this.epoch = epoch;
    this.name = name;
    this.lastSeq = start.seq;
    const options = {
      broker,
      clock: world.time.clock,
      log: SILENT,
      shard: SHARD,
      epoch,
      writer: name,
      start,
      queueBytesMax: 20_000,
      queueBatchesMax: 50,
    };
    this.writer = new LogWriter(options, {
      opened: () => world.opened(this),
      acknowledged: (seq) => world.acknowledged(this, seq),
      stopped: (end) => {
        hold(this.end === null, 'a writer stopped twice');
        this.end = end;
      },
    });
  }

  /** Numbers some events. */
  make(): void {
    const { random, counts } = this.world;
    const count = random.chance(0.03) ? random.int(150, 400) : random.int(1, 4);
    // Now and then numbers are lost before they get anywhere.
    const lost = random.chance(this.world.lossy) ? random.int(1, 5) : 0;
    const batch = tradesBatch(this.epoch, this.lastSeq + lost + 1, count, () => random.uint32());
    this.lastSeq = batch.lastSeq;
    for (const [i, content] of contentsOf(batch).entries()) {
      this.contents.set(batch.firstSeq + i, content);
    }
    this.journal.push(batch);
    if (count > 100) counts.parts += 1;
    this.refill();
  }

  /** Gives its writer what that has not had. */
  refill(): void {
    const { position } = this.writer;
    for (const batch of this.journal) {
      if (batch.firstSeq <= position) continue;
      const result = this.writer.accept(batch);
      if (result === 'full') this.world.counts.fulls += 1;
      if (result !== 'taken') return;
    }
  }

  look(): void {
    this.writer.look();
    if (this.writer.hasRoom) this.refill();
  }

  leave(): void {
    this.writer.abandon();
    void this.broker.close();
  }
}

/** A replica that keeps what it gets, and holds its reader to its promises. */
class Replica {
  /** By seq: what it has. */
  readonly contents = new Map<number, { epoch: number; content: number }>();
  readonly holes: LogHole[] = [];
  position: LogPosition = { epoch: 0, seq: 0 };
  /** Where what it has begins: it may have begun with a checkpoint. */
  base = 0;
  isStalled = false;
  private readonly world: LogWorld;
  private broker: VirtualBroker;
  private reader: LogReader;

  constructor(world: LogWorld, start: 'checkpoint' | LogPosition) {
    this.world = world;
    this.broker = world.log.connect();
    this.reader = this.read(start);
  }

  /** It dies and comes back with what it has, or with a checkpoint. */
  restart(): void {
    const { random, counts } = this.world;
    this.leave();
    counts.restarts += 1;
    this.broker = this.world.log.connect();
    if (random.chance(0.3)) {
      this.contents.clear();
      this.position = { epoch: 0, seq: 0 };
      this.base = 0;
      this.reader = this.read('checkpoint');
    } else this.reader = this.read(this.position);
  }

  /** Saves what it has. */
  checkpoint(): void {
    void this.broker.checkpoints.put(this.position, new Uint8Array(10));
  }

  look(): void {
    if (!this.isStalled) this.reader.look();
  }

  cut(): void {
    this.broker.cut();
  }

  heal(): void {
    this.broker.heal();
  }

  leave(): void {
    this.world.counts.repairs += this.reader.figures().repairs;
    hold(this.reader.figures().voided === 0, 'a frame of a deposed leader was stored');
    this.reader.stop();
    void this.broker.close();
  }

  private read(start: 'checkpoint' | LogPosition): LogReader {
    const { time, counts } = this.world;
    const broker = this.broker;
    const options = {
      broker,
      clock: time.clock,
      log: SILENT,
      shard: SHARD,
      start,
      heldBytesMax: 8_000,
    };
    const isCurrent = (): void => hold(this.broker === broker, 'a reader went on after its end');
    return new LogReader(options, {
      checkpoint: (position) => {
        isCurrent();
        counts.fromCheckpoint += 1;
        this.position = position;
        this.base = position.seq;
      },
      batch: (batch) => {
        isCurrent();
        this.take(batch);
      },
      epoch: (position) => {
        isCurrent();
        hold(position.epoch > this.position.epoch, `epoch ${position.epoch} behind another`);
        hold(position.seq === this.position.seq, 'an epoch does not continue the numbering');
        this.position = position;
      },
      hole: (hole) => {
        isCurrent();
        this.skip(hole);
      },
      caughtUp: () => {},
    });
  }

  private take(batch: WireBatch): void {
    const { epoch, seq } = this.position;
    hold(batch.epoch === epoch, `a batch of epoch ${batch.epoch} in epoch ${epoch}`);
    hold(batch.lastSeq > seq, `batch ${batch.firstSeq}–${batch.lastSeq} twice, at ${seq}`);
    hold(batch.firstSeq <= seq + 1, `batch ${batch.firstSeq} at ${seq}, and no hole was declared`);
    for (const [i, content] of contentsOf(batch).entries()) {
      const at = batch.firstSeq + i;
      const made = this.world.contentOf(epoch, at);
      hold(content === made, `event ${at} of epoch ${epoch} has another content than was made`);
      const had = this.contents.get(at);
      hold(had === undefined || had.content === content, `event ${at} has two contents`);
      this.contents.set(at, { epoch, content });
    }
    this.position = { epoch, seq: batch.lastSeq };
    this.world.counts.delivered += 1;
  }

  private skip(hole: LogHole): void {
    const { after, next, reason } = hole;
    hold(
      after.epoch === this.position.epoch && after.seq === this.position.seq,
      'a hole elsewhere',
    );
    this.world.counts.holes[reason] += 1;
    this.holes.push(hole);
    if (reason === 'forked') {
      // It has to begin again: nothing that it has is sure.
      this.contents.clear();
      this.base = next.seq;
    }
    this.position = next;
  }
}

export class LogWorld {
  readonly random: Prng;
  readonly time = new VirtualTime();
  readonly log: VirtualLog;
  readonly counts: WorldCounts;
  /** How often a leader loses numbers. */
  readonly lossy: number;
  private readonly leaders: Leader[] = [];
  private readonly replicas: Replica[] = [];
  /** Who opened each epoch. */
  private readonly owners = new Map<number, Leader>();
  /** By seq: the epoch and content that were acknowledged. */
  private readonly acks = new Map<number, { epoch: number; content: number }>();
  private readonly trims: boolean;
  private writers = 0;
  private isSettling = false;

  constructor(seed: number, counts: WorldCounts) {
    this.random = new Prng(seed);
    this.counts = counts;
    this.log = new VirtualLog(this.time, this.random, drawFaults(this.random));
    this.trims = this.random.chance(0.3);
    this.lossy = this.random.chance(0.3) ? 0.03 : 0;
    this.time.every(LOOK_MS, () => {
      for (const leader of this.leaders) leader.look();
      for (const replica of this.replicas) replica.look();
    });
  }

  run(): void {
    const { random, time } = this;
    void this.takeOver();
    time.run(3_000);
    for (let i = random.int(2, 4); i > 0; i--) {
      this.replicas.push(
        new Replica(this, random.chance(0.3) ? 'checkpoint' : { epoch: 0, seq: 0 }),
      );
    }
    for (let i = random.int(30, 120); i > 0; i--) this.step();
    this.settle();
    this.check();
  }

  opened(leader: Leader): void {
    hold(!this.owners.has(leader.epoch), `epoch ${leader.epoch} was opened twice`);
    this.owners.set(leader.epoch, leader);
    leader.hasOpened = true;
    this.counts.takeovers += 1;
  }

  acknowledged(leader: Leader, lastSeq: number): void {
    hold(leader.hasOpened && leader.end === null, 'an acknowledgement of none who leads');
    hold(this.owners.get(leader.epoch) === leader, 'an acknowledgement in the epoch of another');
    for (let seq = lastSeq; leader.contents.has(seq) || seq > 0; seq--) {
      const content = leader.contents.get(seq);
      const had = this.acks.get(seq);
      if (content === undefined) {
        if (seq <= leader.journal[0]!.firstSeq) break;
        continue;
      }
      if (had !== undefined && had.epoch === leader.epoch) break;
      hold(had === undefined, `event ${seq} was acknowledged in two epochs`);
      this.acks.set(seq, { epoch: leader.epoch, content });
      this.counts.acknowledged += 1;
    }
  }

  contentOf(epoch: number, seq: number): number | undefined {
    return this.owners.get(epoch)?.contents.get(seq);
  }

  private step(): void {
    const { random, time, log } = this;
    const leader = this.leaders[random.int(0, Math.max(0, this.leaders.length - 1))];
    if (random.chance(0.7)) for (let i = random.int(1, 6); i > 0; i--) leader?.make();
    if (random.chance(0.05)) void this.takeOver();
    if (random.chance(0.02)) {
      // Two at once.
      void this.takeOver();
      void this.takeOver();
    }
    if (random.chance(0.02)) leader?.leave();
    if (random.chance(0.03)) log.elect(random.int(100, 4_000));
    if (random.chance(0.02)) log.isFull = !log.isFull;
    // Not all of it: nobody could then say where its numbering ended.
    if (this.trims && random.chance(0.05))
      log.trim(Math.min(random.int(1, 40), log.stored.length - 1));
    const member = random.chance(0.5) ? leader?.broker : undefined;
    if (random.chance(0.04)) member?.cut();
    for (const { broker } of this.leaders) if (random.chance(0.3)) broker.heal();
    for (const replica of this.replicas) this.stepOf(replica);
    time.run(random.chance(0.1) ? random.int(500, 3_000) : random.int(1, 120));
  }

  private stepOf(replica: Replica): void {
    const { random } = this;
    if (random.chance(0.03)) replica.cut();
    if (random.chance(0.3)) replica.heal();
    if (random.chance(0.05)) replica.isStalled = !replica.isStalled;
    if (random.chance(0.02)) replica.restart();
    if (random.chance(0.05)) replica.checkpoint();
  }

  /** Opens an epoch behind what the log ends with, as a standby does; tries again when another is faster. */
  private async takeOver(): Promise<void> {
    for (let tries = 0; tries < 4 && !this.isSettling; tries++) {
      const broker = this.log.connect();
      const end = await broker.last();
      const start = end.outcome === 'ok' ? startAt(end.value) : null;
      if (start !== null && 'code' in start) throw new Error(start.message);
      if (start === null) {
        await broker.close();
        await this.passes(200);
        continue;
      }
      const epoch = start.epoch + this.random.int(1, 2);
      const leader = new Leader(this, broker, start, epoch, `w${this.writers++}`);
      this.leaders.push(leader);
      if (this.random.chance(0.5)) leader.make();
      while (!leader.hasOpened && leader.end === null) await this.passes(20);
      if (leader.hasOpened) return;
      this.counts.lostContests += 1;
    }
  }

  private passes(ms: number): Promise<void> {
    return new Promise((resolve) => this.time.after(ms, resolve));
  }

  /** Nothing goes wrong any more; everybody reads up. */
  private settle(): void {
    const { log, time } = this;
    this.isSettling = true;
    Object.assign(log.faults, {
      lostRequest: 0,
      lostAnswer: 0,
      lostFollow: 0,
      laggingRead: 0,
      badRead: 0,
    });
    log.isFull = false;
    for (const { broker } of this.leaders) broker.heal();
    for (const replica of this.replicas) {
      replica.isStalled = false;
      replica.heal();
    }
    time.run(8_000);
    for (const leader of this.leaders) {
      if (leader.end === null) leader.refill();
      this.counts.resends += leader.writer.figures().resends;
      this.counts.duplicates += leader.writer.figures().duplicates;
      if (leader.end?.reason === 'deposed') this.counts.deposed += 1;
      if (leader.end === null) leader.writer.close();
    }
    time.run(8_000);
  }

  private check(): void {
    this.checkLog();
    for (const leader of this.leaders) {
      hold(
        leader.end !== null,
        `the writer of epoch ${leader.epoch} has not stopped: ${JSON.stringify(leader.writer.figures())}`,
      );
      hold(leader.end.reason !== 'refused', 'a writer was refused');
    }
    const end = this.log.frameAt(this.log.last);
    for (const replica of this.replicas) {
      if (end !== null) {
        const last = startAt({ sequence: end.sequence, frame: end }) as WriterStart;
        const { epoch, seq } = replica.position;
        hold(epoch === last.epoch && seq === last.seq, `a reader ends at ${epoch}, ${seq}`);
      }
      this.checkReplica(replica);
      replica.leave();
    }
  }

  /** The frames of the log are one chain. */
  private checkLog(): void {
    let chain: FrameChain | null = null;
    for (const { bytes } of this.log.stored) {
      const frame = decodeLogFrame(bytes) as LogFrame;
      chain ??= new FrameChain({ epoch: frame.prevEpoch, seq: frame.prevLastSeq });
      const verdict = chain.judge(frame);
      const isSound = verdict === 'next' || (verdict === 'had' && frame.kind === 'heartbeat');
      if (!isSound && chain.position.seq === frame.prevLastSeq && frame.part > 0) return; // trimmed inside a batch
      hold(isSound, `the log has a ${frame.kind} frame of epoch ${frame.epoch} that is ${verdict}`);
      chain.take(frame);
    }
  }

  /** It has all that was acknowledged, but for declared holes. */
  private checkReplica(replica: Replica): void {
    const { contents, holes, base, position } = replica;
    const isDeclared = (seq: number): boolean =>
      holes.some(({ after, next }) => seq > after.seq && seq <= next.seq);
    for (const [seq, { epoch, content }] of this.acks) {
      if (seq <= base || seq > position.seq) {
        hold(seq <= position.seq, `event ${seq} was acknowledged, and a reader ends before it`);
        continue;
      }
      const has = contents.get(seq);
      if (has === undefined) hold(isDeclared(seq), `event ${seq} was acknowledged and is lost`);
      else
        hold(
          has.epoch === epoch && has.content === content,
          `event ${seq} is not what was acknowledged`,
        );
    }
    if (this.trims) return;
    for (const { reason } of holes) {
      hold(reason === 'never-logged' && this.lossy > 0, `a hole (${reason}) without a reason`);
    }
  }
}

export function drawFaults(random: Prng): Partial<BrokerFaults> {
  const some = (most: number): number => (random.chance(0.5) ? random.unit() * most : 0);
  return {
    delayMsMax: random.chance(0.7) ? 5 : 200,
    lostRequest: some(0.1),
    lostAnswer: some(0.2),
    repeatedRequest: some(0.2),
    lostFollow: some(0.3),
    repeatedFollow: some(0.2),
    isUnordered: random.chance(0.3),
    laggingRead: some(0.5),
    badRead: random.chance(0.1) ? 1 : some(0.3),
    duplicateWindowMs: random.chance(0.3) ? 500 : 120_000,
    isIdFirst: random.chance(0.5),
  };
}
