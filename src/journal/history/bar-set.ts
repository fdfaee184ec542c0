/**
 * Bar set: the bars of a range of market time, built from trades in any order.
 *
 * It keeps only the bars that an answer may need, from one end of the range: `limit`, and one more
 * to know that there are more. Bars beyond these narrow the range in which trades are searched.
 */

import {
  addToBar,
  BAR_SECONDS,
  barOf,
  type BarInterval,
  type OpenBar,
  type TradeFields,
} from '../../../protocol/bars';
import type { Nanos } from '../../../protocol/time';
import { marketTime } from '../../../protocol/trade-time';
import type { TimeOrder } from './parts';

export class BarSet {
  readonly order: TimeOrder;
  /** Range of market time, both inclusive. */
  first: Nanos;
  last: Nanos;
  /** Number of trades so far, including those of bars that were dropped. */
  taken = 0;
  private readonly interval: BarInterval;
  private readonly keep: number;
  /** By the second at which they open. */
  private readonly bars = new Map<number, OpenBar>();
  private newest: OpenBar | null = null;
  /** The dropped bar that is next to the kept ones. */
  private leftOut: Nanos | null = null;

  constructor(interval: BarInterval, limit: number, order: TimeOrder, first: Nanos, last: Nanos) {
    this.interval = interval;
    this.keep = limit + 1;
    this.order = order;
    this.first = first;
    this.last = last;
  }

  get size(): number {
    return this.bars.size;
  }

  get hasLeftOut(): boolean {
    return this.leftOut !== null;
  }

  add(trade: TradeFields): void {
    const at = marketTime(trade);
    if (at.compare(this.first) < 0 || at.compare(this.last) > 0) return;
    this.taken += 1;
    const { newest } = this;
    if (newest !== null && at.compare(newest.openTime) >= 0 && at.compare(newest.endTime) < 0) {
      addToBar(newest, trade, at);
      return;
    }
    const made = barOf(this.interval, trade);
    const key = made.openTime.seconds;
    const known = this.bars.get(key);
    this.newest = known ?? made;
    if (known !== undefined) return addToBar(known, trade, at);
    this.bars.set(key, made);
    if (this.bars.size >= this.keep * 2) this.leaveOut(this.keep);
  }

  /**
   * How many bars are complete if only blocks from a time on (for the last bars: up to a time) are
   * left to read.
   */
  wholeBy(time: Nanos): number {
    let whole = 0;
    for (const { openTime, endTime } of this.bars.values()) {
      const isWhole =
        this.order === 'first' ? endTime.compare(time) <= 0 : openTime.compare(time) > 0;
      if (isWhole) whole += 1;
    }
    return whole;
  }

  /** Drops all bars but one. */
  narrow(): void {
    this.leaveOut(1);
  }

  /** The bars of the answer, oldest first. @param whole how many are complete */
  page(whole: number): OpenBar[] {
    const count = Math.min(whole, this.keep - 1);
    const sorted = this.sorted();
    return this.order === 'first' ? sorted.slice(0, count) : sorted.slice(sorted.length - count);
  }

  /**
   * Where the bars after the first `count` begin, or may begin; null if there are none.
   * @param part time of the first block that was not read
   */
  behind(count: number, part: Nanos | null): Nanos | null {
    const bar = this.sorted()[count]?.openTime ?? this.leftOut;
    if (part === null) return bar;
    const floor = part.floorToSeconds(BAR_SECONDS[this.interval]);
    return bar === null || floor.compare(bar) < 0 ? floor : bar;
  }

  private sorted(): OpenBar[] {
    return [...this.bars.values()].sort((a, b) => a.openTime.compare(b.openTime));
  }

  private leaveOut(keep: number): void {
    const sorted = this.sorted();
    const cut = this.order === 'first' ? keep : sorted.length - keep;
    const out = this.order === 'first' ? sorted.slice(cut) : sorted.slice(0, cut);
    if (out.length === 0) return;
    for (const { openTime } of out) this.bars.delete(openTime.seconds);
    this.newest = null;
    if (this.order === 'first') {
      this.leftOut = out[0]!.openTime;
      this.last = this.leftOut.plus(-1);
    } else {
      this.leftOut = out.at(-1)!.openTime;
      this.first = out.at(-1)!.endTime;
    }
  }
}
