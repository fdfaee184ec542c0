/**
 * Increments: the amounts that prices and quantities of a feed instrument are multiples of. A coarser tick size leaves
 * earlier levels at their prices, and they can still change, trade and be deleted. So a former increment stays valid.
 */

import { fieldFault, type Fault } from '../../protocol/codes';
import type { Instrument } from '../../protocol/messages';
import { formatDecimal, type Scales } from '../../protocol/units';

type Own = Pick<Instrument, 'priceIncrement' | 'quantityIncrement' | keyof Scales>;

/** Scaled: every valid amount is a multiple of one of these. */
export interface IncrementsState {
  readonly price: number;
  readonly quantity: number;
}

export class Increments {
  private readonly scales: Scales;
  private price = 0;
  private quantity = 0;

  constructor(definition: Own) {
    this.scales = definition;
    this.add(definition);
  }

  /** Adds the increments of another definition. */
  add({ priceIncrement, quantityIncrement }: Own): void {
    this.price = greatestCommonDivisor(this.price, priceIncrement);
    this.quantity = greatestCommonDivisor(this.quantity, quantityIncrement);
  }

  priceFault(price: number, field: string): Fault | undefined {
    if (price % this.price === 0) return undefined;
    return off(field, price, this.price, this.scales.priceScale);
  }

  quantityFault(quantity: number, field: string): Fault | undefined {
    if (quantity % this.quantity === 0) return undefined;
    return off(field, quantity, this.quantity, this.scales.quantityScale);
  }

  /** @param levels flat: price, quantity …; quantity 0 deletes, whatever the price */
  levelsFault(levels: readonly number[], field: string): Fault | undefined {
    if (this.price === 1 && this.quantity === 1) return undefined;
    for (let i = 0; i < levels.length; i += 2) {
      const [price, quantity] = [levels[i]!, levels[i + 1]!];
      if (quantity === 0) continue;
      if (price % this.price === 0 && quantity % this.quantity === 0) continue;
      const at = `${field}[${i / 2}]`;
      return this.priceFault(price, `${at}[0]`) ?? this.quantityFault(quantity, `${at}[1]`);
    }
    return undefined;
  }

  copy(): Increments {
    const copy = new Increments({
      ...this.scales,
      priceIncrement: this.price,
      quantityIncrement: this.quantity,
    });
    return copy;
  }

  state(): IncrementsState {
    return { price: this.price, quantity: this.quantity };
  }

  restore({ price, quantity }: IncrementsState): void {
    this.price = greatestCommonDivisor(this.price, price);
    this.quantity = greatestCommonDivisor(this.quantity, quantity);
  }
}

function off(field: string, value: number, increment: number, scale: number): Fault {
  const expected = `a whole multiple of ${formatDecimal(increment, scale)}`;
  return fieldFault(field, formatDecimal(value, scale), expected, 'off-increment');
}

function greatestCommonDivisor(a: number, b: number): number {
  let [large, small] = [a, b];
  while (small !== 0) [large, small] = [small, large % small];
  return large;
}
