/** Part of bench `ring`: how long a tick takes to the other process, by three transports. */

import type { Socket, Subprocess } from 'bun';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { StartFault } from '../../src/base/start-fault';
import { RingReader } from '../../src/ipc/ring-reader';
import { compared, median, percentile, type BenchOptions, type BenchResult } from './harness';
import {
  hasIceoryx2,
  LAST,
  openTicks,
  publishTicks,
  RingLine,
  WORD,
  WORDS_BYTES,
  wordsOfFile,
} from './ring-lines';
import type { RingPeerJob } from './ring-peer';
import { startPeer, type AskPeer } from './ring-peers';

/** Sends one tick by a transport, and waits for it to come back. */
type RoundTrip = (n: number) => void | Promise<void>;
interface Way {
  readonly name: 'ring' | 'iceoryx2' | 'bare word' | 'Unix socket';
  /** What the peer does meanwhile. */
  readonly echo: RingPeerJob | null;
  readonly trip: RoundTrip;
  close?(): void;
}

const BASELINE = 'Unix socket';
const PACE_NANOS = 100_000;
/** Of one transport in one round. */
const ROUND_MS = 400;
const TRIPS_MIN = 20;
const TRIPS_MAX = 500_000;
const PERCENTS = [50, 99] as const;

export async function latency(
  { quick }: BenchOptions,
  directory: string,
  running: Subprocess[],
): Promise<BenchResult[]> {
  const ask = startPeer(running);
  const ways: Way[] = [
    await ringWay(ask, directory),
    wordWay(directory),
    await socketWay(ask, directory),
  ];
  if (hasIceoryx2()) ways.push(await iceoryx2Way(ask));
  const results: BenchResult[] = [];
  for (const pace of ['paced at 10,000/s', 'full speed'] as const) {
    const samples = new Map(ways.map(({ name }) => [name, [] as number[]]));
    const rounds = quick ? 1 : 9;
    for (let round = -1; round < rounds; round++) {
      for (const { name, trip, echo } of ways) {
        const echoed = echo === null ? null : ask(echo);
        const paceNanos = pace === 'full speed' ? 0 : PACE_NANOS;
        const nanos = await trips(trip, quick ? 5 : ROUND_MS, paceNanos);
        await trip(LAST);
        await echoed;
        if (round >= 0) samples.get(name)!.push(...PERCENTS.map((p) => percentile(nanos, p)));
      }
    }
    results.push(...resultsOf(samples, pace));
  }
  for (const way of ways) way.close?.();
  await ask({ act: 'close' });
  return results;
}

/**
 * Half of the round-trip time of each trip; ascending. A round ends by the clock: where other processes want the
 * processors too, a trip takes as long as the system keeps one of the two waiting.
 */
async function trips(trip: RoundTrip, millis: number, paceNanos: number): Promise<Float64Array> {
  const nanos = new Float64Array(TRIPS_MAX);
  const end = Bun.nanoseconds() + millis * 1e6;
  let next = Bun.nanoseconds();
  let n = 0;
  for (; n < TRIPS_MAX && (n < TRIPS_MIN || next < end); n++) {
    next += paceNanos;
    while (Bun.nanoseconds() < next);
    const start = Bun.nanoseconds();
    const waiting = trip(n);
    if (waiting !== undefined) await waiting;
    nanos[n] = (Bun.nanoseconds() - start) / 2;
    if (next < start) next = start;
  }
  return nanos.subarray(0, n).sort();
}

/** The median of the rounds for each percentile. */
function resultsOf(samples: Map<string, number[]>, pace: string): BenchResult[] {
  const of = (name: string, p: number): number =>
    median(samples.get(name)!.filter((_, i) => i % PERCENTS.length === p)) / 1_000;
  return [...samples.keys()].flatMap((name) =>
    name === BASELINE
      ? []
      : PERCENTS.map((percent, p) => {
          const result = {
            bench: 'ring',
            case: `${name}, one way, ${pace}, p${percent}`,
            value: of(name, p),
            unit: 'µs',
          };
          return compared(result, BASELINE, of(BASELINE, p));
        }),
  );
}

async function ringWay(ask: AskPeer, directory: string): Promise<Way> {
  const [to, back] = [join(directory, 'to'), join(directory, 'back')];
  const line = new RingLine(to);
  await ask({ act: 'open', to, back });
  const reader = RingReader.open(back);
  if (reader instanceof StartFault) throw new Error(reader.message);
  const trip = (n: number): void => {
    line.send(n);
    while (reader.poll() !== 'record');
    if (reader.record.last !== n) throw new Error(`${n} came back as ${reader.record.last}`);
  };
  return { name: 'ring', echo: { act: 'echo', way: 'ring' }, trip, close: () => line.close() };
}

function wordWay(directory: string): Way {
  const path = join(directory, 'words');
  writeFileSync(path, new Uint8Array(WORDS_BYTES));
  const words = wordsOfFile(path);
  const trip = (n: number): void => {
    Atomics.store(words, WORD.to, n === LAST ? n : n + 1);
    while (Atomics.load(words, WORD.back) !== Atomics.load(words, WORD.to));
  };
  return { name: 'bare word', echo: { act: 'echo-word', path }, trip };
}

async function iceoryx2Way(ask: AskPeer): Promise<Way> {
  const [to, back] = ['to', 'back'].map((way) => `tapedeck-bench/${process.pid}/${way}`) as [
    string,
    string,
  ];
  const out = publishTicks(to);
  await ask({ act: 'publish', to, back });
  const input = openTicks(back);
  await ask({ act: 'subscribe', to, back });
  const trip = (n: number): void => {
    out.send(n);
    while (!input.receive());
    if (input.last !== n) throw new Error(`${n} came back as ${input.last}`);
  };
  return {
    name: 'iceoryx2',
    echo: { act: 'echo', way: 'iceoryx2' },
    trip,
    close: () => (input.close(), out.close()),
  };
}

async function socketWay(ask: AskPeer, directory: string): Promise<Way> {
  const path = join(directory, 'socket');
  await ask({ act: 'listen', path, echo: true });
  const bytes = new Uint8Array(128);
  let waiting = 0;
  let done: () => void = () => {};
  const socket: Socket = await Bun.connect({
    unix: path,
    socket: {
      data: (_, data) => {
        waiting -= data.length;
        if (waiting === 0) done();
      },
    },
  });
  const trip = (): Promise<void> =>
    new Promise((resolve) => {
      done = resolve;
      waiting = bytes.length;
      socket.write(bytes);
    });
  return { name: BASELINE, echo: null, trip };
}
