/**
 * Local book: a reader's copy of the ten best levels of one instrument that knows whether it is correct. It verifies the
 * chain of sequence numbers, and the checksum of each message that has one.
 */

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { Book } from '../../protocol/messages';

/**
 * `applied`: the copy equals the server's book. `repeated`: the copy has this already. `incomplete`: the server has no
 * reliable book. `gap`: a message is missing. `mismatch`: the checksum differs. After the last two the copy is
 * invalid until the next snapshot: subscribe again.
 */
export type LocalBookOutcome = 'applied' | 'repeated' | 'incomplete' | 'gap' | 'mismatch';

export class LocalBook {
  private readonly levels = new TenLevels();
  private valid = false;
  /** The `seq` of the newest applied message; 0 before the first. */
  seq = 0;
  /** Whether the `prevSeq` of the next change must equal it; after a gap that the journal declares it is lower. */
  private exact = true;
  /** Why the levels may be out of date; null while their source is connected [B9]. */
  mark: Book['mark'] = null;

  /** Flat: price, quantity, price, quantity …, best first; empty unless the book is reliable. */
  get bids(): readonly number[] {
    return this.levels.bids;
  }

  get asks(): readonly number[] {
    return this.levels.asks;
  }

  get trusted(): boolean {
    return this.valid;
  }

  apply(message: Book): LocalBookOutcome {
    const repeated = message.form === 'delta' && this.seq !== 0 && message.seq <= this.seq;
    if (repeated) return 'repeated';
    const continues = this.exact ? message.prevSeq === this.seq : message.prevSeq <= this.seq;
    this.seq = message.seq;
    this.exact = message.form === 'delta' || message.prevSeq !== message.seq; // [R5]
    if (message.form === 'delta') {
      if (!this.valid || !continues) return this.distrust('gap');
      this.levels.apply(message.bids, message.asks);
    } else {
      this.levels.replace(message.bids, message.asks);
    }
    if (message.form === 'incomplete') return this.distrust('incomplete');
    this.valid = true;
    this.mark = message.mark;
    const { bids, asks } = this.levels;
    if (message.crc !== null && message.crc !== bookChecksum(bids, asks)) {
      return this.distrust('mismatch');
    }
    return 'applied';
  }

  /** Applies a `gap` up to `seq`: the levels are invalid [R5]. */
  skipTo(seq: number): void {
    this.seq = seq;
    this.distrust('gap');
  }

  /** Discards everything, including the sequence number. */
  clear(): void {
    this.seq = 0;
    this.distrust('gap');
  }

  private distrust<O extends LocalBookOutcome>(outcome: O): O {
    this.valid = false;
    this.mark = null;
    this.levels.replace([], []);
    return outcome;
  }
}
