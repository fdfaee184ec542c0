/** Lifecycle: the two lines of the log about the start and the end of a server. */

import type { Config } from '../config/config';
import type { Core } from '../base/contracts/core';
import type { Log } from '../log/contract';
import type { Drained } from './shutdown';
import { VERSION } from '../version';

/** Called when the journal has everything that the start wrote. */
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

/** Called when the journal is closed or cannot be. @param reason why the server was stopped */
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
