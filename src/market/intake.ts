/**
 * Intake: counts the outcomes of the events that a source sent of one instrument, and reports them on `status`. A run
 * of events of the same kind is reported at its beginning and then once a minute.
 */

import type { Nanos } from '../../protocol/time';

/** Counters since the start of the server. */
export interface IntakeCounts {
  /** Dropped: the source had sent them before. */
  repeated: number;
  /** Book events that have no effect until a snapshot comes. */
  waiting: number;
  /** Late trades: they change history only. */
  late: number;
  /** Events with an event time ahead of their receive time. */
  ahead: number;
  /** How often the source restarted its numbering. */
  renumbered: number;
  /** Messages of the source that are known to be missing. */
  missed: number;
}

export const INTAKE_COUNTS = [
  'repeated',
  'waiting',
  'late',
  'ahead',
  'renumbered',
  'missed',
] as const satisfies readonly (keyof IntakeCounts)[];

export function noIntake(): IntakeCounts {
  return { repeated: 0, waiting: 0, late: 0, ahead: 0, renumbered: 0, missed: 0 };
}

/** A session of a source. */
export interface SourceSession {
  /** Above 0; constant during the session. */
  readonly id: number;
  /** The name of its key; without a key its address. */
  readonly owner: string;
  /** Whether it states that it continues the numbering of its last session. */
  readonly continues: boolean;
}

/** The outcome of one event, as reported to its source. */
export type IntakeOutcome = 'taken' | 'repeated' | 'waiting';

/** What is reported in runs, and the reason in the status. */
const REASONS = {
  late: 'trades-late',
  ahead: 'times-ahead',
} as const;
type Reported = keyof typeof REASONS;

const REPORT_EVERY_NS = 60e9;
const LOOK_EVERY_NS = 1e9;

interface Run {
  unreported: number;
  reportedAt: Nanos;
}

export class IntakeReports {
  private readonly runs = new Map<Reported, Run>();
  private lookedAt: Nanos | null = null;

  /** @returns the reason and the number of events to report now, if any */
  note(
    what: Reported,
    now: Nanos,
  ): { readonly reason: string; readonly events: number } | undefined {
    const run = this.runs.get(what);
    if (run === undefined) {
      this.runs.set(what, { unreported: 0, reportedAt: now });
      return { reason: REASONS[what], events: 1 };
    }
    run.unreported += 1;
    if (now.since(run.reportedAt) < REPORT_EVERY_NS) return undefined;
    const events = run.unreported;
    run.unreported = 0;
    run.reportedAt = now;
    return { reason: REASONS[what], events };
  }

  /** Yields what runs have to report after a minute; runs that are over are forgotten. */
  *due(now: Nanos): Iterable<{ readonly reason: string; readonly events: number }> {
    for (const [what, run] of this.runs) {
      if (now.since(run.reportedAt) < REPORT_EVERY_NS) continue;
      this.runs.delete(what);
      if (run.unreported > 0) yield { reason: REASONS[what], events: run.unreported };
    }
  }

  /** Yields what all runs have to report, and forgets them. */
  *all(): Iterable<{ readonly reason: string; readonly events: number }> {
    const runs = Array.from(this.runs);
    this.runs.clear();
    for (const [what, { unreported }] of runs) {
      if (unreported > 0) yield { reason: REASONS[what], events: unreported };
    }
  }

  /** Whether to look for what is due: once a second, since each event asks. */
  mayBeDue(now: Nanos): boolean {
    if (this.runs.size === 0) return false;
    const { lookedAt } = this;
    if (lookedAt !== null && Math.abs(now.since(lookedAt)) < LOOK_EVERY_NS) return false;
    this.lookedAt = now;
    return true;
  }
}
