/** Instruments over the wire: which source owns a definition, and what deleting one does. */

import { afterAll, beforeAll, expect, test } from 'bun:test';

import { book, instrument, tape, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import {
  ADMIN_KEY,
  OTHER_PUBLISH_KEY,
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  TRADE_KEY,
} from '../support/tapedeck-process';

const CONFIG = `[limits]\ninstrumentsMax = 3\n[journal]\ndurability = "commit"\n`;

const scratch = new Scratch();
const data = scratch.fresh();
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ data, config: CONFIG });
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

type Json = Record<string, unknown>;

const SNAPSHOT = book('FED', 'snapshot', [['1.00', '1.000']], [['1.02', '1.000']]);
const COARSER = instrument('FED', { priceIncrement: '0.50' });

async function remove(symbol: string, key: string | null = ADMIN_KEY): Promise<Json> {
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  const path = `/v1/admin/instruments/${symbol}`;
  const response = await server.get(path, { method: 'DELETE', headers });
  const body = (await response.json()) as Json;
  return { status: response.status, ...((body['error'] as Json | undefined) ?? body) };
}

const publisher = (key: string): Promise<StreamClient> =>
  StreamClient.json(server.url, { authorization: `Bearer ${key}` });

test('what one source feeds cannot be redefined by another, over any interface', async () => {
  const own = await publisher(PUBLISH_KEY);
  expect(
    await own.publish(instrument('FED'), SNAPSHOT, trade('FED', '1.01', '1.000')),
  ).toMatchObject({ type: 'ack' });
  const other = await publisher(OTHER_PUBLISH_KEY);
  expect(await other.publish(COARSER)).toMatchObject({
    type: 'error',
    code: 'symbol-in-use',
    field: 'publish.events[0].symbol',
  });
  for (const key of [OTHER_PUBLISH_KEY, PUBLISH_KEY]) {
    const refused = await server.ingest(tape(COARSER), key); // requests of a key are another source
    expect([refused.status, await refused.json()]).toMatchObject([
      409,
      { error: { code: 'symbol-in-use' } },
    ]);
  }
  expect(await other.publish(instrument('FED'))).toMatchObject({ type: 'ack' });
  expect(await server.json('/v1/instruments/FED')).toMatchObject({ priceIncrement: '0.01' });
  expect(await own.publish(COARSER)).toMatchObject({ type: 'ack' });
  expect(await server.json('/v1/instruments/FED')).toMatchObject({ priceIncrement: '0.50' });
  await own.close();
  await other.close();
});

test('an operator deletes an instrument: readers are notified, its slot is free, its past stays, also after kill -9', async () => {
  for (const [key, status] of [
    [null, 401],
    [PUBLISH_KEY, 403],
    [TRADE_KEY, 403],
  ] as const) {
    expect(await remove('FED', key)).toMatchObject({ status });
  }
  const reader = await StreamClient.json(server.url);
  await reader.subscribe('status', 'book:FED', 'trade:FED');
  const source = await publisher(PUBLISH_KEY);
  expect(await source.publish(SNAPSHOT, trade('FED', '1.03', '1.000'))).toMatchObject({
    type: 'ack',
  });
  for (const symbol of ['TWO', 'THREE']) await source.publish(instrument(symbol));
  expect(await source.publish(instrument('FOUR'))).toMatchObject({ code: 'too-many-instruments' });

  expect(await remove('FED')).toMatchObject({
    status: 200,
    symbol: 'FED',
    seq: expect.any(Number),
  });
  await reader.find((m) => m.type === 'status' && m['reason'] === 'deleted');
  await reader.find((m) => m.type === 'book' && m['form'] === 'incomplete');
  expect(await remove('FED')).toMatchObject({ status: 404, code: 'unknown-symbol' });
  expect(await source.publish(trade('FED', '1.04', '1.000'))).toMatchObject({
    code: 'unknown-symbol',
  });
  expect(await source.publish(instrument('FOUR'))).toMatchObject({ type: 'ack' });

  const past = async (): Promise<void> => {
    for (const path of [
      '/v1/instruments/FED',
      '/v1/tick/FED',
      '/v1/orderbook/FED',
      '/v1/stats/FED',
    ]) {
      expect([path, (await server.get(path)).status]).toEqual([path, 404]);
    }
    const { trades } = (await server.json('/v1/trades/FED')) as { trades: Json[] };
    expect(trades.map((t) => t['price'])).toEqual(['1.03', '1.01']);
    const { ticks } = (await server.json('/v1/ticks/FED')) as { ticks: Json[] };
    expect(ticks).toHaveLength(2);
    expect((await server.get('/v1/bars/FED?interval=1m')).status).toBe(200);
    const player = await StreamClient.json(server.url);
    player.send({ type: 'replay', id: 9, action: 'start', topics: ['trade:FED'], speed: 0 });
    await player.answer(9, 0);
    expect(player.seen.filter((m) => m.type === 'trade')).toHaveLength(2);
    await player.close();
  };
  await past();
  await reader.close();
  await source.close();
  await server.stop('SIGKILL');
  server = await ServerProcess.start({ data, config: CONFIG });
  await past();

  // Its symbol may be defined again if a slot is free; its topics continue.
  expect(await remove('FOUR')).toMatchObject({ status: 200 });
  const again = await StreamClient.json(server.url);
  await again.subscribe('trade:FED');
  expect((await server.ingest(tape(instrument('FED'), trade('FED', '1.05', '1.000')))).status).toBe(
    200,
  );
  const next = await again.find((m) => m.type === 'trade' && m['price'] === '1.05');
  expect(next['prevSeq']).toBeGreaterThan(0);
  expect(await server.json('/v1/tick/FED')).toMatchObject({ last: '1.05' });
  await again.close();
});
