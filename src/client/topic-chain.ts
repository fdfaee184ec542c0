/**
 * Topic chain: what the client holds of one topic, and whether a message continues it [T5].
 *
 * - `live`: each message must continue the last; one that does not breaks the chain;
 * - `broken`: messages are missing. What continues the chain (the answer of a `resume`) is taken,
 *   all else waits for it;
 * - `void`: the copy is worth nothing; only its state, asked for anew, mends it;
 * - `collecting`: between the request and its `ack`: everything is state, taken as it is;
 * - `state`: behind a `reset`, until the place at which its state stands: as `collecting`, but the
 *   application is told at once.
 *
 * Messages of bars and statistics are whole states: of these only a `prevSeq` above the last says that some
 * are missing, and none is a repetition for its `seq`.
 *
 * Bounded: the newest message (of `status`: one an instrument), some bars, and the ten levels of a book.
 */

import { CHANNEL_TABLE } from '../../protocol/channels';
import { bookChecksum } from '../../protocol/checksum';
import type { Book, MessageOf } from '../../protocol/messages';
import type { Topic } from '../../protocol/topics';
import { DerivedStates, type Derived } from './derived-states';
import type { TopicMessage } from './items';
import { LocalBook } from './local-book';

export type ChainPhase = 'live' | 'broken' | 'void' | 'collecting' | 'state';

type GapMessage = MessageOf<'gap'>;

/**
 * `taken`: it is the next one. `collected`: a part of the state. `repeated`, `dropped`: nothing to
 * the application. `broken`: messages before it are missing. `mismatch`: the book does not prove.
 */
export type Verdict = 'taken' | 'collected' | 'repeated' | 'dropped' | 'broken' | 'mismatch';

export class TopicChain {
  readonly name: string;
  readonly topic: Topic;
  /** Place of the newest message taken; where `exact` is false, a place up to which there is none. */
  last: number;
  /** The highest `seq` of a message of it that was taken. */
  private taken = 0;
  /** Whether `last` is the place of a message, which the next must name. */
  private exact = false;
  phase: ChainPhase = 'live';
  /** Its state is being told anew, to a reader that holds it: what waited before it was left out [S9]. */
  isRefreshed = false;
  /** Why what it held is void; told to the application when the state has come. */
  voidBy: string | undefined;
  readonly book: LocalBook | undefined;
  /** What it holds is of a past epoch, and no answer has said yet that it stands. */
  isUnconfirmed = false;
  /** Behind messages that nobody has any more: the first of them, until the next message [R5]. */
  private lostFrom: number | undefined;
  /** Where the state behind a `reset` stands. */
  private stateSeq = 0;
  /** While it is broken: the highest seq that shows that messages are missing. */
  private brokenAt = 0;
  /** The place from which a `resume` was last asked to mend it. */
  private resumedFrom = -1;
  /** The newest message; of `status`, of each instrument. */
  private readonly newest = new Map<string, TopicMessage>();
  /** Of bars and statistics, in place of these. */
  private readonly states = new DerivedStates();

  /** @param floor a place up to which everything of the topic is known, or known to be no more */
  constructor(name: string, topic: Topic, floor: number, book: LocalBook | undefined) {
    this.name = name;
    this.topic = topic;
    this.last = floor;
    this.book = book;
  }

  /** A message as it goes on from what is held: while the state is told anew it stands for what it left out. */
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

  /** Takes over what a `gap` says; false when it tells nothing new. */
  skip({ from, to, reason }: GapMessage): boolean {
    if (this.phase === 'void' || this.phase === 'collecting') return false;
    const isVoid = this.isUnconfirmed && from <= this.last;
    if (to <= this.last && !isVoid) return false;
    // Only a gap of this session is closed by the chain; of any other the next message names one before it.
    this.exact = reason === 'slow-reader';
    this.lostFrom = this.exact ? undefined : from;
    // Of a book that lacks changes nothing is left until a snapshot; a state that nobody has any more is none.
    if (this.exact || isVoid || this.book !== undefined) this.newest.clear();
    if (!this.exact) this.states.voidFrom(from);
    this.last = to;
    this.isUnconfirmed = false;
    this.book?.skipTo(to);
    return true;
  }

