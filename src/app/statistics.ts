/**
 * Statistics: sessions and bars of all instruments at the newest place of the market.
 *
 * They follow from the trades, so the journal holds nothing of them but their state in the
 * pieces of checkpoints, of one size an instrument; a restart folds the trades behind it again, and so takes as
 * long as the rest of recovery. (Folding the present day's trades anew would take as long as the day
 * was busy.) Readers get theirs from the broadcaster, which may be behind the market.
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

  /** The instrument's own; of one that has not traded, empty. */
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

  /** Takes events of a tail on, but for what was restored with their effect. */
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

  /** Of an instrument; null before its first trade. */
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

  /** Takes on how an instrument stood behind a place. */
  restoreAt(symbol: string, state: StatisticsState, seq: number): void {
    this.of(symbol).restore(state);
    this.since.set(symbol, seq);
  }

  private take(event: BatchEvent): void {
    if (event.type === 'trade') this.of(event.symbol).add(event);
  }
}
