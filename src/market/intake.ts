/**
 * Intake: what became of the events that a source sent of one instrument, counted; and the reports of it on
 * `status`, of which a run of the same makes one at its beginning and then one a minute.
 */

import type { Nanos } from '../../protocol/time';

/** Since the start of the server. */
export interface IntakeCounts {
  /** Dropped, since the source had sent them before. */
  repeated: number;
  /** Book events without effect until a snapshot comes. */
  waiting: number;
  /** Trades that changed the past alone. */
  late: number;
  /** Events whose time was ahead of their receipt. */
  ahead: number;
  /** How often numbers began anew. */
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

/** A session of a source, as far as an instrument knows of it. */
export interface SourceSession {
  /** Above 0; the same for as long as the session lives. */
  readonly id: number;
  /** Whose key it is; without one the address. */
  readonly owner: string;
  /** It says that its numbers go on from those of the session before. */
  readonly continues: boolean;
}

/** What became of one event, as far as its source is to know. */
export type IntakeOutcome = 'taken' | 'repeated' | 'waiting';

/** What is reported in runs, and the reason word of it. */
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

  /** @returns the reason word and the number of events to report now, if any */
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

  /** What runs have left to report a minute later; those that are over begin anew. */
  *due(now: Nanos): Iterable<{ readonly reason: string; readonly events: number }> {
    for (const [what, run] of this.runs) {
      if (now.since(run.reportedAt) < REPORT_EVERY_NS) continue;
      this.runs.delete(what);
      if (run.unreported > 0) yield { reason: REASONS[what], events: run.unreported };
    }
  }

  /** What runs have left to report; all of them begin anew. */
  *all(): Iterable<{ readonly reason: string; readonly events: number }> {
    const runs = Array.from(this.runs);
    this.runs.clear();
    for (const [what, { unreported }] of runs) {
      if (unreported > 0) yield { reason: REASONS[what], events: unreported };
    }
  }

  /** Whether it is time to look for what is due: once a second, since each event asks. */
  mayBeDue(now: Nanos): boolean {
    if (this.runs.size === 0) return false;
    const { lookedAt } = this;
    if (lookedAt !== null && Math.abs(now.since(lookedAt)) < LOOK_EVERY_NS) return false;
    this.lookedAt = now;
    return true;
  }
}
