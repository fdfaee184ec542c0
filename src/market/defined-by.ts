/**
 * Defined by: how many instruments each key has defined, so that one key cannot take all free instruments. An
 * instrument's definition records who defined it first; those of the operator count for nobody.
 */

import { fault, type Fault } from '../../protocol/codes';
import type { RecordedInstrument } from '../../protocol/records';
import { Counts } from '../base/counts';

export class DefinedBy {
  private readonly counts = new Counts();
  private readonly most: number;

  /** @param most instruments that one key may define */
  constructor(most: number) {
    this.most = most;
  }

  /** Why this key cannot define one more. @param more instruments that it defines before that one */
  fault(owner: string, more: number): Fault | undefined {
    if (owner === '' || this.counts.of(owner) + more < this.most) return undefined;
    const message = `${owner} has defined ${this.most} instruments already, as many as one key may`;
    return fault('too-many-instruments', message, 'symbol');
  }

  add({ definedBy }: RecordedInstrument): void {
    if (definedBy !== undefined) this.counts.change(definedBy, 1);
  }

  remove({ definedBy }: RecordedInstrument): void {
    if (definedBy !== undefined) this.counts.change(definedBy, -1);
  }
}
