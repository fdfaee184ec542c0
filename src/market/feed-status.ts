/**
 * Feed status: the state of a fed instrument, its status events, and the counts of what its source sent.
 * All status events of a server are of one topic, so their chain is shared.
 */

import type { Status } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import { IntakeReports, noIntake } from './intake';
import type { MarketOutput } from './output';

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

  /** Takes a state on and pushes it as a status event. */
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

  /** Counts an event, and reports it unless such are reported already. */
  count(what: 'late' | 'ahead', at: Nanos, out: MarketOutput): void {
    this.intake[what] += 1;
    const report = this.reports.note(what, out.receiveTime);
    if (report !== undefined) this.tell(this.state, report.reason, at, out, report);
  }

  /** Reports what was counted and not reported for a minute. */
  reportDue(out: MarketOutput): void {
    if (!this.reports.mayBeDue(out.receiveTime)) return;
    for (const report of this.reports.due(out.receiveTime)) {
      this.tell(this.state, report.reason, out.receiveTime, out, report);
    }
  }

  /** Reports all that was counted and not reported: its source goes. */
  reportAll(out: MarketOutput): void {
    for (const report of this.reports.all()) {
      this.tell(this.state, report.reason, out.receiveTime, out, report);
    }
  }

  /** A source that says something new feeds the instrument again. */
  revive(at: Nanos, out: MarketOutput): void {
    // It is closed when it was deleted and is defined again.
    if (this.state === 'stale' || this.state === 'recovered' || this.state === 'closed') {
      this.tell('live', 'source-connected', at, out);
    }
  }
}

/** The status topic runs over all instruments, so its head is shared between them. */
export interface StatusHead {
  status: number;
}
