/**
 * Metrics of real servers under real traffic: each changes exactly as much as the clients of the traffic counted
 * themselves; and all of them are in the documents.
 */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Message } from '../../protocol/messages';
import { DOUBLE, wordsOf } from '../../src/ipc/ring-layout';
import { PacedSocket } from '../bench/slow-reader-socket';
import { book, instrument, tape, trade } from '../support/feed';
import { parseMetrics } from '../support/metrics-text';
import { FORMS, StreamClient } from '../support/stream-client';
import {
  ADMIN_KEY,
  Scratch,
  ServerProcess,
  spawnTapedeck,
  type ServerOptions,
} from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(60_000);
const scratch = new Scratch();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  scratch.remove();
});

async function start(options: ServerOptions = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start(options);
  servers.push(server);
  return server;
}

type Samples = Map<string, number>;

async function scrape(server: ServerProcess): Promise<Samples> {
  const response = await server.get('/metrics');
  const samples = parseMetrics(await response.text());
  const own = [...samples].filter(([name]) => name.startsWith('tapedeck_'));
  return new Map([...samples, ...own.map(([name, value]) => [name.slice(9), value] as const)]);
}

/** The sum of all samples of a name whose labels contain a text. */
function sum(samples: Samples, name: string, holds = ''): number {
  return [...samples]
    .filter(([key]) => (key === name || key.startsWith(`${name}{`)) && key.includes(holds))
    .reduce((total, [, value]) => total + value, 0);
}

/** The samples once a condition holds; metrics are slightly behind what readers see. */
function scrapeUntil(
  server: ServerProcess,
  holds: (samples: Samples) => boolean,
): Promise<Samples> {
  return until(async () => {
    const samples = await scrape(server);
    return holds(samples) && samples;
  }, holds.toString());
}

