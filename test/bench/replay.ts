/**
 * Bench `replay`: a recording at full speed through all stages, and what each stage costs; then reading the journal
 * (playback.ts).
 *
 * The recording is 346 s of a real market where that is available, otherwise a generated tape. An event is one that
 * the source sent (a trade of it makes two of ours), so the costs of the stages add up. The stages run one after
 * the other over all events, each on the output of the previous one; batches are those of `tapedeck replay`.
 * Broadcast ends at the native topic: the socket is not included.
 */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { assert } from '../../src/base/assert';
import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/sessions/session';
import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Recorded } from '../../src/ingest/recording/record';
import { openRecording, type Recording } from '../../src/ingest/recording/recording';
import { tapeLine } from '../../src/ingest/recording/tape';
import { openJournal } from '../../src/journal/recover/opening';
import { openRecorder } from '../../src/app/recorder';
import type { Batch } from '../../src/base/contracts/batch';
import type { Sequencer } from '../../src/sequencer/sequencer';
import { generateMarket, openMarket, settings } from './generated-market';
import { median, type BenchOptions, type BenchResult } from './harness';
import { playbackResults } from './playback';
import { LIMITS, socketWith } from '../support/sockets';

const REAL = join(import.meta.dir, '../../../shared/data/btcusdt_20240808.gz');
/** Records handed to the sequencer before it takes its turns, as `replay` does. */
const SUBMISSIONS = 1000;

const STAGES = [
  'read and parse',
  'sequencer and market',
  'journal (commit)',
  'broadcast, no subscriber',
  'broadcast, 1 subscriber',
] as const;

export async function replayBench(options: BenchOptions): Promise<BenchResult[]> {
  const { quick } = options;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  try {
    const real = !quick && existsSync(REAL);
    if (!quick && !real) console.error(`bench replay: ${REAL} is not there; a tape is generated`);
    const path = real ? REAL : writeTape(directory, quick ? 300 : 40_000);
    const rounds = quick ? 1 : 7;
    const stages = STAGES.map(() => [] as number[]);
    const rates: number[] = [];
    // The first round warms up.
    for (let round = quick ? 1 : 0; round <= rounds; round++) {
      const scratch = (name: string): string => join(directory, `${round}-${name}`);
      const rate = await runWhole(path, scratch('whole'));
      const costs = await runStages(path, scratch('stages'));
      if (round === 0) continue;
      rates.push(rate);
      for (const [i, cost] of costs.entries()) stages[i]!.push(cost);
    }
    const own = report(real ? basename(REAL) : 'generated tape', rates, stages);
    return [...own, ...(await playbackResults(options))];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function report(tape: string, rates: number[], stages: number[][]): BenchResult[] {
  const whole = {
    bench: 'replay',
    case: `in all, ${tape}`,
    value: median(rates),
    unit: 'events/s',
  };
  return [
    whole,
    ...STAGES.map((stage, i) => ({
      bench: 'replay',
      case: stage,
      value: median(stages[i]!),
      unit: 'µs/event',
    })),
  ];
}

function writeTape(directory: string, events: number): string {
  const path = join(directory, 'generated.ndjson');
  const start = new SystemClock().now();
  const market = generateMarket({ symbols: ['BTCUSDT'], events, seed: 5, start });
  const lines = market.map((event) => tapeLine(event, () => ({ priceScale: 8, quantityScale: 8 })));
  writeFileSync(path, lines.join(''));
  return path;
}

/** Reads, sequences, journals and broadcasts to no reader, piece by piece. @returns events per second */
async function runWhole(path: string, directory: string): Promise<number> {
  const clock = new SystemClock();
  const broadcaster = openBroadcaster(clock);
  let failure: unknown;
  const recorder = openRecorder(settings({ journal: { directory } }), clock);
  if (recorder instanceof StartFault) throw new Error(recorder.message);
  recorder.follow((batch) => {
    try {
      broadcaster.accept(batch);
    } catch (e) {
      failure = e;
    }
  });
  const start = Bun.nanoseconds();
  let events = 0;
  for await (const { records } of await open(path)) {
    submit(recorder.sequencer, records);
    events += countEvents(records);
  }
  const seconds = (Bun.nanoseconds() - start) / 1e9;
  recorder.close();
  if (failure !== undefined) throw failure;
  return events / seconds;
}

/** Microseconds per event for each of `STAGES`. */
async function runStages(path: string, directory: string): Promise<number[]> {
  const clock = new SystemClock();
  const nanos: number[] = [];
  let start = Bun.nanoseconds();
  const lap = (): void => {
    nanos.push(Bun.nanoseconds() - start);
  };

  const records: Recorded[] = [];
  for await (const batch of await open(path)) records.push(...batch.records);
  lap();

  const batches: Batch[] = [];
  const { sequencer } = openMarket(clock, (batch) => void batches.push(batch));
  start = Bun.nanoseconds();
  submit(sequencer, records);
  lap();

  const opened = openJournal(settings({ journal: { directory } }).journal, clock);
  if (opened instanceof StartFault) throw new Error(opened.message);
  opened.journal.begin();
  start = Bun.nanoseconds();
  for (const batch of batches) opened.journal.append(batch, () => {});
  lap();
  opened.journal.abandon();

  const silent = openBroadcaster(clock);
  start = Bun.nanoseconds();
  for (const batch of batches) silent.accept(batch);
  lap();

  const followed = openBroadcaster(clock);
  subscribe(followed);
  start = Bun.nanoseconds();
  for (const batch of batches) followed.accept(batch);
  lap();

  const events = countEvents(records);
  return nanos.map((n) => n / 1000 / events);
}

async function open(path: string): Promise<Recording> {
  const recording = await openRecording(path, { onFault: 'stop' });
  if ('code' in recording) throw new Error(recording.message);
  return recording;
}

function submit(sequencer: Sequencer, records: readonly Recorded[]): void {
  for (const [i, { events, receiveTime }] of records.entries()) {
    sequencer.submit(
      1,
      events,
      (result) => assert(!('fault' in result), 'the recording is taken'),
      { receiveTime },
    );
    if (i % SUBMISSIONS === 0) sequencer.drain();
  }
  sequencer.drain();
}

function countEvents(records: readonly Recorded[]): number {
  return records.reduce((sum, { events }) => sum + events.length, 0);
}

function openBroadcaster(clock: SystemClock): Broadcaster {
  return new Broadcaster(
    { ...settings().limits, ...settings().market },
    { publish: () => 1 },
    clock,
  );
}

/** Subscribes to every channel of every instrument. */
function subscribe(broadcaster: Broadcaster): void {
  const session = new Session(
    'reader',
    SUBPROTOCOL_MSGPACK,
    socketWith({}),
    broadcaster.encoders,
    LIMITS,
  );
  broadcaster.enter(session);
  const refused = broadcaster.subscriptions.subscribe(
    session,
    1,
    ['tick:*', 'trade:*', 'bbo:*', 'book:*'],
    0,
  );
  assert(refused === undefined, 'the reader may follow all');
}
