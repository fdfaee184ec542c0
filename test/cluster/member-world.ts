/**
 * Member world: one run of a cluster in virtual time. Members follow, take over, are killed, stopped and cut off, and
 * come back with what they had; each checks what it gets, and in the end all have what was acknowledged.
 */

import type { WireBatch } from '../../protocol/batch';
import { Prng } from '../../src/base/prng';
import type { LogPosition } from '../../src/cluster/frame-chain';
import { Member, type Lost } from '../../src/cluster/member';
import { contentsOf, tradesBatch } from '../support/log-batches';
import { VirtualLog, type VirtualBroker } from '../support/virtual-broker';
import { VirtualTime } from '../support/virtual-time';
import { drawFaults } from './log-world';

const LOOK_MS = 20;
const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
const SHARD = 'main';

function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

interface Event {
  readonly epoch: number;
  readonly content: number;
}

export interface MemberCounts {
  acknowledged: number;
  takeovers: number;
  kills: number;
  stalls: number;
  cuts: number;
  elections: number;
  lost: Record<Lost['reason'], number>;
  refilled: number;
  setAside: number;
}

export function noMemberCounts(): MemberCounts {
  return {
    acknowledged: 0,
    takeovers: 0,
    kills: 0,
    stalls: 0,
    cuts: 0,
    elections: 0,
    lost: { deposed: 0, forked: 0, hole: 0, refused: 0 },
    refilled: 0,
    setAside: 0,
  };
}

/** A server: its journal outlives its process. */
class Server {
  readonly name: string;
  /** By seq - 1. */
  readonly journal: Event[] = [];
  /** The epochs of the journal, each with the number behind which it began. */
  private epochs: { readonly epoch: number; readonly from: number }[] = [];
  isStalled = false;
  member: Member | null = null;
  private broker: VirtualBroker | null = null;
  private readonly world: MemberWorld;
  private readonly mayLead: boolean;
  private starts = 0;

  constructor(world: MemberWorld, name: string, mayLead: boolean) {
    this.world = world;
    this.name = name;
    this.mayLead = mayLead;
  }

  get epoch(): number {
    return this.epochs.at(-1)?.epoch ?? 0;
  }

  get position(): LogPosition {
    return { epoch: this.epoch, seq: this.journal.length };
  }

  start(): void {
    const { world, name } = this;
    const broker = world.log.connect();
    this.broker = broker;
    this.isStalled = false;
    const isCurrent = (): void => hold(this.broker === broker, 'a member went on after its end');
    this.member = new Member(
      {
        broker,
        clock: world.time.clock,
        log: SILENT,
        shard: SHARD,
        writer: `${name}${++this.starts}`,
        mayLead: this.mayLead,
        mayBegin: this.mayLead,
        silenceMs: 500,
        epochAbove: (epoch) => epoch + world.random.int(1, 5),
        queueBytesMax: 20_000,
        queueBatchesMax: 50,
        heldBytesMax: 8_000,
      },
      {
        position: () => this.position,
        batch: (batch) => {
          isCurrent();
          this.take(batch);
        },
        epoch: (epoch) => {
          isCurrent();
          hold(epoch > this.epoch, `epoch ${epoch} behind ${this.epoch}`);
          this.epochs.push({ epoch, from: this.journal.length });
        },
        caughtUp: isCurrent,
        leading: (epoch, loggedSeq) => {
          isCurrent();
          world.opened(this, epoch);
          world.counts.refilled += this.journal.length - loggedSeq;
          for (let seq = loggedSeq; seq < this.journal.length; seq++) {
            this.journal[seq] = { epoch, content: this.journal[seq]!.content };
          }
          this.epochs.push({ epoch, from: loggedSeq });
          this.refill();
        },
        acknowledged: (seq) => {
          isCurrent();
          world.acknowledged(this, seq);
        },
        lost: (why) => {
          isCurrent();
          world.counts.lost[why.reason] += 1;
          // As a server would: it ends, sets aside what was not replicated, and starts again.
          world.time.after(5, () => this.restart(why.keepUpTo));
        },
      },
    );
  }

  /** The process ends. @param keep records of the journal that it had committed */
  kill(keep = this.journal.length): void {
    this.member?.stop();
    this.member = null;
    void this.broker?.close();
    this.broker = null;
    this.journal.length = keep;
    this.epochs = this.epochs.filter(({ from }) => from <= keep);
  }

  private restart(keepUpTo: number | null): void {
    if (this.member?.state !== 'lost') return;
    if (keepUpTo !== null) this.world.counts.setAside += this.journal.length - keepUpTo;
    this.kill(keepUpTo ?? this.journal.length);
    this.start();
  }

  cut(): void {
    this.broker?.cut();
  }

  heal(): void {
    this.broker?.heal();
  }

  look(): void {
    if (this.isStalled) return;
    this.member?.look();
    if (this.member?.state === 'leading') this.refill();
  }

  /** A leader numbers some events. */
  make(): void {
    if (this.member?.state !== 'leading' || this.isStalled) return;
    for (let i = this.world.random.int(1, 4); i > 0; i--) {
      this.journal.push({ epoch: this.epoch, content: this.world.random.uint32() });
    }
    this.refill();
  }

