/**
 * Topic chain: what the client holds of one topic, and whether a message continues it [T5].
 *
 * - `live`: each message must continue the last; one that does not breaks the chain;
 * - `broken`: messages are missing. What continues the chain (the answer of a `resume`) is applied, everything else
 *   waits for it;
 * - `void`: the copy is invalid; only its state, requested again, repairs it;
 * - `collecting`: between the request and its `ack`: every message is state and is applied as it is;
 * - `state`: behind a `reset`, until the sequence number of its state: like `collecting`, but the application gets each
 *   message at once.
 *
 * Messages of bars and statistics are complete states: for them only a `prevSeq` above the last one shows that messages
 * are missing, and none is a repetition because of its `seq`.
 *
 * Bound: the newest message (of `status`: one an instrument), some bars, and the ten levels of a book.
 */

import { CHANNEL_TABLE, channelDef, hasState } from '../../protocol/channels';
import { bookChecksum } from '../../protocol/checksum';
import type { Book, MessageOf } from '../../protocol/messages';
import type { Topic } from '../../protocol/topics';
import { DerivedStates, type Derived } from './derived-states';
import type { TopicMessage } from './items';
import { LocalBook } from './local-book';

export type ChainPhase = 'live' | 'broken' | 'void' | 'collecting' | 'state';

type GapMessage = MessageOf<'gap'>;

/**
 * `taken`: it is the next one. `collected`: a part of the state. `repeated`, `dropped`: not for the application.
 * `broken`: messages before it are missing. `mismatch`: the checksum of the book differs.
 */
export type Verdict = 'taken' | 'collected' | 'repeated' | 'dropped' | 'broken' | 'mismatch';

export class TopicChain {
  readonly name: string;
  readonly topic: Topic;
  /** The `seq` of the newest applied message; if `exact` is false, a number up to which there is none missing. */
  last: number;
  /** The highest `seq` of an applied message. */
  private taken = 0;
  /** Whether `last` is the `seq` of a message, which the next one must name as `prevSeq`. */
  private exact = false;
  phase: ChainPhase = 'live';
  /** Whether its state is being sent again although the client holds it: waiting messages were conflated [S9]. */
  isRefreshed = false;
  /** Why what it held is invalid; reported to the application when the state has arrived. */
  voidBy: string | undefined;
  readonly book: LocalBook | undefined;
  /** Whether it has a state; if not, only the sequence number of its newest message is kept. */
  private readonly hasState: boolean;
  /** Whether what it holds is of a past epoch that no answer has confirmed yet. */
  isUnconfirmed = false;
  /** The first of messages that no longer exist, until the next message [R5]. */
  private lostFrom: number | undefined;
  /** Sequence number of the state behind a `reset`. */
  private stateSeq = 0;
  /** While it is broken: the highest seq that shows that messages are missing. */
  private brokenAt = 0;
  /** The sequence number from which a `resume` was last tried. */
  private resumedFrom = -1;
  /** The newest message; of a topic of all symbols, of each instrument. */
  private readonly newest = new Map<string, TopicMessage>();
  /** The state of bars and statistics, instead. */
  private readonly states = new DerivedStates();

  /** @param floor a sequence number up to which everything of the topic is known, or known to be lost */
  constructor(name: string, topic: Topic, floor: number, book: LocalBook | undefined) {
    this.name = name;
    this.topic = topic;
    this.last = floor;
    this.book = book;
    this.hasState = hasState(channelDef(topic.channel));
  }

  /**
   * Makes a message continue what is held. While the state is sent again (`isRefreshed`), a message that names
   * another predecessor is no loss: the server conflated what lies between.
   */
  bridged(m: TopicMessage): TopicMessage {
    const { nature } = CHANNEL_TABLE[m.type];
    const isState = nature === 'state' || nature === 'book';
    const isAhead = this.exact && m.seq > this.last && m.prevSeq !== this.last;
    if (!this.isRefreshed || this.phase !== 'live' || !isState || !isAhead) return m;
    return { ...m, prevSeq: this.last };
  }