test('stages, lanes, connections and requests are counted one by one', async () => {
  const server = await start();
  await server.ingest(tape(instrument('ACME')));
  const before = await scrape(server);
  const clients = await Promise.all(FORMS.map((form) => StreamClient.open(server.url, form)));
  for (const client of clients) await client.subscribe('trade:ACME', 'tick:ACME', 'book:ACME');
  const rounds = 3;
  const each = 40;
  for (let i = 0; i < rounds; i++) {
    const trades = Array.from({ length: each }, () => trade('ACME', '1.00', '1'));
    const levels = book('ACME', 'snapshot', [['0.99', String(i + 1)]], [['1.01', '1']]);
    expect((await server.ingest(tape(levels, ...trades))).status).toBe(200);
  }
  clients[0]!.raw(new Uint8Array([0xc1]));
  clients[1]!.send({ type: 'subscribe', id: 9, topics: ['book:NOBODY'], intervalMs: null });
  for (const client of clients) {
    await client.findCount((m) => m.type === 'trade', rounds * each);
    await client.next('error');
    await client.settle();
  }
  for (const path of ['tick/ACME', 'tick/ACME', 'tick/NOBODY', 'trades/ACME?limit=1']) {
    await server.get(`/v1/${path}`);
  }
  await server.get('/nowhere');
  await server.get('/v1/tick/ACME', { method: 'POST' });
  const after = await scrape(server);
  const moved = (name: string, holds = ''): number =>
    sum(after, name, holds) - sum(before, name, holds);

  const batches = moved('batches_total');
  expect(batches).toBeGreaterThanOrEqual(rounds);
  for (const stage of ['turn', 'wire', 'journal']) {
    expect(moved('stage_seconds_count', stage)).toBe(batches);
    expect(moved('stage_seconds_sum', stage)).toBeGreaterThan(0);
  }
  // This server pushes a batch when it is journaled, and the batch waits for its turn before that.
  expect(sum(after, 'stage_seconds_sum', 'wire')).toBeGreaterThan(
    sum(after, 'stage_seconds_sum', 'turn'),
  );
  expect(moved('publisher_batches_total', 'lanes')).toBe(batches);
  expect(moved('journal_commit_seconds_count')).toBe(moved('journal_commits_total'));
  expect(moved('journal_commits_total')).toBeGreaterThanOrEqual(rounds);
  expect(sum(after, 'journal_lag_records') + sum(after, 'journal_lag_seconds')).toBe(0);

  const count = (type: string): number =>
    clients.reduce((n, { seen }) => n + seen.filter((m) => m.type === type).length, 0);
  for (const kind of ['trade', 'tick', 'book']) {
    expect([kind, moved('push_messages_total', `"${kind}"`)]).toEqual([kind, count(kind)]);
  }
  const frames = clients.reduce((n, client) => n + client.frames.length, 0);
  const messages = clients.reduce((n, { seen }) => n + seen.length, 0);
  expect(moved('push_frames_total')).toBe(frames);
  expect(moved('push_messages_total')).toBe(messages);
  expect(moved('push_bytes_total')).toBeGreaterThan(20 * messages);
  const lost = [
    'push_conflated_total',
    'push_dropped_total',
    'push_gaps_total',
    'push_lagged_total',
  ];
  for (const name of lost) expect([name, moved(name)]).toEqual([name, 0]);

  // Each subscribed, sent a ping, and sent one request that was refused.
  expect(moved('stream_received_frames_total')).toBe(6);
  expect(moved('stream_received_messages_total')).toBe(6);
  expect(moved('stream_refusals_total', '"malformed-msgpack"')).toBe(1);
  expect(moved('stream_refusals_total', '"unknown-symbol"')).toBe(1);
  expect([moved('stream_opened_total'), moved('stream_closed_total')]).toEqual([2, 0]);

  const requests = (route: string, status: number): number =>
    moved('rest_requests_total', `route="${route}",status="${status}"`);
  expect(requests('GET /v1/tick/:symbol', 200)).toBe(2);
  expect(requests('GET /v1/tick/:symbol', 404)).toBe(1);
  expect(requests('GET /v1/trades/:symbol', 200)).toBe(1);
  expect(requests('POST /v1/ingest', 200)).toBe(rounds);
  expect(requests('GET /v1/stream', 101)).toBe(2);
  expect(requests('none', 404)).toBe(1);
  expect(requests('none', 405)).toBe(1);
  expect(moved('rest_request_seconds_count', '/v1/ingest')).toBe(rounds);
  expect(moved('rest_request_seconds_count', '/v1/trades')).toBe(1);

  await Promise.all(clients.map((client) => client.close()));
  const end = await scrapeUntil(server, (samples) => sum(samples, 'sessions') === 0);
  expect(sum(end, 'stream_closed_total', '"1000"')).toBe(2);
});

