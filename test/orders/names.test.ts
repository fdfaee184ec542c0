/**
 * Names of orders: a repetition is harmless, a name belongs to one owner, and the number of ended orders is
 * bounded.
 */

import { describe, expect, test } from 'bun:test';

import type { OrderRequest } from '../../src/market/order-router';
import { OWNER_MAX } from '../../src/market/venue/definition';
import { MarketRun, venue } from './market-run';
import { answerOf } from './script';

function open(): MarketRun {
  const run = new MarketRun([venue('ACME', { priceMin: 50 }), venue('BETA')]);
  run.enter('bob', { side: 'sell', price: 101, quantity: 4 });
  return run;
}

describe('a repeated submission', () => {
  test.each<[string, Partial<OrderRequest>]>([
    ['that rests', { price: 99 }],
    ['that traded in part', { price: 101 }],
    ['that traded whole', { price: 101, quantity: 4 }],
    ['that expired', { price: 100, timeInForce: 'ioc' }],
    ['at market', { kind: 'market', timeInForce: 'ioc', price: null }],
    ['that was refused', { price: 10 }],
    ['that was refused for its type', { kind: 'market', price: null }],
  ])('%s is answered as the first was, and enters nothing', (_name, given) => {
    const run = open();
    const first = answerOf(run.submit('ada', { clientOrderId: 'x', ...given }).result);
    const before = run.standing();
    for (let i = 0; i < 3; i++) {
      const again = run.submit('ada', { clientOrderId: 'x', ...given });
      expect(answerOf(again.result)).toBe(first);
      expect([again.events, again.executions]).toEqual([[], []]);
    }
    expect(run.standing()).toEqual(before);
  });

  test('is answered as the first was when the order has traded, was amended, or has ended', () => {
    const run = open();
    const given = { clientOrderId: 'x', price: 99 };
    const first = answerOf(run.submit('ada', given).result);
    const repeat = (): string => answerOf(run.submit('ada', given).result);
    run.enter('bob', { side: 'sell', price: 99, quantity: 3 });
    expect(repeat()).toBe(first);
    run.amend('ada', 'x', 98, 5);
    expect(repeat()).toBe(first);
    // It was amended to another price than it was entered with.
    const amended = run.submit('ada', { ...given, price: 98 });
    expect(amended.result).toMatchObject({ code: 'duplicate-client-order-id' });
    run.cancel('ada', 'x');
    expect(repeat()).toBe(first);
  });

  test.each<[string, Partial<OrderRequest>]>([
    ['symbol', { symbol: 'BETA' }],
    ['side', { side: 'sell' }],
    ['kind', { kind: 'market', price: null }],
    ['timeInForce', { timeInForce: 'fok' }],
    ['postOnly', { postOnly: true }],
    ['price', { price: 98 }],
    ['no price', { price: null }],
    ['quantity', { quantity: 9 }],
  ])('with another %s is another order, and refused', (_name, other) => {
    const run = open();
    run.enter('ada', { clientOrderId: 'x', price: 99 });
    const before = [run.standing(), run.standing('BETA')];
    const refused = run.submit('ada', { clientOrderId: 'x', price: 99, ...other });
    expect(refused.result).toMatchObject({ code: 'duplicate-client-order-id' });
    expect([refused.events, refused.executions]).toEqual([[], []]);
    expect([run.standing(), run.standing('BETA')]).toEqual(before);
  });

  test('by another owner is a separate order', () => {
    const run = open();
    const ids = ['ada', 'cyd'].map((owner) => run.enter(owner, { clientOrderId: 'x', price: 99 }));
    expect(new Set(ids).size).toBe(2);
    expect(run.cancel('cyd', 'x').result).toMatchObject({ orderId: ids[1]! });
    expect(run.venue().resting(ids[0]!)).toBeDefined();
  });
});

test.each([
  ['36 letters', 'n'.repeat(36)],
  ['a line feed', 'bob\nx'],
  ['a quote', `'; DROP TABLE record; --"`],
  ['NUL', 'a\u0000b'],
  ['half a pair', '\ud800'],
  ['a name of Object', '__proto__'],
  ['a space', ' '],
  ['beyond Latin', '注文💥'],
])('a name may be %s', (_what, clientOrderId) => {
  const run = open();
  const id = run.enter('ada', { clientOrderId, price: 99 });
  expect(run.enter('ada', { clientOrderId, price: 99 })).toBe(id);
  expect(run.submit('cyd', { clientOrderId: 'x', price: 99 }).result).not.toHaveProperty('code');
  const checkpoint = JSON.parse(JSON.stringify(run.market.checkpoint())) as object;
  expect(checkpoint).toMatchObject({
    desk: { orders: [{ clientOrderId }, { clientOrderId: 'x' }] },
  });
  expect(run.cancel('ada', clientOrderId).result).toMatchObject({ orderId: id });
});

