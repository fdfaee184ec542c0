/** Server notices: texts about problems of the server and of the clock. */

import type { TapedeckError } from '../../client/index';
import { duration } from './format';
import type { Link } from './live-stream';
import type { Notices } from './notices';

/** Beyond this difference a notice says that this machine's clock is wrong. */
const CLOCK_OFF_MS = 5_000;

export function showAway(
  notices: Notices,
  { sinceMs, reason, retryAtMs }: Extract<Link, { state: 'away' }>,
  nowMs: number,
): void {
  const next =
    retryAtMs === undefined ? 'Reload the page to try again.' : 'The page keeps trying to connect.';
  const text = `The server is away for ${duration(nowMs - sinceMs)} (${reason}). The page displays the last data received. ${next}`;
  notices.show('link', text, reason);
}

/** @param offsetMs difference from this machine's clock to the server's */
export function showClockOff(notices: Notices, offsetMs: number): void {
  if (Math.abs(offsetMs) < CLOCK_OFF_MS) {
    notices.clear('clock');
    return;
  }
  const way = offsetMs < 0 ? 'ahead of' : 'behind';
  const text = `The clock of this machine is ${duration(Math.abs(offsetMs))} ${way} the server's. Times here are the server's.`;
  notices.show('clock', text, 'clock');
}

/** Notice that historical candles could not be loaded. */
export function showHistoryFailed(notices: Notices, { code, message }: TapedeckError): void {
  if (code === 'connection-failed' || code === 'unauthorized') return; // the state of the link reports these
  notices.show('history', `Older candles could not be loaded: ${message}.`);
}
