/** Lifecycle: the two lines of the log about the start and the end of a server. */

import type { Config } from '../config/config';
import type { Log } from '../log/contract';
import type { Shards } from './shards';
import type { Drained } from './shutdown';
import { VERSION } from '../version';

/** Called when the journal has everything that the start wrote. */
export function logStarted(log: Log, config: Config, url: string, shards: Shards): void {
  const recoveries = shards.cores.map(({ figures }) => figures.recovery);
  const sum = (of: (one: { ms: number; records: number }) => number): number =>
    recoveries.reduce((total, one) => total + of(one), 0);
  const { directory, durability, retention } = config.journal;
  const detail = {
    version: VERSION,
    url,
    directory,
    durability,
    ...positionOf(shards),
    instruments: shards.cores.reduce((total, { instruments }) => total + instruments.size, 0),
    recovery: { ms: Math.round(sum(({ ms }) => ms)), records: sum(({ records }) => records) },
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
  shards: Shards,
): void {
  const journal = unwritten === undefined ? 'closed' : `not closed: ${unwritten.message}`;
  const detail = { reason, ms: Math.round(ms), ...positionOf(shards), journal, ...drained };
  log.info(detail, 'the server has stopped');
}

function positionOf(shards: Shards): object {
  if (shards.names.length === 0) {
    const { epoch, lastSeq } = shards.first.core;
    return { epoch, lastSeq };
  }
  const each = shards.all.map(({ name, core }) => [
    name,
    { epoch: core.epoch, lastSeq: core.lastSeq },
  ]);
  return { shards: Object.fromEntries(each) };
}