  /** Forgets, and takes what comes up to `seq` as state [R3]. */
  reset(seq: number): void {
    this.forget();
    this.phase = 'state';
    this.stateSeq = seq;
    this.last = seq;
  }

  /** Forgets, and takes what comes until `collected` as state. */
  collectState(why: string | undefined): void {
    this.forget();
    this.voidBy ??= why;
    this.phase = 'collecting';
    this.last = 0;
  }

  /** The `ack`: the state is whole. False when it is a book that does not prove. */
  collected(seq: number): boolean {
    this.phase = 'live';
    if (!this.exact) this.last = seq;
    const form = (this.newest.get(this.topic.symbol) as Book | undefined)?.form;
    if (this.book === undefined || form === undefined) return true;
    return this.book.trusted || form === 'incomplete';
  }

  /** What it holds is worth nothing. */
  discard(why: string | undefined): void {
    this.forget();
    this.voidBy ??= why;
    this.phase = 'void';
  }

  /** What it took behind a seq is of another epoch; where it took nothing, it goes on from there. */
  rewind(seq: number): void {
    if (this.phase === 'void') return;
    if (this.taken > seq) return this.discard('other-epoch');
    // A crash gap comes again, or what it declared, from a fuller copy of the journal [R5].
    const place = Math.min(seq, (this.lostFrom ?? Infinity) - 1);
    if (this.last <= place) return;
    this.last = place;
    this.exact = false;
    this.lostFrom = undefined;
    this.book?.skipTo(place);
  }

  /** Messages are missing before a seq. */
  break(seq: number): void {
    this.phase = 'broken';
    this.brokenAt = Math.max(this.brokenAt, seq);
  }

  /** Where messages are still missing although the server has said that all have come; undefined: none are. */
  settle(): number | undefined {
    if (this.phase === 'broken' && this.brokenAt > this.last) return this.brokenAt;
    if (this.phase === 'state' || this.phase === 'broken') this.phase = 'live';
    this.brokenAt = 0;
    return undefined;
  }

  /**
   * Whether a `resume` may mend it; once from each place, since a server that leaves out the same
   * messages again has not got them.
   */
  mayResume(): boolean {
    if (this.phase !== 'broken' || this.resumedFrom === this.last) return false;
    this.resumedFrom = this.last;
    return true;
  }

  /** Whether a head that a heartbeat names says that messages are missing [T7]. */
  lacks(head: number): boolean {
    return (this.phase === 'live' || this.phase === 'state') && head > this.last;
  }

  /** The newest state, as a new reader gets it [S4]; of a void copy, nothing. */
  state(): TopicMessage[] {
    if (this.phase === 'void' || this.phase === 'collecting') return [];
    const { channel } = this.topic;
    if (channel === 'trade') return [];
    if (channel === 'status') return [...this.newest.values()].sort((a, b) => a.seq - b.seq);
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

  /** Whether it is the state from before a gap, told where the reader may hold what was lost [R5]. */
  private renews(m: TopicMessage): boolean {
    if (this.lostFrom === undefined || m.type === 'trade') return false;
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

  /** State is taken as it is; of the trades between nothing is kept but their place. */
  private collect(m: TopicMessage): void {
    // A whole book stands for itself: one behind a crash gap may bear a higher seq than the state that follows.
    const isWhole = m.type === 'book' && m.form !== 'delta';
    this.last = this.exact && !isWhole ? Math.max(this.last, m.seq) : m.seq;
    this.taken = Math.max(this.taken, m.seq);
    this.exact = true;
    if (m.type === 'book') this.book!.apply(m);
    this.keep(m);
  }

  private keep(m: TopicMessage): void {
    if (m.type !== 'trade') this.newest.set(m.symbol, m);
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
