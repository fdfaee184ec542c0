/**
 * Reopening: work that a client causes before anything of it can wait (connections, the reading of frames) counts
 * for the client as a whole, so closing a connection and opening another gives no new allowance.
 */

import { afterAll, beforeAll, expect, test } from 'bun:test';

import { SUBPROTOCOL_JSON } from '../../protocol/codec';
import { StreamClient } from '../support/stream-client';
import { ADMIN_KEY, ServerProcess, TRADE_KEY } from '../support/tapedeck-process';
import { until } from '../support/until';

let server: ServerProcess;
beforeAll(async () => {
  // The share is so small that paying off the debt outlasts the test.
  server = await ServerProcess.start({
    config: '[limits]\nworkPerSecond = 10000\nbytesPerSecond = 1000000000\n',
  });
});
afterAll(() => server.remove());

const HANDSHAKE = {
  'upgrade': 'websocket',
  'connection': 'Upgrade',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
};
const bearer = { authorization: `Bearer ${TRADE_KEY}` };

/** One harmless but long message. */
function long(id: number, length: number): string {
  return JSON.stringify([{ type: 'ping', id, time: '1', more: 'x'.repeat(length) }]);
}

test('a client deep in debt cannot send long frames or open connections; others can', async () => {
  const bystander = await StreamClient.json(server.url);
  const holder = await StreamClient.json(server.url, bearer);
  for (let k = 0; k < 3; k++) bystander.raw(long(k, 1_000_000));
  for (let i = 0; i < 2_000; i++) {
    const one = StreamClient.start(server.url, [SUBPROTOCOL_JSON]);
    await until(() => one.seen.length > 0 || one.ended !== undefined);
    if (one.ended !== undefined) break; // no more can be opened
    await one.close();
  }
  // Each counts before it is refused, so these are not paid off when the last is sent.
  const tries = Array.from({ length: 50 }, () => server.get('/v1/stream', { headers: HANDSHAKE }));
  const refused = (await Promise.all(tries)).at(-1)!;
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ error: { code: 'limit-reached' } });
  const before = bystander.seen.length;
  const errors = (): number => bystander.seen.filter(({ type }) => type === 'error').length;
  const errorsBefore = errors();
  bystander.raw(long(1, 2_000));
  await until(() => bystander.seen.length > before);
  expect(bystander.seen[before]).toMatchObject({ type: 'error', id: null, code: 'limit-reached' });
  // A short frame is not refused; it waits.
  bystander.raw(long(2, 10));
  await holder.settle();
  await (await StreamClient.json(server.url, bearer)).settle();
  expect(errors()).toBe(errorsBefore + 1);
});

test('a long frame that changes the key of a publisher or trader is read once', async () => {
  const client = await StreamClient.json(server.url, { authorization: `Bearer ${TRADE_KEY}` });
  const hello = { type: 'hello', version: 1, client: 'test', key: ADMIN_KEY };
  client.send(hello, { type: 'ping', id: 71, time: '1' });
  await client.settle();
  expect(client.seen.filter(({ type, id }) => type === 'pong' && id === 71).length).toBe(1);
});