test('orders are cancelled and amended by either id, at the venue that has them', () => {
  const run = open();
  const id = run.enter('ada', { clientOrderId: 'x', price: 99 });
  const other = run.enter('ada', { clientOrderId: 'y', symbol: 'BETA' });
  expect([id % 65_536, other % 65_536]).toEqual([0, 1]);
  expect(run.amend('ada', id, null, 3).result).toMatchObject({ order: { open: 3 } });
  expect(run.amend('ada', 'x', 98, null, null).result).toMatchObject({ order: { price: 98 } });
  // If both ids are given, that of the order counts.
  const both = { symbol: null, orderId: id, clientOrderId: 'y' };
  expect(run.do((router, out) => router.cancel('ada', both, out)).result).toMatchObject({
    orderId: id,
    order: { clientOrderId: 'x', status: 'cancelled' },
  });
  expect(run.cancel('ada', other, 'BETA').result).toMatchObject({ orderId: other });
});

test('an order without a name is not tracked, but rests and is cancelled by its id', () => {
  const run = open();
  const entered = run.submit('ada', { price: 99 });
  expect([entered.executions, run.market.router.clientOrders.openOf('ada', 0, 10)]).toEqual([
    [],
    [],
  ]);
  const { orderId } = entered.result as { orderId: number };
  const again = run.submit('ada', { price: 99 });
  expect(again.result).not.toMatchObject({ orderId });
  expect(run.cancel('bob', orderId).result).toMatchObject({ code: 'unknown-order' });
  expect(run.cancel('ada', orderId).result).toMatchObject({ orderId });
});

describe('bounds', () => {
  test('ended orders are kept up to the limit; the oldest names become free, open ones never', () => {
    const run = new MarketRun([venue('ACME')], 100);
    const { clientOrders } = run.market.router;
    const standing = run.enter('ada', { clientOrderId: 'stands', price: 1 });
    for (let i = 0; i < 250; i++) {
      run.enter('ada', { clientOrderId: `n${i}`, price: 50 });
      run.cancel('ada', `n${i}`);
    }
    expect(clientOrders.checkpoint().orders).toHaveLength(101);
    expect([clientOrders.named('ada', 'n149'), clientOrders.named('ada', 'n150')?.status]).toEqual([
      undefined,
      'cancelled',
    ]);
    expect(run.enter('ada', { clientOrderId: 'stands', price: 1 })).toBe(standing);
    expect(run.enter('ada', { clientOrderId: 'n0', price: 50 })).toBe(252 * 65_536);
    expect(clientOrders.openOf('ada', 0, 10).map((o) => o.clientOrderId)).toEqual(['stands', 'n0']);
  });

  test('one command may end more orders than are kept', () => {
    const run = new MarketRun([venue('ACME')], 100);
    for (let i = 0; i < 150; i++) {
      run.enter('ada', { clientOrderId: `n${i}`, side: 'sell', price: 100, quantity: 1 });
    }
    const sweep = run.submit('bob', { clientOrderId: 'all', price: 100, quantity: 150 });
    expect(sweep.executions).toHaveLength(301);
    expect(sweep.result).toMatchObject({ order: { status: 'filled', traded: 150 } });
    expect(run.market.router.clientOrders.named('bob', 'all')).toMatchObject({ open: 0 });
  });

  test('owners are numbered up to a limit; a new one is then refused', () => {
    const run = new MarketRun([venue('ACME')]);
    const { clientOrders } = run.market.router;
    for (let i = 0; i <= OWNER_MAX; i++) clientOrders.ownerNumber(`o${i}`);
    const before = run.standing();
    const refused = run.submit('late', { clientOrderId: 'x' });
    expect(refused).toMatchObject({ result: { code: 'overloaded' }, events: [], executions: [] });
    expect(run.standing()).toEqual(before);
    expect(run.submit(`o${OWNER_MAX}`).result).not.toHaveProperty('code');
  });
});
