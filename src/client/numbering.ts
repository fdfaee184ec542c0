/**
 * Numbering: the reader's part in one shard: the topics and their chains, the epoch, the crossing to another one, and the
 * repair of what broke. A server without shards is one numbering without a name [H1].
 *
 * The rules of sequence numbers are in `topic-table.ts`. Bound: one request to repair topics every `REPAIR_EVERY_MS`, so a
 * server that is always wrong is not asked in a loop.
 */

import type { Message, MessageOf } from '../../protocol/messages';
import { parseTopic, type Topic } from '../../protocol/topics';
import type { Consumers } from './consumers';
import { Crossing } from './crossing';
import type { Timers } from './environment';
import type { TapedeckError } from './errors';
import type { ReaderEvents } from './events';
import { chunks, type Intervals } from './intervals';
import type { TopicMessage } from './items';
import type { TopicChain } from './topic-chain';
import { TopicTable } from './topic-table';

const REPAIR_EVERY_MS = 250;

/** What a numbering needs of the reader. */
export interface NumberingHost {
  readonly timers: Timers;
  readonly events: ReaderEvents;
  readonly consumers: Consumers;
  readonly intervals: Intervals;
  /** Whether other numberings have a part in this topic. */
  isShared(name: string): boolean;
  /** Sends a request over the present connection; an answer over a later one is ignored. */
  ask(
    make: (id: number) => Message,
    resolve: (ack: MessageOf<'ack'>) => void,
    reject: (error: TapedeckError) => void,
  ): void;
  /** Subscribes to topics. @param why given if what was held of them is invalid */
  request(topics: readonly string[], why: string | undefined): void;
  refused(topics: readonly string[], error: TapedeckError, again: (name: string) => void): void;
  /** A request was answered: intervals are set again, and subscriptions may begin. */
  answered(): void;
  abandon(why: string): void;
}

export class Numbering {
  /** Name of the shard; null: the server names none. */
  readonly shard: string | null;
  readonly table: TopicTable;
  private readonly host: NumberingHost;
  /** Whether this connection can be asked to resume. */
  private resumes = true;
  private readonly toRepair = new Map<string, string>();
  private repairTimer: unknown;
  private crossing: Crossing | undefined;
  private mayCross = true;

  constructor(shard: string | null, host: NumberingHost) {
    this.shard = shard;
    this.host = host;
    this.table = new TopicTable({
      deliver: ({ name, topic }, message) => host.consumers.hand(name, topic, message),
      broken: (chain, why, seq) => this.broken(chain, why, seq),
    });
  }

  // ── connections ─────────────────────────────────────────────────────────────────────────────

  /** Continues over a new connection. @param epoch of the server */
  attach(epoch: number): void {
    const { table } = this;
    this.resumes = true;
    const all = [...table.asked.values()];
    const held = all.filter(({ stage }) => stage === 'acked').map(({ name }) => name);
    const before = table.epoch;
    const other = before !== undefined && before !== epoch;
    const crosses = other && this.mayCross && held.length > 0;
    if (other && !crosses) table.forget();
    table.epoch = epoch;
    this.crossing = crosses ? new Crossing(before, table, chunks(held).length) : undefined;
    this.mayCross = true;
    if (other && !crosses) this.request(held, 'other-epoch');
    else if (held.length > 0) this.resumeHeld(held, all.length === held.length);
  }

  /** Repairs the copies that the last connection left invalid. */
  repairVoid(): void {
    for (const { name, phase, voidBy } of this.table.chains.values()) {
      if (phase === 'void') this.toRepair.set(name, voidBy ?? 'chain-break');
    }
  }

  detach(): void {
    this.table.cut();
    // Unanswered requests are sent again.
    if (this.crossing?.isOver === false)
      this.table.rewind(this.crossing.epoch, this.crossing.newest);
    this.crossing = undefined;
    this.toRepair.clear();
    this.host.timers.clear(this.repairTimer);
    this.repairTimer = undefined;
  }

