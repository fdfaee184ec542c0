/**
 * Restart truth: compares what a reader received of a topic over several epochs of a server with what the journal
 * has. Between two messages the journal may have no more messages than the second one replaces; what a `gap` or
 * `reset` item declared is declared. A reader may have more than the journal: what a killed server had pushed and
 * not written.
 */

import { topicOf } from '../../protocol/topics';
import type { Item } from '../../src/client';

/** What was received of one topic, in order. */
export type Entry =
  | { readonly is: 'message'; readonly seq: number; readonly count: number }
  | { readonly is: 'gap'; readonly from: number; readonly to: number }
  /** State follows, up to this seq. */
  | { readonly is: 'reset'; readonly seq: number };

export interface Compared {
  messages: number;
  /** In the journal, and not received or declared missing. */
  lost: number;
  /** Seqs that were repeated or out of order. */
  repeated: number;
  gaps: number;
  resets: number;
  /** Pushed, but not in the journal. */
  beyond: number;
}

export class Entries {
  readonly ofTopic = new Map<string, Entry[]>();

  take(item: Item): void {
    if (item.type === 'gap') this.add(item.topic, { is: 'gap', from: item.from, to: item.to });
    else if (item.type === 'reset') {
      for (const topic of item.topics) this.add(topic, { is: 'reset', seq: item.seq });
    } else {
      const count = 'count' in item ? item.count : 1;
      this.add(topicOf(item)!, { is: 'message', seq: item.seq, count });
    }
  }

  private add(topic: string, entry: Entry): void {
    const entries = this.ofTopic.get(topic);
    if (entries === undefined) this.ofTopic.set(topic, [entry]);
    else entries.push(entry);
  }
}

/** @param journal seqs of the topic, ascending */
export function compare(entries: readonly Entry[], journal: readonly number[]): Compared {
  const sum: Compared = { messages: 0, lost: 0, repeated: 0, gaps: 0, resets: 0, beyond: 0 };
  let last: number | undefined;
  let stateUpTo = 0;
  // After a gap the state that covers it follows [R5]: from before the gap, or a whole book at its end.
  let gap = { from: 0, to: 0 };
  for (const entry of entries) {
    if (entry.is === 'gap') {
      sum.gaps += 1;
      gap = entry;
      last = entry.to; // everything held above it is invalid
    } else if (entry.is === 'reset') {
      sum.resets += 1;
      last = stateUpTo = entry.seq;
    } else if (entry.seq > stateUpTo && entry.seq >= gap.from && entry.seq !== gap.to) {
      gap = { from: 0, to: 0 };
      const { seq, count } = entry;
      sum.messages += 1;
      if (last !== undefined && seq <= last) sum.repeated += 1;
      const at = firstAtLeast(journal, seq);
      if (journal[at] !== seq) sum.beyond += 1;
      const between = last === undefined ? 0 : at - firstAtLeast(journal, last + 1);
      sum.lost += Math.max(0, between - (count - 1));
      last = Math.max(last ?? 0, seq);
    }
  }
  return sum;
}

export function addTo(sum: Compared, one: Compared): void {
  for (const name of Object.keys(one) as (keyof Compared)[]) sum[name] += one[name];
}

function firstAtLeast(sorted: readonly number[], value: number): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (sorted[middle]! < value) from = middle + 1;
    else to = middle;
  }
  return from;
}
