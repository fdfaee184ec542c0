/**
 * Defined by: how many instruments each key has defined, so that one key cannot take all that are free.
 * Who defined an instrument first is on record with its definition; what the operator defines is nobody's.
 */

import { fault, type Fault } from '../../protocol/codes';
import type { RecordedInstrument } from '../../protocol/records';
import { Counts } from '../base/counts';

export class DefinedBy {
  private readonly counts = new Counts();
  private readonly most: number;

  /** @param most instruments of one key */
  constructor(most: number) {
    this.most = most;
  }

  /** Why this key may not define one more. @param more that it is to define before it */
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
