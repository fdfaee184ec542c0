/**
 * Reader: a client that trusts nothing. It knows the rules of the protocol and checks each of them with every
 * message that it reads; the test decides what it asks for and when it reads.
 */

import { decodeFrame, decodeTextFrame, isFault } from '../../protocol/codec';
import type { Instrument, Message, MessageOf } from '../../protocol/messages';
import { ReplayCheck } from './replay-check';
import {
  asksFor,
  covers,
  isTopicRequest,
  starOf,
  bringsState,
  topicOfSequenced,
  type Request,
  type TopicRequest,
} from './requests';
import { TopicCopy } from './topic-copy';
import { hold, isDerived, type Sequenced, type Truth } from './truth';
import type { Wire } from './wire';

/** A name (topic or wildcard) that the server serves to this reader. */
interface Served {
  /** Subscribed on this connection. */
  isLive: boolean;
  /** Everything that it covers was received or declared up to here; null: nothing is known. */
  position: number | null;
  /** Topics that it covers and that the reader has left. */
  readonly left: Set<string>;
}

export interface Tally {
  messages: number;
  conflated: number;
  gaps: number;
  missed: number;
  /** How many gaps were for events that a crash lost. */
  crossed: number;
  replayed: number;
  /** Resets by reason. */
  resets: Record<string, number>;
}

export class Reader {
  readonly name: string;
  readonly isText: boolean;
  readonly tally: Tally;
  wire: Wire | null = null;
  /** From the welcome. */
  epoch = 0;
  /** The epoch of the positions held; a past one until a resume from it has been answered [T6]. */
  heldEpoch = 0;
  /**
   * The highest seq of that epoch; while the reader crosses to another epoch, the seqs received still count as of
   * the old one.
   */
  newest = 0;
  /** A welcome was received on this connection. */
  isWelcome = false;
  readonly asked = new Map<number, Request>();
  /** Names that it wants, with intervals. */
  readonly wanted = new Map<string, number>();
  readonly served = new Map<string, Served>();
  readonly topics = new Map<string, TopicCopy>();
  replay: ReplayCheck | null = null;
  /** Executions of its owner since it connected, in order; null: it does not trade. */
  executions: Message[] | null = null;
  private readonly instruments = new Map<string, Instrument>();
  private readonly truth: Truth;

  constructor(name: string, isText: boolean, truth: Truth, tally: Tally) {
    this.name = name;
    this.isText = isText;
    this.truth = truth;
    this.tally = tally;
  }

  /** A new connection: requests of the old one are not answered any more. */
  connect(wire: Wire): void {
    this.wire = wire;
    if (this.isCrossing) this.rewind();
    this.isWelcome = false;
    this.asked.clear();
    this.replay = null;
    this.instruments.clear();
    for (const name of this.served.keys()) if (!this.wanted.has(name)) this.served.delete(name);
    for (const [topic, copy] of this.topics) {
      if (this.isServed(topic)) copy.isLive = false;
      else this.topics.delete(topic);
    }
    for (const served of this.served.values()) served.isLive = false;
  }

  /** What it holds is invalid [T6]. */
  forget(): void {
    this.served.clear();
    this.topics.clear();
    this.heldEpoch = this.epoch;
    this.newest = 0;
  }

  /** Its positions are of a past epoch, and no answer has confirmed them for this one [R8]. */
  private get isCrossing(): boolean {
    return this.heldEpoch !== this.epoch;
  }

  /** Cut off while it crossed: no position of the past epoch is above the highest seq received of it. */
  private rewind(): void {
    for (const [topic, copy] of this.topics) {
      if (copy.rewind(this.newest)) continue;
      for (const name of [topic, starOf(topic)]) {
        if (!this.served.delete(name)) continue;
        for (const own of [this.topics, this.served]) {
          for (const other of own.keys()) if (covers(new Set([name]), other)) own.delete(other);
        }
      }
    }
    this.goBackTo([...this.served.keys()], this.newest);
  }

  /** It will ask for everything after a position, which may be lower than necessary. */
  goBackTo(names: readonly string[], seq: number): void {
    for (const name of names) {
      const { position = null } = this.served.get(name) ?? {};
      if (position !== null) this.served.get(name)!.position = Math.min(position, seq);
    }
  }

