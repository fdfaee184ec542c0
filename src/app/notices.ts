/** Journal notices: what the journal has to say of itself, said to those who run it. */

import type { Clock } from '../base/clock';
import { CAUSES } from '../journal/write/causes';
import type { RecorderHooks } from './recorder';
import type { Repeated } from '../log/repeated';
import type { Log } from '../log/contract';

/** Recovery tells how far it is when it takes longer than this, and then as often. */
const PROGRESS_EVERY_MS = 1_000;

export function journalNotices(log: Log, clock: Clock, repeated: Repeated): RecorderHooks {
  const startedMs = clock.monotonicMs();
  let toldMs = startedMs;
  return {
    onDamage: (message) => log.error({}, message),
    // A disk that is full for moments does each of these over and over.
    onFailing: (reason, cause) => {
      const message = 'the journal cannot be written; it is tried again';
      repeated.tell('error', message, reason, { cause, reason, hint: CAUSES[cause] });
    },
    onRecovered: () => repeated.tell('info', 'the journal is written again', '', {}),
    onHole: ({ from, to }) => {
      const message = 'the journal misses records: the disk was too slow or full';
      repeated.tell('error', message, '', { from, to });
    },
    onProgress: ({ what, records, of }) => {
      const nowMs = clock.monotonicMs();
      if (nowMs - toldMs < PROGRESS_EVERY_MS) return;
      toldMs = nowMs;
      const perSecond = Math.round((records * 1_000) / (nowMs - startedMs));
      const secondsLeft = of === null ? null : Math.ceil((of - records) / Math.max(perSecond, 1));
      log.info({ records, of, perSecond, secondsLeft }, `records ${what} so far`);
    },
  };
}
