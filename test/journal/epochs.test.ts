/** Epochs: no two have the same number, not even those of copies, or after the clock was set back. */

import { afterAll, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ManualClock } from '../../src/base/clock';
import { readHead } from '../../src/journal/write/head';
import { at, instrument } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { record, type Recording } from '../support/test-recorder';
import { verifyBoth } from './verified';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** Defines an instrument, which is one event. */
function define({ recorder }: Recording, symbol: string): void {
  const { market, sequencer } = recorder;
  sequencer.act((out) => market.define(instrument(symbol), out));
  sequencer.drain();
}

function epochOf({ recorder }: Recording): number {
  return recorder.sequencer.epoch;
}

test('an older copy that is served after the clock was set back gets an epoch of its own', async () => {
  const directory = scratch.fresh();
  const clock = new ManualClock(at(100));
  const first = record(directory, {}, { clock });
  define(first, 'A');
  first.recorder.close();
  await first.recorder.journal.closed;
  const copy = scratch.copyOf(directory);
  const runs = [directory, copy].map((path) => {
    const run = record(path, {}, { clock: new ManualClock(at(0)) });
    define(run, 'B');
    return run;
  });
  const epochs = [first, ...runs].map(epochOf);
  expect(new Set(epochs).size).toBe(3);
  expect(runs.map(({ recorder }) => recorder.sequencer.lastSeq)).toEqual([2, 2]);
  for (const { recorder } of runs) recorder.close();
  await Promise.all(runs.map(({ recorder }) => recorder.journal.closed));
  for (const path of [directory, copy]) expect(await verifyBoth(path)).toMatchObject({ epochs: 2 });
});

test('a journal whose epochs were times continues and verifies with a smaller epoch; a number in use is drawn again', async () => {
  const directory = scratch.fresh();
  const time = 1_795_369_146_862; // as an older version numbered its epochs
  const bytes = (epoch: number): Uint8Array => {
    const words = new DataView(new ArrayBuffer(8));
    words.setBigUint64(0, BigInt(epoch));
    return new Uint8Array(words.buffer, 1);
  };
  const runs = [[time], [time + 1], [time, time + 1, 0, 5]];
  for (const [i, draws] of runs.entries()) {
    const run = record(directory, {}, { secrets: () => bytes(draws.shift()!) });
    expect(epochOf(run)).toBe([time, time + 1, 5][i]!);
    expect(draws).toEqual([]);
    const past = [...run.recorder.pastEpochs];
    expect(past).toEqual(
      [time, time + 1].slice(0, i).map((epoch, n) => [epoch, { kept: n + 1, pushed: n + 1 }]),
    );
    define(run, `S${i}`);
    if (i === 1) {
      // It was cut off: its records are there, and it has no end.
      const cut = scratch.copyOf(directory);
      expect(await verifyBoth(cut)).toMatchObject({ epochs: 2 });
    }
    run.recorder.close();
    await run.recorder.journal.closed;
    expect(readHead(directory)?.epoch).toBe([time, time + 1, 5][i]);
    expect(readFileSync(join(directory, 'head')).length).toBe(24);
  }
  expect(await verifyBoth(directory)).toMatchObject({ epochs: 3, seqLast: 3 });
});