  private refill(): void {
    const { member, journal, epoch } = this;
    while (member!.hasRoom && member!.loggedFrom < journal.length) {
      const from = member!.loggedFrom + 1;
      const count = Math.min(this.world.random.int(1, 6), journal.length - from + 1);
      const batch = tradesBatch(epoch, from, count, (seq) => journal[seq - 1]!.content);
      if (member!.accept(batch) !== 'taken') return;
    }
  }

  private take(batch: WireBatch): void {
    hold(batch.epoch === this.epoch, `a batch of epoch ${batch.epoch} in epoch ${this.epoch}`);
    hold(
      batch.firstSeq === this.journal.length + 1,
      `${batch.firstSeq} behind ${this.journal.length}`,
    );
    for (const content of contentsOf(batch)) {
      this.journal.push({ epoch: batch.epoch, content });
      this.world.followed(this.journal.length, batch.epoch, content);
    }
  }
}

export class MemberWorld {
  readonly random: Prng;
  readonly time = new VirtualTime();
  readonly log: VirtualLog;
  readonly counts: MemberCounts;
  private readonly servers: Server[];
  private readonly owners = new Map<number, Server>();
  /** By epoch and seq: what any follower got. */
  private readonly contents = new Map<string, number>();
  /** By seq. */
  private readonly acks = new Map<number, number>();

  constructor(seed: number, counts: MemberCounts) {
    this.random = new Prng(seed);
    this.counts = counts;
    this.log = new VirtualLog(this.time, this.random, drawFaults(this.random));
    const cores = this.random.int(2, 3);
    this.servers = Array.from(
      { length: cores + this.random.int(0, 2) },
      (_, i) => new Server(this, `s${i}`, i < cores),
    );
    this.time.every(LOOK_MS, () => {
      for (const server of this.servers) server.look();
    });
  }

  run(): void {
    const { random, time, servers } = this;
    for (const server of servers) time.after(random.int(0, 300), () => server.start());
    time.run(3_000);
    for (let i = random.int(40, 120); i > 0; i--) this.step();
    this.settle();
  }

  opened(server: Server, epoch: number): void {
    hold(!this.owners.has(epoch), `epoch ${epoch} was opened twice`);
    this.owners.set(epoch, server);
    this.counts.takeovers += 1;
    for (const [seq, content] of this.acks) {
      const has = server.journal[seq - 1]?.content === content;
      hold(has, `the leader of epoch ${epoch} lacks event ${seq}, which was acknowledged`);
    }
  }

  acknowledged(server: Server, lastSeq: number): void {
    hold(server.member?.state === 'leading', 'an acknowledgement of none who leads');
    for (let seq = lastSeq; seq > 0 && !this.acks.has(seq); seq--) {
      this.acks.set(seq, server.journal[seq - 1]!.content);
      this.counts.acknowledged += 1;
    }
  }

  followed(seq: number, epoch: number, content: number): void {
    const name = `${epoch} ${seq}`;
    const had = this.contents.get(name);
    hold(had === undefined || had === content, `event ${seq} of epoch ${epoch} has two contents`);
    this.contents.set(name, content);
  }

  private step(): void {
    const { random, time, counts } = this;
    const server = this.servers[random.int(0, this.servers.length - 1)]!;
    const draw = random.unit();
    if (draw < 0.6) for (const one of this.servers) one.make();
    else if (draw < 0.68) {
      counts.kills += 1;
      // What it committed last may be lost, but for what the log has.
      const { length } = server.journal;
      server.kill(Math.max(0, length - (random.chance(0.5) ? random.int(0, 8) : 0)));
    } else if (draw < 0.76) {
      if (server.member === null) server.start();
    } else if (draw < 0.82) {
      counts.stalls += 1;
      server.isStalled = !server.isStalled;
    } else if (draw < 0.9) {
      counts.cuts += 1;
      server.cut();
    } else if (draw < 0.97) server.heal();
    else {
      counts.elections += 1;
      this.log.elect(random.int(500, 8_000));
    }
    time.run(random.int(0, random.chance(0.2) ? 2_000 : 200));
  }

  /** All come back and read up. */
  private settle(): void {
    const { servers, time, log } = this;
    Object.assign(log.faults, { lostRequest: 0, lostAnswer: 0, lostFollow: 0, badRead: 0 });
    for (const server of servers) {
      server.isStalled = false;
      server.heal();
      if (server.member === null) server.start();
    }
    for (let i = 0; i < 40; i++) {
      time.run(1_000);
      for (const server of servers) server.make();
    }
    time.run(15_000);
    const leaders = servers.filter(({ member }) => member?.state === 'leading');
    hold(leaders.length === 1, `${leaders.length} leaders in the end`);
    const [leader] = leaders;
    for (const [seq, content] of this.acks) {
      hold(leader!.journal[seq - 1]?.content === content, `event ${seq} was lost`);
    }
    for (const { name, journal, epoch } of servers) {
      hold(epoch === leader!.epoch, `${name} is in epoch ${epoch}`);
      hold(journal.length === leader!.journal.length, `${name} ends at ${journal.length}`);
      for (const [i, { content }] of journal.entries()) {
        hold(content === leader!.journal[i]!.content, `${name} has another event ${i + 1}`);
      }
    }
  }
}
