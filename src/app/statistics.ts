/**
 * Statistics: sessions and bars of all instruments at the newest sequence number of the market.
 *
 * They follow from the trades. The journal has only their state in the pieces of checkpoints, of constant size for
 * each instrument. A restart adds the trades after the checkpoint, so it does not depend on how busy the day was.
 * Readers get statistics from the broadcaster, which may be behind the market.
 */

import type { BatchEvent } from '../../protocol/records';
import { TradeStatistics, type StatisticsState } from '../../protocol/statistics';

export class Statistics {
  private readonly instruments = new Map<string, TradeStatistics>();
  private readonly since = new Map<string, number>();
  private readonly boundarySeconds: number;

  /** @param boundarySeconds when a session ends, in seconds after midnight UTC */
  constructor(boundarySeconds: number) {
    this.boundarySeconds = boundarySeconds;
  }

  /** The statistics of an instrument; empty before its first trade. */
  of(symbol: string): TradeStatistics {
    let found = this.instruments.get(symbol);
    if (found === undefined) {
      found = new TradeStatistics(this.boundarySeconds);
      this.instruments.set(symbol, found);
    }
    return found;
  }

  accept(events: readonly BatchEvent[]): void {
    for (const event of events) this.take(event);
  }

  /** Takes events of a tail, except those whose effect was restored. */
  recover(events: readonly BatchEvent[]): void {
    for (const event of events) {
      if (event.type === 'trade' && event.seq > (this.since.get(event.symbol) ?? 0))
        this.take(event);
    }
  }

  /** The tail is over. */
  recovered(): void {
    this.since.clear();
  }

  /** The state of an instrument; null before its first trade. */
  stateOf(symbol: string): StatisticsState | null {
    const own = this.instruments.get(symbol);
    return own === undefined || own.session.seq === 0 ? null : own.state();
  }

  state(): Record<string, StatisticsState> {
    const entries = [...this.instruments].filter(([, own]) => own.session.seq > 0);
    return Object.fromEntries(entries.map(([symbol, own]) => [symbol, own.state()]));
  }

  restore(state: Readonly<Record<string, StatisticsState>>): void {
    for (const [symbol, own] of Object.entries(state)) this.of(symbol).restore(own);
  }

  /** Restores an instrument as it was at a sequence number. */
  restoreAt(symbol: string, state: StatisticsState, seq: number): void {
    this.of(symbol).restore(state);
    this.since.set(symbol, seq);
  }

  private take(event: BatchEvent): void {
    if (event.type === 'trade') this.of(event.symbol).add(event);
  }
}
