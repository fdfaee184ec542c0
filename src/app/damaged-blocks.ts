/**
 * Damaged blocks: those of the journal that a reader found not to be what was written, each said once to
 * those who run the server. Bounded: by the blocks of the journal.
 */

import type { MissingRange } from '../base/contracts/past';
import type { Log } from '../log/contract';

export class DamagedBlocks {
  private readonly log: Log;
  /** By first place. */
  private readonly found = new Set<number>();

  constructor(log: Log) {
    this.log = log;
  }

  get count(): number {
    return this.found.size;
  }

  /** Each thread that reads tells of it for itself. */
  readonly report = ({ from, to }: MissingRange): void => {
    if (this.found.has(from)) return;
    this.found.add(from);
    const message = 'records of the journal are not what was written; nobody is given them';
    this.log.warn({ from, to, hint: 'run "tapedeck verify" on the data directory' }, message);
  };
}
