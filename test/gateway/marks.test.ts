/** Data that is not current is marked over REST, and every event that a source sends is accounted for. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';

import { book, instrument, tape, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import {
  ADMIN_KEY,
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  TRADE_KEY,
} from '../support/tapedeck-process';
import { until } from '../support/until';

type Json = Record<string, unknown>;

const scratch = new Scratch();
const data = join(scratch.path, 'data');
let server: ServerProcess;
const start = async (): Promise<void> => {
  server = await ServerProcess.start({
    data,
    config: '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n',
  });
};
beforeAll(start);
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

async function post(path: string, body: string, key = PUBLISH_KEY): Promise<Json> {
  const response = await server.get(path, { method: 'POST', headers: bearer(key), body });
  const answer = (await response.json()) as Json;
  return { ...((answer['error'] as Json | undefined) ?? answer), status: response.status };
}

/** Twenty levels a side. */
function deep(symbol: string): Json {
  const levels = (sign: number) =>
    Array.from({ length: 20 }, (_, i) => [`${50 + sign * (i + 1)}.00`, '1'] as const);
  return book(symbol, 'snapshot', levels(-1), levels(1), { seq: 10 });
}

const PATHS = ['tick/SYM', 'orderbook/SYM', 'orderbook/SYM?depth=3', 'orderbook/SYM?depth=50'];

async function marks(symbol: string): Promise<unknown[]> {
  const answers = PATHS.map((path) => server.json(`/v1/${path.replace('SYM', symbol)}`));
  return (await Promise.all(answers)).map(({ state, mark }) => [state, mark]);
}

const all = (...mark: unknown[]): unknown[] => PATHS.map(() => mark);

describe('marks', () => {
  test('after a restart trades alone do not make a book current', async () => {
    const own = await ServerProcess.start();
    const key = { authorization: `Bearer ${PUBLISH_KEY}` };
    const send = async (server: ServerProcess, ...lines: Json[]) =>
      server.get('/v1/ingest', { method: 'POST', headers: key, body: tape(...lines) });
    await send(own, instrument('HALF'), book('HALF', 'snapshot', [['9.00', '1']], [['9.10', '1']]));
    await own.stop('SIGTERM');
    const again = await ServerProcess.start({ data: own.data });
    await send(again, trade('HALF', '9.00', '1'));
    expect(await again.json('/v1/orderbook/HALF')).toMatchObject({
      state: 'live',
      mark: 'recovered',
    });
    expect(await again.json('/v1/tick/HALF')).toMatchObject({
      state: 'live',
      bid: null,
      ask: null,
    });
    await again.remove();
  });

  test('while the source is connected, when it has disconnected, when it is back', async () => {
    const source = await StreamClient.open(server.url, 'tapedeck.v1.json', bearer(PUBLISH_KEY));
    await source.publish(instrument('GONE'), deep('GONE'), trade('GONE', '50.00', '1'));
    // Twice, because an answer is kept for requests in the same millisecond.
    expect([await marks('GONE'), await marks('GONE')]).toEqual([
      all('live', undefined),
      all('live', undefined),
    ]);
    await source.close();
    await until(async () => (await server.json('/v1/instruments/GONE'))['state'] === 'stale');
    expect(await marks('GONE')).toEqual(all('stale', 'stale'));
    const again = await StreamClient.open(server.url, 'tapedeck.v1.json', bearer(PUBLISH_KEY));
    await again.publish(deep('GONE'));
    expect(await marks('GONE')).toEqual(all('live', undefined));
    await again.close();
  });

  test('the tick of an instrument whose book is wrong says so; the book itself is refused', async () => {
    expect(
      await post('/v1/ingest', tape(instrument('GAP'), deep('GAP'), trade('GAP', '50.00', '1'))),
    ).toMatchObject({ status: 200 });
    const gap = book('GAP', 'delta', [['49.00', '2']], [], { seq: 15, prevSeq: 14 });
    expect(await post('/v1/ingest', tape(gap))).toMatchObject({
      status: 200,
      events: 1,
      waiting: 1,
    });
    expect(await server.json('/v1/tick/GAP')).toMatchObject({ last: '50.00', state: 'incomplete' });
    expect((await server.get('/v1/orderbook/GAP')).status).toBe(503);
    await post('/v1/ingest', tape(trade('GAP', '51.00', '1')));
    expect(await server.json('/v1/tick/GAP')).toMatchObject({
      last: '51.00',
      bid: null,
      ask: null,
    });
  });

  test('a venue is live and complete', async () => {
    const order = { symbol: 'DESK', side: 'buy', price: '1.00', quantity: '1' };
    expect(await post('/v1/orders', JSON.stringify(order), TRADE_KEY)).toMatchObject({
      status: 201,
    });
    expect(await server.json('/v1/orderbook/DESK?depth=50')).toMatchObject({
      state: 'live',
      depthKnown: null,
    });
  });

  // After a kill -9, ten levels of fifty were returned, and nothing distinguished them from a whole book.
  test('after a crash, where only ten levels of a book are known, an answer with more levels says so', async () => {
    await post('/v1/ingest', tape(instrument('CUT'), deep('CUT'), trade('CUT', '50.00', '1')));
    expect(await server.json('/v1/orderbook/CUT?depth=50')).toMatchObject({ depthKnown: null });
    await server.stop('SIGKILL');
    await start();
    expect(await marks('CUT')).toEqual(all('recovered', 'recovered'));
    const cut = await server.json('/v1/orderbook/CUT?depth=50');
    expect(cut).toMatchObject({ depthKnown: 10, state: 'recovered', mark: 'recovered' });
    expect(cut['bids']).toHaveLength(10);
    for (const depth of [1, 10]) {
      expect(await server.json(`/v1/orderbook/CUT?depth=${depth}`)).toMatchObject({
        depthKnown: null,
      });
    }
    await post('/v1/ingest', tape(deep('CUT')));
    const whole = await server.json('/v1/orderbook/CUT?depth=50');
    expect(whole).toMatchObject({ depthKnown: null, state: 'live' });
    expect(whole['bids']).toHaveLength(20);
  });
});

