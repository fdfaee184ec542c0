/** Publishing over the stream, in both forms: § 6 of the protocol. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { book, instrument, trade } from '../support/feed';
import { FORMS, StreamClient } from '../support/stream-client';
import {
  OTHER_PUBLISH_KEY,
  PUBLISH_KEY,
  ServerProcess,
  TRADE_KEY,
} from '../support/tapedeck-process';

let server: ServerProcess;
let count = 0;

beforeAll(async () => {
  server = await ServerProcess.start();
});
afterAll(() => server.remove());

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

describe.each(FORMS)('%s', (form) => {
  const open = (headers: Record<string, string> = {}): Promise<StreamClient> =>
    StreamClient.open(server.url, form, headers);
  const newSymbol = (): string => `P${count++}`;

  test('[P1] without a key, with one for trading, and with hello', async () => {
    const symbol = newSymbol();
    const client = await open();
    expect(await client.publish(instrument(symbol))).toMatchObject({ code: 'unauthorized' });
    client.send({ type: 'hello', version: 1, client: 'test', key: TRADE_KEY });
    expect(await client.publish(instrument(symbol))).toMatchObject({ code: 'forbidden' });
    client.send({ type: 'hello', version: 1, client: 'test', key: PUBLISH_KEY });
    expect(await client.publish(instrument(symbol))).toMatchObject({ type: 'ack' });
    await client.close();
  });

  test('[P11] the ack has the last seq, and REST has the events by then', async () => {
    const symbol = newSymbol();
    const client = await open(bearer(PUBLISH_KEY));
    const first = await client.publish(instrument(symbol), trade(symbol, '1.00', '1'));
    expect((await server.json(`/v1/tick/${symbol}`))['seq']).toBe(first['seq'] as number);
    const second = await client.publish();
    expect(second).toMatchObject({ type: 'ack', seq: first['seq'] });
    await client.close();
  });

  test.each([
    ['an unknown symbol', () => trade('NOBODY', '1', '1'), 'unknown-symbol', 'symbol'],
    [
      'other scales',
      (s: string) => instrument(s, { priceScale: 3 }),
      'definition-conflict',
      'priceScale',
    ],
    [
      'an increment of zero',
      (s: string) => instrument(s, { quantityIncrement: '0' }),
      'invalid-field',
      'quantityIncrement',
    ],
  ])('[P2] all or none, named by path: %s', async (_name, make, code, field) => {
    const symbol = newSymbol();
    const client = await open(bearer(PUBLISH_KEY));
    const { seq } = await client.publish(instrument(symbol));
    // In either form: what both codecs accept is refused by the market.
    const refused = await client.publish(trade(symbol, '1.00', '1'), make(symbol));
    expect(refused).toMatchObject({ type: 'error', code, field: `publish.events[1].${field}` });
    expect(refused['message']).toMatch(/^publish\.events\[1\]\./);
    expect((await server.json('/v1/instruments'))['seq']).toBe(seq as number);
    await client.close();
  });

  test('[N5] a value that is off the increment is refused by name', async () => {
    const symbol = newSymbol();
    const client = await open(bearer(PUBLISH_KEY));
    const increments = { priceIncrement: '0.05', quantityIncrement: '0.010' };
    await client.publish(instrument(symbol, increments));
    for (const [event, field] of [
      [trade(symbol, '1.01', '1'), 'price'],
      [trade(symbol, '1.05', '0.001'), 'quantity'],
      [
        book(
          symbol,
          'snapshot',
          [
            ['1.05', '1'],
            ['1.00', '1'],
            ['0.99', '1'],
          ],
          [],
        ),
        'bids[2][0]',
      ],
    ] as const) {
      expect(await client.publish(event)).toMatchObject({
        code: 'off-increment',
        field: `publish.events[0].${field}`,
      });
    }
    expect(await client.publish(trade(symbol, '-1.05', '0.010'))).toMatchObject({ type: 'ack' });
    await client.close();
  });

  test('[P5] a second source is refused until the first has disconnected', async () => {
    const symbol = newSymbol();
    const first = await open(bearer(PUBLISH_KEY));
    await first.publish(instrument(symbol), trade(symbol, '1.00', '1'));
    const second = await open(bearer(OTHER_PUBLISH_KEY));
    expect(await second.publish(trade(symbol, '2.00', '1'))).toMatchObject({
      code: 'symbol-in-use',
      field: 'publish.events[0].symbol',
    });
    await second.subscribe('status');
    await first.close();
    await second.find((m) => m['reason'] === 'source-disconnected' && m['symbol'] === symbol);
    expect(await second.publish(trade(symbol, '2.00', '1'))).toMatchObject({ type: 'ack' });
    await second.close();
  });

  test('[P4] a source need not wait for the answer to a definition', async () => {
    const [a, b] = [newSymbol(), newSymbol()];
    const client = await open(bearer(PUBLISH_KEY));
    client.send({ type: 'publish', id: 501, events: [instrument(a)], continues: null });
    client.send({ type: 'publish', id: 502, events: [trade(a, '1.00', '1')], continues: null });
    client.send(
      { type: 'publish', id: 503, events: [instrument(b)], continues: null },
      { type: 'publish', id: 504, events: [trade(b, '1.00', '1')], continues: null },
    );
    await client.find((m) => m['id'] === 504);
    const answers = client.seen.filter((m) => m['id'] !== undefined);
    expect(answers.map((m) => [m.type, m['id']])).toEqual(
      [501, 502, 503, 504].map((id) => ['ack', id]),
    );
    await client.close();
  });

  test('[P4] this also holds when both wait behind earlier requests of the connection', async () => {
    const symbol = newSymbol();
    const client = await open(bearer(PUBLISH_KEY));
    // This much is not executed at once.
    const pings = Array.from({ length: 300 }, (_, id) => ({ type: 'ping', id, time: '0' }));
    client.send(...pings);
    client.send({ type: 'publish', id: 601, events: [instrument(symbol)], continues: null });
    client.send({
      type: 'publish',
      id: 602,
      events: [trade(symbol, '1.00', '1')],
      continues: null,
    });
    expect(await client.find((m) => m['id'] === 602)).toMatchObject({ type: 'ack' });
    expect(client.seen.filter((m) => m.type === 'pong').length).toBe(300);
    await client.close();
  });

  test('[P4] a refused definition defines nothing', async () => {
    const symbol = newSymbol();
    const client = await open(bearer(PUBLISH_KEY));
    const wrong = instrument(symbol, { priceIncrement: '0' });
    expect(await client.publish(wrong)).toMatchObject({ code: 'invalid-field' });
    expect(await client.publish(trade(symbol, '1.00', '1'))).toMatchObject({
      code: 'unknown-symbol',
    });
    await client.close();
  });

  test('[P12] more than may wait is refused as a whole, and can be sent again', async () => {
    const small = await ServerProcess.start({
      config:
        '[limits]\nwaitingEventsMax = 10000\nframeBytesMax = 4194304\n[push]\nbacklogBytesMax = 16777216',
    });
    try {
      const client = await StreamClient.open(small.url, form, bearer(PUBLISH_KEY));
      await client.publish(instrument('FLOOD'));
      const events = Array.from({ length: 4_000 }, () => trade('FLOOD', '1.00', '0.001'));
      const ids = [801, 802, 803, 804];
      client.send(...ids.map((id) => ({ type: 'publish', id, events, continues: null })));
      const answers = await Promise.all(ids.map((id) => client.find((m) => m['id'] === id)));
      const taken = answers.filter((m) => m.type === 'ack').length;
      const refused = answers.filter((m) => m['code'] === 'overloaded').length;
      expect([taken, refused]).toEqual([2, 2]);
      expect(await client.publish(...events)).toMatchObject({ type: 'ack' });
      const { volume } = await small.json('/v1/tick/FLOOD');
      expect(volume).toBe('12.000');
      await client.close();
    } finally {
      await small.remove();
    }
  });
});

test('[W16] in JSON, faults of fields have their full path', async () => {
  const client = await StreamClient.json(server.url, bearer(PUBLISH_KEY));
  await client.publish(instrument('PATHS'));
  for (const [event, code, field] of [
    [trade('PATHS', '1.005', '1'), 'off-increment', 'price'],
    [trade('PATHS', '1', '-1'), 'invalid-field', 'quantity'],
    [trade('PATHS', '1', '1', { aggressor: 'both' }), 'invalid-field', 'aggressor'],
    [trade('PATHS', '1', '1', { eventTime: 1 }), 'invalid-field', 'eventTime'],
    [
      book(
        'PATHS',
        'snapshot',
        [
          ['1', '1'],
          ['x', '1'],
        ],
        [],
      ),
      'invalid-field',
      'bids[1][0]',
    ],
    [{ type: 'tick', symbol: 'PATHS' }, 'invalid-field', 'type'],
    [{ type: 'weather' }, 'unknown-message', 'type'],
    [7, 'invalid-field', null],
  ] as const) {
    const path = field === null ? 'publish.events[1]' : `publish.events[1].${field}`;
    const refused = await client.publish(trade('PATHS', '1', '1'), event);
    expect(refused).toMatchObject({ type: 'error', code, field: path });
    expect(refused['message']).toMatch(/ is .*; expected /);
  }
  await client.close();
});
