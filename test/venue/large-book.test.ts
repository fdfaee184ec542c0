/** A book far larger than the oracle can handle: its contents stay in order as it grows. */

import { expect, test } from 'bun:test';

import { Prng } from '../../src/base/prng';
import { OrderIndex } from '../../src/market/venue/order-index';
import { Venue } from '../../src/market/venue/venue';
import { BUY, GTC, IOC, LIMIT, SELL, type Side } from '../../src/market/venue/constants';
import { readSeed } from '../support/seed';
import { Quantities } from './quantities';
import { Recorder } from './recorder';

const ORDERS = 20_000;
const MIDDLE = 1_000_000;
const RANGE = 5_000;

test('20,000 orders on about 8,000 levels, filled, emptied and filled again', () => {
  const random = new Prng(readSeed());
  const recorder = new Recorder();
  const quantities = new Quantities();
  const venue = new Venue(
    {
      priceIncrement: 1,
      quantityIncrement: 1,
      quantityMin: 1,
      quantityMax: 1_000_000_000,
      priceMin: 1,
      priceMax: 2_000_000,
      ordersPerOwnerMax: ORDERS,
      ordersMax: ORDERS * 2,
      selfTrade: 'cancel-oldest',
      referencePrice: null,
      initialState: 'open',
    },
    recorder,
  );
  const settle = (): void => {
    for (const event of recorder.take()) quantities.take(event, 0);
    venue.check();
    for (const side of [BUY, SELL] as const) quantities.check(side, venue.top(side, ORDERS));
  };
  for (let round = 0; round < 3; round++) {
    const ids: number[] = [];
    for (let i = 0; i < ORDERS; i++) {
      const side = random.int(0, 1) as Side;
      const away = random.int(round === 0 ? 1 : -2, RANGE);
      const price = side === BUY ? MIDDLE - away : MIDDLE + away;
      const owner = random.int(0, 2000);
      ids.push(venue.submit(owner, side, LIMIT, GTC, false, price, random.int(1, 100)));
    }
    settle();
    expect(venue.levelCount(BUY)).toBeGreaterThan(3000);
    for (const id of ids) {
      const order = venue.order(id);
      if (order !== undefined && random.chance(0.6)) venue.cancel(order.owner, id);
    }
    settle();
    for (const side of [BUY, SELL] as const) {
      const price = side === BUY ? 2_000_000 : 1;
      venue.submit(5000, side, LIMIT, IOC, false, price, 1_000_000_000);
    }
    settle();
    expect(venue.orderCount).toBe(0);
    expect(venue.bestPrice(BUY)).toBeNull();
  }
});

test('the order index behaves like a Map', () => {
  const random = new Prng(readSeed());
  const index = new OrderIndex();
  const map = new Map<number, number>();
  // Ids that all hash to the same slot, ids beyond 2^32, and dense ones.
  const spread = [1, 2 ** 22, 2 ** 33, 2 ** 32 + 1];
  for (let i = 0; i < 200_000; i++) {
    const id = random.int(1, 3000) * spread[random.int(0, 3)]!;
    const known = map.get(id);
    expect(index.get(id)).toBe(known ?? -1);
    if (known === undefined) {
      map.set(id, i);
      index.set(id, i);
    } else {
      map.delete(id);
      index.delete(id);
    }
  }
  for (const [id, slot] of map) expect(index.get(id)).toBe(slot);
  for (const never of [0, -1, 0.5, NaN, Infinity]) expect(index.get(never)).toBe(-1);
});
