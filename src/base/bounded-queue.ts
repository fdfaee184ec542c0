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
    if (this.count === this.items.length) this.grow();
    this.items[(this.head + this.count) & (this.items.length - 1)] = item;
    this.count += 1;
    return 'queued';
  }

  shift(): T | undefined {
    if (this.count === 0) return undefined;
    const item = this.items[this.head];
    this.items[this.head] = undefined; // so that what left can be collected
    this.head = (this.head + 1) & (this.items.length - 1);
    this.count -= 1;
    return item;
  }

  /** All of them, first in first. */
  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.count; i++) {
      yield this.items[(this.head + i) & (this.items.length - 1)]!;
    }
  }

  private grow(): void {
    const larger = new Array<T | undefined>(this.items.length * 2);
    for (let i = 0; i < this.count; i++) {
      larger[i] = this.items[(this.head + i) & (this.items.length - 1)];
    }
    this.items = larger;
    this.head = 0;
  }
}

function powerOfTwo(least: number): number {
  let size = 1;
  while (size < least) size *= 2;
  return size;
}
