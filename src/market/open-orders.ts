/**
 * Open orders of one owner in the order of their commands, so that a page is found by its sequence number without a
 * scan. Ended orders stay in the list until they are as many as the open ones.
 */

/** The part of an order that is needed here. */
interface Open {
  readonly status: string;
  readonly seq: number;
}

export class OpenOrders<T extends Open> {
  private list: T[] = [];
  private isSorted = true;
  private count = 0;

  get size(): number {
    return this.count;
  }

  add(order: T): void {
    const newest = this.list.at(-1);
    if (newest !== undefined && newest.seq > order.seq) this.isSorted = false; // happens in recovery only
    this.list.push(order);
    this.count += 1;
  }

  /** An order of the list has ended; its status is set already. */
  ended(): void {
    this.count -= 1;
    if (this.list.length > 2 * this.count + SMALL) this.tidy();
  }

  /** At most `limit` open orders behind a command. */
  behind(seq: number, limit: number): T[] {
    if (!this.isSorted) this.sort();
    const found: T[] = [];
    for (let at = this.indexBehind(seq); at < this.list.length && found.length < limit; at++) {
      const order = this.list[at]!;
      if (order.status === 'open') found.push(order);
    }
    return found;
  }

  private indexBehind(seq: number): number {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle]!.seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private sort(): void {
    this.tidy();
    this.list.sort((a, b) => a.seq - b.seq);
    this.isSorted = true;
  }

  private tidy(): void {
    this.list = this.list.filter(({ status }) => status === 'open');
  }
}

/** A shorter list is not compacted. */
const SMALL = 16;
