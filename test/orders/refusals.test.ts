/** Refusals in process: every code that the router can give, with the book unchanged. */

import { describe, expect, test } from 'bun:test';

import type { ErrorCode } from '../../protocol/codes';
import type { OrderRequest } from '../../src/market/order-router';
import { feed, MarketRun, venue } from './market-run';

const RULES = {
  quantityMin: 5,
  quantityMax: 2 ** 53 - 5,
  priceMin: 50,
  priceMax: 200,
  ordersPerOwnerMax: 3,
  ordersMax: 5,
};
const HUGE = 2 ** 53 - 5 - ((2 ** 53 - 5) % 5);

function crowded(): MarketRun {
  const run = new MarketRun([
    venue('ACME', RULES, { priceIncrement: 5, quantityIncrement: 5 }),
    feed('FEED'),
    venue('ELSE', {}, { priceScale: 5 }),
  ]);
  run.enter('ada', { clientOrderId: 'a1', price: 90, quantity: 10 });
  run.enter('bob', { clientOrderId: 'b1', side: 'sell', price: 110, quantity: 10 });
  return run;
}

describe('a refusal does not change the book', () => {
  const orders: [ErrorCode, Partial<OrderRequest>][] = [
    ['unknown-symbol', { symbol: 'NOBODY' }],
    ['unknown-symbol', { symbol: 'acme' }],
    ['wrong-market', { symbol: 'FEED' }],
    ['invalid-quantity', { quantity: 0 }],
    ['invalid-quantity', { quantity: -5 }],
    ['invalid-quantity', { quantity: 2 ** 53 }],
    ['quantity-off-increment', { quantity: 7 }],
    ['quantity-above-maximum', { quantity: 2 ** 53 - 2 }],
    ['invalid-price', { price: 0 }],
    ['invalid-price', { price: -100 }],
    ['invalid-price', { price: null }],
    ['invalid-price', { kind: 'market', timeInForce: 'ioc', price: 100 }],
    ['price-off-increment', { price: 101 }],
    ['price-outside-band', { price: 45 }],
    ['price-outside-band', { price: 205 }],
    ['invalid-combination', { kind: 'market', price: null }],
    ['invalid-combination', { timeInForce: 'ioc', postOnly: true }],
    ['would-cross', { price: 110, postOnly: true }],
  ];
  test.each(orders)('%s: %p', (code, given) => {
    for (const clientOrderId of ['', 'x']) {
      const run = crowded();
      const before = run.standing();
      const refused = run.submit('cyd', { clientOrderId, ...given });
      expect(refused.result).toMatchObject({ code });
      expect(run.standing()).toEqual(before);
      expect(refused.events.filter((e) => e.type !== 'command')).toEqual([]);
      for (const { owner, message } of refused.executions) {
        expect([owner, message]).toMatchObject([
          'cyd',
          { event: 'rejected', code, open: 0, orderId: 0 },
        ]);
      }
      expect(run.submit('cyd', { quantity: 5, price: 90 }).result).toMatchObject({
        orderId: 3 * 65_536,
      });
    }
  });

  test('quantity-below-minimum', () => {
    const run = new MarketRun([venue('ACME', { quantityMin: 5 })]);
    const before = run.standing();
    expect(run.submit('ada', { quantity: 4 }).result).toMatchObject({
      code: 'quantity-below-minimum',
    });
    expect(run.standing()).toEqual(before);
  });

  test('too-many-orders of one owner, then a full book', () => {
    const run = crowded();
    for (const price of [85, 80]) run.enter('ada', { price });
    const before = run.standing();
    expect(run.submit('ada').result).toMatchObject({ code: 'too-many-orders' });
    expect(run.standing()).toEqual(before);
    run.enter('cyd', { price: 85 });
    const full = run.standing();
    expect(run.submit('dan', { price: 85 }).result).toMatchObject({ code: 'book-full' });
    expect(run.standing()).toEqual(full);
    run.cancel('ada', 'a1');
    expect(run.submit('dan', { price: 85 }).result).not.toHaveProperty('code');
  });

  test('the total resting on a side may not exceed 2^53 - 1; the traded total may', () => {
    const run = crowded();
    const before = run.standing();
    const hash = run.venue().stateHash();
    expect(run.submit('cyd', { price: 85, quantity: HUGE }).result).toMatchObject({
      code: 'resting-overflow',
    });
    expect(run.standing()).toEqual(before);
    expect(run.amend('ada', 'a1', null, HUGE).result).not.toHaveProperty('code');
    expect(run.amend('ada', 'a1', null, 10).result).not.toHaveProperty('code');
    expect(run.venue().stateHash()).toBe(hash);
    run.cancel('bob', 'b1');
    run.cancel('ada', 'a1');
    run.enter('ada', { price: 100, quantity: HUGE });
    run.enter('bob', { side: 'sell', price: 100, quantity: HUGE });
    run.enter('ada', { price: 100, quantity: 10 });
    run.enter('bob', { side: 'sell', price: 100, quantity: 10 });
    expect(run.venue().currentTick()?.volume).toBe(BigInt(HUGE) + 10n);
  });

  test('traded plus open quantity of an order may not exceed 2^53 - 1', () => {
    const run = new MarketRun([venue('ACME', { quantityMax: Number.MAX_SAFE_INTEGER })]);
    run.enter('ada', { clientOrderId: 'a', price: 100, quantity: 100 });
    run.enter('bob', { side: 'sell', price: 100, quantity: 60 });
    const before = run.standing();
    expect(run.amend('ada', 'a', null, Number.MAX_SAFE_INTEGER - 59).result).toMatchObject({
      code: 'invalid-quantity',
      field: 'quantity',
    });
    expect(run.standing()).toEqual(before);
    expect(run.amend('ada', 'a', null, Number.MAX_SAFE_INTEGER - 60).result).not.toHaveProperty(
      'code',
    );
  });

  test('closed and halted markets accept cancels only; before the opening only plain limit orders', () => {
    for (const [state, code] of [
      ['closed', 'market-closed'],
      ['halted', 'market-halted'],
    ] as const) {
      const run = crowded();
      run.state(state);
      const before = run.standing();
      expect(run.submit('cyd', { clientOrderId: 'c' }).result).toMatchObject({ code });
      expect(run.amend('ada', 'a1', 95, null).result).toMatchObject({ code });
      expect(run.state(state).result).toMatchObject({ code: 'same-state' });
      expect(run.standing()).toEqual(before);
      expect(run.cancel('ada', 'a1').result).not.toHaveProperty('code');
    }
    const run = crowded();
    run.state('pre-open');
    const before = run.standing();
    const early = { price: null, kind: 'market', timeInForce: 'ioc' } as const;
    expect(run.submit('cyd', early).result).toMatchObject({ code: 'not-in-pre-open' });
    expect(run.submit('cyd', { postOnly: true }).result).toMatchObject({ code: 'not-in-pre-open' });
    expect(run.standing()).toEqual(before);
  });

  test('cancel and amend: no such order, a foreign one, another symbol, no id, bad values', () => {
    const run = crowded();
    const id = run.market.router.clientOrders.named('ada', 'a1')!.orderId;
    const before = run.standing();
    const wrong = [0, 1, 65_535, id + 1, 2 * 65_536 + 1, 99 * 65_536, 2 ** 53 - 1, 'b1', '', 'zz'];
    for (const target of wrong) {
      for (const symbol of ['ACME', null]) {
        const code = 'unknown-order';
        expect([target, run.cancel('ada', target, symbol).result]).toMatchObject([
          target,
          { code },
        ]);
        expect(run.amend('ada', target, 95, null, symbol).result).toMatchObject({ code });
      }
    }
    for (const [symbol, code] of [
      ['NOBODY', 'unknown-symbol'],
      ['FEED', 'wrong-market'],
      ['ELSE', 'unknown-order'],
    ] as const) {
      expect(run.cancel('ada', id, symbol).result).toMatchObject({ code });
      // Another symbol would mean other decimals: a price of ELSE means nothing for ACME.
      expect(run.amend('ada', id, 95, null, symbol).result).toMatchObject({ code });
    }
    // The answer for an order of another owner equals that for no order, except for the id.
    const none = id + 65_536 * 1_000;
    const said = (r: object, of: number): string => JSON.stringify(r).replaceAll(String(of), 'ID');
    for (const owner of ['eve', 'bob']) {
      const { result } = run.cancel(owner, id);
      expect(result).toMatchObject({ code: 'unknown-order' });
      expect(said(result, id)).toBe(said(run.cancel(owner, none).result, none));
      const amended = run.amend(owner, id, 95, null);
      expect(said(amended.result, id)).toBe(said(run.amend(owner, none, 95, null).result, none));
    }
    const neither = { symbol: 'ACME', orderId: null, clientOrderId: null };
    expect(run.do((router, out) => router.cancel('ada', neither, out)).result).toMatchObject({
      code: 'invalid-field',
      field: 'orderId',
    });
    for (const [price, quantity, code] of [
      [0, null, 'invalid-price'],
      [-5, null, 'invalid-price'],
      [96, null, 'price-off-increment'],
      [45, null, 'price-outside-band'],
      [null, 0, 'invalid-quantity'],
      [null, -5, 'invalid-quantity'],
      [null, 7, 'quantity-off-increment'],
      [null, 2 ** 53 - 1, 'quantity-off-increment'],
    ] as const) {
      expect(run.amend('ada', id, price, quantity).result).toMatchObject({ code });
    }
    expect(run.standing()).toEqual(before);
  });

  test('a refused cancel of a new owner leaves no trace: the next owner gets the same number', () => {
    const [with_, without] = [crowded(), crowded()];
    const id = with_.market.router.clientOrders.named('ada', 'a1')!.orderId;
    expect(with_.cancel('mallory', id).events).toEqual([]);
    for (const run of [with_, without]) run.enter('cyd', { price: 85 });
    expect(with_.venue().stateHash()).toBe(without.venue().stateHash());
  });

  test('a definition with rules that do not fit is refused, and a feed has none', () => {
    const run = new MarketRun([]);
    const off = venue('ODD', { referencePrice: 7 }, { priceIncrement: 5 });
    expect(run.market.checkOwn([off])).toMatchObject({
      index: 0,
      fault: { code: 'invalid-field' },
    });
    run.publish([{ ...feed('FEED'), rules: venue('X').rules }]);
    expect(run.market.get('FEED')!.definition.rules).toBeNull();
  });
});
