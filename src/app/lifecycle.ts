/** Lifecycle: the two lines of the log that say of a server how it started and how it ended. */

import type { Config } from '../config/config';
import type { Core } from '../base/contracts/core';
import type { Log } from '../log/contract';
import type { Drained } from './shutdown';
import { VERSION } from '../version';

/** When the journal has all that the start said of itself. */
export function logStarted(log: Log, config: Config, url: string, core: Core): void {
  const { recovery } = core.figures;
  const { directory, durability, retention } = config.journal;
  const detail = {
    version: VERSION,
    url,
    directory,
    durability,
    epoch: core.epoch,
    lastSeq: core.lastSeq,
    instruments: core.instruments.size,
    recovery: { ms: Math.round(recovery.ms), records: recovery.records },
    retention,
  };
  log.info(detail, 'the server has started');
}

/** When the journal is closed, or cannot be. @param reason why it was stopped */
export function logStopped(
  log: Log,
  reason: string,
  ms: number,
  { unwritten, ...drained }: Drained,
  { epoch, lastSeq }: Core,
): void {
  const journal = unwritten === undefined ? 'closed' : `not closed: ${unwritten.message}`;
  const detail = { reason, ms: Math.round(ms), epoch, lastSeq, journal, ...drained };
  log.info(detail, 'the server has stopped');
}
