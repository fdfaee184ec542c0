/**
 * Bench `journal`: the cost of recording everything, by durability: the pace of the journal compared with a bare
 * loop of inserts, the space on disk, and the latency of the push that waits for it. `--seconds 60` keeps the pace
 * up for a minute in each durability.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { BenchOptions, BenchResult } from './harness';
import { DURABILITIES, measurePace, type PaceShape } from './journal-pace';
import { measurePush, type PushShape } from './journal-push';
import { JournalRows } from './journal-rows';

interface JournalShape {
  /** Source events in a lap; each makes about one and a half records. */
  readonly lapEvents: number;
  /** In a turn of the sequencer. */
  readonly batchEvents: number;
  readonly pace: Omit<PaceShape, 'secondsMin'>;
  readonly push: PushShape;
}

const FULL: JournalShape = {
  lapEvents: 200_000,
  batchEvents: 1_000,
  pace: { laps: 11, warmUpLaps: 1, durabilities: DURABILITIES },
  push: { rounds: 5, roundMs: 4_000, warmUpMs: 1_000, eventsPerSecond: 10_000, events: 10 },
};
const QUICK: JournalShape = {
  lapEvents: 400,
  batchEvents: 100,
  pace: { laps: 1, warmUpLaps: 0, durabilities: DURABILITIES },
  push: { rounds: 1, roundMs: 100, warmUpMs: 50, eventsPerSecond: 1_000, events: 10 },
};

export async function journalBench({
  quick,
  secondsMin = 0,
}: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  try {
    const rows = new JournalRows(shape.lapEvents, shape.batchEvents);
    const results = await measurePace(directory, rows, { ...shape.pace, secondsMin });
    return [...results, ...(await measurePush(directory, shape.push))];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
