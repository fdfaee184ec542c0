/** Order entry over REST, against a real server: the course of an order, roles, states, bad input. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { ServerProcess } from '../support/tapedeck-process';
import { OrderServer, faultOf, type Json } from './order-server';

let server: OrderServer;
beforeAll(async () => {
  server = await OrderServer.start();
});
afterAll(() => server.process.remove());

const limit = { symbol: 'ACME', side: 'buy', price: '90.00', quantity: '1.000' };

describe('the course of an order', () => {
  test('it is entered, looked up, listed, and cancelled', async () => {
    const entered = await server.order('trader', { ...limit, clientOrderId: 'r-1' });
    expect(entered).toMatchObject({
      status: 201,
      body: {
        clientOrderId: 'r-1',
        symbol: 'ACME',
        side: 'buy',
        kind: 'limit',
        timeInForce: 'gtc',
        postOnly: false,
        price: '90.00',
        quantity: '1.000',
        open: '1.000',
        traded: '0.000',
        status: 'open',
        code: null,
      },
    });
    const { orderId } = entered.body as { orderId: number };
    const path = `/v1/orders/${orderId}`;
    expect(await server.request('trader', 'GET', path)).toEqual({
      status: 200,
      body: entered.body,
    });
    const { body } = await server.request('trader', 'GET', '/v1/orders');
    expect(body['orders']).toContainEqual(entered.body);
    const cancelled = await server.request('trader', 'DELETE', path);
    expect(cancelled).toMatchObject({
      status: 200,
      body: { orderId, status: 'cancelled', open: '0.000' },
    });
    expect(await server.request('trader', 'GET', path)).toMatchObject({ body: cancelled.body });
    expect(faultOf(await server.request('trader', 'DELETE', path))).toMatchObject({
      status: 404,
      code: 'unknown-order',
    });
  });

  test('a repetition is answered as the first was, though the order has changed since', async () => {
    const body = { ...limit, price: '95.00', clientOrderId: 'r-2' };
    const first = await server.order('trader', body);
    expect(await server.order('trader', body)).toEqual(first);
    await server.order('rival', { ...limit, side: 'sell', price: '95.00', quantity: '0.400' });
    const { orderId } = first.body as { orderId: number };
    expect(await server.request('trader', 'GET', `/v1/orders/${orderId}`)).toMatchObject({
      body: { open: '0.600', traded: '0.400', status: 'open' },
    });
    expect(await server.order('trader', body)).toEqual(first);
    const other = await server.order('trader', { ...body, price: '94.00' });
    expect(faultOf(other)).toMatchObject({ status: 409, code: 'duplicate-client-order-id' });
    await server.request('trader', 'DELETE', `/v1/orders/${orderId}`);
    expect(await server.order('trader', body)).toEqual(first);
  });

  test('an order without a name, or with an empty one, gets one', async () => {
    for (const body of [limit, { ...limit, clientOrderId: '' }]) {
      const entered = await server.order('trader', body);
      expect(entered.status).toBe(201);
      const { orderId, clientOrderId } = entered.body as { orderId: number; clientOrderId: string };
      expect(clientOrderId).not.toBe('');
      expect(await server.request('trader', 'DELETE', `/v1/orders/${orderId}`)).toMatchObject({
        body: { clientOrderId, status: 'cancelled' },
      });
    }
  });

  test('trades are in the answer, and market data follows', async () => {
    await server.order('rival', { ...limit, side: 'sell', price: '101.00', quantity: '0.500' });
    const taken = await server.order('trader', {
      symbol: 'ACME',
      side: 'buy',
      kind: 'market',
      quantity: '0.700',
    });
    expect(taken).toMatchObject({
      status: 201,
      body: { price: null, timeInForce: 'ioc', open: '0.000', traded: '0.500', status: 'expired' },
    });
    const tick = await server.process.json('/v1/tick/ACME');
    expect(tick).toMatchObject({ last: '101.00', quantity: '0.500' });
  });
});

describe('roles', () => {
  test('no key, a wrong one, one without the role, an order of another owner', async () => {
    const mine = await server.order('trader', { ...limit, clientOrderId: 'mine' });
    const path = `/v1/orders/${String(mine.body['orderId'])}`;
    const before = await server.book('ACME');
    for (const [method, at] of [
      ['POST', '/v1/orders'],
      ['GET', path],
      ['GET', '/v1/orders'],
      ['DELETE', path],
    ] as const) {
      const body = method === 'POST' ? limit : undefined;
      const none = faultOf(await server.request(null, method, at, body));
      expect(none).toMatchObject({ status: 401, code: 'unauthorized' });
      for (const who of ['feeder', 'boss'] as const) {
        const other = faultOf(await server.request(who, method, at, body));
        expect(other).toMatchObject({ status: 403, code: 'forbidden' });
      }
      const wrong = await fetch(`${server.url}${at}`, {
        method,
        headers: { authorization: 'Bearer nobody-at-all' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      expect(wrong.status).toBe(401);
    }
    expect(faultOf(await server.request('rival', 'DELETE', path))).toMatchObject({
      status: 404,
      code: 'unknown-order',
    });
    expect(faultOf(await server.request('rival', 'GET', path))).toMatchObject({
      code: 'unknown-order',
    });
    const listed = await server.request('rival', 'GET', '/v1/orders');
    expect(JSON.stringify(listed.body)).not.toContain('mine');
    expect(await server.book('ACME')).toEqual(before);
    await server.request('trader', 'DELETE', path);
  });

  test('the state of an instrument needs the role admin', async () => {
    const path = '/v1/instruments/ACME/state';
    const close = { state: 'closed' };
    expect(faultOf(await server.request(null, 'POST', path, close))).toMatchObject({ status: 401 });
    expect(faultOf(await server.request('trader', 'POST', path, close))).toMatchObject({
      status: 403,
      code: 'forbidden',
    });
  });
});

describe('states', () => {
  test('from before the opening, through the auction, to closed', async () => {
    const early = (who: 'trader' | 'rival', side: string, price: string) =>
      server.order(who, { symbol: 'EARLY', side, price, quantity: '2.000' });
    const buy = await early('trader', 'buy', '10.20');
    const sell = await early('rival', 'sell', '10.00');
    expect([buy.status, sell.status]).toEqual([201, 201]);
    const market = { symbol: 'EARLY', side: 'buy', kind: 'market', quantity: '1.000' };
    expect(faultOf(await server.order('trader', market))).toMatchObject({
      status: 409,
      code: 'not-in-pre-open',
    });

    const watcher = await server.stream(null);
    await watcher.subscribe('status', 'trade:EARLY', 'tick:EARLY');
    const opened = await server.state('EARLY', 'open');
    expect(opened).toMatchObject({ status: 200, body: { symbol: 'EARLY', state: 'open' } });
    await watcher.settle();
    const trade = watcher.seen.find((m) => m.type === 'trade')!;
    expect(trade).toMatchObject({ aggressor: 'none', quantity: '2.000' });
    expect(watcher.seen.find((m) => m.type === 'tick')).toMatchObject({ last: trade['price'] });
    expect(watcher.seen.find((m) => m.type === 'status')).toMatchObject({ state: 'live' });
    const mine = await server.request('trader', 'GET', `/v1/orders/${String(buy.body['orderId'])}`);
    expect(mine.body).toMatchObject({ status: 'filled', open: '0.000', traded: '2.000' });

    expect(faultOf(await server.state('EARLY', 'open'))).toMatchObject({
      status: 409,
      code: 'same-state',
    });
    const rests = await early('trader', 'buy', '9.00');
    for (const [state, code] of [
      ['halted', 'market-halted'],
      ['closed', 'market-closed'],
    ] as const) {
      expect(await server.state('EARLY', state)).toMatchObject({ status: 200 });
      expect(faultOf(await early('trader', 'buy', '9.00'))).toMatchObject({ status: 409, code });
    }
    expect(
      await server.request('trader', 'DELETE', `/v1/orders/${String(rests.body['orderId'])}`),
    ).toMatchObject({ status: 200 });
    await watcher.close();
  });

  test.each([
    ['ACME', '{"state":"ajar"}', 'invalid-field'],
    ['ACME', '{}', 'invalid-field'],
    ['ACME', 'null', 'invalid-field'],
    ['ACME', '[', 'malformed-json'],
    ['ACME', '', 'malformed-json'],
    ['FEED', '{"state":"closed"}', 'wrong-market'],
    ['NOBODY', '{"state":"closed"}', 'unknown-symbol'],
    ['%00', '{"state":"closed"}', 'unknown-symbol'],
  ])('%s %s is refused', async (symbol, body, code) => {
    const refused = await server.request('boss', 'POST', `/v1/instruments/${symbol}/state`, body);
    expect(faultOf(refused)).toMatchObject({ code });
    expect(refused.status).toBeLessThan(500);
  });
});

describe('bad input has a code, and changes nothing', () => {
  const cases: [name: string, given: Json | string, code: string, field: string][] = [
    ['negative quantity', { quantity: '-1.000' }, 'invalid-field', 'quantity'],
    ['negative price', { price: '-90.00' }, 'invalid-price', 'price'],
    ['zero quantity', { quantity: '0' }, 'invalid-quantity', 'quantity'],
    ['zero price', { price: '0.00' }, 'invalid-price', 'price'],
    ['no price', { price: null }, 'invalid-price', 'price'],
    ['a fraction', { quantity: '1.0001' }, 'off-increment', 'quantity'],
    ['a number for a decimal', { price: 90.5 }, 'invalid-field', 'price'],
    ['an exponent', { price: '9e1' }, 'invalid-field', 'price'],
    ['off-increment price', { price: '90.01' }, 'price-off-increment', 'price'],
    ['off-increment quantity', { quantity: '1.001' }, 'quantity-off-increment', 'quantity'],
    ['too small', { quantity: '0.010' }, 'quantity-below-minimum', 'quantity'],
    ['too large', { quantity: '9000000000000.010' }, 'quantity-above-maximum', 'quantity'],
    ['below the band', { price: '0.95' }, 'price-outside-band', 'price'],
    ['above the band', { price: '500.05' }, 'price-outside-band', 'price'],
    ['beyond safe integers', { quantity: '9007199254740.992' }, 'out-of-range', 'quantity'],
    ['a lower-case symbol', { symbol: 'acme' }, 'unknown-symbol', 'symbol'],
    ['no symbol', { symbol: undefined }, 'invalid-field', 'symbol'],
    ['a symbol that is none', { symbol: '../..' }, 'invalid-field', 'symbol'],
    ['an instrument that is fed', { symbol: 'FEED' }, 'wrong-market', 'symbol'],
    ['no side', { side: undefined }, 'invalid-field', 'side'],
    ['a side of trades', { side: 'none' }, 'invalid-field', 'side'],
    ['an unknown kind', { kind: 'stop' }, 'invalid-field', 'kind'],
    ['market, gtc', { kind: 'market', timeInForce: 'gtc', price: null }, 'invalid-combination', ''],
    ['post-only ioc', { postOnly: true, timeInForce: 'ioc' }, 'invalid-combination', ''],
    ['a name of 37', { clientOrderId: 'x'.repeat(37) }, 'invalid-field', 'clientOrderId'],
    ['a name that is a number', { clientOrderId: 7 }, 'invalid-field', 'clientOrderId'],
    ['a name that is nothing', { clientOrderId: null }, 'invalid-field', 'clientOrderId'],
    ['an array', '[]', 'invalid-field', 'body'],
    ['nothing', '', 'malformed-json', ''],
    ['no JSON', '{"symbol":', 'malformed-json', ''],
    ['deep nesting', '['.repeat(1_000), 'too-deep', ''],
  ];
  test.each(cases)('%s', async (_name, given, code, field) => {
    const before = await server.book('ACME');
    const body = typeof given === 'string' ? given : { ...limit, ...given };
    const refused = faultOf(await server.order('trader', body));
    expect(refused).toMatchObject({ code, ...(field !== '' && { field }) });
    expect(refused['status']).toBeLessThan(500);
    expect(String(refused['hint']).length).toBeGreaterThan(0);
    expect(await server.book('ACME')).toEqual(before);
  });

  test('the limit of one owner does not affect others', async () => {
    const few = { ...limit, symbol: 'FEW' };
    for (let i = 0; i < 3; i++) expect((await server.order('trader', few)).status).toBe(201);
    const refused = faultOf(await server.order('trader', few));
    expect(refused).toMatchObject({ status: 429, code: 'too-many-orders' });
    expect((await server.order('rival', few)).status).toBe(201);
    const { bids } = await server.book('FEW');
    expect(bids).toEqual([['90.00', '4.000']]);
  });

  test('one owner cannot fill a side for the others', async () => {
    const share = { ...limit, price: '80.00', quantity: '562949953421.300' };
    const first = await server.order('trader', share);
    expect(first.status).toBe(201);
    const id = String(first.body['orderId']);
    for (const quantity of ['9000000000000.000', '0.020']) {
      const refused = faultOf(await server.order('trader', { ...share, quantity }));
      expect(refused).toMatchObject({ status: 409, code: 'resting-overflow', field: 'quantity' });
      expect(refused['message']).toContain('562949953421.311, the most of one owner');
    }
    const other = await server.order('rival', share);
    expect(other.status).toBe(201);
    await server.request('rival', 'DELETE', `/v1/orders/${String(other.body['orderId'])}`);
    await server.request('trader', 'DELETE', `/v1/orders/${id}`);
  });

  test.each(['', '%20', '-1', '1.5', '1e3', '0x10', 'abc', '9'.repeat(17), '%00'])(
    'an id %p',
    async (id) => {
      for (const method of ['GET', 'DELETE']) {
        const refused = await server.request(
          'trader',
          method,
          `/v1/orders/x${id}`.replace('x', ''),
        );
        if (id === '' && refused.status === 200) continue; // the list
        expect([400, 404, 405]).toContain(refused.status);
        expect(faultOf(refused)['code']).toBeString();
      }
    },
  );

  test.each([0, 65_536, 2 ** 53 - 1])('no order has the id %p', async (id) => {
    for (const method of ['GET', 'DELETE']) {
      const refused = faultOf(await server.request('feeder', method, `/v1/orders/${id}`));
      expect(refused).toMatchObject({ status: 403 });
      const unknown = faultOf(await server.request('rival', method, `/v1/orders/${id}`));
      expect(unknown).toMatchObject({ status: 404, code: 'unknown-order' });
    }
  });
});

test('an invalid definition of a venue ends the start with a message, not with a stack trace', async () => {
  const config = `
[[instruments]]
symbol = "ODD"
priceScale = 2
quantityScale = 0
priceIncrement = "0.50"
previousClose = "10.25"
`;
  const failed = await ServerProcess.start({ config }).then(
    () => 'it started',
    (error: unknown) => String(error),
  );
  expect(failed).toContain('78');
  expect(failed).toContain('ODD');
  expect(failed).not.toContain('at ');
});
