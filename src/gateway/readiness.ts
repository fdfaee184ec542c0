/** Readiness: whether the server keeps its promises now, and if not, why; what `GET /readyz` tells. */

import { SECURITY_HEADERS } from './responses';

/** State of the journal, as far as it decides on that. */
export interface JournalHealth {
  readonly state: 'ok' | 'failing' | 'hole';
  readonly reason: string;
}

export interface NotReady {
  readonly code: string;
  readonly message: string;
}

const JOURNAL_FAULTS = {
  failing: ['journal-failing', 'the journal cannot be written'],
  hole: ['journal-hole', 'records were given up and are not in the journal'],
} as const;

/** Why it is not ready; empty when it is. */
export function reasonsNotReady(journal: JournalHealth, isStopping: boolean): NotReady[] {
  if (isStopping) return [{ code: 'shutting-down', message: 'the server is being stopped' }];
  if (journal.state === 'ok') return [];
  const [code, what] = JOURNAL_FAULTS[journal.state];
  return [{ code, message: journal.reason === '' ? what : `${what}: ${journal.reason}` }];
}

/** 200 `{"ready":true}`, or 503 with the reasons. */
export function readyResponse(reasons: readonly NotReady[]): Response {
  const headers = SECURITY_HEADERS;
  return reasons.length === 0
    ? Response.json({ ready: true }, { headers })
    : Response.json({ ready: false, reasons }, { status: 503, headers });
}
