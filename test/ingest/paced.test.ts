import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { Nanos } from '../../protocol/time';
import { ManualClock, SystemClock } from '../../src/base/clock';
import { paced, systemTimers, type Speed, type Timers } from '../../src/ingest/recording/paced';
import type { RecordedBatch } from '../../src/ingest/recording/record';
import { ACME } from './support';

const START = Nanos.fromSeconds(1_700_000_000, 123);

/** A recording with lines at these nanoseconds after the start; null for a line without a time. */
async function* recorded(...batches: (number | null)[][]): AsyncGenerator<RecordedBatch> {
  let line = 0;
  for (const times of batches) {
    const records = times.map((time) => ({
      line: (line += 1),
      receiveTime: time === null ? Nanos.ZERO : START.plus(time),
      events: [ACME],
    }));
    yield await Promise.resolve({ records, faults: [] });
  }
}

/** Timers that advance the clock at once, by the requested time or by what `fires` makes of it. */
class SteeredTimers implements Timers {
  readonly sleeps: number[] = [];
  private readonly clock: ManualClock;
  private readonly fires: (ms: number) => number;

  constructor(clock: ManualClock, fires: (ms: number) => number = (ms) => ms) {
    this.clock = clock;
    this.fires = fires;
  }

  sleep(ms: number): Promise<void> {
    this.sleeps.push(ms);
    this.clock.advance(Math.ceil(this.fires(ms) * 1e6));
    return Promise.resolve();
  }
}

interface Delivery {
  atMs: number;
  lines: number[];
}

async function deliveries(
  recording: AsyncIterable<RecordedBatch>,
  clock: ManualClock,
  speed: Speed,
  timers: Timers,
): Promise<Delivery[]> {
  const out: Delivery[] = [];
  for await (const batch of paced(recording, { speed, clock, timers })) {
    out.push({ atMs: clock.monotonicMs(), lines: batch.records.map((r) => r.line) });
  }
  return out;
}

const MS = 1e6;

