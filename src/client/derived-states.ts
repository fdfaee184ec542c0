/**
 * Derived states: what the client holds of a topic of bars or statistics. Each message is a complete state, so of each
 * bar the one with the highest `seq` counts, whatever their order.
 *
 * Bound: the newest bar, and the bars that changed last. For a bar that is no longer held, a repetition cannot be
 * recognised.
 */

import type { Bar, Stats } from '../../protocol/messages';

export type Derived = Bar | Stats;

const BARS_MAX = 64;

export class DerivedStates {
  /** By opening second, the last changed at the end; statistics have one entry. */
  private readonly states = new Map<number, Derived>();
  private newestKey = -1;

  /** Applies a state. @returns false if it is not new */
  take(m: Derived): boolean {
    const key = keyOf(m);
    const held = this.states.get(key);
    if (held !== undefined && !isNews(m, held)) return false;
    this.states.delete(key);
    this.states.set(key, m);
    if (key > this.newestKey) this.newestKey = key;
    if (this.states.size > BARS_MAX) this.drop();
    return true;
  }

  /** The state; for bars the newest bar. */
  get newest(): Derived | undefined {
    return this.states.get(this.newestKey);
  }

  /** States with this `seq` or a higher one may include trades that a crash lost. */
  voidFrom(seq: number): void {
    for (const [key, state] of this.states) if (state.seq >= seq) this.states.delete(key);
    this.newestKey = Math.max(-1, ...this.states.keys());
  }

  clear(): void {
    this.states.clear();
    this.newestKey = -1;
  }

  private drop(): void {
    for (const key of this.states.keys()) {
      if (key === this.newestKey) continue;
      this.states.delete(key);
      return;
    }
  }
}

function keyOf(m: Derived): number {
  return m.type === 'bar' ? m.openTime.seconds : 0;
}

function isNews(m: Derived, held: Derived): boolean {
  if (m.seq < held.seq) return false;
  if (m.type !== 'bar' || held.type !== 'bar') return m.seq > held.seq;
  const isOther =
    m.trades !== held.trades ||
    m.volume !== held.volume ||
    m.open !== held.open ||
    m.high !== held.high ||
    m.low !== held.low ||
    m.close !== held.close;
  // A server that has just started may not know yet that the bar has ended.
  return isOther || (m.final && !held.final);
}
