/**
 * Checkpoints of deep books: what they cost the loop, the journal and the next start.
 *
 *     bun test/bench/checkpoints.ts BOOKS LEVELS DURABILITY SECONDS EVENTS_A_SECOND
 *
 * Each book is published whole once, LEVELS levels in all, and then changes by a few levels an event, three of four
 * of them beyond the tenth. The market, the journal and its thread are those of a server. At the end the process
 * releases the files as a crash would, and the next start is measured.
 */

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Book, SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { SystemClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import { createThreadWriter } from '../../src/journal/write/thread-writer';
import { openRecorder, type Recorder, type RecorderHooks } from '../../src/app/recorder';
import { book, instrument } from '../support/market-events';
import { settings } from './generated-market';

const [books, levels, durability, seconds, rate] = optionsOf(process.argv.slice(2));
const clock = new SystemClock();
const random = new Prng(7);
const MIDDLE = 1_000_000;
const TURN_MS = 5;

function optionsOf(words: string[]): [number, number, 'async' | 'commit', number, number] {
  const number = (at: number, usual: number): number => Number(words[at] ?? usual);
  const durability = words[2] === 'commit' ? 'commit' : 'async';
  return [number(0, 250), number(1, 5_000), durability, number(3, 40), number(4, 10_000)];
}

class Slowest {
  ms = 0;
  slices = 0;
  longestMs = 0;

  run(slice: () => void): void {
    const beganMs = performance.now();
    slice();
    const tookMs = performance.now() - beganMs;
    this.ms += tookMs;
    this.slices += 1;
    this.longestMs = Math.max(this.longestMs, tookMs);
  }
}

const slices = new Slowest();

function open(directory: string): Recorder {
  const hooks: RecorderHooks = {
    createWriter: createThreadWriter,
    slices: {
      ms: 1,
      schedule: (run, pauseMs) => void setTimeout(() => slices.run(run), pauseMs),
    },
  };
  const config = settings({ journal: { directory, durability } });
  const opened = openRecorder(config, clock, hooks);
  if (opened instanceof StartFault) throw new Error(opened.message);
  return opened;
}

function symbolOf(index: number): string {
  return `S${index}`;
}

const seqs = new Float64Array(books);

function whole(index: number, now: Nanos): Book {
  const side = (sign: number): number[] =>
    Array.from({ length: levels }, (_, i) =>
      i % 2 === 0 ? MIDDLE + (sign * (i + 2)) / 2 : random.int(1, 100_000_000),
    );
  return bookOf(index, 'snapshot', side(-1), side(1), now);
}

function bookOf(
  index: number,
  form: Book['form'],
  bids: number[],
  asks: number[],
  now: Nanos,
): Book {
  const prevSeq = seqs[index]!;
  seqs[index] = prevSeq + 1;
  return book(form, prevSeq + 1, prevSeq, bids, asks, { symbol: symbolOf(index), eventTime: now });
}

function change(now: Nanos): Book {
  const index = random.int(0, books - 1);
  const depth = random.chance(0.25) ? 10 : levels / 2;
  const level = (sign: number): number[] => [
    MIDDLE + sign * random.int(1, depth),
    random.int(1, 100_000_000),
  ];
  return bookOf(index, 'delta', level(-1), level(1), now);
}

function walBytes(directory: string): number {
  return ['', '-wal'].reduce((sum, suffix) => {
    const file = statSync(join(directory, `journal.sqlite${suffix}`), { throwIfNoEntry: false });
    return sum + (file?.size ?? 0);
  }, 0);
}

async function load(recorder: Recorder): Promise<void> {
  for (let i = 0; i < books; i++) {
    const now = clock.now();
    recorder.sequencer.submit(1, [instrument(symbolOf(i)), whole(i, now)], taken);
    if (i % 20 === 19) await Bun.sleep(1);
  }
}

function taken(result: object): void {
  if ('fault' in result) throw new Error(JSON.stringify(result));
}

/** How late a timer was at worst, without the time of this source itself. */
const lateMs: number[] = [];

async function run(recorder: Recorder): Promise<number> {
  const beganMs = performance.now();
  let sent = 0;
  for (let nowMs = beganMs; nowMs - beganMs < seconds * 1_000; nowMs = performance.now()) {
    const due = Math.floor(((nowMs - beganMs) * rate) / 1_000) - sent;
    if (due > 0) {
      const now = clock.now();
      const events: SourceEvent[] = [];
      for (let i = 0; i < Math.min(due, 2_000); i++) events.push(change(now));
      recorder.sequencer.submit(1, events, taken);
      sent += events.length;
    }
    const sleptMs = performance.now();
    await Bun.sleep(TURN_MS);
    lateMs.push(performance.now() - sleptMs - TURN_MS);
  }
  return sent;
}

const directory = mkdtempSync(join(tmpdir(), 'tapedeck-checkpoints-'));
const recorder = open(directory);
await load(recorder);
await recorder.journal.flush();
const loadedBytes = walBytes(directory);
const sent = await run(recorder);
const status = recorder.journal.status();
const figures = recorder.journal.checkpoints.figures();
const grownBytes = walBytes(directory) - loadedBytes;
const { lastSeq } = recorder.sequencer;
recorder.journal.abandon();
lateMs.sort((a, b) => a - b);
const late = (share: number): number =>
  Number(lateMs[Math.floor((lateMs.length - 1) * share)]!.toFixed(1));
const restartMs = performance.now();
const again = open(directory);
const tookMs = performance.now() - restartMs;
const wholeBooks = [...again.market.feeds()].filter(({ book }) => book.bids.length > 10).length;
console.log(
  JSON.stringify({
    books,
    levels,
    durability,
    sent,
    lastSeq,
    holes: status.holes,
    holeRecords: status.holeRecords,
    waitingBytes: status.waitingBytes,
    checkpoints: figures,
    slices: slices.slices,
    slicesMs: Math.round(slices.ms),
    longestSliceMs: Number(slices.longestMs.toFixed(2)),
    lateP50Ms: late(0.5),
    lateP99Ms: late(0.99),
    lateMaxMs: late(1),
    grownMB: Math.round(grownBytes / 1e6),
    fileMB: Math.round(walBytes(directory) / 1e6),
    recoveryMs: Math.round(tookMs),
    recoveredRecords: again.recovery.records,
    wholeBooks,
    rssMB: Math.round(process.memoryUsage.rss() / 1e6),
  }),
);
again.journal.abandon();
rmSync(directory, { recursive: true, force: true });
process.exit(0);
