/**
 * Feed status: the state of a feed instrument, its status events, and the counters of what its source sent. All
 * status events of a server are on one topic, so they share one chain.
 */

import type { Status } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import { IntakeReports, noIntake } from './intake';
import type { MarketOutput } from './output';

/** Reason of the status events that begin an epoch: one for each instrument. */
export const RESTART = 'restart';

export class FeedStatus {
  state: Status['state'] = 'live';
  readonly intake = noIntake();
  private readonly symbol: string;
  private readonly head: StatusHead;
  private readonly reports = new IntakeReports();

  constructor(symbol: string, head: StatusHead) {
    this.symbol = symbol;
    this.head = head;
  }

  /** Sets the state and pushes it as a status event. */
  tell(
    state: Status['state'],
    reason: string,
    eventTime: Nanos,
    out: MarketOutput,
    more: { readonly missed?: number; readonly events?: number } = {},
  ): void {
    const { missed = 0, events = null } = more;
    this.state = state;
    this.intake.missed += missed;
    const seq = out.nextSeq();
    out.push({
      type: 'status',
      symbol: this.symbol,
      seq,
      prevSeq: this.head.status,
      eventTime,
      receiveTime: out.receiveTime,
      state,
      reason,
      missed,
      events,
    });
    this.head.status = seq;
  }

  renumbered(reason: string, at: Nanos, out: MarketOutput): void {
    this.intake.renumbered += 1;
    this.tell(this.state, reason, at, out);
  }

  /** Counts an event, and reports it unless events of this kind were reported within the minute. */
  count(what: 'late' | 'ahead', at: Nanos, out: MarketOutput): void {
    this.intake[what] += 1;
    const report = this.reports.note(what, out.receiveTime);
    if (report !== undefined) this.tell(this.state, report.reason, at, out, report);
  }

  /** Reports what has been counted and unreported for a minute. */
  reportDue(out: MarketOutput): void {
    if (!this.reports.mayBeDue(out.receiveTime)) return;
    for (const report of this.reports.due(out.receiveTime)) {
      this.tell(this.state, report.reason, out.receiveTime, out, report);
    }
  }

  /** Reports everything that is counted and unreported, since its source has disconnected. */
  reportAll(out: MarketOutput): void {
    for (const report of this.reports.all()) {
      this.tell(this.state, report.reason, out.receiveTime, out, report);
    }
  }

  /** A source that sends something new feeds the instrument again. */
  revive(at: Nanos, out: MarketOutput): void {
    // It is closed if it was deleted and defined again.
    if (this.state === 'stale' || this.state === 'recovered' || this.state === 'closed') {
      this.tell('live', 'source-connected', at, out);
    }
  }
}

/** The newest sequence number of the status topic, which all instruments share. */
export interface StatusHead {
  status: number;
}