  take(m: TopicMessage): Verdict {
    if (isDerived(m)) return this.takeDerived(m);
    switch (this.phase) {
      case 'live':
        if (this.continues(m)) return this.apply(m);
        if (this.renews(m)) return this.renew(m);
        if (m.seq <= this.last) return 'repeated';
        this.break(m.seq);
        return 'broken';
      case 'broken':
        if (this.continues(m)) return this.apply(m);
        this.break(m.seq);
        return 'dropped';
      case 'void':
        return 'dropped';
      case 'collecting':
        this.collect(m);
        return 'collected';
      case 'state':
        if (m.seq > this.stateSeq) {
          this.phase = 'live';
          return this.take(m);
        }
        if (this.exact && m.seq <= this.last) return 'repeated';
        this.collect(m);
        return 'taken';
    }
  }

  private takeDerived(m: Derived): Verdict {
    const { phase } = this;
    if (phase === 'void') return 'dropped';
    if (phase === 'state' && m.seq > this.stateSeq) this.phase = 'live';
    else if ((phase === 'live' || phase === 'broken') && m.prevSeq > this.last) {
      this.break(m.seq);
      return phase === 'live' ? 'broken' : 'dropped';
    }
    this.last = this.exact
      ? Math.max(this.last, m.seq)
      : Math.max(m.seq, phase === 'live' ? this.last : 0);
    this.exact = true;
    this.isUnconfirmed = false;
    this.taken = Math.max(this.taken, m.seq);
    const isNews = this.states.take(m);
    if (phase === 'collecting') return 'collected';
    return isNews ? 'taken' : 'repeated';
  }

  /** Applies a `gap`. @returns false if it declares nothing new */
  skip({ from, to, reason }: GapMessage): boolean {
    if (this.phase === 'void' || this.phase === 'collecting') return false;
    const isVoid = this.isUnconfirmed && from <= this.last;
    if (to <= this.last && !isVoid) return false;
    // The chain closes only a gap of this session; behind any other the next message names one before it.
    this.exact = reason === 'slow-reader';
    this.lostFrom = this.exact ? undefined : from;
    // A book that lacks changes is invalid until a snapshot; a state that no longer exists is none.
    if (this.exact || isVoid || this.book !== undefined) this.newest.clear();
    if (!this.exact) this.states.voidFrom(from);
    this.last = to;
    this.isUnconfirmed = false;
    this.book?.skipTo(to);
    return true;
  }

  /** Discards the copy, and applies messages up to `seq` as state [R3]. */
  reset(seq: number): void {
    this.forget();
    this.phase = 'state';
    this.stateSeq = seq;
    this.last = seq;
  }

  /** Discards the copy, and applies messages until `collected` as state. */
  collectState(why: string | undefined): void {
    this.forget();
    this.voidBy ??= why;
    this.phase = 'collecting';
    this.last = 0;
  }

  /** The `ack`: the state is complete. @returns false if it is a book whose checksum differs */
  collected(seq: number): boolean {
    this.phase = 'live';
    if (!this.exact) this.last = seq;
    const form = (this.newest.get(this.topic.symbol) as Book | undefined)?.form;
    if (this.book === undefined || form === undefined) return true;
    return this.book.trusted || form === 'incomplete';
  }

  /** Marks the copy as invalid. */
  discard(why: string | undefined): void {
    this.forget();
    this.voidBy ??= why;
    this.phase = 'void';
  }

  /** Messages above this seq are of another epoch; a chain without any continues from there. */
  rewind(seq: number): void {
    if (this.phase === 'void') return;
    if (this.taken > seq) return this.discard('other-epoch');
    // The gap of a crash, or what it declared, comes again from a more complete copy of the journal [R5].
    const until = Math.min(seq, (this.lostFrom ?? Infinity) - 1);
    if (this.last <= until) return;
    this.last = until;
    this.exact = false;
    this.lostFrom = undefined;
    this.book?.skipTo(until);
  }

  /** Marks messages before a seq as missing. */
  break(seq: number): void {
    this.phase = 'broken';
    this.brokenAt = Math.max(this.brokenAt, seq);
  }

