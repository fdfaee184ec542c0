/** Journal notices: what the journal has to say of itself, said to those who run it. */

import type { Clock } from './base/clock';
import type { RecorderHooks } from './recorder';
import type { Log } from './server';

/** Recovery tells how far it is when it takes longer than this, and then as often. */
const PROGRESS_EVERY_MS = 1_000;

export function journalNotices(log: Log, clock: Clock): RecorderHooks {
  const startedMs = clock.monotonicMs();
  let toldMs = startedMs;
  return {
    onDamage: (message) => log.error({}, message),
    onFailing: (reason) =>
      log.error({ reason }, 'the journal cannot be written; it is tried again'),
    onRecovered: () => log.info({}, 'the journal is written again'),
    onHole: ({ from, to }) => {
      log.error({ from, to }, 'the journal misses records: the disk was too slow or full');
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
