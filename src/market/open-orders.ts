/**
 * Open orders of one owner, in the order of their commands, so that a page of them is found by its place
 * and not by a walk. Those that have ended stay in the list until there are as many of them as of others.
 */

/** What is needed of an order. */
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
    if (newest !== undefined && newest.seq > order.seq) this.isSorted = false; // only in recovery
    this.list.push(order);
    this.count += 1;
  }

  /** An order of these is not open any more; its status says so already. */
  ended(): void {
    this.count -= 1;
    if (this.list.length > 2 * this.count + SMALL) this.tidy();
  }

  /** Those behind a command, `limit` at the most. */
  behind(seq: number, limit: number): T[] {
    if (!this.isSorted) this.sort();
    const found: T[] = [];
    for (let at = this.placeBehind(seq); at < this.list.length && found.length < limit; at++) {
      const order = this.list[at]!;
      if (order.status === 'open') found.push(order);
    }
    return found;
  }

  private placeBehind(seq: number): number {
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

/** A list of so many is not worth tidying. */
const SMALL = 16;
