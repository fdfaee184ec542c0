/**
 * Slices: handles the requests of one connection a few at a time, within its client's share of the event
 * loop (shares.ts), so that a client with many requests does not delay others. The rest waits in order.
 * Market events and requests of other clients are handled in between.
 *
 * Bounded: by the limits on what a connection sends, which apply before this queue, and by what may wait per
 * client.
 */

import { PIECE, type Share, type Waiting } from '../auth/shares';

export class Slices<T> implements Waiting {
  private readonly shareOf: () => Share;
  private readonly handle: (item: T) => void;
  private readonly costOf: (item: T) => number;
  private readonly hold: (bytes: number) => void;
  private items: { readonly item: T; readonly cost: number; readonly bytes: number }[] = [];
  private done = 0;
  /** The share in whose queue this connection waits. */
  private share: Share | undefined;
  private owed = 0;

  /**
   * @param shareOf returns the current share of the client, which changes with its key
   * @param hold adds to the bytes that wait (negative: subtracts)
   */
  constructor(
    shareOf: () => Share,
    costOf: (item: T) => number,
    handle: (item: T) => void,
    hold: (bytes: number) => void = () => {},
  ) {
    this.hold = hold;
    this.shareOf = shareOf;
    this.costOf = costOf;
    this.handle = handle;
  }

  get waiting(): number {
    return this.items.length - this.done;
  }

  /**
   * Handles items now, or later behind those that wait.
   * @param bytes estimated memory per item
   * @returns how many items were handled now
   */
  take(items: readonly T[], bytes = 0): number {
    let i = 0;
    if (this.share === undefined) {
      const share = this.shareOf();
      for (; i < items.length; i++) {
        const cost = this.costOf(items[i]!);
        // Items without cost do not wait for the share.
        if (cost > 0 && !share.isFree) break;
        this.do(items[i]!, cost, share);
      }
      if (i === items.length) return i;
      this.share = share;
      share.wait(this);
    }
    for (const item of items.slice(i)) this.wait(item, bytes);
    this.hold((items.length - i) * bytes);
    return i;
  }

  /** Discards what waits. */
  clear(): void {
    this.share?.owe(-this.owed);
    this.owed = 0;
    this.hold(-this.items.slice(this.done).reduce((sum, { bytes }) => sum + bytes, 0));
    this.items = [];
    this.done = 0;
  }

  step(share: Share): boolean {
    for (let spent = 0; spent < PIECE && this.waiting > 0;) {
      const { item, cost, bytes } = this.items[this.done++]!;
      this.hold(-bytes);
      this.owed -= cost;
      share.owe(-cost);
      spent += cost;
      this.do(item, cost, share);
      if (!share.mayRun) break;
    }
    if (this.waiting > 0) return true;
    this.clear();
    this.share = undefined;
    return false;
  }

  private wait(item: T, bytes: number): void {
    const cost = this.costOf(item);
    this.owed += cost;
    this.share!.owe(cost);
    this.items.push({ item, cost, bytes });
  }

  private do(item: T, cost: number, share: Share): void {
    if (cost > 0) share.spend(cost);
    this.handle(item);
  }
}
