/**
 * A publisher whose connection is lost without notice, before a real server: another session of its key takes its
 * symbols over at once, nobody else does, and events of the two are never mixed. Without another session it ends
 * within the stated time, and so do readers, whose state is removed with them.
 */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { instrument, trade } from '../support/feed';
import { parseMetrics } from '../support/metrics-text';
import { SlowLine } from '../support/slow-line';
import { StreamClient, type Seen } from '../support/stream-client';
import { OTHER_PUBLISH_KEY, PUBLISH_KEY, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(60_000);

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

let count = 0;

/** A publisher on its own proxied connection that feeds its own symbol. */
async function behindLine(server: ServerProcess) {
  const symbol = `L${count++}`;
  const line = await SlowLine.to(server.url);
  const publisher = await StreamClient.json(line.url, bearer(PUBLISH_KEY));
  expect((await publisher.publish(instrument(symbol), trade(symbol, '1.00', '1'))).type).toBe(
    'ack',
  );
  return { symbol, line, publisher };
}

async function sessionsOf(server: ServerProcess): Promise<number | undefined> {
  return parseMetrics(await (await server.get('/metrics')).text()).get('tapedeck_sessions');
}

const prices = (reader: StreamClient): unknown[] =>
  reader.seen.filter(({ type }) => type === 'trade').map((m) => m['price']);

describe('[P5] the owner of a symbol that is probed', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    // It does not time out by itself while these tests run.
    server = await ServerProcess.start({
      config: '[push]\npongMs = 600000\n[market]\ntakeoverMs = 1500\n',
    });
  });
  afterAll(() => server.remove());

  test('yields to its key if it does not react: its waiting events enter in order, and nothing after them', async () => {
    const { symbol, line, publisher } = await behindLine(server);
    const reader = await StreamClient.json(server.url);
    await reader.subscribe(`trade:${symbol}`, 'status');
    line.isStalled = true;
    publisher.send({
      type: 'publish',
      id: 90,
      events: [trade(symbol, '2.00', '1')],
      continues: null,
    });
    const next = await StreamClient.json(server.url, bearer(PUBLISH_KEY));
    const events = (price: string): unknown => ({ events: [trade(symbol, price, '1')] });
    for (const [i, price] of ['3.00', '4.00', '5.00'].entries()) {
      next.send({ type: 'publish', id: 10 + i, ...(events(price) as object), continues: null });
    }
    const answers = await Promise.all([10, 11, 12].map((id) => next.answer(id, 0)));
    expect(answers.map(({ type }) => type)).toEqual(['ack', 'ack', 'ack']);
    line.isStalled = false;
    // What was in flight from the old one arrives now, after its end, and is not accepted.
    expect(await publisher.closed).toMatchObject({ code: 4011, reason: 'unresponsive' });
    expect(publisher.seen.filter(({ id }) => id === 90)).toEqual([]);
    expect((await next.publish(trade(symbol, '6.00', '1'))).type).toBe('ack');
    await until(() => prices(reader).length === 4);
    expect(prices(reader)).toEqual(['3.00', '4.00', '5.00', '6.00']);
    const mark = (m: Seen): unknown => (m.type === 'trade' ? m['price'] : m['reason']);
    const order = reader.seen
      .filter((m) => m.type === 'trade' || (m.type === 'status' && m['symbol'] === symbol))
      .map(mark);
    expect(order.indexOf('source-disconnected')).toBeGreaterThanOrEqual(0);
    expect(order.indexOf('source-disconnected')).toBeLessThan(order.indexOf('3.00'));
    await Promise.all([next.close(), reader.close()]);
    line.close();
  });

  test('yields as well if it has disconnected without notice', async () => {
    const { symbol, line } = await behindLine(server);
    line.isLost = true;
    const next = await StreamClient.json(server.url, bearer(PUBLISH_KEY));
    expect((await next.publish(trade(symbol, '2.00', '1'))).type).toBe('ack');
    await next.close();
    line.close();
  });

  test('yields many symbols; each is free when the first event of the next source arrives', async () => {
    const { symbol, line, publisher } = await behindLine(server);
    const symbols = Array.from({ length: 200 }, (_, i) => `${symbol}N${i}`);
    await publisher.publish(...symbols.flatMap((s) => [instrument(s), trade(s, '1.00', '1')]));
    line.isLost = true;
    const next = await StreamClient.json(server.url, bearer(PUBLISH_KEY));
    const answer = await next.publish(...symbols.toReversed().map((s) => trade(s, '2.00', '1')));
    expect(answer.type).toBe('ack');
    await next.close();
    line.close();
  });

  test('keeps its symbols if it reacts', async () => {
    const { symbol, line, publisher } = await behindLine(server);
    const next = await StreamClient.json(server.url, bearer(PUBLISH_KEY));
    for (let i = 0; i < 5; i++) {
      expect(await next.publish(trade(symbol, '2.00', '1'))).toMatchObject({
        type: 'error',
        code: 'symbol-in-use',
      });
    }
    expect((await publisher.publish(trade(symbol, '3.00', '1'))).type).toBe('ack');
    // A connection that is lost later is noticed all the same.
    line.isLost = true;
    await until(async () => (await next.publish(trade(symbol, '4.00', '1'))).type === 'ack');
    await next.close();
    line.close();
  });

  test('is probed only for its own key', async () => {
    const { symbol, line } = await behindLine(server);
    line.isLost = true;
    const other = await StreamClient.json(server.url, bearer(OTHER_PUBLISH_KEY));
    for (let i = 0; i < 3; i++) {
      expect(await other.publish(trade(symbol, '2.00', '1'))).toMatchObject({
        code: 'symbol-in-use',
      });
    }
    await other.close();
    line.close();
  });
});

test('[W19] an idle publisher and readers whose connections are lost end within the stated time', async () => {
  const server = await ServerProcess.start({
    config: '[push]\npingMs = 200\npongMs = 1000\nheartbeatMs = 1000\n',
  });
  const { symbol, line } = await behindLine(server);
  const readers = await Promise.all(Array.from({ length: 20 }, () => StreamClient.json(line.url)));
  await Promise.all(readers.map((reader) => reader.subscribe('tick:*', 'status')));
  const other = await StreamClient.json(server.url, bearer(OTHER_PUBLISH_KEY));
  expect(await sessionsOf(server)).toBe(22);
  line.isLost = true;
  await until(async () => (await sessionsOf(server)) === 1);
  expect((await other.publish(trade(symbol, '2.00', '1'))).type).toBe('ack');
  expect(other.ended).toBeUndefined(); // a reader that answers stays
  await other.close();
  line.close();
  await server.remove();
});
