/**
 * Item queue: what waits for the consumer of one subscription, bounded.
 *
 * When it is full it is reduced, to half if possible, so that the cost of an item stays constant. How follows the
 * `conflation` of the channel in the table of channels:
 *
 * - `newest`: the newest message stays, with the counts added;
 * - `whole-book`: the same, but it becomes the snapshot that the client holds;
 * - `each-bar`: the newest message of each bar stays, in the order of the bars' times;
 * - `fresh`, `all`: every message stays.
 *
 * Of the last three the oldest are dropped if that is not enough, and a local `gap` says which. If that is still too much
 * (control items), all of it becomes one local `reset` and the state behind it. At most `itemsMax` items wait, or four a
 * topic if that is more.
 */

import { channelDef, isReplaced, type ChannelDef } from '../../protocol/channels';
import type { Bar, MessageOf } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import type { GapItem, Item, ResetItem, TopicMessage } from './items';

/** What the queue needs of the client. */
export interface QueueSource {
  /** The newest state of a topic; empty if there is none. */
  stateOf(topic: string): readonly TopicMessage[];
  /** The shard of a symbol; null: there are none, or it is not known. */
  shardOf(symbol: string): string | null;
  /** Number of topics of the subscription at present. */
  topicCount(): number;
  /** A `reset` of all its topics, followed by their state. */
  restart(): readonly Item[];
}

const TOPICS_FACTOR = 4;

/**
 * The newest message of a topic, or of one of its bars: its index, how many it replaces, and the seq before the oldest
 * of them.
 */
interface Kept {
  readonly topic: string;
  readonly conflation: ChannelDef['conflation'];
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
    // Taken items are removed in blocks, so that taking one is cheap.
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
    const thinned = this.dropOldest(this.newestOnly(this.items.slice(this.head)), bound >> 1);
    this.items = thinned.length > (bound * 3) / 4 ? this.restarted() : thinned;
    this.head = 0;
  }

  /** A restart, which says nothing of shards that the server no longer has: they stay declared. */
  private restarted(): Item[] {
    const restart = this.source.restart();
    const present = new Set(restart.flatMap((item) => (item.type === 'reset' ? [item.shard] : [])));
    const gone = new Map<string | null, ResetItem>();
    for (const item of this.items.slice(this.head)) {
      if (item.type !== 'reset' || present.has(item.shard)) continue;
      const topics = new Set([...(gone.get(item.shard)?.topics ?? []), ...item.topics]);
      gone.set(item.shard, { ...item, topics: [...topics] });
    }
    return [...gone.values(), ...restart];
  }

  /** Drops the oldest messages that stand alone until `lengthMax` items are left, with a gap for each topic. */
  private dropOldest(items: readonly Item[], lengthMax: number): Item[] {
    const gaps = new Map<string, GapItem>();
    const rest: Item[] = [];
    let excess = items.length - lengthMax;
    for (const item of items) {
      if (excess > 0 && item.type !== 'gap' && item.type !== 'reset' && standsAlone(item)) {
        const { seq, symbol } = item;
        const shard = this.source.shardOf(symbol);
        extend(gaps, { topic: topicOf(item)!, from: seq, to: seq, count: 1, shard });
        excess -= 1;
      } else if (
        item.type === 'gap' &&
        (gaps.has(gapKey(item.topic, item.shard)) || (excess > 0 && item.local))
      ) {
        // A gap among the dropped items: merge both, or gaps would accumulate.
        extend(gaps, item);
      } else {
        rest.push(item);
      }
    }
    return [...gaps.values(), ...rest];
  }

  /** Keeps only the newest of each topic of state; what precedes a `reset` of it is obsolete anyway. */
  private newestOnly(items: readonly Item[]): Item[] {
    const kept = new Map<string, Kept>();
    const out: (Item | undefined)[] = items.slice();
    for (const [i, item] of items.entries()) {
      if (item.type === 'reset') {
        const isObsolete = (topic: string): boolean =>
          isAmong(topic, item.topics) &&
          (item.shard === null || item.shard === this.source.shardOf(topic.split(':')[1]!));
        for (const { at } of takeOut(kept, isObsolete)) out[at] = undefined;
        continue;
      }
      if (item.type === 'gap') {
        // The chain continues after the gap, not before it.
        this.conflateAll(
          items,
          out,
          takeOut(kept, (topic) => topic === item.topic),
          true,
        );
        continue;
      }
      const def = channelDef(item.type);
      if (!isReplaced(def)) continue;
      const { conflation } = def;
      const topic = topicOf(item)!;
      // The last state of one bar must not be replaced by the next bar.
      const bar = conflation === 'each-bar' ? ` ${(item as Bar).openTime.toString()}` : '';
      const key = topic + bar;
      const before = kept.get(key);
      if (before !== undefined) out[before.at] = undefined;
      const { count, prevSeq } = before ?? { count: 0, prevSeq: item.prevSeq };
      kept.set(key, { topic, conflation, at: i, count: count + countOf(item), prevSeq });
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
      if (entry.conflation !== 'each-bar') this.conflate(items, out, entry, beforeGap);
      else if (bars.get(entry.topic)?.push(entry) === undefined) bars.set(entry.topic, [entry]);
    }
    for (const ofTopic of bars.values()) conflateBars(items, out, ofTopic);
  }

  private conflate(
    items: readonly Item[],
    out: (Item | undefined)[],
    { topic, conflation, at, count, prevSeq }: Kept,
    beforeGap: boolean,
  ): void {
    let state = items[at] as TopicMessage | undefined;
    // None if the copy is invalid, after a gap too: then a snapshot follows, which replaces all.
    if (conflation === 'whole-book') [state] = beforeGap ? [] : this.source.stateOf(topic);
    out[at] = state && ({ ...state, count, prevSeq } as TopicMessage);
  }
}

