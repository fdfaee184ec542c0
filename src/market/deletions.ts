/**
 * Deletions: fed instruments that an operator has deleted. One counts as not there: it takes no slot, and
 * nothing is taken for it until it is defined again. What it was stays: its past in the journal, its scales,
 * since the past is written in them, and the newest places of its topics, so that their chains go on.
 *
 * Bounded: `DELETED_MAX` since the start, which is what publishers leave free beside `instrumentsMax`.
 */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Status } from '../../protocol/messages';
import type { DefinedBy } from './defined-by';
import { FeedInstrument } from './feed-instrument';
import type { MarketOutput } from './output';

/** Reason of the status event that ends an instrument. */
const DELETED = 'deleted';
/** Instruments that may be deleted between two starts. */
export const DELETED_MAX = 1_000;

export class Deletions {
  /** How many are deleted now. */
  count = 0;
  private sinceStart = 0;
  private readonly definedBy: DefinedBy;

  /** @param definedBy counts those that are there */
  constructor(definedBy: DefinedBy) {
    this.definedBy = definedBy;
  }

  /**
   * @param instrument undefined where none has this symbol
   * @param isHeld whether a submission under way has it, which is taken as it was checked
   */
  delete(
    symbol: string,
    instrument: unknown,
    isHeld: boolean,
    out: MarketOutput,
  ): Fault | undefined {
    if (instrument === undefined || isDeleted(instrument)) {
      return fieldFault('symbol', symbol, 'a defined instrument', 'unknown-symbol');
    }
    if (!(instrument instanceof FeedInstrument)) {
      return fieldFault('symbol', symbol, 'a feed instrument', 'wrong-market');
    }
    if (isHeld) {
      const expected = 'a symbol of which nothing is being taken in; try again in a moment';
      return fieldFault('symbol', symbol, expected, 'symbol-in-use');
    }
    if (this.sinceStart === DELETED_MAX) {
      const message = `${DELETED_MAX} instruments were deleted since the start, as many as may be; a restart makes room`;
      return fault('limit-reached', message, 'symbol');
    }
    this.sinceStart += 1;
    instrument.renumber('all', out.receiveTime, out); // neither levels nor quotes stand any more
    instrument.release(out);
    instrument.announce(DELETED, out, 'closed');
    this.set(instrument, true);
    return undefined;
  }

  /** It is defined (again). */
  defined(instrument: unknown): void {
    if (instrument instanceof FeedInstrument) this.set(instrument, false);
  }

  /** Takes a status of the journal on. */
  recover(instrument: FeedInstrument, { reason }: Status): void {
    if (reason === DELETED) this.set(instrument, true);
  }

  /** As a checkpoint has it. */
  restored(instrument: FeedInstrument): void {
    if (!instrument.isDeleted) return;
    this.count += 1;
    this.definedBy.remove(instrument.definition);
  }

  private set(instrument: FeedInstrument, isGone: boolean): void {
    if (instrument.isDeleted === isGone) return;
    instrument.isDeleted = isGone;
    this.count += isGone ? 1 : -1;
    if (isGone) this.definedBy.remove(instrument.definition);
    else this.definedBy.add(instrument.definition);
  }
}

export function isDeleted(instrument: unknown): boolean {
  return instrument instanceof FeedInstrument && instrument.isDeleted;
}
