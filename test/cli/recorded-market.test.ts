/**
 * A recorded market becomes a live book: `replay` into a directory that is then served, and into a running server
 * that a reader follows, compared with an oracle that shares nothing with either.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';

import { formatLevels } from '../../protocol/json';
import type { Book, Message } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import { Connection } from '../../src/client/connection';
import { LocalBook } from '../../src/client/local-book';
import { CAPTURE, captureIsThere, rebuildCapture, tellIfAbsent } from '../support/naive-capture';
import { PUBLISH_KEY, Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { until } from '../support/until';

const scratch = new Scratch();
afterAll(() => scratch.remove());
tellIfAbsent();

/** A reader that checks everything: the chain of each topic, the checksum of each book batch. */
class StrictReader {
  readonly book = new LocalBook();
  readonly newest = new Map<string, Message>();
  readonly counts = new Map<string, number>();
  checksums = 0;
  private readonly heads = new Map<string, number>();

  /** @throws Error where the stream breaks a rule */
  take(message: Message): void {
    const topic = topicOf(message);
    if (topic === undefined || !('prevSeq' in message)) return;
    const head = this.heads.get(topic) ?? 0;
    if (message.prevSeq !== head) {
      throw new Error(`${topic}: ${message.seq} follows ${message.prevSeq}, expected ${head}`);
    }
    this.heads.set(topic, message.seq);
    this.newest.set(topic, message);
    this.counts.set(message.type, (this.counts.get(message.type) ?? 0) + 1);
    if (message.type === 'book') this.takeBook(message);
  }

  private takeBook(message: Book): void {
    const outcome = this.book.apply(message);
    if (outcome !== (message.form === 'incomplete' ? 'incomplete' : 'applied')) {
      throw new Error(`book ${message.seq} (${message.form}): ${outcome}`);
    }
    if (message.crc !== null) this.checksums += 1;
  }
}

interface RestBody {
  bids: string[][];
  asks: string[][];
  trades: { seq: number }[];
}

async function state(server: ServerProcess, symbol: string, depth = 10) {
  const book = (await server.json(`/v1/orderbook/${symbol}?depth=${depth}`)) as unknown as RestBody;
  const tick = await server.json(`/v1/tick/${symbol}`);
  const { trades } = (await server.json(`/v1/trades/${symbol}?limit=1000`)) as unknown as RestBody;
  return {
    bids: book.bids,
    asks: book.asks,
    tick: { ...tick, epoch: 0, source: '', ageMs: 0 },
    trades,
  };
}

