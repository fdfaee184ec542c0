/**
 * Member world: one run of a cluster in virtual time. Members follow, take over, are killed, stopped and cut off, and
 * come back with what they had; each checks what it gets, and in the end all have what was acknowledged.
 */

import type { WireBatch } from '../../protocol/batch';
import { decodeLogFrame, endOf } from '../../protocol/log-frame';
import type { Clock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import type { LogPosition } from '../../src/cluster/frame-chain';
import { Member, type Lost } from '../../src/cluster/member';
import { Nanos } from '../../protocol/time';
import { contentsOf, tradesBatch } from '../support/log-batches';
import { placeOf } from '../../src/cluster/placing';
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

/** An epoch, and the number behind which it began. */
interface Epoch {
  readonly epoch: number;
  readonly from: number;
}

/** What a checkpoint of this world holds: the whole journal up to its position. */
interface Checkpoint {
  readonly journal: readonly Event[];
  readonly epochs: readonly Epoch[];
}

/** The content of a number that a leader gave, and lost before its journal or the log had it. */
const LOST = -1;

/** A clock of another machine: it shows another time and has run for longer. Durations are the same. */
function clockElsewhere(clock: Clock, random: Prng): Clock {
  const apartMs = random.int(-600_000, 600_000);
  const sinceMs = random.int(0, 1_000_000);
  return {
    turns: clock.turns,
    now: () => Nanos.fromMillis(clock.now().millis + apartMs),
    monotonicMs: () => clock.monotonicMs() + sinceMs,
  };
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
  /** Takeovers that another candidate was faster with. */
  contested: number;
  trims: number;
  /** Numbers that a leader gave and lost, and declared in the log. */
  neverLogged: number;
  checkpoints: number;
  /** Journals given up for a checkpoint. */
  fromCheckpoint: number;
  /** Holes that a member met again, behind the checkpoint that it had begun with. */
  vain: number;
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
    contested: 0,
    trims: 0,
    neverLogged: 0,
    checkpoints: 0,
    fromCheckpoint: 0,
    vain: 0,
  };
}

