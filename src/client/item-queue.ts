/**
 * Item queue: what waits for the consumer of one subscription, bounded.
 *
 * When it is full it is thinned out, down to half where it can be, so the cost an item stays constant:
 * of state (`tick`, `bbo`, `stats`, of `bar` each interval) the newest stays, with the counts added
 * up, and bars in the order of their times; a book becomes the snapshot that the client holds; of trades, status and bars the oldest go,
 * and a local `gap` says which. If what is left is still too much (it is control items), all of it becomes one local `reset`
 * and the state behind it. At most `itemsMax` items wait, or four a topic where that is more.
 */

import { CHANNEL_TABLE } from '../../protocol/channels';
import type { Bar, MessageOf } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import type { GapItem, Item, TopicMessage } from './items';

/** What the queue needs of the client. */
export interface QueueSource {
  /** The newest state of a topic; empty where there is none. */
  stateOf(topic: string): readonly TopicMessage[];
  /** How many topics fall under the subscription now. */
  topicCount(): number;
  /** A `reset` of all its topics, and their state behind it. */
  restart(): readonly Item[];
}

const TOPICS_FACTOR = 4;

/** The newest of a topic: where it waits, how many it stands for, and the place before the oldest. */
interface Kept {
  readonly topic: string;
  readonly at: number;
  readonly count: number;
  readonly prevSeq: number;
}

export class ItemQueue {
  private items: Item[] = [];
  private head = 0;
  private readonly itemsMax: number;
  private readonly source: QueueSource;

  constructor(itemsMax: number, source: QueueSource) {
    this.itemsMax = itemsMax;
    this.source = source;
  }

  get length(): number {
    return this.items.length - this.head;
  }

  push(item: Item): void {
    this.items.push(item);
    if (this.length > this.itemsMax) this.relieve();
  }

