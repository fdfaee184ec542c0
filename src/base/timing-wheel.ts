/**
 * Timing wheel: which of many items are due, at a cost that does not depend on their number.
 *
 * Time is divided into ticks; each slot holds the items of one tick. An item that lies beyond the wheel is handed out
 * early, once a revolution; the receiver checks its time and adds it again. Bound: each item is in it once.
 */

export class TimingWheel<T> {
  private readonly tickMs: number;
  private readonly slots: readonly Set<T>[];
  private readonly ticks = new Map<T, number>();
  /** The first tick that is not handed out yet. */
  private next = 0;

  constructor(tickMs: number, slots: number) {
    this.tickMs = tickMs;
    this.slots = Array.from({ length: slots }, () => new Set<T>());
  }

  get size(): number {
    return this.ticks.size;
  }

  /** Adds an item with a time, unless it is due sooner already. */
  at(item: T, ms: number): void {
    const { slots, ticks, next } = this;
    const wanted = Math.max(next, Math.ceil(ms / this.tickMs));
    const tick = Math.min(wanted, next + slots.length - 1);
    const before = ticks.get(item);
    if (before !== undefined) {
      if (before <= tick) return;
      slots[before % slots.length]!.delete(item);
    }
    ticks.set(item, tick);
    slots[tick % slots.length]!.add(item);
  }

  delete(item: T): void {
    const tick = this.ticks.get(item);
    if (tick === undefined) return;
    this.ticks.delete(item);
    this.slots[tick % this.slots.length]!.delete(item);
  }

  /** Hands out the items that are due up to a time. */
  take(nowMs: number, into: (item: T) => void): void {
    const { slots, ticks } = this;
    const end = Math.floor(nowMs / this.tickMs) + 1;
    // After a jump of the clock every slot is due once.
    for (let tick = Math.max(this.next, end - slots.length); tick < end; tick++) {
      const slot = slots[tick % slots.length]!;
      for (const item of slot) {
        ticks.delete(item);
        into(item);
      }
      slot.clear();
    }
    this.next = Math.max(this.next, end);
  }
}
