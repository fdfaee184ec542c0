/** Order entry of the SDK: a request is sent as the caller gives it, or refused by the name of its field. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { MessageOf } from '../../protocol/messages';
import { formatDecimal } from '../../protocol/units';
import type { Amount, OrderRequest, TapedeckClient } from '../../src/client/index';
import { readSeed } from '../support/seed';
import { Bench } from './support';

const AAA = { priceScale: 2, quantityScale: 3 };
const order = { symbol: 'AAA', side: 'buy', price: '1.50', quantity: '2' } as const;

/** A client whose orders are acknowledged, and the messages that it sent. */
async function orderEntry(): Promise<{ client: TapedeckClient; sent: MessageOf<'order'>[] }> {
  const bench = new Bench();
  const sent: MessageOf<'order'>[] = [];
  bench.model.answer = (peer, m) => {
    if (m.type === 'cancel' || m.type === 'amend') {
      const fault = { message: 'quantity is 0.000: a quantity is above 0', hint: null };
      const own = { message: `${m.type}.${fault.message}`, field: `${m.type}.quantity` };
      peer.wire.send([{ type: 'error', id: m.id, code: 'invalid-quantity', ...fault, ...own }]);
      return true;
    }
    if (m.type !== 'order') return false;
    sent.push(m);
    peer.wire.send([
      { type: 'ack', id: m.id, seq: 4, repeated: null, waiting: null, shards: null },
    ]);
    return true;
  };
  const client = await bench.connect();
  await client.subscribe(['tick:AAA']).ready;
  return { client, sent };
}

/** Like a program without types. */
function untyped(request: object): OrderRequest {
  return request as OrderRequest;
}

describe('amounts', () => {
  test('decimals and scaled integers are the same order', async () => {
    const { client, sent } = await orderEntry();
    const most = Number.MAX_SAFE_INTEGER;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: most }), fc.nat(), async (price, quantity) => {
        await client.order({ ...order, price: { scaled: price }, quantity: { scaled: quantity } });
        await client.order({
          ...order,
          price: formatDecimal(price, AAA.priceScale),
          quantity: formatDecimal(quantity, AAA.quantityScale),
        });
        const [one, two] = sent.splice(0);
        expect([one!.price, one!.quantity]).toEqual([price, quantity]);
        expect([two!.price, two!.quantity]).toEqual([price, quantity]);
      }),
      { seed: readSeed(), numRuns: 200 },
    );
    client.close();
  });

  // The reported case: 150 rested at 1.50.
  test('a bare number is refused, whatever its value', async () => {
    const { client, sent } = await orderEntry();
    for (const value of [150, 1.5, 0.1 + 0.2, 0, -1, Number.NaN, 1e21, 150n, true]) {
      for (const name of ['price', 'quantity'] as const) {
        const refused = client.order(untyped({ ...order, [name]: value }));
        expect(refused).rejects.toMatchObject({
          code: 'invalid-field',
          field: name,
          message: `${name} is ${String(value)}; expected a decimal in quotes such as "1.50", or {scaled: 150} where it is scaled already`,
        });
        await refused.catch(() => {});
      }
    }
    expect(sent).toEqual([]);
    client.close();
  });

  test.each([
    ['1.505', 'off-increment', 'price is "1.505"; expected at most 2 decimals'],
    ['a', 'invalid-field', 'price is "a"; expected a decimal such as "1.50"'],
    ['', 'invalid-field', 'price is ""; expected a decimal such as "1.50"'],
    [
      '90071992547409.92',
      'out-of-range',
      'expected a value from -90071992547409.91 to 90071992547409.91',
    ],
    [{ scaled: 1.5 }, 'invalid-field', 'price is {scaled: 1.5}; expected a whole number in scaled'],
    [{ scaled: 2 ** 53 }, 'invalid-field', 'expected a whole number in scaled'],
    [{}, 'invalid-field', 'price is {scaled: missing}; expected a whole number in scaled'],
    [null, 'invalid-field', 'expected a whole number in scaled'],
  ])('%j', async (price, code, message) => {
    const { client, sent } = await orderEntry();
    const refused = client.order({ ...order, price: price as Amount });
    expect(refused).rejects.toMatchObject({
      code,
      field: 'price',
      message: expect.stringContaining(message),
    });
    await refused.catch(() => {});
    expect(sent).toEqual([]);
    client.close();
  });
});

test('an unknown member is refused with the nearest name', async () => {
  const { client, sent } = await orderEntry();
  const misspelt = [
    [() => client.order(untyped({ ...order, timeinforce: 'ioc' })), 'timeinforce', 'timeInForce'],
    [() => client.order(untyped({ ...order, postonly: true })), 'postonly', 'postOnly'],
    [
      () => client.amend({ symbol: 'AAA', orderId: 1, qty: '1' } as object as OrderRequest),
      'qty',
      'quantity',
    ],
    [
      () => client.cancel({ symbol: 'AAA', orderID: 1 } as object as OrderRequest),
      'orderID',
      'orderId',
    ],
  ] as const;
  for (const [ask, field, nearest] of misspelt) {
    const refused = ask();
    const message = `${field} is no known field; the nearest is ${nearest}`;
    expect(refused).rejects.toMatchObject({ code: 'invalid-field', field, message });
    await refused.catch(() => {});
  }
  expect(sent).toEqual([]);
  client.close();
});

test('refusals of the server use the names of the request', async () => {
  const { client } = await orderEntry();
  const refused = client.amend({ symbol: 'AAA', orderId: 1, quantity: '0' });
  const message = 'quantity is 0.000: a quantity is above 0';
  expect(refused).rejects.toMatchObject({ code: 'invalid-quantity', field: 'quantity', message });
  await refused.catch(() => {});
  client.close();
});
