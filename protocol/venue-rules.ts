/** The rules of a venue for orders: a field of the definition. */

import { field } from './fields';

export const venueRules = field.struct(
  {
    quantityMin: field.quantity('Smallest order'),
    quantityMax: field.quantity('Largest order'),
    priceMin: field.price('Lowest limit'),
    priceMax: field.price('Highest limit'),
    ordersPerOwnerMax: field.int(1, 10_000_000, 'Resting orders of one owner'),
    ordersMax: field.int(1, 50_000_000, 'Resting orders in all'),
    selfTrade: field.oneOf(
      ['cancel-newest', 'cancel-oldest', 'cancel-both'],
      'Who is cancelled when an owner would trade with itself',
    ),
    referencePrice: field.nullable(field.price('Steers the first auction')),
    initialState: field.oneOf(['pre-open', 'open', 'halted', 'closed'], 'State to begin in'),
  },
  'What a venue asks of orders',
);
