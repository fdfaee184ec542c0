/** Matters: what the page says is the matter with its server and its clock. */

import type { TapedeckError } from '../../client/index';
import { duration } from './format';
import type { Link } from './live-stream';
import type { Notices } from './notices';

/** Beyond this the page says that this machine's clock is wrong. */
const CLOCK_OFF_MS = 5_000;

export function showAway(
  notices: Notices,
  { sinceMs, reason, retryAtMs }: Extract<Link, { state: 'away' }>,
  nowMs: number,
): void {
  const next = retryAtMs === undefined ? 'Reload the page to try again.' : 'It is looked for.';
  const text = `The server is away for ${duration(nowMs - sinceMs)} (${reason}). What is displayed is what came before. ${next}`;
  notices.show('link', text, reason);
}

/** @param offsetMs of the server's clock, against this machine's */
export function showClockOff(notices: Notices, offsetMs: number): void {
  if (Math.abs(offsetMs) < CLOCK_OFF_MS) {
    notices.clear('clock');
    return;
  }
  const way = offsetMs < 0 ? 'ahead of' : 'behind';
  const text = `The clock of this machine is ${duration(Math.abs(offsetMs))} ${way} the server's. Times here are the server's.`;
  notices.show('clock', text, 'clock');
}

/** Candles of the past that did not come. */
export function showHistoryFailed(notices: Notices, { code, message }: TapedeckError): void {
  if (code === 'connection-failed' || code === 'unauthorized') return; // said as the link's state
  notices.show('history', `Older candles could not be loaded: ${message}.`);
}
