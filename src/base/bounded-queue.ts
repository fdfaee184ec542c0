/**
 * Bounded queue: first in, first out, over a ring that grows up to its bound and then refuses.
 * Overflow is a value; what to do about it is the caller's decision.
 */
export class BoundedQueue<T> {
  private items: (T | undefined)[];
  private head = 0;
  private count = 0;
  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.items = new Array<T | undefined>(Math.min(16, powerOfTwo(capacity)));
  }

  get length(): number {
    return this.count;
  }

  push(item: T): 'queued' | 'dropped' {
    if (this.count === this.capacity) return 'dropped';
    if (this.count === this.items.length) this.resize(this.items.length * 2);
    this.items[(this.head + this.count) & (this.items.length - 1)] = item;
    this.count += 1;
    return 'queued';
  }

  shift(): T | undefined {
    if (this.count === 0) return undefined;
    const item = this.items[this.head];
    this.items[this.head] = undefined; // lets the collector free it
    this.head = (this.head + 1) & (this.items.length - 1);
    this.count -= 1;
    return item;
  }

  /** The item at `index`, 0 being the next to leave. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.count) return undefined;
    return this.items[(this.head + index) & (this.items.length - 1)];
  }

  /** Frees half of the capacity when three quarters are empty. */
  fit(): void {
    if (this.items.length > 16 && this.count < this.items.length / 4) {
      this.resize(this.items.length / 2);
    }
  }

  /** All items, the oldest first. */
  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.count; i++) {
      yield this.items[(this.head + i) & (this.items.length - 1)]!;
    }
  }

  private resize(length: number): void {
    const items = new Array<T | undefined>(length);
    for (let i = 0; i < this.count; i++) {
      items[i] = this.items[(this.head + i) & (this.items.length - 1)];
    }
    this.items = items;
    this.head = 0;
  }
}

function powerOfTwo(least: number): number {
  let size = 1;
  while (size < least) size *= 2;
  return size;
}