describe.skipIf(!captureIsThere)('346 s of a real market', () => {
  const oracle = captureIsThere ? rebuildCapture(CAPTURE) : undefined!;

  test('offline into a directory, then served: book and trades to the last digit', async () => {
    const data = scratch.fresh();
    const replayed = await tapedeck(['replay', CAPTURE, '--data', data, '--speed', 'max']);
    expect(replayed).toMatchObject({ code: 0, stderr: '' });
    expect(replayed.stdout).toMatch(
      /^41249 lines: 41246 taken, 0 repeated, 3 waiting, 0 skipped, 0 refused\n41247 events in /,
    );
    const server = await ServerProcess.start({ data });
    try {
      const { bids, asks, trades, tick } = await state(server, 'BTCUSDT');
      expect(bids).toEqual(oracle.bids.slice(0, 10));
      expect(asks).toEqual(oracle.asks.slice(0, 10));
      const deep = await state(server, 'BTCUSDT', 5000);
      expect(deep.bids).toEqual(oracle.bids.slice(0, 5000));
      expect(deep.asks).toEqual(oracle.asks.slice(0, 5000));
      expect(trades).toMatchObject(oracle.trades.slice(-1000).toReversed());
      expect(tick).toMatchObject({
        last: oracle.trades.at(-1)!.price,
        eventTime: oracle.trades.at(-1)!.eventTime,
      });
    } finally {
      await server.remove();
    }
  }, 30_000);

  test('into a running server, followed: CRC at each batch, unbroken chains, REST the same', async () => {
    const server = await ServerProcess.start();
    try {
      const reader = new StrictReader();
      const faults: unknown[] = [];
      const connection = await Connection.connect(server.url, {
        onMessage: (message) => {
          try {
            reader.take(message);
          } catch (e) {
            faults.push(e);
          }
        },
      });
      await connection.subscribe(['book:*', 'tick:*', 'trade:*', 'bbo:*', 'status']);
      const args = ['replay', CAPTURE, '--to', server.url, '--key', PUBLISH_KEY];
      expect(await tapedeck(args)).toMatchObject({ code: 0, stderr: '' });
      // The answer to a request arrives after everything that was pushed before it.
      await connection.unsubscribe(['trade:*']);
      expect(faults).toEqual([]);
      expect(reader.counts.get('trade')).toBe(oracle.trades.length);
      expect(reader.counts.get('tick')).toBe(oracle.trades.length);
      expect(reader.checksums).toBeGreaterThan(100);

      const scales = connection.instruments.get('BTCUSDT')!;
      const live = await state(server, 'BTCUSDT');
      expect(formatLevels(reader.book.bids, scales)).toEqual(live.bids as [string, string][]);
      expect(formatLevels(reader.book.asks, scales)).toEqual(live.asks as [string, string][]);
      expect([live.bids, live.asks]).toEqual([oracle.bids.slice(0, 10), oracle.asks.slice(0, 10)]);
      expect(live.tick).toMatchObject({ seq: (reader.newest.get('tick:BTCUSDT') as Book).seq });

      connection.close();
      expect(await server.stop('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
      const again = await ServerProcess.start({ data: server.data });
      // The source is gone either way; what is served of it is the same.
      const gone = { state: 'recovered', mark: 'recovered' };
      expect(await state(again, 'BTCUSDT')).toEqual({ ...live, tick: { ...live.tick, ...gone } });
      expect(await again.json('/v1/instruments/BTCUSDT')).toMatchObject({ state: 'recovered' });
      await again.remove();
    } finally {
      await server.remove();
    }
  }, 30_000);

  test('killed in the middle: what was acknowledged is there, and the book is consistent', async () => {
    const server = await ServerProcess.start();
    const reader = new StrictReader();
    const connection = await Connection.connect(server.url, {
      onMessage: (message) => reader.take(message),
    });
    await connection.subscribe(['book:*', 'trade:*']);
    const replay = tapedeck(['replay', CAPTURE, '--to', server.url, '--key', PUBLISH_KEY]);
    await until(() => (reader.counts.get('trade') ?? 0) >= 2_000);
    await server.stop('SIGKILL');
    const { code, stderr } = await replay;
    expect(code).toBe(69);
    expect(stderr).toContain('[connection-failed]');
    expect(stderr).not.toContain('at async');
    const again = await ServerProcess.start({ data: server.data });
    try {
      const { trades, bids, asks } = await state(again, 'BTCUSDT');
      const seen = reader.newest.get('trade:BTCUSDT') as Book;
      expect(trades[0]!.seq).toBeGreaterThanOrEqual(seen.seq);
      expect(Number(bids[0]![0])).toBeLessThan(Number(asks[0]![0]));
      expect(await again.json('/v1/instruments')).toMatchObject({
        seq: expect.any(Number),
        instruments: [{ symbol: 'BTCUSDT' }],
      });
    } finally {
      await again.remove();
      await server.remove();
    }
  }, 30_000);
});

const TAPES = join(import.meta.dir, '../../fixtures/tapes');
const names = readdirSync(TAPES).filter((name) => /\.(ndjson|txt)$/.test(name));

interface Outcome {
  books: Record<string, { state: string; bids: string[][]; asks: string[][] }>;
  trades: Record<string, Record<string, unknown>[]>;
  last: Record<string, string | null>;
  volume: Record<string, string>;
  faults: number;
  skipped: number;
}

function expectedOf(name: string): Outcome {
  const file = join(TAPES, `${basename(name, extname(name))}.expected.json`);
  return JSON.parse(readFileSync(file, 'utf8')) as Outcome;
}

/** Compares REST of a server that imported the tape with the expected outcome. */
async function expectOutcome(server: ServerProcess, outcome: Outcome): Promise<void> {
  for (const [symbol, book] of Object.entries(outcome.books)) {
    const answer = await server.json(`/v1/orderbook/${symbol}`);
    if (book.state === 'live') expect(answer).toMatchObject({ bids: book.bids, asks: book.asks });
    else expect(answer).toMatchObject({ error: { code: 'book-incomplete' } });
    const trades = await server.json(`/v1/trades/${symbol}`);
    expect((trades['trades'] as unknown[]).toReversed()).toMatchObject(outcome.trades[symbol]!);
    if (outcome.trades[symbol]!.length === 0) continue;
    expect(await server.json(`/v1/tick/${symbol}`)).toMatchObject({
      last: outcome.last[symbol],
      volume: outcome.volume[symbol],
    });
  }
}

describe('the fixtures', () => {
  test.each(names)('%s, offline and then served', async (name) => {
    const data = scratch.fresh();
    const outcome = expectedOf(name);
    const args = ['replay', join(TAPES, name), '--data', data, '--on-fault', 'skip'];
    const { code, stdout } = await tapedeck(args);
    expect(code).toBe(0);
    expect(stdout).toContain(`${outcome.skipped} skipped, ${outcome.faults} refused`);
    const served = await ServerProcess.start({ data });
    await expectOutcome(served, outcome);
    await served.remove();
  });

  const some = [
    'damaged.ndjson',
    'gap-healed.ndjson',
    'two-instruments.ndjson',
    'binance-mini.txt',
  ];
  test.each(some)('%s, into a running server', async (name) => {
    const fresh = await ServerProcess.start();
    try {
      const args = ['replay', join(TAPES, name), '--to', fresh.url, '--key', PUBLISH_KEY];
      expect((await tapedeck([...args, '--on-fault', 'skip'])).code).toBe(0);
      await expectOutcome(fresh, expectedOf(name));
    } finally {
      await fresh.remove();
    }
  });
});
