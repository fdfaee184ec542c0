/**
 * Ended chunks: the kept ended orders, a thousand a chunk in the order of their ends, so that a checkpoint writes only
 * chunks that changed. An ended order never changes, so the content of a chunk can be read later than it was captured.
 */

export const CHUNK_ORDERS = 1_000;

/** The part of an order that is needed here. */
interface Ended {
  /** Number of orders that ended before it; absent while it is open. */
  endedAs?: number;
}

export interface EndedChunk<T> {
  readonly chunk: number;
  readonly orders: readonly T[];
}

export class EndedChunks<T extends Ended> {
  private readonly chunks = new Map<number, Set<T>>();
  private changed = new Set<number>();

  get isChanged(): boolean {
    return this.changed.size > 0;
  }

  /** Chunks below this one are empty. @param total orders that have ended */
  first(total: number): number {
    for (const chunk of this.chunks.keys()) return chunk;
    return chunkOf(total);
  }

  /** An order has ended. */
  add(order: T): void {
    this.changed.add(chunkOf(order.endedAs!));
    this.restore(order);
  }

  /** Recovery: adds an ended order. They come in the order of their ends. */
  restore(order: T): void {
    const chunk = chunkOf(order.endedAs!);
    let orders = this.chunks.get(chunk);
    if (orders === undefined) {
      orders = new Set();
      this.chunks.set(chunk, orders);
    }
    orders.add(order);
  }

  /** An order is no longer kept. */
  remove(order: T): void {
    const chunk = chunkOf(order.endedAs!);
    const orders = this.chunks.get(chunk)!;
    orders.delete(order);
    if (orders.size === 0) this.chunks.delete(chunk);
    this.changed.add(chunk);
  }

  /** Returns the chunks that changed since the last call. */
  takeChanged(total: number): EndedChunk<T>[] {
    const { changed } = this;
    const first = this.first(total);
    this.changed = new Set();
    return [...changed]
      .filter((chunk) => chunk >= first)
      .map((chunk) => ({ chunk, orders: [...(this.chunks.get(chunk) ?? [])] }));
  }

  /** Marks all chunks that are not empty as changed. */
  markAllChanged(): void {
    this.markChanged(this.chunks.keys());
  }

  /** Marks chunks as changed. */
  markChanged(chunks: Iterable<number>): void {
    for (const chunk of chunks) this.changed.add(chunk);
  }
}

function chunkOf(endedAs: number): number {
  return Math.floor(endedAs / CHUNK_ORDERS);
}
