/**
 * Damaged blocks: blocks of the journal that do not match their checksum. Each is logged once, whichever thread finds
 * it. Bound: the blocks of the journal.
 */

import type { MissingRange } from '../base/contracts/past';
import type { Log } from '../log/contract';

export class DamagedBlocks {
  private readonly log: Log;
  /** By the first sequence number of the block. */
  private readonly found = new Set<number>();

  constructor(log: Log) {
    this.log = log;
  }

  get count(): number {
    return this.found.size;
  }

  /** Called by each thread that finds the block. */
  readonly report = ({ from, to }: MissingRange): void => {
    if (this.found.has(from)) return;
    this.found.add(from);
    const message = 'records of the journal are not what was written; nobody is given them';
    this.log.warn({ from, to, hint: 'run "tapedeck verify" on the data directory' }, message);
  };
}
