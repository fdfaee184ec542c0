/**
 * A publisher behind a line that is lost without a word, before a real server: another session of its key takes
 * its symbols over at once, nobody else does, and events of both are never mixed. Without another it ends in the
 * stated time, and so do readers, whose state goes with them.
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

/** A publisher behind a line of its own that feeds a symbol of its own. */
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

describe('[P5] a holder that is asked', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    // It does not end by itself while these tests run.
    server = await ServerProcess.start({
      config: '[push]\npongMs = 600000\n[market]\ntakeoverMs = 1500\n',
    });
  });
  afterAll(() => server.remove());

  test('and gives no sign of life yields to its key: what waited enters in its order, and nothing of it after', async () => {
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
    // What was under way from the old one arrives now, behind its end, and is not taken.
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

  test('and has gone without a word does as well', async () => {
    const { symbol, line } = await behindLine(server);
    line.isLost = true;
    const next = await StreamClient.json(server.url, bearer(PUBLISH_KEY));
    expect((await next.publish(trade(symbol, '2.00', '1'))).type).toBe('ack');
    await next.close();
    line.close();
  });

  test('yields many symbols, of which each is free when the first of the next source comes', async () => {
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

  test('and lives keeps its symbols', async () => {
    const { symbol, line, publisher } = await behindLine(server);
    const next = await StreamClient.json(server.url, bearer(PUBLISH_KEY));
    for (let i = 0; i < 5; i++) {
      expect(await next.publish(trade(symbol, '2.00', '1'))).toMatchObject({
        type: 'error',
        code: 'symbol-in-use',
      });
    }
    expect((await publisher.publish(trade(symbol, '3.00', '1'))).type).toBe('ack');
    // A line that is lost later is found out all the same.
    line.isLost = true;
    await until(async () => (await next.publish(trade(symbol, '4.00', '1'))).type === 'ack');
    await next.close();
    line.close();
  });

  test('is asked by its own key alone', async () => {
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

test('[W19] a quiet publisher and readers whose lines are lost end in the stated time', async () => {
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
  expect(other.ended).toBeUndefined(); // who answers stays
  await other.close();
  line.close();
  await server.remove();
});