  shift(): Item | undefined {
    if (this.head === this.items.length) return undefined;
    const item = this.items[this.head];
    this.head += 1;
    // What was taken goes in blocks, so that taking one costs nothing.
    if (this.head === this.items.length || this.head >= 1024) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  clear(): void {
    this.items = [];
    this.head = 0;
  }

  private relieve(): void {
    const bound = Math.max(this.itemsMax, this.source.topicCount() * TOPICS_FACTOR);
    if (this.length <= bound) return;
    const thinned = dropOldest(this.newestOnly(this.items.slice(this.head)), bound >> 1);
    this.items = thinned.length > (bound * 3) / 4 ? [...this.source.restart()] : thinned;
    this.head = 0;
  }

  /** Of each topic of state only the newest; what lies before a `reset` of it is void anyway. */
  private newestOnly(items: readonly Item[]): Item[] {
    const kept = new Map<string, Kept>();
    const out: (Item | undefined)[] = items.slice();
    for (const [i, item] of items.entries()) {
      if (item.type === 'reset') {
        for (const { at } of takeOut(kept, (topic) => isAmong(topic, item.topics))) {
          out[at] = undefined;
        }
        continue;
      }
      if (item.type === 'gap') {
        // The chain goes on behind the gap, not before it.
        this.conflateAll(
          items,
          out,
          takeOut(kept, (topic) => topic === item.topic),
          true,
        );
        continue;
      }
      if (!('count' in item)) continue;
      const topic = topicOf(item)!;
      // What one bar was in the end must not be lost to the next.
      const key = item.type === 'bar' ? `${topic} ${item.openTime.toString()}` : topic;
      const before = kept.get(key);
      if (before !== undefined) out[before.at] = undefined;
      const { count, prevSeq } = before ?? { count: 0, prevSeq: item.prevSeq };
      kept.set(key, { topic, at: i, count: count + item.count, prevSeq });
    }
    this.conflateAll(items, out, [...kept.values()], false);
    return out.filter((item) => item !== undefined);
  }

  private conflateAll(
    items: readonly Item[],
    out: (Item | undefined)[],
    entries: readonly Kept[],
    beforeGap: boolean,
  ): void {
    const bars = new Map<string, Kept[]>();
    for (const entry of entries) {
      if (items[entry.at]!.type !== 'bar') this.conflate(items, out, entry, beforeGap);
      else if (bars.get(entry.topic)?.push(entry) === undefined) bars.set(entry.topic, [entry]);
    }
    for (const ofTopic of bars.values()) conflateBars(items, out, ofTopic);
  }

  private conflate(
    items: readonly Item[],
    out: (Item | undefined)[],
    { topic, at, count, prevSeq }: Kept,
    beforeGap: boolean,
  ): void {
    const newest = items[at] as Exclude<TopicMessage, { type: 'trade' | 'status' }>;
    if (newest.type !== 'book') {
      out[at] = { ...newest, count, prevSeq };
      return;
    }
    const [state] = beforeGap ? [] : this.source.stateOf(topic);
    // None where the copy is void, behind a gap too: then a snapshot follows, which replaces all.
    out[at] = state?.type === 'book' ? { ...state, count, prevSeq } : undefined;
  }
}

/**
 * The bars of one topic. An earlier bar comes first, though it was revised last: it was over before the
 * later one began [D8].
 */
function conflateBars(
  items: readonly Item[],
  out: (Item | undefined)[],
  entries: readonly Kept[],
): void {
  const places = entries.map(({ at }) => at).sort((a, b) => a - b);
  let prevSeq = Math.min(...entries.map((entry) => entry.prevSeq));
  const bars = entries.map(({ at, count }) => ({ bar: items[at] as Bar, count }));
  bars.sort((a, b) => a.bar.openTime.compare(b.bar.openTime));
  for (const [i, { bar, count }] of bars.entries()) {
    out[places[i]!] = { ...bar, prevSeq, count };
    prevSeq = Math.max(prevSeq, bar.seq);
  }
}

/** Takes the entries of some topics out. */
function takeOut(kept: Map<string, Kept>, fits: (topic: string) => boolean): Kept[] {
  const out: Kept[] = [];
  for (const [key, entry] of kept) {
    if (!fits(entry.topic)) continue;
    kept.delete(key);
    out.push(entry);
  }
  return out;
}

/** Whether topics name this one, by itself or by a `*`. */
function isAmong(topic: string, topics: readonly string[]): boolean {
  const parts = topic.split(':');
  if (parts.length > 1) parts[1] = '*';
  return topics.includes(topic) || topics.includes(parts.join(':'));
}

/** Drops the oldest trades, status and bars until so many items are left, and says so, topic by topic. */
function dropOldest(items: readonly Item[], lengthMax: number): Item[] {
  const gaps = new Map<string, GapItem>();
  const rest: Item[] = [];
  let excess = items.length - lengthMax;
  for (const item of items) {
    if (excess > 0 && item.type !== 'gap' && item.type !== 'reset' && standsAlone(item)) {
      extend(gaps, topicOf(item)!, item.seq, item.seq, 1);
      excess -= 1;
    } else if (item.type === 'gap' && (gaps.has(item.topic) || (excess > 0 && item.local))) {
      // Told already, among what goes now: one gap for both, or gaps would pile up.
      extend(gaps, item.topic, item.from, item.to, item.count);
    } else {
      rest.push(item);
    }
  }
  return [...gaps.values(), ...rest];
}

/** Whether no newer message stands for it. */
function standsAlone({ type }: TopicMessage): boolean {
  const { nature, conflation } = CHANNEL_TABLE[type];
  return nature === 'stream' || conflation === 'each-bar';
}

function extend(
  gaps: Map<string, GapItem>,
  topic: string,
  from: number,
  to: number,
  count: number,
): void {
  const before = gaps.get(topic);
  const reason: MessageOf<'gap'>['reason'] = 'slow-reader';
  gaps.set(topic, {
    type: 'gap',
    topic,
    from: before?.from ?? from,
    to,
    count: (before?.count ?? 0) + count,
    reason,
    local: true,
  });
}
