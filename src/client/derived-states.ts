/**
 * Derived states: what the client holds of a topic of bars or statistics. Each message is a whole state, so
 * of each bar the one with the highest `seq` counts, in whatever order they come.
 *
 * Bounded: the newest bar, and those that changed last; of one that is not held any more a repetition
 * cannot be told from news.
 */

import type { Bar, Stats } from '../../protocol/messages';

export type Derived = Bar | Stats;

const BARS_MAX = 64;

export class DerivedStates {
  /** By their opening seconds, those that changed last at the end; statistics have one. */
  private readonly states = new Map<number, Derived>();
  private newestKey = -1;

  /** Takes a state on. @returns false when it says nothing new */
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

  /** The state; of bars the newest one. */
  get newest(): Derived | undefined {
    return this.states.get(this.newestKey);
  }

  /** States of this place or above may hold trades that are no more. */
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
  // A server that has just started may not know yet that it has ended.
  return isOther || (m.final && !held.final);
}