  /** Where messages are still missing although the server has sent all; undefined: none are missing. */
  settle(): number | undefined {
    if (this.phase === 'broken' && this.brokenAt > this.last) return this.brokenAt;
    if (this.phase === 'state' || this.phase === 'broken') this.phase = 'live';
    this.brokenAt = 0;
    return undefined;
  }

  /**
   * Whether a `resume` may repair it; tried once from each sequence number, since a server that omits the same messages
   * again does not have them.
   */
  mayResume(): boolean {
    if (this.phase !== 'broken' || this.resumedFrom === this.last) return false;
    this.resumedFrom = this.last;
    return true;
  }

  /** Whether the newest seq in a heartbeat shows that messages are missing [T7]. */
  lacks(head: number): boolean {
    return (this.phase === 'live' || this.phase === 'state') && head > this.last;
  }

  /** The newest state, as a new reader gets it [S4]; nothing if the copy is invalid. */
  state(): TopicMessage[] {
    if (this.phase === 'void' || this.phase === 'collecting') return [];
    if (CHANNEL_TABLE[this.topic.channel].topic === 'all') {
      return [...this.newest.values()].sort((a, b) => a.seq - b.seq);
    }
    const derived = this.states.newest;
    if (derived !== undefined) return [{ ...derived, seq: this.last, prevSeq: 0, count: 1 }];
    const [message] = this.newest.values();
    if (message === undefined) return [];
    return [message.type === 'book' ? this.bookState(message) : message];
  }

  private bookState(newest: Book): Book {
    const { bids, asks, trusted } = this.book!;
    return {
      ...newest,
      prevSeq: 0,
      form: trusted ? 'snapshot' : 'incomplete',
      bids: [...bids],
      asks: [...asks],
      crc: trusted ? bookChecksum(bids, asks) : null,
      count: 1,
    };
  }

  private continues(m: TopicMessage): boolean {
    return this.exact ? m.prevSeq === this.last : m.prevSeq <= this.last && m.seq > this.last;
  }

  /** Whether it is the state from before a gap, which is sent if the reader may hold what was lost [R5]. */
  private renews(m: TopicMessage): boolean {
    if (this.lostFrom === undefined || !this.hasState) return false;
    if (m.type === 'book') return m.form !== 'delta' && m.seq === this.last;
    return m.seq < this.lostFrom && !this.newest.has(m.symbol);
  }

  private renew(m: TopicMessage): Verdict {
    this.taken = Math.max(this.taken, m.seq);
    if (m.type === 'book' && this.book!.apply(m) === 'mismatch') {
      this.discard('book-mismatch');
      return 'mismatch';
    }
    this.keep(m);
    return 'taken';
  }

  private apply(m: TopicMessage): Verdict {
    this.last = m.seq;
    this.taken = m.seq;
    this.exact = true;
    this.lostFrom = undefined;
    this.isUnconfirmed = false;
    if (m.type === 'book') {
      const outcome = this.book!.apply(m);
      if (outcome === 'mismatch' || outcome === 'gap') {
        this.discard(outcome === 'gap' ? 'chain-break' : 'book-mismatch');
        return outcome === 'gap' ? 'broken' : 'mismatch';
      }
    }
    this.keep(m);
    return 'taken';
  }

  /** Applies state as it is. */
  private collect(m: TopicMessage): void {
    // A complete book needs no chain: after the gap of a crash it may have a higher seq than the state that follows.
    const isWhole = m.type === 'book' && m.form !== 'delta';
    this.last = this.exact && !isWhole ? Math.max(this.last, m.seq) : m.seq;
    this.taken = Math.max(this.taken, m.seq);
    this.exact = true;
    if (m.type === 'book') this.book!.apply(m);
    this.keep(m);
  }

  private keep(m: TopicMessage): void {
    if (this.hasState) this.newest.set(m.symbol, m);
  }

  private forget(): void {
    this.exact = false;
    this.taken = 0;
    this.brokenAt = 0;
    this.lostFrom = undefined;
    this.isUnconfirmed = false;
    this.newest.clear();
    this.states.clear();
    this.book?.clear();
  }
}

function isDerived(m: TopicMessage): m is Derived {
  return CHANNEL_TABLE[m.type].nature === 'derived';
}