/** A server: its journal outlives its process. */
class Server {
  readonly name: string;
  /** By seq - 1. */
  readonly journal: Event[] = [];
  /** The epochs of the journal, each with the number behind which it began. */
  private epochs: Epoch[] = [];
  private readonly clock: Clock;
  /** While it leads: the log has the events up to this one. */
  private loggedSeq = 0;
  /** Its journal led nowhere: it begins with a checkpoint. */
  private beginAt: LogPosition | null = null;
  /** Where the log went on behind the hole that made it begin with a checkpoint last. */
  private begunAt = '';
  private loadedSeq = 0;
  private isTakingOver = false;
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
    this.clock = clockElsewhere(world.time.clock, world.random);
  }

  get epoch(): number {
    return this.epochs.at(-1)?.epoch ?? 0;
  }

  get position(): LogPosition {
    return { epoch: this.epoch, seq: this.journal.length };
  }

  start(): void {
    const broker = this.world.log.connect();
    this.broker = broker;
    this.isStalled = false;
    void this.prepare(broker).then(() => {
      if (this.broker === broker) this.follow(broker);
    });
  }

  /** As a server does before it starts: it asks where its journal stands, or begins with a checkpoint. */
  private async prepare(broker: VirtualBroker): Promise<void> {
    const { world } = this;
    if (this.beginAt !== null) return this.load(broker, this.beginAt);
    for (;;) {
      const placed = await placeOf(broker, this.position);
      if (this.broker !== broker) return;
      if (placed.outcome === 'ok') {
        hold(placed.value !== null, `the journal of ${this.name} is of another cluster`);
        world.counts.setAside += Math.max(0, this.journal.length - placed.value);
        return this.cutOff(placed.value);
      }
      await world.pause(50);
    }
  }

  private async load(broker: VirtualBroker, from: LogPosition): Promise<void> {
    const { world } = this;
    while (this.broker === broker) {
      const list = await broker.checkpoints.list();
      for (const { name, epoch, seq } of list.outcome === 'ok' ? list.value : []) {
        if (epoch < from.epoch || seq < from.seq) continue;
        const got = await broker.checkpoints.get(name);
        if (got.outcome !== 'ok' || got.value === null || this.broker !== broker) continue;
        const { journal, epochs } = JSON.parse(new TextDecoder().decode(got.value)) as Checkpoint;
        this.journal.splice(0, Infinity, ...journal);
        this.epochs = [...epochs];
        this.beginAt = null;
        this.begunAt = `${from.epoch} ${from.seq}`;
        this.loadedSeq = journal.length; // a checkpoint is committed as a whole
        world.counts.fromCheckpoint += 1;
        return;
      }
      await world.pause(50);
    }
  }

  private follow(broker: VirtualBroker): void {
    const { world, name } = this;
    const isCurrent = (): void => hold(this.broker === broker, 'a member went on after its end');
    this.member = new Member(
      {
        broker,
        clock: this.clock,
        log: SILENT,
        shard: SHARD,
        writer: `${name}${++this.starts}`,
        mayLead: this.mayLead,
        mayBegin: this.mayLead,
        silenceMs: 500,
        epochAbove: (epoch) => epoch + world.random.int(1, 5),
        queueBytesMax: 20_000,
        queueBatchesMax: 12,
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
          this.loggedSeq = loggedSeq;
          world.counts.refilled += this.journal.length - loggedSeq;
          for (let seq = loggedSeq; seq < this.journal.length; seq++) {
            this.journal[seq] = { epoch, content: this.journal[seq]!.content };
          }
          this.epochs.push({ epoch, from: loggedSeq });
          this.refill();
        },
        acknowledged: (seq) => {
          isCurrent();
          this.loggedSeq = seq;
          world.acknowledged(this, seq);
        },
        lost: (why) => {
          isCurrent();
          world.counts.lost[why.reason] += 1;
          if (why.beginAt !== null) {
            const { epoch, seq } = why.beginAt;
            if (`${epoch} ${seq}` === this.begunAt) world.counts.vain += 1;
          }
          // As a server would: it ends, sets aside what was not replicated, and starts again.
          world.time.after(5, () => this.restart(why));
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
    // If the only journal that goes on behind lost numbers were lost as well, nobody could.
    const lost = this.journal.findLastIndex((e) => e.content === LOST) + 1;
    this.cutOff(Math.max(keep, lost, this.loadedSeq));
  }

  private cutOff(keep: number): void {
    this.loadedSeq = Math.min(this.loadedSeq, keep);
    if (keep >= this.journal.length) return;
    this.journal.length = keep;
    this.epochs = this.epochs.filter(({ from }) => from <= keep);
  }

  private restart({ beginAt }: Lost): void {
    if (this.member?.state !== 'lost') return;
    this.kill();
    this.beginAt = beginAt;
    this.start();
  }

  /** A leader stores a checkpoint of what the log has. */
  checkpoint(): void {
    const { journal, epochs, world } = this;
    const upTo = this.loggedSeq;
    if (this.member?.state !== 'leading' || this.isStalled || upTo === 0) return;
    const epoch = epochs.findLast(({ from }) => from < upTo)!.epoch;
    const kept: Checkpoint = {
      journal: journal.slice(0, upTo),
      epochs: epochs.filter(({ from }) => from < upTo),
    };
    const content = new TextEncoder().encode(JSON.stringify(kept));
    world.counts.checkpoints += 1;
    void this.broker!.checkpoints.put({ epoch, seq: upTo }, content);
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
    const isTakingOver = this.member?.state === 'taking-over';
    if (this.isTakingOver && this.member?.state === 'following') this.world.counts.contested += 1;
    this.isTakingOver = isTakingOver;
    if (this.member?.state === 'leading') this.refill();
  }

  /** A leader numbers some events. */
  make(): void {
    if (this.member?.state !== 'leading' || this.isStalled) return;
    const { member, journal, world } = this;
    for (let i = world.random.int(1, 4); i > 0; i--) {
      journal.push({ epoch: this.epoch, content: world.random.uint32() });
    }
    // The disk was too slow for a leader that does not wait for it, and the log is behind.
    const behind = journal.length - member.loggedFrom;
    if (!member.hasRoom && behind > 4 && world.random.chance(0.2)) {
      const count = world.random.int(1, 3);
      for (let seq = member.loggedFrom + 2; seq < member.loggedFrom + 2 + count; seq++) {
        journal[seq - 1] = { epoch: this.epoch, content: LOST };
      }
      world.counts.neverLogged += 1;
    }
    this.refill();
  }

  private refill(): void {
    const { member, journal, epoch } = this;
    while (member!.hasRoom) {
      const from = journal.findIndex((e, i) => i >= member!.loggedFrom && e.content !== LOST) + 1;
      if (from === 0) return;
      const most = this.world.random.int(1, 6);
      let count = 1;
      while (count < most && (journal[from - 1 + count]?.content ?? LOST) !== LOST) count += 1;
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

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.time.after(ms, resolve));
  }

  private step(): void {
    const { random, time, counts, servers } = this;
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
    } else if (draw < 0.94) server.heal();
    else if (draw < 0.96) for (const one of servers) one.checkpoint();
    else if (draw < 0.975 && this.log.checkpoints.length > 0) {
      counts.trims += 1;
      this.trim();
    } else {
      counts.elections += 1;
      this.log.elect(random.int(500, 8_000));
    }
    time.run(random.int(0, random.chance(0.2) ? 2_000 : 200));
  }

  private areEven(): boolean {
    const [first, ...others] = this.servers.map(
      ({ position: { epoch, seq } }) => `${epoch} ${seq}`,
    );
    return others.every((one) => one === first);
  }

  /** Drops old frames, as far as the newest checkpoint leads on: a log has to hold more than that. */
  private trim(): void {
    const { log, random } = this;
    const { seq } = log.checkpoints[0]!.position;
    const needed = log.stored.findIndex(({ bytes }) => {
      const frame = decodeLogFrame(bytes);
      return !('code' in frame) && endOf(frame) >= seq;
    });
    log.trim(random.int(0, needed < 0 ? log.stored.length - 1 : needed));
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
      if (i % 10 === 9) for (const server of servers) server.checkpoint();
    }
    // A member that has just been deposed takes some seconds to read up, where messages travel slowly.
    for (let i = 0; i < 20 && (i < 3 || !this.areEven()); i++) time.run(5_000);
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
