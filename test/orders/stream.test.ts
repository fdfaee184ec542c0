/** Order entry over the WebSocket, against a real server, in both forms. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { SCALES, type Seen, type StreamClient } from '../support/stream-client';
import { ask, OrderServer, executionsOf, KEYS, orderMessage } from './order-server';

const FORMS = [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const;

let server: OrderServer;
beforeAll(async () => {
  server = await OrderServer.start();
});
afterAll(() => server.process.remove());

const sell = { side: 'sell', price: '110.00' } as const;

function closeAll(...clients: StreamClient[]): Promise<unknown> {
  return Promise.all(clients.map((client) => client.close()));
}

describe.each(FORMS)('over %s', (form) => {
  const name = (text: string): string => `${text}-${form.slice(-4)}`;

  test('[O1] [O2] an order is answered with its seq, after its executions', async () => {
    const client = await server.stream('trader', form);
    const answer = await ask(client, orderMessage({ clientOrderId: name('a'), price: '90.00' }));
    const execution = await client.next('execution');
    expect(answer).toMatchObject({ type: 'ack', seq: execution['seq'] });
    expect(execution).toMatchObject({
      symbol: 'ACME',
      prevSeq: 0,
      id: null,
      clientOrderId: name('a'),
      event: 'accepted',
      side: 'buy',
      price: '90.00',
      open: '1.000',
      tradePrice: null,
      tradeQuantity: null,
      code: null,
    });
    const types = client.seen.map((m) => m.type).filter((type) => type !== 'heartbeat');
    expect(types).toEqual(['welcome', 'instrument', 'execution', 'ack']);
    const cancelled = await ask(client, {
      type: 'cancel',
      symbol: 'ACME',
      orderId: execution['orderId'],
      clientOrderId: null,
    });
    expect(cancelled.type).toBe('ack');
    expect(executionsOf(client)).toEqual([
      `${name('a')} accepted 1.000`,
      `${name('a')} cancelled 0.000`,
    ]);
    await client.close();
  });

  test('[O4] every session of the owner gets the executions, wherever the order came from, and no other session', async () => {
    const [mine, too, rival, reader, boss] = await Promise.all([
      server.stream('trader', form),
      server.stream('trader', form === SUBPROTOCOL_JSON ? SUBPROTOCOL_MSGPACK : SUBPROTOCOL_JSON),
      server.stream('rival', form),
      server.stream(null, form),
      server.stream('boss', form),
    ]);
    await ask(mine, orderMessage({ ...sell, clientOrderId: name('s'), quantity: '3.000' }));
    await ask(
      rival,
      orderMessage({ price: '110.00', clientOrderId: name('b'), quantity: '1.200' }),
    );
    const { type: _, id: _id, ...resting } = orderMessage({ price: '91.00' });
    await server.order('trader', { ...resting, clientOrderId: name('rest') });
    await ask(too, {
      type: 'amend',
      symbol: 'ACME',
      orderId: null,
      clientOrderId: name('s'),
      price: null,
      quantity: '1.000',
    });
    await ask(too, { type: 'cancel', symbol: 'ACME', orderId: null, clientOrderId: name('rest') });
    await ask(mine, { type: 'cancel', symbol: 'ACME', orderId: null, clientOrderId: name('s') });
    await Promise.all([mine, too, rival, reader, boss].map((client) => client.settle()));
    const expected = [
      `${name('s')} accepted 3.000`,
      `${name('s')} traded 1.800 1.200 110.00`,
      `${name('rest')} accepted 1.000`,
      `${name('s')} amended 1.000`,
      `${name('rest')} cancelled 0.000`,
      `${name('s')} cancelled 0.000`,
    ];
    expect(executionsOf(mine)).toEqual(expected);
    expect(executionsOf(too)).toEqual(expected);
    expect(executionsOf(rival)).toEqual([
      `${name('b')} accepted 1.200`,
      `${name('b')} traded 0.000 1.200 110.00`,
    ]);
    expect([...executionsOf(reader), ...executionsOf(boss)]).toEqual([]);
    // The decimals are sent before they are needed, though nobody subscribed.
    for (const client of [mine, too, rival]) {
      const first = client.seen.findIndex((m) => m.type === 'execution');
      expect(client.seen.slice(0, first).filter((m) => m.type === 'instrument')).toHaveLength(1);
    }
    await closeAll(mine, too, rival, reader, boss);
  });

  test('[O3] a repetition gets the same answer and no execution, on any session', async () => {
    const one = await server.stream('trader', form);
    const message = orderMessage({ clientOrderId: name('rep'), price: '92.00' });
    const first = await ask(one, message);
    const two = await server.stream('trader', form);
    expect((await ask(two, message))['seq']).toBe(first['seq']);
    expect(executionsOf(two)).toEqual([]);
    const refused = await ask(two, { ...message, price: '92.05' });
    expect(refused).toMatchObject({
      code: 'duplicate-client-order-id',
      field: 'order.clientOrderId',
    });
    const bad = orderMessage({ clientOrderId: name('bad'), price: '0.05' });
    const [no, again] = [await ask(one, bad), await ask(two, bad)];
    expect(no).toMatchObject({ type: 'error', code: 'price-outside-band', field: 'order.price' });
    expect({ ...again, id: 0 }).toEqual({ ...no, id: 0 });
    await one.settle();
    expect(executionsOf(one)).toContain(`${name('bad')} rejected 0.000 price-outside-band`);
    await ask(one, { type: 'cancel', symbol: 'ACME', orderId: null, clientOrderId: name('rep') });
    await closeAll(one, two);
  });

  test('[O4] executions have the seq of the command, or of their trade', async () => {
    const [maker, taker] = [
      await server.stream('rival', form),
      await server.stream('trader', form),
    ];
    await taker.subscribe('trade:ACME', 'tick:ACME');
    await ask(maker, orderMessage({ ...sell, price: '109.00', clientOrderId: name('m1') }));
    await ask(maker, orderMessage({ ...sell, price: '109.50', clientOrderId: name('m2') }));
    const from = taker.seen.length;
    const taken = orderMessage({
      clientOrderId: name('t'),
      price: '109.50',
      quantity: '2.500',
      timeInForce: 'ioc',
    });
    const answer = await ask(taker, taken);
    await taker.settle();
    const fresh = taker.seen.slice(from);
    const trades = fresh.filter((m) => m.type === 'trade').map((m) => m['seq'] as number);
    const seqs = fresh.filter((m) => m.type === 'execution').map((m) => m['seq'] as number);
    expect(trades).toHaveLength(2);
    expect(seqs).toEqual([answer['seq'] as number, ...trades, trades[1]!]);
    expect(executionsOf(taker, from)).toEqual([
      `${name('t')} accepted 2.500`,
      `${name('t')} traded 1.500 1.000 109.00`,
      `${name('t')} traded 0.500 1.000 109.50`,
      `${name('t')} expired 0.000`,
    ]);
    await closeAll(maker, taker);
  });

  test('[O6] cancel and amend by either id; wrong ids, symbols and values have a code', async () => {
    const client = await server.stream('trader', form);
    await ask(client, orderMessage({ clientOrderId: name('x'), price: '93.00' }));
    const { orderId } = await client.next('execution');
    const before = await server.book('ACME');
    const target = { symbol: 'ACME', orderId, clientOrderId: null };
    const amend = { type: 'amend', ...target, price: null, quantity: null };
    const wrong: [Record<string, unknown>, string][] = [
      [{ ...target, type: 'cancel', orderId: null }, 'invalid-field'],
      [{ ...target, type: 'cancel', orderId: (orderId as number) + 65_536 }, 'unknown-order'],
      [{ ...target, type: 'cancel', orderId: null, clientOrderId: 'nope' }, 'unknown-order'],
      [{ ...target, type: 'cancel', symbol: 'FEW' }, 'unknown-order'],
      [{ ...target, type: 'cancel', symbol: 'FEED' }, 'wrong-market'],
      [{ ...target, type: 'cancel', symbol: 'NOBODY' }, 'unknown-symbol'],
      [amend, 'invalid-field'],
      [{ ...amend, symbol: 'FEW', price: '94.00' }, 'unknown-order'],
      [{ ...amend, price: '0.00' }, 'invalid-price'],
      [{ ...amend, price: '93.01' }, 'price-off-increment'],
      [{ ...amend, quantity: '0.000' }, 'invalid-quantity'],
      [{ ...amend, quantity: '0.015' }, 'quantity-off-increment'],
    ];
    for (const [message, code] of wrong) {
      expect([message, await ask(client, message)]).toMatchObject([
        message,
        { type: 'error', code },
      ]);
    }
    const rival = await server.stream('rival', form);
    expect(await ask(rival, { ...target, type: 'cancel' })).toMatchObject({
      code: 'unknown-order',
    });
    expect(await server.book('ACME')).toEqual(before);
    expect(await ask(client, { ...amend, price: '93.50', quantity: '0.500' })).toMatchObject({
      type: 'ack',
    });
    expect(await ask(client, { type: 'cancel', ...target })).toMatchObject({ type: 'ack' });
    await closeAll(client, rival);
  });

  test('[O1] it is refused without the role, and the roles of hello count from then on', async () => {
    for (const [who, code] of [
      [null, 'unauthorized'],
      ['feeder', 'forbidden'],
      ['boss', 'forbidden'],
    ] as const) {
      const client = await server.stream(who, form);
      for (const message of [
        orderMessage({ clientOrderId: name('no') }),
        { type: 'cancel', symbol: 'ACME', orderId: 65_536, clientOrderId: null },
        {
          type: 'amend',
          symbol: 'ACME',
          orderId: 65_536,
          clientOrderId: null,
          price: '1.00',
          quantity: null,
        },
      ]) {
        expect(await ask(client, message)).toMatchObject({ type: 'error', code });
      }
      client.send({ type: 'hello', version: 1, client: 'test', key: KEYS.trader });
      const entered = await ask(
        client,
        orderMessage({ clientOrderId: name(`h${who}`), price: '90.00' }),
      );
      expect(entered.type).toBe('ack');
      expect(executionsOf(client)).toEqual([`${name(`h${who}`)} accepted 1.000`]);
      await client.close();
    }
  });

  test('[E2] a hundred refusals by the market do not end the connection; a hundred faults do', async () => {
    const client = await server.stream('trader', form);
    const nothing = { type: 'cancel', symbol: 'ACME', orderId: 65_535, clientOrderId: null };
    for (let i = 0; i < 120; i++) await ask(client, nothing);
    expect(client.ended).toBeUndefined();
    for (let i = 0; i < 100; i++)
      client.send({ type: 'unsubscribe', id: i, topics: ['trade:ACME'] });
    expect(await client.closed).toMatchObject({ code: 4003 });
  });

  test('[O7] an order without a name gets one, and a client may not use such a name', async () => {
    const client = await server.stream('trader', form);
    expect(await ask(client, orderMessage({ price: '90.00' }))).toMatchObject({ type: 'ack' });
    await client.settle();
    expect(executionsOf(client)[0]).toMatch(/^~\S+ accepted /);
    const taken = orderMessage({ price: '90.00', clientOrderId: '~mine' });
    expect(await ask(client, taken)).toMatchObject({ type: 'error', field: 'order.clientOrderId' });
    await client.close();
  });

  test('a frame of many orders: all are answered in order, and each has its seq', async () => {
    const client = await server.stream('trader', form);
    const ids = Array.from({ length: 300 }, (_, i) => 500_000 + i);
    client.send(
      ...ids.map((id) => ({
        ...orderMessage({ clientOrderId: name(`f${id}`), price: '70.00' }),
        id,
      })),
    );
    await client.find((m) => m['id'] === ids.at(-1));
    const acks = client.seen.filter((m: Seen) => m.type === 'ack');
    expect(acks.map((m) => m['id'])).toEqual(ids);
    const seqs = acks.map((m) => m['seq'] as number);
    expect(new Set(seqs).size).toBe(300);
    expect(executionsOf(client)).toHaveLength(300);
    await client.close();
  });
});

test('the scales of these tests equal those of the server', async () => {
  expect(await server.process.json('/v1/instruments/ACME')).toMatchObject(SCALES);
});
