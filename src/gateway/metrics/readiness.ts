/**
 * Readiness: whether the server can provide its service now, and if not, why; the content of `GET /readyz`.
 *
 * The port opens only after a start has recovered the journal, so there is no answer before that. A silent
 * source does not make the server unready unless the settings say so: a market may be quiet, and other
 * servers of the same source are silent too.
 */

import type { ClusterStatus } from '../../base/contracts/cluster';
import type { JournalHealth } from '../../base/contracts/figures';
import { SECURITY_HEADERS } from '../rest/responses';

/** Feed instruments that have been silent for longer than allowed. */
export interface StaleFeeds {
  readonly count: number;
  /** Some of them, the longest silent first; `since` in nanoseconds since 1970. */
  readonly feeds: readonly { readonly symbol: string; readonly since: string }[];
  /** Whether this makes the server unready. */
  readonly isUnready: boolean;
}

export interface NotReady {
  readonly code: string;
  readonly message: string;
  readonly cause?: string;
  readonly hint?: string;
  readonly count?: number;
  readonly feeds?: StaleFeeds['feeds'];
}

export interface Readiness {
  /** Why the server is not ready; empty when it is. */
  readonly reasons: readonly NotReady[];
  /** Problems that need attention but do not make the server unready. */
  readonly warnings: readonly NotReady[];
}

const JOURNAL_FAULTS = {
  failing: ['journal-failing', 'the journal cannot be written'],
  hole: ['journal-hole', 'records were given up and are not in the journal'],
} as const;

/** What the readiness of a server follows from. */
export interface Conditions {
  readonly journal: JournalHealth;
  readonly isStopping: boolean;
  readonly stale?: StaleFeeds | undefined;
  /** Where the server is a member of a cluster, for each shard; `behindMsMax` is that of the settings. */
  readonly cluster?:
    { readonly shards: readonly ClusterStatus[]; readonly behindMsMax: number } | undefined;
  /** What the start found in its journal. */
  readonly found?: readonly NotReady[];
}

/** If the log has had no frame for so long, not even a heartbeat, there is no leader. */
const NO_LEADER_MS = 2_000;

export function readiness(conditions: Conditions): Readiness {
  const { journal, isStopping, stale, cluster, found = [] } = conditions;
  const reasons: NotReady[] = [];
  const warnings = [...found];
  if (isStopping) reasons.push({ code: 'shutting-down', message: 'the server is being stopped' });
  if (journal.state !== 'ok') {
    const [code, what] = JOURNAL_FAULTS[journal.state];
    const message = journal.reason === '' ? what : `${what}: ${journal.reason}`;
    const { cause, hint } = journal;
    const named = cause == null || hint === undefined ? {} : { cause, hint };
    reasons.push({ code, message, ...named });
  }
  if (stale !== undefined) {
    const { count, feeds, isUnready } = stale;
    const message = 'no event of these feed instruments has arrived for longer than feedStaleMs';
    (isUnready ? reasons : warnings).push({ code: 'feed-stale', message, count, feeds });
  }
  for (const status of cluster?.shards ?? []) {
    addCluster(status, cluster!.behindMsMax, reasons, warnings);
  }
  return { reasons, warnings };
}

/** A member that lacks events serves outdated data, so it is not ready. Without a leader there are no events to lack: a warning. */
function addCluster(
  { shard, self, log }: ClusterStatus,
  behindMsMax: number,
  reasons: NotReady[],
  warnings: NotReady[],
): void {
  const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
  const of = shard === null ? '' : ` of the shard ${shard}`;
  if (self.state === 'lost') {
    reasons.push({ code: 'cluster-lost', message: `this member${of} begins again` });
  }
  if (!log.isConnected) {
    warnings.push({ code: 'cluster-disconnected', message: 'there is no connection to NATS' });
  }
  if (self.behindMs > behindMsMax) {
    const since = `for ${seconds(self.behindMs)} s; at most ${seconds(behindMsMax)} s are allowed (cluster.behindMsMax)`;
    if (self.state === 'following') {
      const message = `this member lacks events of the batch log${of} ${since}`;
      reasons.push({ code: 'cluster-behind', message });
    } else {
      const message = `the batch log${of} has not taken what this leader has numbered ${since}`;
      warnings.push({ code: 'cluster-log-behind', message });
    }
  } else if (self.state === 'following' && log.silentMs > NO_LEADER_MS) {
    const message = `no leader${of} has been heard for ${seconds(log.silentMs)} s`;
    warnings.push({ code: 'cluster-no-leader', message });
  }
}

/** 200 `{"ready":true}`, or 503 with the reasons; both with `warnings`, if there are any. */
export function readyResponse({ reasons, warnings }: Readiness): Response {
  const ready = reasons.length === 0;
  const body = {
    ready,
    ...(ready ? {} : { reasons }),
    ...(warnings.length > 0 && { warnings }),
  };
  return Response.json(body, { status: ready ? 200 : 503, headers: SECURITY_HEADERS });
}