describe('paced', () => {
  test('lines are delivered at their own times; what is due together is delivered together', async () => {
    const clock = new ManualClock();
    const timers = new SteeredTimers(clock);
    const found = await deliveries(recorded([0, 0, 5 * MS, 5 * MS, 9.5 * MS]), clock, 1, timers);
    expect(found).toEqual([
      { atMs: 0, lines: [1, 2] },
      { atMs: 5, lines: [3, 4] },
      { atMs: 9.5, lines: [5] },
    ]);
    expect(timers.sleeps).toEqual([5, 4.5]);
  });

  test('×N divides all times, across batches', async () => {
    const clock = new ManualClock();
    const found = await deliveries(
      recorded([0, 10 * MS], [30 * MS]),
      clock,
      10,
      new SteeredTimers(clock),
    );
    expect(found.map((d) => d.atMs)).toEqual([0, 1, 3]);
  });

  test('max waits for nothing and passes batches on unchanged', async () => {
    const clock = new ManualClock();
    const timers = new SteeredTimers(clock);
    const found = await deliveries(recorded([0, 1e15], [2e15]), clock, 'max', timers);
    expect(found.map((d) => d.lines)).toEqual([[1, 2], [3]]);
    expect(timers.sleeps).toEqual([]);
  });

  test('a time that steps back, or none, is due at once and delays nothing', async () => {
    const clock = new ManualClock();
    const times = [null, 0, 10 * MS, -1e15, null, 3 * MS, 20 * MS];
    const found = await deliveries(recorded(times), clock, 1, new SteeredTimers(clock));
    expect(found).toEqual([
      { atMs: 0, lines: [1, 2] },
      { atMs: 10, lines: [3, 4, 5, 6] },
      { atMs: 20, lines: [7] },
    ]);
  });

  test('a timer that fires early delivers nothing early; one that fires late catches up', async () => {
    const early = new ManualClock();
    const timers = new SteeredTimers(early, (ms) => Math.max(ms / 2, 0.5));
    const found = await deliveries(recorded([0, 4 * MS]), early, 1, timers);
    expect(found.map((d) => d.lines)).toEqual([[1], [2]]);
    expect(found[1]!.atMs).toBeGreaterThanOrEqual(4);
    const late = new ManualClock();
    const times = [0, 1 * MS, 2 * MS, 3 * MS, 9 * MS];
    const lines = await deliveries(recorded(times), late, 1, new SteeredTimers(late, () => 4));
    expect(lines.map((d) => d.lines)).toEqual([[1], [2, 3, 4], [5]]);
  });

  test('a slow reader gets the rest at once', async () => {
    const clock = new ManualClock();
    const timers = new SteeredTimers(clock);
    const lines: number[] = [];
    const times = Array.from({ length: 100 }, (_, i) => i * MS);
    for await (const batch of paced(recorded(times), { speed: 1, clock, timers })) {
      lines.push(batch.records.length);
      clock.advance(50 * MS);
    }
    expect(lines.reduce((a, b) => a + b)).toBe(100);
    expect(lines.length).toBeLessThan(5);
  });

  test('faults are delivered with the lines before them, none is lost', async () => {
    const clock = new ManualClock();
    const fault = (line: number) => ({ file: 'f', line, code: 'not-utf8' as const, message: '' });
    async function* recording(): AsyncGenerator<RecordedBatch> {
      const record = (line: number, ms: number) => ({
        line,
        receiveTime: START.plus(ms * MS),
        events: [ACME],
      });
      yield { records: [record(1, 0), record(3, 5)], faults: [fault(2), fault(4)] };
      yield await Promise.resolve({ records: [], faults: [fault(5)] });
    }
    const out: [number[], number[]][] = [];
    const timers = new SteeredTimers(clock);
    for await (const b of paced(recording(), { speed: 1, clock, timers })) {
      out.push([b.records.map((r) => r.line), b.faults.map((f) => f.line)]);
    }
    expect(out).toEqual([
      [[1], [2]],
      [[3], [4]],
      [[], [5]],
    ]);
  });

  test('a distant time is waited for in steps; the signal ends the wait', async () => {
    const abort = new AbortController();
    const sleeps: number[] = [];
    const clock = new ManualClock();
    const timers: Timers = {
      sleep(ms) {
        sleeps.push(ms);
        clock.advance(ms * MS);
        if (sleeps.length === 3) abort.abort();
        return Promise.resolve();
      },
    };
    let count = 0;
    const day = 24 * 3600e9;
    const options = { speed: 1, clock, timers, signal: abort.signal };
    for await (const batch of paced(recorded([0, day]), options)) count += batch.records.length;
    expect(count).toBe(1);
    expect(sleeps).toEqual([3_600_000, 3_600_000, 3_600_000]);
  });

  test('system timers: not early, ended by the signal', async () => {
    const clock = new SystemClock();
    const start = clock.monotonicMs();
    const found: number[] = [];
    for await (const batch of paced(recorded([0, 10 * MS, 10.2 * MS, 25 * MS]), {
      speed: 1,
      clock,
    })) {
      for (const record of batch.records) {
        const due = record.receiveTime.since(START) / MS;
        found.push(clock.monotonicMs() - start - due);
      }
    }
    expect(found).toHaveLength(4);
    expect(Math.min(...found)).toBeGreaterThanOrEqual(0);
    const abort = new AbortController();
    const slept = systemTimers.sleep(60_000, abort.signal);
    abort.abort();
    await slept;
    await systemTimers.sleep(60_000, abort.signal);
  });

  test('every line is delivered once, in order and not early, for any times', async () => {
    const time = fc.oneof(fc.constant(null), fc.integer({ min: -1e9, max: 1e12 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(time, { maxLength: 20 }), { maxLength: 8 }),
        fc.constantFrom(0.5, 1, 3, 1000),
        fc.double({ min: 0.3, max: 3, noNaN: true }),
        async (batches, speed, stretch) => {
          const clock = new ManualClock();
          const timers = new SteeredTimers(clock, (ms) => Math.max(ms * stretch, 0.001));
          const found = await deliveries(recorded(...batches), clock, speed, timers);
          const times = batches.flat();
          const origin = times.find((t) => t !== null) ?? 0;
          expect(found.flatMap((d) => d.lines)).toEqual(times.map((_, i) => i + 1));
          for (const { atMs, lines } of found) {
            for (const line of lines) {
              const due = ((times[line - 1] ?? origin) - origin) / MS / speed;
              expect(atMs).toBeGreaterThanOrEqual(due - 1e-6);
            }
          }
        },
      ),
    );
  });
});
