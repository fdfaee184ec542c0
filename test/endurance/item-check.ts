/**
 * Item check: checks from outside what a consumer of the SDK may rely on: each message of a topic follows the
 * previous one, or a `gap` or `reset` item declares what is missing.
 */

import { topicOf } from '../../protocol/topics';
import type { Item } from '../../src/client';

interface Seen {
  last: number;
  /** Messages up to this seq are state, after a reset. */
  stateUpTo: number;
}

export class ItemCheck {
  /** Messages that are missing and not declared, or were repeated. */
  losses = 0;
  repeats = 0;
  gaps = 0;
  /** Messages that gaps declared. */
  declared = 0;
  resets = 0;
  /** A description of the first error. */
  first: string | undefined;
  private readonly topics = new Map<string, Seen>();

  take(item: Item): void {
    if (item.type === 'gap') {
      this.gaps += 1;
      this.declared += item.count;
      const seen = this.topics.get(item.topic);
      if (seen !== undefined) seen.last = Math.max(seen.last, item.to);
      return;
    }
    if (item.type === 'reset') {
      this.resets += 1;
      for (const topic of item.topics) this.topics.set(topic, { last: 0, stateUpTo: item.seq });
      return;
    }
    if (item.type === 'bar' || item.type === 'stats') return; // they have the seq of a trade
    const topic = topicOf(item)!;
    const seen = this.topics.get(topic);
    if (seen === undefined) {
      this.topics.set(topic, { last: item.seq, stateUpTo: 0 });
      return;
    }
    const isState = item.seq <= seen.stateUpTo;
    if (item.seq <= seen.last && !isState) this.wrong('repeats', topic, seen.last, item);
    if (!isState && seen.last > 0 && item.prevSeq > seen.last) {
      this.wrong('losses', topic, seen.last, item);
    }
    seen.last = Math.max(seen.last, item.seq);
  }

  private wrong(
    what: 'losses' | 'repeats',
    topic: string,
    last: number,
    { seq, prevSeq }: { readonly seq: number; readonly prevSeq: number },
  ): void {
    this[what] += 1;
    this.first ??= `${topic}: after ${last} came ${seq}, which names ${prevSeq} (${what})`;
  }
}
