/**
 * Item check: what a consumer of the SDK may count on, looked at from outside of it: each message of a
 * topic follows the one before, or a `gap` or `reset` item says what does not come.
 */

import { topicOf } from '../../protocol/topics';
import type { Item } from '../../src/client';

interface Seen {
  last: number;
  /** Up to here what comes is state, behind a reset. */
  stateUpTo: number;
}

export class ItemCheck {
  /** Messages that are missing without a word, or came twice. */
  losses = 0;
  repeats = 0;
  gaps = 0;
  /** Messages that gaps stand for. */
  declared = 0;
  resets = 0;
  /** The first thing that was wrong, in words. */
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
    if (item.type === 'bar' || item.type === 'stats') return; // they have the place of a trade
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
    this.first ??= `${topic}: behind ${last} came ${seq}, which names ${prevSeq} (${what})`;
  }
}
