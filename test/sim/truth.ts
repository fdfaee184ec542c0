/**
 * Truth: everything that was published, as plain lists, and what the message of a reader must therefore be. It
 * shares nothing with the server but the messages themselves.
 */

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { Bar, Book, MarketEvent, Message, Stats, Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { BAR_SECONDS } from '../../protocol/bars';
import { Nanos } from '../../protocol/time';

/** A numbered message of a topic. */
export type Sequenced = Exclude<
  Extract<Message, { readonly prevSeq: number }>,
  { type: 'execution' }
>;
type Pushed = Exclude<MarketEvent, { type: 'instrument' }>;

export interface Levels {
  readonly bids: readonly number[];
  readonly asks: readonly number[];
  /** Undefined while the book is incomplete. */
  readonly crc: number | undefined;
}

export class Broken extends Error {}

export function hold(condition: boolean, what: () => unknown): asserts condition {
  if (!condition)
    throw new Broken(
      JSON.stringify(what(), (_, v) =>
        v instanceof Set || v instanceof Map ? [...v] : (v as unknown),
      ),
    );
}

class TopicTruth {
  readonly seqs: number[] = [];
  readonly messages: Pushed[] = [];
  /** Of a book: its levels after each message. */
  readonly levels: Levels[] = [];

  copy(): TopicTruth {
    const copy = new TopicTruth();
    copy.seqs.push(...this.seqs);
    copy.messages.push(...this.messages);
    copy.levels.push(...this.levels);
    return copy;
  }

  /** How many messages have a seq up to this one. */
  rank(seq: number): number {
    let low = 0;
    let high = this.seqs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.seqs[middle]! <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

interface Run {
  readonly from: number;
  readonly to: number;
}

/** A saved copy of everything, to go back to. */
export interface SavedTruth {
  readonly lastSeq: number;
  readonly events: readonly BatchEvent[];
  readonly lost: readonly Run[];
  readonly commits: readonly number[];
  readonly topics: ReadonlyMap<string, TopicTruth>;
}

export class Truth {
  /** The newest seq published. */
  lastSeq = 0;
  /** Events by seq minus one, including those that no reader gets. */
  readonly events: BatchEvent[] = [];
  /** Runs of seqs, both ends inclusive, whose events were published in an epoch that lost them. */
  readonly lost: Run[] = [];
  /** The newest seq of each committed batch. */
  readonly commits: number[] = [];
  private readonly topics = new Map<string, TopicTruth>();
  private readonly books = new Map<string, TenLevels>();

  /** Takes a batch. */
  push(events: readonly BatchEvent[]): void {
    const traded = new Set<string>();
    for (const event of events) {
      this.events.push(event);
      this.lastSeq = event.seq;
      hold(this.events.length === event.seq, () => ['not dense', event]);
      if (event.type === 'command' || event.type === 'snapshot' || event.type === 'instrument')
        continue;
      const topic = this.topic(
        event.type === 'status' ? 'status' : `${event.type}:${event.symbol}`,
      );
      topic.seqs.push(event.seq);
      topic.messages.push(event);
      if (event.type === 'book') topic.levels.push(this.fold(event));
      if (event.type === 'trade') traded.add(event.symbol);
    }
    for (const symbol of traded) this.derive(symbol);
    if (events.length > 0) this.commits.push(this.lastSeq);
  }

  /** Bars and statistics of a batch have the seq of its newest trade. */
  private derive(symbol: string): void {
    const { seqs } = this.topic(`derived:${symbol}`);
    const newest = this.topic(`trade:${symbol}`).seqs.at(-1) ?? 0;
    if (newest > (seqs.at(-1) ?? 0)) seqs.push(newest);
  }

  /** Ends an epoch that lost its newest events, from a seq on; their seqs are not used again. */
  lose(from: number): void {
    const { lastSeq } = this;
    this.goBack(from - 1);
    this.loseTo(lastSeq);
  }

  save(): SavedTruth {
    const { lastSeq, events, lost, commits } = this;
    const topics = new Map([...this.topics].map(([name, topic]) => [name, topic.copy()]));
    return { lastSeq, events: [...events], lost: [...lost], commits: [...commits], topics };
  }

  /** Goes back to a saved state of the disk. */
  restore(saved: SavedTruth): void {
    this.events.splice(0, Infinity, ...saved.events);
    this.lost.splice(0, Infinity, ...saved.lost);
    this.commits.splice(0, Infinity, ...saved.commits);
    this.topics.clear();
    this.books.clear();
    for (const [name, topic] of saved.topics) this.topics.set(name, topic.copy());
    this.goBack(saved.lastSeq);
  }

  /** The seqs after the newest up to another one are not used. */
  loseTo(to: number): void {
    if (to <= this.lastSeq) return;
    this.lost.push({ from: this.lastSeq + 1, to });
    while (this.events.length < to) this.events.push(nobodys(this.events.length + 1));
    this.lastSeq = to;
  }

  /** Removes everything after a seq; other events may get those seqs. */
  goBack(seq: number): void {
    hold(!this.lost.some(({ from, to }) => from <= seq && seq < to), () => [
      'within what was lost',
      seq,
      this.lost,
    ]);
    this.events.length = seq;
    this.lastSeq = seq;
    this.lost.splice(0, Infinity, ...this.lost.filter(({ to }) => to <= seq));
    this.commits.splice(0, Infinity, ...this.commits.filter((commit) => commit <= seq));
    for (const [name, topic] of this.topics) {
      const rank = topic.rank(seq);
      topic.seqs.length = rank;
      topic.messages.length = Math.min(topic.messages.length, rank);
      if (!name.startsWith('book:')) continue;
      topic.levels.length = rank;
      const { bids, asks } = topic.levels.at(-1) ?? { bids: [], asks: [] };
      this.levelsOf(name.slice(5)).replace([...bids], [...asks]);
    }
    for (const name of this.topics.keys())
      if (name.startsWith('trade:')) this.derive(name.slice(6));
  }

  get symbols(): string[] {
    const defined = this.events.filter((e) => e.type === 'instrument');
    return [...new Set(defined.map(({ symbol }) => symbol))];
  }

  /** The run of lost seqs that has this seq. */
  lostAt(seq: number): Run | undefined {
    return this.lost.find(({ from, to }) => from <= seq && seq <= to);
  }

  /** The seq of the newest message of a topic up to a seq; 0: none. */
  head(name: string, seq: number): number {
    const topic = this.topic(isDerived(name) ? `derived:${symbolOf(name)}` : name);
    return topic.seqs[topic.rank(seq) - 1] ?? 0;
  }

  /** How many messages a topic has after one seq, up to another. */
  between(name: string, from: number, to: number): number {
    const topic = this.topic(isDerived(name) ? `trade:${symbolOf(name)}` : name);
    return topic.rank(to) - topic.rank(from);
  }

  /** The event time of the event with this seq, or of one near it. */
  timeAt(seq: number): Nanos {
    for (let i = seq - 1; i >= 0; i--) {
      const event = this.events[i]!;
      if (event.type !== 'instrument' && event.symbol !== '') return event.eventTime;
    }
    return Nanos.ZERO;
  }

  /** The newest event time. */
  time(): Nanos {
    return this.timeAt(this.lastSeq);
  }

  /** The book after its newest message up to a seq. */
  book(symbol: string, seq: number): Levels | undefined {
    const topic = this.topic(`book:${symbol}`);
    return topic.levels[topic.rank(seq) - 1];
  }

  /** The message of a topic with a seq. */
  at(name: string, seq: number): Pushed | undefined {
    const topic = this.topic(name);
    const rank = topic.rank(seq);
    return topic.seqs[rank - 1] === seq ? topic.messages[rank - 1] : undefined;
  }

  /** The messages of a topic after one seq, up to another. */
  range(name: string, from: number, to: number): readonly Pushed[] {
    const topic = this.topic(name);
    return topic.messages.slice(topic.rank(from), topic.rank(to));
  }

  newest(name: string): Pushed | undefined {
    return this.topic(name).messages.at(-1);
  }

  /** Checks that a message has what was published, including the messages that it replaces. */
  check(name: string, m: Sequenced): void {
    hold(m.seq <= this.lastSeq, () => ['from the future', m, this.lastSeq]);
    if (m.type === 'bar' || m.type === 'stats') return this.checkDerived(m);
    const topic = this.topic(name);
    const rank = topic.rank(m.seq);
    const event = topic.messages[rank - 1];
    hold(event?.seq === m.seq, () => ['is no message of the topic', m]);
    if (m.type === 'book' && m.form !== 'delta') return this.checkWhole(m, topic.levels[rank - 1]!);
    const expected = 'count' in m ? { ...event, prevSeq: m.prevSeq, count: m.count } : event;
    hold(Bun.deepEquals(m, expected), () => ['says other than', m, expected]);
  }

  private checkWhole({ form, bids, asks, crc }: Book, levels: Levels): void {
    const trusted = levels.crc !== undefined;
    hold((form === 'snapshot') === trusted, () => ['a book of the wrong form', form, levels]);
    if (!trusted) return hold(crc === null && bids.length + asks.length === 0, () => [form, bids]);
    hold(crc === null || crc === levels.crc, () => ['crc', crc, levels]);
    hold(Bun.deepEquals([bids, asks], [levels.bids, levels.asks]), () => [bids, asks, levels]);
  }

  private checkDerived(m: Bar | Stats): void {
    const topic = this.topic(`trade:${m.symbol}`);
    const rank = topic.rank(m.seq);
    const newest = topic.messages[rank - 1] as Trade | undefined;
    hold(newest !== undefined, () => ['before any trade', m]);
    const last = m.type === 'bar' ? m.close : m.last;
    hold(last === newest.price, () => ['not the price of its newest trade', m, newest]);
    let trades = rank;
    if (m.type === 'bar') {
      let first = rank;
      while (first > 0 && topic.messages[first - 1]!.eventTime.compare(m.openTime) >= 0) first -= 1;
      trades = rank - first;
      const end = m.openTime.plus(BAR_SECONDS[m.interval] * 1e9);
      hold(newest.eventTime.compare(end) < 0, () => ['after its bar', m, newest]);
    }
    hold(m.trades === trades, () => ['trades', m, trades]);
  }

  private fold(event: Book): Levels {
    const levels = this.levelsOf(event.symbol);
    if (event.form === 'delta') levels.apply(event.bids, event.asks);
    else levels.replace(event.bids, event.asks);
    const { bids, asks } = levels;
    const crc = event.form === 'incomplete' ? undefined : bookChecksum(bids, asks);
    return { bids, asks, crc };
  }

  private levelsOf(symbol: string): TenLevels {
    let levels = this.books.get(symbol);
    if (levels === undefined) this.books.set(symbol, (levels = new TenLevels()));
    return levels;
  }

  private topic(name: string): TopicTruth {
    let topic = this.topics.get(name);
    if (topic === undefined) this.topics.set(name, (topic = new TopicTruth()));
    return topic;
  }
}

/** Stands for a lost event: nothing that a reader gets. */
function nobodys(seq: number): BatchEvent {
  const time = { eventTime: Nanos.ZERO, receiveTime: Nanos.ZERO };
  return { type: 'snapshot', symbol: '', seq, ...time, bids: [], asks: [], crc: 0 };
}

export function isDerived(name: string): boolean {
  return name.startsWith('bar:') || name.startsWith('stats:');
}

function symbolOf(topic: string): string {
  return topic.split(':')[1]!;
}
