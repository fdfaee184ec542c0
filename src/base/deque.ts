/**
 * Deque: a list whose items enter at the back and leave at the front, each in constant time, over a ring of slots
 * that doubles as needed. It has no bound of its own: its user bounds what it holds. Where a bound belongs to the
 * queue itself, use `BoundedQueue`.
 */

const SLOTS_LEAST = 16;

export class Deque<T> {
  private items = new Array<T | undefined>(SLOTS_LEAST);
  private head = 0;
  private count = 0;

  get length(): number {
    return this.count;
  }

  push(item: T): void {
    if (this.count === this.items.length) this.resize(this.items.length * 2);
    this.items[(this.head + this.count) & (this.items.length - 1)] = item;
    this.count += 1;
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

  /** Frees half of the slots when three quarters are empty. */
  fit(): void {
    if (this.items.length > SLOTS_LEAST && this.count < this.items.length / 4) {
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