  /**
   * The server does not serve it any more: what the application holds of it does not continue.
   * @returns topics whose next state replaces something that the application had before
   */
  retire(): string[] {
    const topics = new Map<string, Topic>();
    const replaced: string[] = [];
    for (const { name, topic, stage, voidBy } of this.table.asked.values()) {
      const isHeld = stage === 'acked' || this.table.under(topic).next().done === false;
      if (isHeld) topics.set(name, topic);
      if (isHeld || voidBy !== undefined) replaced.push(name);
    }
    if (topics.size > 0) this.tellGone(topics);
    return replaced;
  }

  /**
   * A topic has no part in it any more: its symbol is in another shard.
   * @returns whether its next state replaces something that the application had before
   */
  leave(name: string): boolean {
    const asked = this.table.drop(name);
    if (asked === undefined) return false;
    const isHeld = asked.stage === 'acked';
    if (isHeld) this.tellGone(new Map([[name, asked.topic]]));
    return isHeld || asked.voidBy !== undefined;
  }

  private tellGone(topics: ReadonlyMap<string, Topic>): void {
    this.tellReset(topics, { epoch: 0, seq: 0 }, 'other-epoch', true);
  }

  /** Resumes on a new connection. @param only whether nothing else is requested */
  private resumeHeld(topics: readonly string[], only: boolean): void {
    const { crossing } = this;
    this.resume(topics, this.table.resumeSeq(), only, () => crossing?.answered());
  }

  /** @param answered called for each answered request */
  private resume(
    topics: readonly string[],
    seq: number,
    only: boolean,
    answered: () => void = () => {},
  ): void {
    const { crossing, host } = this;
    // Messages of a topic above the newest seq of a past epoch are of the present epoch.
    const isPast = crossing?.isOver === false && seq <= crossing.newest;
    const { epoch, newest } = isPast ? crossing : this.table;
    const parts = chunks(topics);
    this.table.resume(topics, only && parts.length === 1);
    for (const some of parts) {
      host.intervals.apply(some, 0);
      host.ask(
        (id) => this.resumption(id, some, { epoch: epoch!, seq, newest }),
        (ack) => {
          const to = seqOf(ack, this.shard);
          answered();
          this.table.resumed(some, to);
          host.events.resumed({ from: seq, to, shard: this.shard });
          host.answered();
        },
        (error) => {
          if (error.code === 'not-supported') this.resumes = false;
          if (this.crossing?.isAccepted !== false) return this.request(some, error.code);
          // It is unknown whether the sequence numbers are still valid: another connection requests the topics as new.
          this.mayCross = false;
          host.abandon(`refused to resume: ${error.code}`);
        },
      );
    }
  }

  private resumption(
    id: number,
    topics: readonly string[],
    position: { readonly epoch: number; readonly seq: number; readonly newest: number },
  ): MessageOf<'resume'> {
    const { shard } = this;
    const positions = shard === null ? null : [{ shard, ...position }];
    return { type: 'resume', id, ...position, topics: [...topics], positions };
  }

  /** Requests topics from their state on. @param why given if what was held of them is invalid */
  private request(topics: readonly string[], why: string | undefined): void {
    const shared = topics.filter((name) => this.host.isShared(name));
    const own = shared.length === 0 ? topics : topics.filter((name) => !shared.includes(name));
    this.host.request(own, why);
    this.requestPart(shared, why);
  }

  /**
   * Requests the state of topics in which other numberings have a part too: a `subscribe` would be about all of them, a
   * `resume` without a position is about this one [H5]. A `reset` and the state answer it.
   */
  requestPart(topics: readonly string[], why: string | undefined): void {
    const { host, table } = this;
    for (const some of chunks(topics)) {
      table.awaitReset(some, why);
      table.resume(some, false);
      host.intervals.apply(some, 0);
      host.ask(
        (id) => this.resumption(id, some, { epoch: 0, seq: 0, newest: 0 }),
        (ack) => {
          table.resumed(some, seqOf(ack, this.shard));
          host.answered();
        },
        (error) => host.refused(some, error, (name) => this.requestPart([name], why)),
      );
    }
  }

  // ── messages ────────────────────────────────────────────────────────────────────────────────

  /** Takes a message of a topic. */
  take(message: TopicMessage): void {
    this.crossing?.met(message);
    this.table.take(message);
  }

