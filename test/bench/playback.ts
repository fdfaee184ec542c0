/**
 * The part of bench `replay` that reads a journal: how fast its messages are read into frames, compared with a bare
 * read of the same rows; and how fast a reader in another process receives them over a socket.
 *
 * The reader counts messages by the headers of their frames, so that its own decoding is not measured; the SDK,
 * which decodes them, is a separate case.
 */

import { Database } from 'bun:sqlite';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Subprocess } from 'bun';

import type { PastQuestion } from '../../src/journal/history/messages';
import { HistoryReader } from '../../src/journal/history/reader';
import { PlaybackReader } from '../../src/journal/playback/reader';
import type { ReplayChunk } from '../../src/journal/playback/messages';
import { selectReplayed } from '../../src/journal/playback/rows';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { KIND, seqOf } from '../../src/journal/schema';
import { compared, median, type BenchOptions, type BenchResult } from './harness';
import type { PlaybackDone, PlaybackJob } from './playback-reader';
import { SYMBOLS } from './journal-rows';
import { endAll, startServerProcess, startWorkerProcess } from './processes';

const CHILD = `${import.meta.dir}/recovery-child.ts`;
const READER = `${import.meta.dir}/playback-reader.ts`;
const MAIN = `${import.meta.dir}/../../src/main.ts`;
const TOPICS = ['tick:*', 'trade:*', 'bbo:*', 'book:*'];
const PAGE_ROWS = 1_024;

export async function playbackResults({ quick }: BenchOptions): Promise<BenchResult[]> {
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  try {
    const data = join(directory, 'data');
    const args = ['build', data, quick ? '20000' : '2000000', quick ? '2000' : '200000'];
    const build = Bun.spawnSync([process.execPath, CHILD, ...args], { stderr: 'inherit' });
    if (build.exitCode !== 0) throw new Error('the journal of the bench was not made');
    const rounds = quick ? 1 : 7;
    const results: BenchResult[] = [];
    const path = join(data, JOURNAL_FILE);
    for (const topics of [TOPICS, ['trade:*'], ['book:*']]) {
      results.push(inProcess(path, topics, rounds));
    }
    results.push(...proofResults(path, rounds));
    const server = await startServerProcess(
      [MAIN, 'serve', '--port', '0', '--data', data],
      running,
    );
    const play = startWorkerProcess<PlaybackJob, PlaybackDone>(READER, running);
    for (const reader of ['raw', 'sdk'] as const) {
      const rates: number[] = [];
      for (let round = 0; round < (quick ? 1 : 3); round++) {
        const { messages, ms } = await play({ url: server.url.href, topics: TOPICS, reader });
        rates.push((messages / ms) * 1000);
      }
      const what = reader === 'raw' ? 'at the socket' : 'decoded by the SDK';
      results.push({
        bench: 'replay',
        case: `out of the journal, ${what}`,
        value: median(rates),
        unit: 'messages/s',
      });
    }
    return results;
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

function inProcess(path: string, topics: readonly string[], rounds: number): BenchResult {
  const kinds = topics.map(
    (topic) => KIND[topic.slice(0, -2) as 'tick' | 'trade' | 'bbo' | 'book'],
  );
  const replayed: number[] = [];
  const bare: number[] = [];
  const reader = new PlaybackReader(path);
  const toSeq = newestSeq(path);
  for (let round = -1; round < rounds; round++) {
    const rates = [play(reader, topics, toSeq), read(path, kinds)] as const;
    if (round < 0 && rounds > 1) continue; // warms up
    replayed.push(rates[0]);
    bare.push(rates[1]);
  }
  reader.close();
  const result = {
    bench: 'replay',
    case: `out of the journal, in the process, ${topics.join(' ')}`,
    value: median(replayed),
    unit: 'messages/s',
  };
  return compared(result, 'bare read of the same rows', median(bare));
}

/** A request on its own connection. */
interface Asked {
  ask(this: void): void;
  close(this: void): void;
}

/**
 * What the proofs of blocks cost: the first read of a connection compared with one whose proofs are known, in CPU
 * time.
 */
function proofResults(path: string, rounds: number): BenchResult[] {
  const toSeq = newestSeq(path);
  const symbol = SYMBOLS[0]!;
  const END = Number.MAX_SAFE_INTEGER;
  const history = (question: PastQuestion) => (): Asked => {
    const reader = new HistoryReader(path);
    return { ask: () => void reader.answer(question), close: () => reader.close() };
  };
  const playback = (topics: readonly string[]) => (): Asked => {
    const reader = new PlaybackReader(path);
    return { ask: () => void play(reader, topics, toSeq), close: () => reader.close() };
  };
  const cases: Record<string, () => Asked> = {
    'trades, a page of 1000': history({ kind: 'trades', symbol, before: END, limit: 1_000 }),
    'ticks, all': history({ kind: 'ticks', symbol, from: null, to: null, after: 0, limit: END }),
    'bars of 1m, all': history({
      kind: 'bars',
      symbol,
      interval: '1m',
      from: { hi: 0, lo: 0 },
      to: null,
      limit: 1_000,
      tradesMax: END,
      now: { hi: 0x7000_0000, lo: 0 },
    }),
    'replay of all': playback(TOPICS),
    'replay of one topic': playback([`trade:${symbol}`]),
  };
  return Object.entries(cases).map(([name, open]) => {
    const first: number[] = [];
    const again: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const { ask, close } = open();
      first.push(cpuMs(ask));
      again.push(cpuMs(ask));
      close();
    }
    const result = { bench: 'replay', case: `proofs: ${name}`, value: median(first), unit: 'ms' };
    return compared(result, 'proofs known', median(again));
  });
}

function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** @returns messages a second */
function play(reader: PlaybackReader, topics: readonly string[], toSeq: number): number {
  reader.answer({
    kind: 'replay-open',
    replay: 1,
    topics,
    isText: false,
    fromSeq: 1,
    toSeq,
    from: null,
    to: null,
    hasOpening: true,
    speed: 0,
  });
  const startMs = performance.now();
  let messages = 0;
  for (;;) {
    const chunk = reader.answer({ kind: 'replay-next', replay: 1 }) as ReplayChunk;
    messages += chunk.messages;
    if (chunk.isLast) return (messages / (performance.now() - startMs)) * 1000;
  }
}

/** @returns rows a second */
function read(path: string, kinds: readonly number[]): number {
  const db = new Database(path, { readonly: true });
  db.run('PRAGMA mmap_size = 1073741824');
  const mask = kinds.reduce((sum, kind) => sum | (1 << kind), 0);
  const page = db.prepare<{ id: number }, [number]>(
    `${selectReplayed(kinds)} WHERE id > ? AND (${mask} >> kind) & 1 ORDER BY id LIMIT ${PAGE_ROWS}`,
  );
  const startMs = performance.now();
  let count = 0;
  for (let last = -1; ;) {
    const rows = page.all(last);
    count += rows.length;
    if (rows.length < PAGE_ROWS) break;
    last = rows.at(-1)!.id;
  }
  const rate = (count / (performance.now() - startMs)) * 1000;
  page.finalize();
  db.close();
  return rate;
}

function newestSeq(path: string): number {
  const db = new Database(path, { readonly: true });
  const { id } = db.query<{ id: number }, []>('SELECT max(id) AS id FROM record').get()!;
  db.close();
  return seqOf(id);
}
