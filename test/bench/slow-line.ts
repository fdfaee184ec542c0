/**
 * Bench `slow-line`: how long the state of many books takes over a connection of 20 kB/s, compared with the time
 * that its bytes need there; and over fast connections, without a delay and with a round trip of 50 ms, compared
 * with the same bytes in one piece. Slow readers are measured in parallel, each on its own connection.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Connection } from '../../src/client/connection';
import { SlowLine, type LineOptions } from '../support/slow-line';
import { compared, median, type BenchOptions, type BenchResult } from './harness';
import { endAll, startWorkerProcess } from './processes';
import type { ServerDone, ServerJob } from './slow-reader-server';

type Form = 'msgpack' | 'json';

interface Shape {
  readonly books: readonly number[];
  readonly bytesPerSecond: number;
  /** Cases of the slow ones; 10,000 books in JSON take eight minutes. */
  readonly slow: readonly (readonly [books: number, form: Form])[];
  readonly rounds: number;
}

const FULL: Shape = {
  books: [2_500, 10_000],
  bytesPerSecond: 20_000,
  slow: [
    [2_500, 'msgpack'],
    [2_500, 'json'],
    [10_000, 'msgpack'],
    [10_000, 'json'],
  ],
  rounds: 9,
};
const QUICK: Shape = {
  books: [50],
  bytesPerSecond: 200_000,
  slow: [
    [50, 'msgpack'],
    [50, 'json'],
  ],
  rounds: 1,
};
const QUICK_LINES = [
  { name: 'loopback', line: {} },
  { name: 'a round trip of 50 ms', line: { delayMs: 25 } },
] as const;
const FORMS = ['msgpack', 'json'] as const;
const LEVELS = 10;
const PUBLISHED_AT_ONCE = 100;

interface Taken {
  readonly firstMs: number;
  readonly allMs: number;
  readonly bytes: number;
}

export async function slowLineBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  try {
    const path = join(import.meta.dir, 'slow-reader-server.ts');
    const results: BenchResult[] = [];
    for (const books of shape.books) {
      const server = startWorkerProcess<ServerJob, ServerDone>(path, running);
      const { url } = await server({ directory: join(directory, `${books}`) });
      await fill(url, books);
      for (const form of FORMS) {
        for (const { name, line } of QUICK_LINES) {
          results.push(await quickLine(url, books, form, name, line, shape.rounds));
        }
      }
      const slow = shape.slow.filter(([count]) => count === books);
      results.push(
        ...(await Promise.all(slow.map(([, form]) => slowLine(url, books, form, shape)))).flat(),
      );
    }
    return results;
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function fill(url: string, books: number): Promise<void> {
  const source = await Connection.connect(url);
  const events: SourceEvent[] = [];
  for (let i = 0; i < books; i++) events.push(...newBook(`BOOK${i}`));
  for (let at = 0; at < events.length; at += PUBLISHED_AT_ONCE) {
    await source.publish(events.slice(at, at + PUBLISHED_AT_ONCE));
  }
  source.close();
}

function newBook(symbol: string): SourceEvent[] {
  const side = (step: number): number[] =>
    Array.from({ length: LEVELS }, (_, i) => [6_183_763 + step * (i + 1), 123_456_789 + i]).flat();
  const more = {
    market: 'feed',
    priceScale: 2,
    quantityScale: 8,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
  } as const;
  return [
    { type: 'instrument', symbol, seq: 0, ...more, shard: null },
    {
      type: 'book',
      symbol,
      seq: 1,
      prevSeq: 0,
      eventTime: Nanos.fromMillis(1_700_000_000_000),
      receiveTime: Nanos.ZERO,
      form: 'snapshot',
      bids: side(-1),
      asks: side(1),
      crc: null,
      count: 1,
      mark: null,
    },
  ];
}

/** Requests the state of all books; measures the time to its first frame, and to its answer. */
async function take(url: string, form: Form, options: LineOptions): Promise<Taken> {
  const line = await SlowLine.to(url, options);
  let startMs = 0;
  let firstMs = 0;
  const connection = await Connection.connect(line.url, {
    form,
    liveness: true,
    timeoutMs: 60_000,
    onFrameEnd: () => {
      if (startMs > 0 && firstMs === 0) firstMs = performance.now() - startMs;
    },
  });
  const before = line.passedBytes;
  startMs = performance.now();
  await connection.subscribe(['book:*']);
  const allMs = performance.now() - startMs;
  connection.close();
  line.close();
  return { firstMs, allMs, bytes: line.passedBytes - before };
}

async function slowLine(
  url: string,
  books: number,
  form: Form,
  { bytesPerSecond }: Shape,
): Promise<BenchResult[]> {
  const { firstMs, allMs, bytes } = await take(url, form, { bytesPerSecond });
  const bench = 'slow-line';
  const what = `${books} books, ${form}, ${bytesPerSecond / 1_000} kB/s`;
  return [
    { bench, case: `${what}: to the first`, value: firstMs, unit: 'ms' },
    compared(
      { bench, case: `${what}: to all`, value: allMs, unit: 'ms' },
      'its bytes at that pace',
      (bytes / bytesPerSecond) * 1_000,
    ),
  ];
}

async function quickLine(
  url: string,
  books: number,
  form: Form,
  name: string,
  line: LineOptions,
  rounds: number,
): Promise<BenchResult> {
  const times: number[] = [];
  const bare: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const { allMs, bytes } = await take(url, form, line);
    const bareMs = await takeBytes(bytes, line);
    if (round < 0) continue; // for the caches
    times.push(allMs);
    bare.push(bareMs);
  }
  return compared(
    {
      bench: 'slow-line',
      case: `${books} books, ${form}, ${name}: to all`,
      value: median(times),
      unit: 'ms',
    },
    'the same bytes in one piece',
    median(bare),
  );
}

/** Time from a request to the last of a number of prepared bytes. */
async function takeBytes(bytes: number, options: LineOptions): Promise<number> {
  const data = Buffer.alloc(bytes);
  const server = createServer((socket) =>
    socket.on('error', () => {}).once('data', () => socket.write(data)),
  );
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  const line = await SlowLine.to(`http://127.0.0.1:${port}`, options);
  const socket = connect(Number(new URL(line.url).port), '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const startMs = performance.now();
  let received = 0;
  await new Promise<void>((resolve) => {
    socket.on('data', ({ length }) => {
      received += length;
      if (received >= bytes) resolve();
    });
    socket.write('x');
  });
  const ms = performance.now() - startMs;
  socket.destroy();
  line.close();
  server.close();
  return ms;
}