describe('events of a source', () => {
  const numbered = (seq: number): Json => trade('SENT', `${seq}.00`, '1', { seq });

  test('are counted as accepted, repeated or waiting, in the answer and in the counts of the instrument', async () => {
    await post('/v1/ingest', tape(instrument('SENT'), numbered(5), numbered(6)));
    const answer = await post('/v1/ingest', tape(numbered(5), numbered(6), numbered(7)));
    expect(answer).toMatchObject({ status: 200, events: 3, skipped: 0, repeated: 2, waiting: 0 });
    const delta = book('SENT', 'delta', [['1.00', '1']], [], { seq: 3, prevSeq: 2 });
    expect(await post('/v1/ingest', tape(delta))).toMatchObject({ repeated: 0, waiting: 1 });
    const { intake } = await server.json('/v1/instruments/SENT');
    expect(intake).toMatchObject({
      repeated: 2,
      waiting: 1,
      late: expect.any(Number),
      ahead: 0,
      renumbered: 0,
      missed: 0,
    });
    expect(await server.json('/v1/instruments/DESK')).not.toHaveProperty('intake');
    const metrics = await (await server.get('/metrics')).text();
    expect(/^tapedeck_intake_repeated_total [1-9]/m.test(metrics)).toBe(true);
  });

  test('an acknowledgement of the stream has the same counts', async () => {
    const source = await StreamClient.open(server.url, 'tapedeck.v1.json', bearer(PUBLISH_KEY));
    const ack = await source.publish(
      instrument('ACK'),
      ...[1, 2, 2].map((seq) => trade('ACK', '1.00', '1', { seq })),
    );
    expect(ack).toMatchObject({ type: 'ack', repeated: 1, waiting: null });
    await source.close();
  });

  test('a source can report by a tape line that its numbers begin again', async () => {
    const one = trade('SELF', '2.00', '1', { seq: 500 });
    await post('/v1/ingest', tape(instrument('SELF'), one));
    const renumbering = { type: 'renumber', symbol: 'SELF', eventTime: '1700000000123456789' };
    expect(await post('/v1/ingest', tape(renumbering, one))).toMatchObject({
      status: 200,
      events: 2,
      skipped: 0,
      repeated: 0,
    });
    expect((await server.json('/v1/instruments/SELF'))['intake']).toMatchObject({ renumbered: 1 });
    const wrong = await post('/v1/ingest', tape({ ...renumbering, numbers: 'quotes' }));
    expect(wrong).toMatchObject({ status: 400, field: 'lines[1].numbers' });
  });

  test('`continues` must be true or false', async () => {
    for (const value of ['1', 'yes', '', 'TRUE']) {
      expect(await post(`/v1/ingest?continues=${value}`, '')).toMatchObject({
        status: 400,
        code: 'invalid-field',
        field: 'continues',
      });
    }
    for (const value of ['true', 'false']) {
      expect(await post(`/v1/ingest?continues=${value}`, '')).toMatchObject({ status: 200 });
    }
  });

  test('only an operator can restart the numbering of an instrument', async () => {
    const renumber = (symbol: string, key = ADMIN_KEY): Promise<Json> =>
      post(`/v1/admin/instruments/${symbol}/renumber`, '', key);
    const old = tape(trade('RESTARTED', '2.00', '1', { seq: 1_000 }));
    await post('/v1/ingest', `${tape(instrument('RESTARTED'))}${old}`);
    expect(await post('/v1/ingest', old)).toMatchObject({ repeated: 1 });
    expect(await renumber('RESTARTED', PUBLISH_KEY)).toMatchObject({
      status: 403,
      code: 'forbidden',
    });
    expect(await renumber('RESTARTED')).toEqual({
      status: 200,
      symbol: 'RESTARTED',
      seq: expect.any(Number),
    });
    expect(await post('/v1/ingest', old)).toMatchObject({ repeated: 0 });
    expect((await server.json('/v1/trades/RESTARTED'))['trades']).toHaveLength(2);
    expect((await server.json('/v1/instruments/RESTARTED'))['intake']).toMatchObject({
      renumbered: 1,
    });
    expect(await renumber('NONE')).toMatchObject({
      status: 404,
      code: 'unknown-symbol',
      field: 'symbol',
    });
    expect(await renumber('DESK')).toMatchObject({ status: 409, code: 'wrong-market' });
  });

  test('times in another unit are refused with a hint at the unit, in bodies too', async () => {
    for (const [unit, eventTime] of [
      ['seconds', '1700000000'],
      ['milliseconds', '1700000000000'],
      ['microseconds', '1700000000000000'],
    ] as const) {
      const refused = await post(
        '/v1/ingest',
        tape(trade('RESTARTED', '3.00', '1', { eventTime })),
      );
      expect(refused).toMatchObject({
        status: 400,
        code: 'invalid-field',
        field: 'lines[1].eventTime',
      });
      expect(refused['message'] as string).toContain(unit);
    }
  });
});
