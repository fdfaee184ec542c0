/** Virtual time: a clock and what is to happen at which time; promises settle between two events. */

import { drainMicrotasks } from 'bun:jsc';

import { ManualClock } from '../../src/base/clock';

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => void;
}

export class VirtualTime {
  readonly clock = new ManualClock();
  private readonly heap: Entry[] = [];
  private order = 0;

  get nowMs(): number {
    return this.clock.monotonicMs();
  }

  /** Does something after some milliseconds; what is due at the same time happens in the order of the calls. */
  after(ms: number, act: () => void): void {
    const entry = { atMs: this.nowMs + Math.max(0, ms), order: this.order++, act };
    const { heap } = this;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, entry)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  every(ms: number, act: () => boolean | void): void {
    this.after(ms, () => {
      if (act() !== false) this.every(ms, act);
    });
  }

  /** Does what comes next. @throws Error if nothing does */
  step(): void {
    const next = this.take();
    if (next === undefined) throw new Error('nothing is left to happen');
    this.clock.advance(Math.max(0, Math.round((next.atMs - this.nowMs) * 1e6)));
    next.act();
    drainMicrotasks();
  }

  run(ms: number): void {
    const untilMs = this.nowMs + ms;
    drainMicrotasks();
    while (this.heap.length > 0 && this.heap[0]!.atMs <= untilMs) this.step();
    this.clock.advance(Math.max(0, Math.round((untilMs - this.nowMs) * 1e6)));
  }

  /** Lets time pass until a promise settles. */
  settle<T>(promise: Promise<T>): Promise<T> {
    const settled: boolean[] = [];
    void promise.then(
      () => settled.push(true),
      () => settled.push(true),
    );
    drainMicrotasks();
    while (settled.length === 0) this.step();
    return promise;
  }

  private take(): Entry | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