  private meet(seq: number): void {
    if (!this.isCrossing) this.newest = Math.max(this.newest, seq);
  }

  /**
   * The answer of the only request, sent at the welcome, is in ascending order: everything below a message was
   * received [R7].
   */
  private ascend(m: Sequenced): void {
    const open = [...this.asked.values()].filter(({ kind }) => kind !== 'ping' && kind !== 'bad');
    if (m.type === 'bar' || m.type === 'stats' || open.length !== 1) return;
    const [resume] = open;
    if (resume?.kind !== 'resume' || resume.reset.size > 0) return;
    const topic = topicOfSequenced(m); // messages of other topics meanwhile are live
    const others = [topic, starOf(topic)].filter(
      (name) => this.served.has(name) && !resume.names.has(name),
    );
    if (others.length > 0) return;
    for (const name of resume.names) {
      const served = this.served.get(name);
      if (served === undefined || served.isLive || served.position === null || isDerived(name))
        continue;
      served.position = Math.max(served.position, m.seq - 1);
    }
    if (this.isCrossing && m.seq > this.newest) this.heldEpoch = this.epoch;
  }

  /** Of what it holds it continues only with these names. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.served.keys()) if (!names.has(name)) this.served.delete(name);
    for (const topic of this.topics.keys()) if (!covers(names, topic)) this.topics.delete(topic);
  }

  get knownSymbols(): string[] {
    return [...this.instruments.keys()];
  }

  /** The names that it can resume, and the position from which it can resume them. */
  resumable(): { names: string[]; position: number } {
    const names: string[] = [];
    let position = Infinity;
    for (const [name, served] of this.served) {
      if (served.position === null) continue;
      names.push(name);
      position = Math.min(position, Math.max(served.position, this.topics.get(name)?.last ?? 0));
    }
    return { names, position: position === Infinity ? 0 : position };
  }

  /** Reads a number of frames. @returns the code with which the connection was closed, if it was */
  read(frames: number): number | undefined {
    for (let i = 0; i < frames && this.wire !== null; i++) {
      const next = this.wire.read();
      if (typeof next === 'number') return next;
      if (next === undefined) return undefined;
      const scalesOf = (symbol: string) => this.instruments.get(symbol);
      const items = typeof next === 'string' ? decodeTextFrame(next, scalesOf) : decodeFrame(next);
      for (const item of items) {
        hold(!isFault(item), () => ['does not decode', item]);
        this.take(item);
      }
    }
    return undefined;
  }

  /** It has everything that was published of the topics for which no request is open. */
  checkAll(): void {
    if (this.asked.size > 0) return;
    for (const [name, copy] of this.topics) {
      const { isLive, last } = copy;
      const head = this.truth.head(name, this.truth.lastSeq);
      hold(!isLive || copy.isAt(head), () => ['the end is missing', this.name, name, last, head]);
    }
  }

  private take(m: Message): void {
    this.tally.messages += 1;
    hold(m.type === 'welcome' || this.isWelcome, () => ['before the welcome', m]);
    switch (m.type) {
      case 'welcome':
        return this.welcome(m);
      case 'instrument':
        return this.define(m);
      case 'ack':
        return this.answered(m);
      case 'error':
        return this.refused(m);
      case 'pong':
        hold(this.asked.get(m.id)?.kind === 'ping', () => ['not asked', m]);
        this.asked.delete(m.id);
        return;
      case 'reset':
        return this.reset(m);
      case 'gap':
        return this.gap(m);
      case 'heartbeat':
        return this.heartbeat(m);
      case 'execution':
        return this.executed(m);
      case 'queued':
        hold(this.asked.get(m.id)?.kind === 'resume', () => ['is no resume that waits', m]);
        return;
      case 'closing':
        return;
      default:
        hold('prevSeq' in m, () => ['is not for a client', m]);
        return this.sequenced(m);
    }
  }

  private welcome(m: MessageOf<'welcome'>): void {
    this.isWelcome = true;
    this.epoch = m.epoch;
  }

  private define(m: Instrument): void {
    this.instruments.set(m.symbol, m);
    this.replay?.define(m);
  }