test('requests without the required key are counted by their route, too', async () => {
  const server = await start({ config: '[auth]\nrequireKey = true\n' });
  await server.get('/v1/tick/ACME');
  await server.get('/v1/stats/ACME');
  await server.get('/v1/stats/ACME', { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  const samples = await scrape(server);
  const requests = (route: string, status: number): number =>
    sum(samples, 'rest_requests_total', `route="${route}",status="${status}"`);
  expect(requests('GET /v1/tick/:symbol', 401)).toBe(1);
  expect(requests('GET /v1/stats/:symbol', 401)).toBe(1);
  expect(requests('GET /v1/stats/:symbol', 403)).toBe(1);
  expect(sum(samples, 'rest_requests_total')).toBe(3);
});

test('messages that a slow reader misses are counted by kind, as its gaps declare them', async () => {
  const server = await start({
    config:
      '[push]\nstaleMs = 50\ntradeAgeMs = 50\nlagMs = 20\nheartbeatMs = 100\noutboxBytesMax = 65536\n[journal]\ndurability = "async"\n',
  });
  await server.ingest(tape(instrument('ACME')));
  const received: Message[] = [];
  const slow = new PacedSocket(server.url, 20_000, (message) => received.push(message));
  slow.subscribe(['trade:ACME', 'tick:ACME', 'bbo:ACME', 'book:ACME']);
  await until(() => received.some(({ type }) => type === 'ack'));
  const lines = (i: number): string =>
    tape(
      book('ACME', 'snapshot', [['0.99', String(i + 1)]], [['1.01', '1']]),
      ...Array.from({ length: 40 }, () => trade('ACME', '1.00', '1')),
    );
  for (let i = 0; i < 60; i++) {
    expect((await server.ingest(lines(i))).status).toBe(200);
    await Bun.sleep(5);
  }
  const during = await scrape(server);
  expect(sum(during, 'push_lagged_total')).toBeGreaterThan(0);
  const { body } = {
    body: (await (
      await server.get('/v1/admin/sessions', { headers: { authorization: `Bearer ${ADMIN_KEY}` } })
    ).json()) as { sessions: Record<string, number>[] },
  };
  expect(body.sessions[0]).toMatchObject({ lane: 'lagging' });
  const after = await scrapeUntil(
    server,
    (s) => sum(s, 'lagging_sessions') + sum(s, 'push_waiting_bytes') === 0,
  );
  expect(sum(after, 'push_log_bytes')).toBe(0); // no session reads a log any more
  const sessions = (await (
    await server.get('/v1/admin/sessions', { headers: { authorization: `Bearer ${ADMIN_KEY}` } })
  ).json()) as { sessions: Record<string, number>[] };
  const [session] = sessions.sessions;
  const newest = sum(after, 'last_seq');
  await until(() => received.some((m) => m.type === 'heartbeat' && m.seq >= newest));
  slow.end();

  const gaps = received.filter((m) => m.type === 'gap');
  const dropped = gaps.reduce((n, { count }) => n + count, 0);
  expect(dropped).toBeGreaterThan(0);
  expect(sum(after, 'push_dropped_total', '"trade"')).toBe(dropped);
  expect(sum(after, 'push_gaps_total', '"trade"')).toBe(gaps.length);
  expect(sum(after, 'push_dropped_total')).toBe(dropped); // of trades alone
  const ticks = received.filter((m) => m.type === 'tick');
  const conflated = ticks.reduce((n, { count }) => n + count - 1, 0);
  expect(conflated).toBeGreaterThan(0);
  expect(sum(after, 'push_conflated_total', '"tick"')).toBe(conflated);
  for (const [name, figure] of [
    ['push_conflated_total', 'conflated'],
    ['push_dropped_total', 'dropped'],
    ['push_gaps_total', 'gaps'],
    ['push_lagged_total', 'lagged'],
  ] as const) {
    expect([name, sum(after, name)]).toEqual([name, session![figure]!]);
  }
});

test('the metrics of a ring equal those in its file', async () => {
  const path = join(scratch.path, 'ring');
  const server = await start({ args: ['--ring', path], config: '[ipc.ring]\nslots = 1024\n' });
  await server.ingest(
    tape(instrument('ACME'), ...Array.from({ length: 100 }, () => trade('ACME', '1.00', '1'))),
  );
  const samples = await scrape(server);
  const published = wordsOf(await Bun.file(path).bytes()).doubles[DOUBLE.published]!;
  expect(published).toBeGreaterThan(200); // a trade and a tick each
  expect(sum(samples, 'publisher_records_total', '"ring"')).toBe(published);
  expect(sum(samples, 'publisher_batches_total', '"ring"')).toBe(sum(samples, 'batches_total'));
  expect(sum(samples, 'publisher_up')).toBe(2);
  expect(sum(samples, 'publisher_failures_total')).toBe(0);
});

test('only the reader of a ring knows that it was lapped, and reports it', async () => {
  const path = join(scratch.path, 'lapped');
  const server = await start({ args: ['--ring', path], config: '[ipc.ring]\nslots = 1024\n' });
  await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
  const tail = spawnTapedeck(['tail', '--ring', path, '--json', 'trade:*'], { timeoutMs: 60_000 });
  const reader = tail.stdout.getReader();
  let text = '';
  const readTo = async (what: string): Promise<void> => {
    while (!text.includes(what)) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`the tail ended before ${what}: ${text}`);
      text += Buffer.from(value as Uint8Array).toString();
    }
  };
  await readTo('"type":"instrument"');
  process.kill(tail.pid, 'SIGSTOP');
  for (let i = 0; i < 5; i++) {
    await server.ingest(tape(...Array.from({ length: 1_000 }, () => trade('ACME', '1.00', '1'))));
  }
  process.kill(tail.pid, 'SIGCONT');
  await readTo('"type":"gap"');
  tail.kill('SIGKILL');
  const line = text.split('\n').find((each) => each.includes('"type":"gap"'));
  expect(JSON.parse(line!)).toMatchObject({ topic: '*', reason: 'slow-reader' });
  expect((JSON.parse(line!) as { count: number }).count).toBeGreaterThan(5_000);
});

