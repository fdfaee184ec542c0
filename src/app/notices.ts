/** Journal notices: what the journal reports about itself, as lines of the log. */

import type { Clock } from '../base/clock';
import { CAUSES } from '../journal/write/causes';
import type { RecorderHooks } from './recorder';
import type { Repeated } from '../log/repeated';
import type { Log } from '../log/contract';

/** Time between progress reports of a recovery; a shorter one reports nothing. */
const PROGRESS_EVERY_MS = 1_000;

export function journalNotices(log: Log, clock: Clock, repeated: Repeated): RecorderHooks {
  const startedMs = clock.monotonicMs();
  let reportedMs = startedMs;
  return {
    onDamage: (message) => log.error({}, message),
    // A disk that is full again and again causes each of these again and again.
    onFailing: (reason, cause) => {
      const message = 'the journal cannot be written; it is tried again';
      repeated.report('error', message, reason, { cause, reason, hint: CAUSES[cause] });
    },
    onRecovered: () => repeated.report('info', 'the journal is written again', '', {}),
    onHole: ({ from, to }) => {
      const message = 'the journal misses records: the disk was too slow or full';
      repeated.report('error', message, '', { from, to });
    },
    onProgress: ({ what, records, of }) => {
      const nowMs = clock.monotonicMs();
      if (nowMs - reportedMs < PROGRESS_EVERY_MS) return;
      reportedMs = nowMs;
      const perSecond = Math.round((records * 1_000) / (nowMs - startedMs));
      const secondsLeft = of === null ? null : Math.ceil((of - records) / Math.max(perSecond, 1));
      log.info({ records, of, perSecond, secondsLeft }, `records ${what} so far`);
    },
  };
}