  /** Takes any other message of this numbering. */
  control(message: Message): void {
    if (message.type === 'heartbeat') this.table.heartbeat(message);
    else if (message.type === 'gap') this.gap(message);
    else if (message.type === 'reset') this.reset(message);
    // Everything held stays valid [T8]; in a crossing, the crossing leads to this epoch.
    else if (message.type === 'epoch') this.table.epoch = message.epoch;
  }

  /** Requests the topics that broke in a frame with one request, after the frame. */
  frameEnd(): void {
    if (this.toRepair.size > 0 && this.repairTimer === undefined) this.repair();
  }

  private gap(message: MessageOf<'gap'>): void {
    if (message.reason === 'not-journaled') this.crossing?.lost(message.to);
    if (!this.table.gap(message)) return;
    this.host.events.gap(message);
    const { topic } = message;
    this.host.consumers.hand(topic, parseTopic(topic)!, { ...message, local: false });
  }

  private reset({ topics, epoch, seq, reason }: MessageOf<'reset'>): void {
    const { table } = this;
    const isRefusal = reason === 'other-epoch' && !table.awaitsReset(topics);
    if (epoch !== table.epoch || (this.crossing !== undefined && isRefusal)) {
      table.forget();
      table.epoch = epoch;
      this.crossing = undefined;
    }
    table.reset(topics, seq);
    for (const { name, phase } of table.chains.values()) {
      if (phase === 'void') this.toRepair.set(name, 'other-epoch');
      else if (phase !== 'broken') this.toRepair.delete(name);
    }
    const known = topics.flatMap((name) => {
      const topic = parseTopic(name);
      return topic === undefined ? [] : [[name, topic] as const];
    });
    this.tellReset(new Map(known), { epoch, seq }, reason, false);
  }

  /** The answer of a `subscribe`: the state of these topics is complete. */
  collected(topics: readonly string[], ack: MessageOf<'ack'>): void {
    const seq = seqOf(ack, this.shard);
    const { fresh, resets } = this.table.collected(topics, seq);
    // One item for each reason.
    for (const reason of new Set([...resets.values()].map(({ why }) => why))) {
      const own = [...resets].filter(([, { why }]) => why === reason);
      const names = new Map(own.map(([name, { topic }]) => [name, topic]));
      this.tellReset(names, { epoch: this.table.epoch!, seq }, reason, true);
    }
    this.host.consumers.state(fresh);
  }

  private tellReset(
    topics: ReadonlyMap<string, Topic>,
    state: { readonly epoch: number; readonly seq: number },
    reason: string,
    local: boolean,
  ): void {
    const item = { ...state, reason, local, shard: this.shard };
    this.host.events.reset({ type: 'reset', topics: [...topics.keys()], ...item });
    this.host.consumers.reset(topics, item);
  }

  // ── repair ─────────────────────────────────────────────────────────────────────────────────

  private broken(chain: TopicChain, why: 'chain-break' | 'book-mismatch', seq: number): void {
    this.toRepair.set(chain.name, why);
    this.host.events.broken(why, { topic: chain.name, last: chain.last, seq });
  }

  private repair(): void {
    const chains = [...this.toRepair].flatMap(([name, why]) => {
      const chain = this.table.chains.get(name);
      if (chain?.phase !== 'broken' && chain?.phase !== 'void') return [];
      return this.table.isAwaited(chain) ? [] : [{ name, why, chain }];
    });
    this.toRepair.clear();
    if (chains.length === 0) return;
    this.repairTimer = this.host.timers.set(() => {
      this.repairTimer = undefined;
      this.frameEnd();
    }, REPAIR_EVERY_MS);
    const broken = chains.filter(({ chain }) => this.resumes && chain.mayResume());
    if (broken.length > 0) {
      const from = Math.min(...broken.map(({ chain }) => chain.last));
      const names = broken.map(({ name }) => name);
      this.resume(names, from, false);
    }
    for (const reason of new Set(chains.map(({ why }) => why))) {
      const again = chains.filter((c) => c.why === reason && !broken.includes(c));
      this.request(
        again.map(({ name }) => name),
        reason,
      );
    }
  }
}

/** The `seq` of an answer in one numbering. */
export function seqOf(ack: MessageOf<'ack'>, shard: string | null): number {
  return ack.shards?.find((part) => part.shard === shard)?.seq ?? ack.seq;
}
