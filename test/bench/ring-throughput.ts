/** Part of bench `ring`: records a second to readers, and what a record costs the publishing thread. */

import type { Subprocess } from 'bun';
import { join } from 'node:path';

import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { RingPublisher } from '../../src/ipc/ring-publisher';
import { generateMarket, runMarket } from './generated-market';
import {
  compared,
  median,
  roundsOf,
  timeInTurn,
  type BenchOptions,
  type BenchResult,
  type Contender,
} from './harness';
import { endAll } from './processes';
import { DEFINITION, tickOfBench } from './ring-lines';
import { startPeer } from './ring-peers';

const SLOTS = 65_536;
const BATCH = 64;
const SHARED = 1_024;
const READERS = [1, 4] as const;
const SYMBOLS = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT', 'ADAUSDT'];

function openRing(path: string): RingPublisher {
  const opened = RingPublisher.open({ path, slots: SLOTS, entries: 16 }, 1, new ManualClock());
  if (opened instanceof StartFault) throw new Error(opened.message);
  return opened;
}

export async function throughput(
  { quick }: BenchOptions,
  directory: string,
  running: Subprocess[],
): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  const millis = quick ? 50 : 1_000;
  const rounds = quick ? 1 : 7;
  for (const readers of READERS) {
    const peers = Array.from({ length: readers }, () => startPeer(running));
    const rates: number[] = [];
    const baseline: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const path = join(directory, `r${readers}-${round}`);
      const ring = openRing(path);
      await Promise.all(peers.map((ask) => ask({ act: 'attach', path })));
      const reading = peers.map((ask) => ask({ act: 'read' }));
      await Bun.sleep(quick ? 10 : 50); // until they poll
      writeFor(ring, millis);
      ring.close();
      const done = await Promise.all(reading);
      rates.push(Math.min(...done.map(({ perSecond }) => perSecond)));
      if (readers === 1) baseline.push(await socketRate(peers[0]!, `${path}.socket`, millis));
    }
    await endAll(running);
    const name = readers === 1 ? 'records to one reader' : `records to each of ${readers} readers`;
    const result = { bench: 'ring', case: name, value: median(rates), unit: 'records/s' };
    results.push(readers === 1 ? compared(result, 'Unix socket', median(baseline)) : result);
  }
  return results;
}

function writeFor(ring: RingPublisher, millis: number): void {
  const batches = Array.from({ length: SHARED / BATCH }, (_, b) => ({
    lastSeq: 2,
    events: Array.from({ length: BATCH }, (__, i) => tickOfBench(i, 2 + b * BATCH + i)),
  }));
  ring.accept({ lastSeq: 1, events: [DEFINITION] });
  const end = Bun.nanoseconds() + millis * 1e6;
  while (Bun.nanoseconds() < end) for (const batch of batches) ring.accept(batch);
}

/** The same bytes through a Unix socket of Bun, as fast as it accepts them. */
async function socketRate(
  ask: ReturnType<typeof startPeer>,
  path: string,
  millis: number,
): Promise<number> {
  await ask({ act: 'listen', path, echo: false });
  const bytes = new Uint8Array(BATCH * 128);
  let drained: () => void = () => {};
  const socket = await Bun.connect({ unix: path, socket: { data() {}, drain: () => drained() } });
  const end = Bun.nanoseconds() + millis * 1e6;
  while (Bun.nanoseconds() < end) {
    const written = socket.write(bytes);
    if (written < bytes.length) await new Promise<void>((resolve) => (drained = resolve));
  }
  socket.end();
  await Bun.sleep(20);
  return (await ask({ act: 'count' })).perSecond;
}

/** Nanoseconds a record, by the number of events in a batch; compared with bare stores of the same bytes. */
export function publishingCosts(options: BenchOptions, directory: string): BenchResult[] {
  const start = Nanos.fromSeconds(1_723_161_253, 937_085_768);
  const source = generateMarket({ symbols: SYMBOLS, events: 4_000, seed: 1, start });
  const { made } = runMarket(source, new ManualClock(start));
  const definitions = made.filter(({ type }) => type === 'instrument');
  const events = made.filter(({ type }) => type !== 'instrument').slice(-2_000);
  const ring = openRing(join(directory, 'cost'));
  ring.accept({ lastSeq: definitions.length, events: definitions });
  const contenders = [1, 10, 100, 1_000].map((size): Contender => {
    const batches = batchesOf(events, size);
    return {
      name: size === 1 ? 'publishing, an event a batch' : `publishing, ${size} events a batch`,
      run: () => {
        const before = ring.records;
        for (const batch of batches) ring.accept(batch);
        return ring.records - before;
      },
    };
  });
  const baseline = bareStores();
  const nanos = timeInTurn([...contenders, baseline], roundsOf(options));
  ring.close();
  return contenders.map(({ name }) =>
    compared(
      { bench: 'ring', case: name, value: nanos.get(name)!, unit: 'ns/record' },
      baseline.name,
      nanos.get(baseline.name)!,
    ),
  );
}

function batchesOf(events: readonly BatchEvent[], size: number) {
  const batches: { lastSeq: number; events: readonly BatchEvent[] }[] = [];
  for (let i = 0; i < events.length; i += size) {
    const some = events.slice(i, i + size);
    batches.push({ lastSeq: some.at(-1)!.seq, events: some });
  }
  return batches;
}

function bareStores(): Contender {
  const words = new Float64Array(SLOTS * 16);
  let at = 0;
  const run = (): number => {
    for (let n = 0; n < SHARED; n++) {
      for (let i = 0; i < 16; i++) words[at + i] = n + i;
      at = (at + 16) & (SLOTS * 16 - 1);
    }
    return SHARED;
  };
  return { name: 'bare stores of 128 bytes', run };
}