test('memory and files are as the system reports them, and a blocked loop is visible', async () => {
  const server = await start();
  const before = await scrape(server);
  const files = readdirSync(`/proc/${server.pid}/fd`).length;
  expect(Math.abs(before.get('process_open_fds')! - files)).toBeLessThanOrEqual(4);
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  const residentBytes = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1_024;
  expect(before.get('process_resident_memory_bytes')! / residentBytes).toBeWithin(0.8, 1.25);
  const late = (samples: Samples): number =>
    sum(samples, 'event_loop_lag_seconds_count') -
    sum(samples, 'event_loop_lag_seconds_bucket', 'le="0.5"');
  const longest: number[] = [];
  // Our own metric records it every time. That of the library resets with each reading, and where a reading comes
  // before the late tick, it never sees it: so the loop is blocked until it has.
  for (let stops = 1; Math.max(0, ...longest) <= 0.5; stops++) {
    expect(stops).toBeLessThan(10);
    process.kill(server.pid, 'SIGSTOP');
    await Bun.sleep(800);
    process.kill(server.pid, 'SIGCONT');
    await scrapeUntil(server, (samples) => {
      longest.push(samples.get('nodejs_eventloop_lag_max_seconds')!);
      return late(samples) >= late(before) + stops;
    });
  }
});

test('the document of metrics lists each with its help text', async () => {
  const server = await start({ args: ['--ring', join(scratch.path, 'listed')] });
  await server.get('/nowhere');
  const text = await (await server.get('/metrics')).text();
  const received: string[] = [];
  for (const [, name, help] of text.matchAll(/^# HELP tapedeck_(\S+) (.*)$/gm)) {
    received.push(`${name} | ${help}`);
  }
  const readme = readFileSync(
    join(import.meta.dir, '../../src/docs/reference/observing.md'),
    'utf8',
  );
  const [, table] = /<!-- metrics:begin -->([\s\S]*?)<!-- metrics:end -->/.exec(readme)!;
  const listed = Array.from(
    table!.matchAll(/^\| `(\S+)` +\|([^|]*)\| (.*?) +\|$/gm),
    ([, name, , help]) => `${name} | ${help}`,
  );
  expect(listed.toSorted()).toEqual(received.toSorted());
  expect(listed.length).toBeGreaterThan(40);
  // The labels of each, where there is a sample of it already.
  const by = new Map<string, string>();
  for (const [, name, labels] of text.matchAll(/^tapedeck_(\w+?)(?:_bucket)?\{(.*)\} /gm)) {
    const names = Array.from(labels!.matchAll(/(\w+)="/g), ([, label]) => label!);
    by.set(
      name!,
      names
        .filter((label) => label !== 'le')
        .toSorted()
        .join(),
    );
  }
  const columns = new Map(
    Array.from(table!.matchAll(/^\| `(\S+)` +\|([^|]*)\|/gm), ([, name, labels]) => [
      name!,
      labels!,
    ]),
  );
  expect(by.size).toBeGreaterThan(15);
  for (const [name, labels] of by) {
    if (!columns.has(name)) continue; // the sum or the count of a histogram
    const column = Array.from(columns.get(name)!.matchAll(/`(\w+)`/g), ([, label]) => label!);
    expect([name, column.toSorted().join()]).toEqual([name, labels]);
  }
});