  private sequenced(m: Sequenced): void {
    hold(m.type === 'status' || this.instruments.has(m.symbol), () => ['before its definition', m]);
    if ('count' in m && m.count > 1 && m.type !== 'bar' && m.type !== 'stats')
      this.tally.conflated += 1;
    if (this.replay !== null) {
      this.tally.replayed += 1;
      return this.replay.take(m);
    }
    this.ascend(m);
    this.meet(m.seq);
    const topic = topicOfSequenced(m);
    const requests = [...this.asked.values()].filter((r): r is TopicRequest => asksFor(r, topic));
    let copy = this.topics.get(topic);
    if (copy === undefined) {
      hold(requests.length > 0 || this.isServed(topic), () => ['not asked for', topic, m]);
      // An instrument defined after the subscription to a `*` has nothing before.
      copy = this.begin(topic);
    }
    const resume = requests.find((r) => !bringsState(r, topic));
    if (resume !== undefined) {
      if (copy.last === null) copy.begin(this.truth.head(topic, resume.position));
      // a repetition [T5]
      if (m.seq <= copy.last! && m.type !== 'bar' && m.type !== 'stats') return copy.again(m);
    }
    // A state may look like the first message of its topic.
    if (!copy.fits(m) && requests.some((r) => bringsState(r, topic))) copy.state(m);
    else copy.chain(m, resume !== undefined);
  }

  /** Creates the copy of a topic; if a `*` of this connection brought it, it needs everything. */
  private begin(topic: string): TopicCopy {
    const star = this.served.get(starOf(topic));
    const isNew = star?.isLive === true && !star.left.has(topic);
    const copy = new TopicCopy(topic, this.truth, isNew ? 0 : null);
    copy.isLive = isNew;
    this.topics.set(topic, copy);
    return copy;
  }

  private isServed(topic: string): boolean {
    if (this.served.has(topic)) return true;
    const star = this.served.get(starOf(topic));
    return star !== undefined && !star.left.has(topic);
  }

  private answered({ id, seq }: MessageOf<'ack'>): void {
    const request = this.asked.get(id);
    hold(request !== undefined && request.kind !== 'ping' && request.kind !== 'bad', () => [
      'not to be answered so',
      id,
      request,
    ]);
    this.asked.delete(id);
    if (request.kind === 'replay') {
      if (request.action === 'pause' && this.replay !== null) this.replay.isPaused = true;
      if (this.replay?.answered(id) === true) this.replay = null;
    } else if (request.kind === 'unsubscribe') this.left(request);
    else if (isTopicRequest(request)) this.got(request, seq);
  }

  private left({ id, names }: { readonly id: number; readonly names: ReadonlySet<string> }): void {
    for (const request of this.asked.values()) {
      if (!isTopicRequest(request) || request.id > id) continue;
      for (const name of names) request.cut.add(name);
    }
    for (const name of this.served.keys()) if (covers(names, name)) this.served.delete(name);
    for (const name of names) this.served.get(starOf(name))?.left.add(name);
    for (const [topic, copy] of this.topics) {
      if (!covers(names, topic)) continue;
      if (copy.isLive || this.heldEpoch === this.epoch) copy.account();
      this.topics.delete(topic);
    }
  }

  private got(request: TopicRequest, seq: number): void {
    const { resetBy, reset, names, cut } = request;
    hold(resetBy === null || [...names].every((name) => reset.has(name)), () => [
      'not reset',
      request,
    ]);
    if (request.kind === 'resume') this.heldEpoch = this.epoch;
    this.meet(seq);
    for (const name of names) {
      if (covers(cut, name)) continue;
      const left = new Set([...cut].filter((other) => other !== name && starOf(other) === name));
      this.served.set(name, { isLive: true, position: seq, left });
      if (starOf(name) !== name || name === 'status') this.topicOf(name, request);
      else
        for (const symbol of this.instruments.keys())
          this.topicOf(name.replace('*', symbol), request);
    }
    for (const [topic, copy] of this.topics) {
      if (asksFor(request, topic)) copy.answered(seq, bringsState(request, topic));
    }
  }

