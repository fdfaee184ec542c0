/**
 * Bar ends: the times at which the clock ends open bars, in a heap, so that an end costs the same
 * however many bars are open.
 *
 * The end of a bar moves with its trades [D4]. An earlier time replaces the noted one; a later time
 * is noticed when the noted one has come. Bounded: one valid entry for each topic, and about as
 * many replaced ones.
 */

import type { Nanos } from '../../../protocol/time';
import type { BarEnd, TopicState } from './mirror';

const UNUSED_MAX = 64;

export class BarEnds {
  /** Topics that have an entry; each refers to its own, so that the next trade finds it at once. */
  private noted = 0;
  /** No entry is later than its children, at 2i + 1 and 2i + 2. */
  private heap: BarEnd[] = [];

  /** Notes when the bar of a topic ends, unless an earlier time is noted. */
  add(end: BarEnd): void {
    const topic = topicOf(end);
    const { barEnd } = topic;
    if (barEnd !== null && barEnd.at.compare(end.at) <= 0) return;
    if (barEnd === null) this.noted += 1;
    topic.barEnd = end;
    if (this.heap.length > 2 * this.noted + UNUSED_MAX) this.rebuild();
    this.rise(this.heap.push(end) - 1);
  }

  /** The earliest noted time; null if there is none. */
  get next(): Nanos | null {
    this.skip();
    return this.heap[0]?.at ?? null;
  }

  /** Removes and returns the earliest end, if it has come. */
  take(now: Nanos): BarEnd | undefined {
    const { next } = this;
    if (next === null || next.compare(now) > 0) return undefined;
    const end = this.pop();
    topicOf(end).barEnd = null;
    this.noted -= 1;
    return end;
  }

  /** Removes replaced entries from the top. */
  private skip(): void {
    while (this.heap.length > 0 && !isNoted(this.heap[0]!)) this.pop();
  }

  private pop(): BarEnd {
    const first = this.heap[0]!;
    const last = this.heap.pop()!;
    if (this.heap.length > 0) {
      this.heap[0] = last;
      this.sink(0);
    }
    return first;
  }

  private rebuild(): void {
    this.heap = this.heap.filter(isNoted);
    for (let i = (this.heap.length >> 1) - 1; i >= 0; i--) this.sink(i);
  }

  private rise(from: number): void {
    const { heap } = this;
    let i = from;
    while (i > 0) {
      const above = (i - 1) >> 1;
      if (compare(heap[above]!, heap[i]!) <= 0) return;
      [heap[above], heap[i]] = [heap[i]!, heap[above]!];
      i = above;
    }
  }

  private sink(from: number): void {
    const { heap } = this;
    for (let i = from; ;) {
      let least = 2 * i + 1;
      if (least >= heap.length) return;
      if (least + 1 < heap.length && compare(heap[least + 1]!, heap[least]!) < 0) least += 1;
      if (compare(heap[i]!, heap[least]!) <= 0) return;
      [heap[least], heap[i]] = [heap[i]!, heap[least]!];
      i = least;
    }
  }
}

/** Whether it was not replaced. */
function isNoted(end: BarEnd): boolean {
  return topicOf(end).barEnd === end;
}

function topicOf({ instrument, index }: BarEnd): TopicState {
  return instrument.barTopics[index]!;
}

/** At the same time the shorter interval comes first. */
function compare(a: BarEnd, b: BarEnd): number {
  return a.at.compare(b.at) || a.index - b.index;
}