/**
 * The bars of one topic. An earlier bar comes first even if it was revised last: it ended before the
 * later one began [D8].
 */
function conflateBars(
  items: readonly Item[],
  out: (Item | undefined)[],
  entries: readonly Kept[],
): void {
  const indexes = entries.map(({ at }) => at).sort((a, b) => a - b);
  let prevSeq = Math.min(...entries.map((entry) => entry.prevSeq));
  const bars = entries.map(({ at, count }) => ({ bar: items[at] as Bar, count }));
  bars.sort((a, b) => a.bar.openTime.compare(b.bar.openTime));
  for (const [i, { bar, count }] of bars.entries()) {
    out[indexes[i]!] = { ...bar, prevSeq, count };
    prevSeq = Math.max(prevSeq, bar.seq);
  }
}

/** How many updates a message replaces. */
function countOf(message: TopicMessage): number {
  return 'count' in message ? message.count : 1;
}

/** Removes the entries of some topics. */
function takeOut(kept: Map<string, Kept>, fits: (topic: string) => boolean): Kept[] {
  const out: Kept[] = [];
  for (const [key, entry] of kept) {
    if (!fits(entry.topic)) continue;
    kept.delete(key);
    out.push(entry);
  }
  return out;
}

/** Whether topics include this one, by name or by a `*`. */
function isAmong(topic: string, topics: readonly string[]): boolean {
  const parts = topic.split(':');
  if (parts.length > 1) parts[1] = '*';
  return topics.includes(topic) || topics.includes(parts.join(':'));
}

/** Whether no newer message replaces it once the queue is conflated. */
function standsAlone({ type }: TopicMessage): boolean {
  const def = channelDef(type);
  return !isReplaced(def) || def.conflation === 'each-bar';
}

/** @param range the gap, or the message, that it includes from now on */
function extend(
  gaps: Map<string, GapItem>,
  range: Omit<GapItem, 'type' | 'reason' | 'local'>,
): void {
  const key = gapKey(range.topic, range.shard);
  const before = gaps.get(key);
  const reason: MessageOf<'gap'>['reason'] = 'slow-reader';
  gaps.set(key, {
    type: 'gap',
    topic: range.topic,
    from: before?.from ?? range.from,
    to: range.to,
    count: (before?.count ?? 0) + range.count,
    reason,
    local: true,
    shard: range.shard,
  });
}

/** `status` has a gap in each shard. */
function gapKey(topic: string, shard: string | null): string {
  return shard === null ? topic : `${topic} ${shard}`;
}
