/** Adds up quantities from the events alone: entered = resting + traded + removed. */

import { assert } from '../../src/base/assert';
import { BUY, SELL } from '../../src/market/venue/constants';
import type { NaiveEvent } from '../support/naive-venue';

export class Quantities {
  private readonly resting = [0n, 0n];

  /** @param openBefore open quantity of the amended order before the command */
  take([name, ...v]: NaiveEvent, openBefore: number): void {
    switch (name) {
      case 'accepted':
        this.add(v[2]!, v[4]!);
        break;
      case 'amended':
        this.add(v[2]!, v[4]! - openBefore);
        break;
      case 'cancelled':
      case 'expired':
        this.add(v[2]!, -v[3]!);
        break;
      case 'trade':
        this.add(BUY, -v[2]!);
        this.add(SELL, -v[2]!);
        break;
    }
  }

  /** @param levels flat: price, total … */
  check(side: number, levels: readonly number[]): void {
    let total = 0n;
    for (let i = 1; i < levels.length; i += 2) total += BigInt(levels[i]!);
    assert(total === this.resting[side], `side ${side} rests ${total}, not ${this.resting[side]}`);
  }

  private add(side: number, quantity: number): void {
    this.resting[side]! += BigInt(quantity);
  }
}
