/**
 * Bounded queue: a deque that refuses items beyond its bound.
 * Overflow is a value; what to do about it is the caller's decision.
 */

import { Deque } from './deque';

export class BoundedQueue<T> extends Deque<T> {
  readonly capacity: number;

  constructor(capacity: number) {
    super();
    this.capacity = capacity;
  }

  override push(item: T): 'queued' | 'dropped' {
    if (this.length >= this.capacity) return 'dropped';
    super.push(item);
    return 'queued';
  }
}
