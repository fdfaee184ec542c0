/**
 * Deletions: feed instruments that an operator deleted. A deleted instrument counts as absent: it takes no slot, and
 * nothing is accepted for it until it is defined again. Its history stays in the journal, and so do its scales, since
 * the history is written in them, and the newest sequence numbers of its topics, so that their chains continue.
 *
 * Bound: `DELETED_MAX` since the start; publishers reserve that much beside `instrumentsMax`.
 */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Status } from '../../protocol/messages';
import type { DefinedBy } from './defined-by';
import { FeedInstrument } from './feed-instrument';
import type { MarketOutput } from './output';

/** Reason of the status event that ends an instrument. */
const DELETED = 'deleted';
/** Instruments that can be deleted between two starts. */
export const DELETED_MAX = 1_000;

export class Deletions {
  /** Number of deleted instruments. */
  count = 0;
  private sinceStart = 0;
  private readonly definedBy: DefinedBy;

  /** @param definedBy counts the instruments that exist */
  constructor(definedBy: DefinedBy) {
    this.definedBy = definedBy;
  }

  /**
   * @param instrument undefined if none has this symbol
   * @param isHeld whether a submission in progress reserves it
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
      const expected = 'a symbol without events under way; try again shortly';
      return fieldFault('symbol', symbol, expected, 'symbol-in-use');
    }
    if (this.sinceStart === DELETED_MAX) {
      const message = `${DELETED_MAX} instruments were deleted since the start, as many as may be; a restart makes room`;
      return fault('limit-reached', message, 'symbol');
    }
    this.sinceStart += 1;
    instrument.renumber('all', out.receiveTime, out); // levels and quotes are no longer valid
    instrument.release(out);
    instrument.announce(DELETED, out, 'closed');
    this.set(instrument, true);
    return undefined;
  }

  /** An instrument was defined, possibly again. */
  defined(instrument: unknown): void {
    if (instrument instanceof FeedInstrument) this.set(instrument, false);
  }

  /** Recovery: applies a status of the journal. */
  recover(instrument: FeedInstrument, { reason }: Status): void {
    if (reason === DELETED) this.set(instrument, true);
  }

  /** Recovery: applies a checkpoint. */
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
