/**
 * A server with readers is stopped and restarted: each reader is notified, has everything that was acknowledged, is
 * closed, and reconnects by itself. Also how long that may take, and who can shorten it.
 */

import { Database } from 'bun:sqlite';
import { expect, test } from 'bun:test';
import { join } from 'node:path';

import type { Message } from '../../protocol/messages';
import { TapedeckClient } from '../../src/client/client';
import type { Item } from '../../src/client/items';
import { PacedSocket } from '../bench/slow-reader-socket';
import { instrument, tape, trade } from '../support/feed';
import { ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

const READERS = 20;

/** A reader that records everything, in order. */
class Reader {
  readonly items: Item[] = [];
  readonly ends: { reason: string; retryInMs: number | undefined }[] = [];
  readonly client: TapedeckClient;

  constructor(client: TapedeckClient) {
    this.client = client;
    client.on('disconnected', ({ reason, retryInMs }) => this.ends.push({ reason, retryInMs }));
  }

  async follow(): Promise<void> {
    const subscription = this.client.subscribe(['trade:ACME', 'book:ACME']);
    await subscription.ready;
    void this.collect(subscription);
  }

  private async collect(subscription: AsyncIterable<Item>): Promise<void> {
    for await (const item of subscription) this.items.push(item);
  }

  get trades(): number {
    return this.items.filter(({ type }) => type === 'trade').length;
  }
}

function trades(count: number): string {
  return tape(...Array.from({ length: count }, () => trade('ACME', '1.00', '0.001')));
}

function isClean(data: string): unknown {
  const db = new Database(join(data, 'journal.sqlite'), { readonly: true });
  const row = db.query('SELECT clean FROM epochs ORDER BY first_seq DESC LIMIT 1').get();
  db.close();
  return (row as { clean: number }).clean;
}

test('readers are notified, have everything, wait a time of their own, and reconnect to the next server', async () => {
  // However slow the readers are on a busy machine: they do not count as slow, and are waited for.
  const config = '[server]\ndrainMs = 60000\n[push]\nlagMs = 29000\noutboxBytesMax = 2000000\n';
  const server = await ServerProcess.start({ config });
  await server.ingest(tape(instrument('ACME')));
  const readers = await Promise.all(
    Array.from({ length: READERS }, async (_, i) => {
      const form = i % 2 === 0 ? 'msgpack' : 'json';
      return new Reader(await TapedeckClient.connect(server.url, { form }));
    }),
  );
  await Promise.all(readers.map((reader) => reader.follow()));
  await server.ingest(trades(3_000));
  expect(await server.stop('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
  expect(isClean(server.data)).toBe(1);

  await until(() => readers.every(({ ends }) => ends.length > 0), 'the end');
  for (const { ends, items } of readers) {
    expect(ends[0]).toMatchObject({ reason: 'going-away' });
    // At least what the server asked for, and at most that plus the wait of the client.
    expect(ends[0]!.retryInMs).toBeWithin(250, 2_251);
    expect(items.map(({ type }) => type)).toEqual(Array.from({ length: 3_000 }, () => 'trade'));
  }
  const waits = readers.map(({ ends }) => Math.round(ends[0]!.retryInMs!));
  expect(new Set(waits).size).toBeGreaterThan(READERS / 2);

  const again = await ServerProcess.start({
    config,
    data: server.data,
    args: ['--port', new URL(server.url).port],
  });
  await again.ingest(trades(500));
  await until(() => readers.every((r) => r.trades === 3_500), 'all have what follows');
  for (const { items, client } of readers) {
    // The journal has the previous epoch, so every topic continues.
    expect(items.filter(({ type }) => type !== 'trade')).toEqual([]);
    client.close();
  }
  await again.remove();
  await server.remove();
}, 60_000);

test('a reader that is behind is sent what waits for it before it is closed', async () => {
  const server = await ServerProcess.start({
    config: '[server]\ndrainMs = 60000\n[push]\nlagMs = 20\noutboxBytesMax = 2000000',
  });
  await server.ingest(tape(instrument('ACME')));
  const got: Message[] = [];
  const slow = new PacedSocket(server.url, 200_000, (message) => got.push(message));
  slow.subscribe(['trade:ACME']);
  await until(() => got.some(({ type }) => type === 'ack'), 'subscribed');
  slow.pace(0);
  for (let i = 0; i < 8; i++) await server.ingest(trades(1_000));
  expect(got.filter(({ type }) => type === 'trade').length).toBeLessThan(8_000);
  const stopped = server.stop('SIGTERM');
  const isStopping = (): Promise<boolean> =>
    server.get('/readyz').then(
      ({ status }) => status === 503,
      () => true,
    );
  await until(isStopping, 'it is being stopped');
  slow.pace(200_000);
  await until(() => slow.closeCode !== undefined, 'closed');
  expect(slow.closeCode).toBe(1001);
  const seqs = got.flatMap((m) => (m.type === 'trade' ? [m.seq] : []));
  const closingAt = got.findIndex(({ type }) => type === 'closing');
  expect(closingAt).toBeGreaterThan(0);
  expect(got.slice(closingAt).some(({ type }) => type === 'trade')).toBe(true);
  const gaps = got.flatMap((m) => (m.type === 'gap' ? [m] : []));
  // What did not fit into its outbox was declared.
  const missed = gaps.reduce((sum, { count }) => sum + count, 0);
  expect(seqs.length + missed).toBe(8_000);
  expect(await stopped).toMatchObject({ code: 0, stderr: '' });
  expect(isClean(server.data)).toBe(1);
  slow.end();
  await server.remove();
}, 60_000);

/** A server with one reader that never reads, and so never has everything. */
async function withDeafReader(drainMs: number) {
  const server = await ServerProcess.start({ config: `[server]\ndrainMs = ${drainMs}` });
  await server.ingest(tape(instrument('ACME')));
  const deaf = new PacedSocket(server.url, 0, () => {});
  deaf.subscribe(['trade:ACME']);
  const metric = async (): Promise<string> => (await server.get('/metrics')).text();
  await until(async () => /^tapedeck_sessions 1$/m.test(await metric()));
  return { server, deaf };
}

test('a reader that never reads delays it for server.drainMs and no more', async () => {
  const { server, deaf } = await withDeafReader(300);
  expect(await server.stop('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
  expect(isClean(server.data)).toBe(1);
  deaf.end();
  await server.remove();
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  'a second SIGINT does not wait: 130, after %s',
  async (first) => {
    const { server, deaf } = await withDeafReader(600_000);
    await server.ingest(trades(10));
    process.kill(server.pid, first);
    // While it waits it accepts no connections.
    const isOpen = (): Promise<boolean> =>
      fetch(server.url, { keepalive: false }).then(
        () => true,
        () => false,
      );
    await until(async () => !(await isOpen()));
    expect(server.alive).toBe(true);
    expect(await server.stop('SIGINT')).toMatchObject({ code: 130, stderr: '' });
    deaf.end();
    // What was acknowledged is there, as after any other end.
    const again = await ServerProcess.start({ data: server.data });
    expect(await again.json('/v1/trades/ACME?limit=1')).toMatchObject({
      trades: [{ price: '1.00' }],
    });
    await again.remove();
    await server.remove();
  },
);
