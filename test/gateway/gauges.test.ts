/** Gauges of a server with many slow readers and a stopped disk, compared with counts made outside of it. */

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';

import { clientFrame, OPCODE } from '../bench/ws-frames';
import { instrument, tape, trade } from '../support/feed';
import { parseMetrics } from '../support/metrics-text';
import { StreamClient } from '../support/stream-client';
import { ADMIN_KEY, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

const DEAF = 60;
const OUTBOX_BYTES_MAX = 262_144;
const ROUNDS = 60;
const TRADES = 1_000;
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({
    config: `[limits]\nframeBytesMax = 65536\n[push]\noutboxBytesMax = ${OUTBOX_BYTES_MAX}\npongMs = 600000\ncontrolMs = 600000\n[journal]\ndurability = "async"\n[cache]\nmemtableEventsMax = 5000\n`,
  });
  await server.ingest(tape(instrument('SLOW'), instrument('OTHER')));
});
afterAll(() => server.remove());

/** The head of a ping of four bytes. */
const PING = Buffer.from([0x80 | OPCODE.ping, 4]);

/** Subscribes to a topic and then reads nothing. A ping may arrive before the answer. */
async function deafReader(): Promise<Socket> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    'GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Protocol: tapedeck.v1.json\r\n\r\n',
  );
  const request = Buffer.from('{"type":"subscribe","id":1,"topics":["trade:SLOW"]}');
  let seen = '';
  await new Promise<void>((resolve) => {
    socket.on('data', (data: Buffer) => {
      const ping = data.indexOf(PING);
      if (ping >= 0) socket.write(clientFrame(OPCODE.pong, data.subarray(ping + 2, ping + 6)));
      const before = seen;
      seen += data.toString('latin1');
      if (seen.includes('"type":"ack"')) resolve();
      else if (seen.includes('"welcome"') && !before.includes('"welcome"')) {
        socket.write(
          Buffer.concat([Buffer.from([0x81, 0x80 | request.length, 0, 0, 0, 0]), request]),
        );
      }
    });
  });
  socket.pause();
  return socket;
}

async function scrape(): Promise<Map<string, number>> {
  return parseMetrics(await (await server.get('/metrics')).text());
}

/** The gauges at a time after the call: a server that is asked often gives an answer that it made earlier. */
async function gauges(): Promise<(name: string) => number> {
  const asked = (samples: Map<string, number>): number =>
    samples.get('tapedeck_rest_requests_total{route="GET /metrics",status="200"}') ?? 0;
  const before = asked(await scrape());
  const samples = await until(async () => {
    const next = await scrape();
    return asked(next) > before && next;
  }, 'an answer that was made after another one');
  return (name) => {
    const value = samples.get(`tapedeck_${name}`);
    if (value === undefined) throw new Error(`no metric ${name}`);
    return value;
  };
}

function gaugesUntil(holds: (of: (name: string) => number) => boolean): Promise<boolean> {
  return until(async () => holds(await gauges()), holds.toString());
}

function residentBytes(): number {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1_024;
}

async function waitingOfSessions(): Promise<number[]> {
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const answer = await server.get('/v1/admin/sessions?limit=1000', { headers });
  const { sessions } = (await answer.json()) as { sessions: { waitingBytes: number }[] };
  return sessions.map(({ waitingBytes }) => waitingBytes);
}

const round = tape(...Array.from({ length: TRADES }, () => trade('SLOW', '1.00', '0.001')));

test('bytes that wait for readers never exceed what the process holds, in total and for each session', async () => {
  const deaf = await Promise.all(Array.from({ length: DEAF }, deafReader));
  const good = await StreamClient.open(server.url);
  await good.subscribe('trade:SLOW');
  const before = (await gauges())('push_bytes_total{kind="trade"}');
  for (let i = 0; i < ROUNDS; i++) expect((await server.ingest(round)).status).toBe(200);
  await good.findCount((m) => m.type === 'trade', ROUNDS * TRADES);
  await gaugesUntil((of) => of('lagging_sessions') >= DEAF);

  const of = await gauges();
  const [waiting, log] = [of('push_waiting_bytes'), of('push_log_bytes')];
  expect(of('sessions')).toBe(DEAF + 1);
  expect(of('lagging_sessions')).toBeLessThanOrEqual(DEAF + 1);
  expect(log).toBeLessThanOrEqual(OUTBOX_BYTES_MAX);
  expect(log).toBeGreaterThan(OUTBOX_BYTES_MAX / 2);
  expect(waiting).toBeGreaterThanOrEqual(log);
  expect(waiting).toBeLessThan(residentBytes());
  // More was made for the readers than waits for them: the rest was never kept.
  expect(waiting).toBeLessThan(DEAF * ROUNDS * TRADES * 80);
  for (const own of await waitingOfSessions()) expect(own).toBeLessThanOrEqual(waiting);
  expect(of('push_bytes_total{kind="trade"}')).toBeGreaterThan(before);

  for (const socket of deaf) socket.destroy();
  await gaugesUntil((now) => now('sessions') === 1 && now('push_log_bytes') === 0);
  expect((await gauges())('push_waiting_bytes')).toBeLessThan(100_000); // those of the good reader, briefly
  await good.close();
  await gaugesUntil((now) => now('sessions') === 0 && now('push_waiting_bytes') === 0);
}, 60_000);

test('the journal: bytes that wait, lag, and size on disk', async () => {
  const other = new Database(join(server.data, 'journal.sqlite'));
  await gaugesUntil((of) => of('journal_lag_records') === 0);
  const committed = (await gauges())('journal_committed_seq');
  other.run('BEGIN IMMEDIATE');
  expect((await server.ingest(round)).status).toBe(200);
  const held = await gauges();
  const { seq } = other.query('SELECT max(id) / 8 AS seq FROM record').get() as { seq: number };
  expect(seq).toBe(committed);
  expect(held('journal_committed_seq')).toBe(committed);
  expect(held('journal_lag_records')).toBe(held('last_seq') - committed);
  expect(held('journal_waiting_rows')).toBe(held('journal_lag_records'));
  expect(held('journal_waiting_bytes')).toBeGreaterThan(40 * held('journal_waiting_rows'));
  expect(held('journal_lag_seconds')).toBeGreaterThan(0);
  other.run('ROLLBACK');
  other.close();
  await gaugesUntil((of) => of('journal_lag_records') === 0);

  const of = await gauges();
  expect(of('journal_waiting_rows')).toBe(0);
  expect(of('journal_waiting_bytes')).toBe(0);
  expect(of('journal_lag_seconds')).toBe(0);
  const files = readdirSync(server.data).filter((name) => name.startsWith('journal.sqlite'));
  const onDisk = files.reduce((sum, name) => sum + statSync(join(server.data, name)).size, 0);
  expect(of('journal_size_bytes')).toBe(onDisk);
  expect(of('memtable_events')).toBeLessThanOrEqual(2 * 5_000);
  expect(of('instruments')).toBe(2);
  expect(of('feed_instruments')).toBe(2);
});