  /** Creates the copy of a topic that was asked for, though no message of it was received. */
  private topicOf(topic: string, request: TopicRequest): void {
    if (this.topics.has(topic) || covers(request.cut, topic)) return;
    const position = bringsState(request, topic) ? null : this.truth.head(topic, request.position);
    this.topics.set(topic, new TopicCopy(topic, this.truth, position));
  }

  private refused(m: MessageOf<'error'>): void {
    const request = m.id === null ? undefined : this.asked.get(m.id);
    hold(request !== undefined, () => ['an error of nothing', m]);
    this.asked.delete(request.id);
    if (request.kind === 'bad') return;
    hold(request.kind === 'replay', () => ['refused', request, m]);
    const codes = [
      'no-replay',
      'overloaded',
      'limit-reached',
      'history-failed',
      'replay-under-way',
    ];
    hold(codes.includes(m.code), () => ['refused', request, m]);
    if (this.replay?.startId === request.id) this.replay = null;
  }

  private reset({ topics, reason, epoch, seq }: MessageOf<'reset'>): void {
    hold(epoch === this.epoch && seq <= this.truth.lastSeq, () => ['reset', epoch, seq]);
    this.tally.resets[reason] = (this.tally.resets[reason] ?? 0) + 1;
    const request = [...this.asked.values()].find((r): r is TopicRequest => r.kind === 'resume');
    hold(request !== undefined, () => ['a reset unasked', topics, reason]);
    if (reason === 'other-epoch' || reason === 'from-the-future') {
      this.heldEpoch = this.epoch;
      this.newest = 0;
    }
    this.meet(seq);
    const { resetBy } = request;
    const isOfPart = reason === 'not-kept' && resetBy === null;
    hold(resetBy === reason || (resetBy === null && reason !== 'other-epoch') || isOfPart, () => [
      'reset by',
      reason,
      request,
    ]);
    for (const name of topics) {
      hold(covers(request.names, name), () => ['reset of what was not asked', name]);
      request.reset.add(name);
      const served = this.served.get(name);
      if (served !== undefined) served.position = null;
    }
    for (const [topic, copy] of this.topics) if (covers(request.reset, topic)) copy.reset();
  }

  private gap(m: MessageOf<'gap'>): void {
    this.tally.gaps += 1;
    this.meet(m.to);
    if (m.reason !== 'not-journaled') this.tally.missed += m.count;
    const copy = this.topics.get(m.topic) ?? this.begin(m.topic);
    if (m.reason !== 'not-journaled') return copy.gap(m);
    const resume = [...this.asked.values()].find((r): r is TopicRequest => asksFor(r, m.topic));
    hold(resume?.kind === 'resume', () => ['a crash gap outside of a resume', m]);
    this.tally.crossed += 1;
    if (copy.last === null) copy.begin(this.truth.head(m.topic, resume.position));
    copy.loss(m);
  }

  private heartbeat({ seq, heads }: MessageOf<'heartbeat'>): void {
    hold(seq <= this.truth.lastSeq, () => ['a heartbeat from the future', seq]);
    if (this.replay !== null) return;
    this.meet(seq);
    const open = [...this.asked.values()].filter(
      (r) => isTopicRequest(r) || r.kind === 'unsubscribe',
    );
    const isOpen = (name: string) =>
      open.some(({ names }) => covers(names, name) || [...names].some((n) => starOf(n) === name));
    for (const [topic, copy] of this.topics) if (copy.isLive && !isOpen(topic)) copy.beat(seq);
    for (const [name, served] of this.served) {
      if (served.isLive && !isOpen(name) && served.position !== null)
        served.position = Math.max(served.position, seq);
    }
    for (const head of heads) {
      const copy = this.topics.get(head.topic);
      if (copy?.isLive !== true || isOpen(head.topic)) continue;
      hold(head.seq <= Math.max(copy.last!, copy.base), () => ['lost', head, copy.last, copy.base]);
    }
  }

  private executed(m: MessageOf<'execution'>): void {
    const next = this.executions?.shift();
    hold(next !== undefined && Bun.deepEquals(next, m), () => ['an execution', m, next]);
    hold(this.instruments.has(m.symbol), () => ['before its definition', m]);
  }
}
