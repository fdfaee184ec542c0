/**
 * The pace of the journal: records per second until all are committed, through the real thread, for each durability
 * and for the bare loop, alternating after each lap, so that noise affects all.
 *
 * The feeder imitates a server that has other work: it appends until some MB wait, then sleeps until a commit, so
 * the second processor is left to the writer. A lap lasts until the writer has nothing left to do, which includes
 * moving the WAL into the file.
 */

import { statSync } from 'node:fs';
import { join } from 'node:path';

import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import type { Durability } from '../../src/journal/journal';
import { openJournal } from '../../src/journal/recover/opening';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { NO_EXTRAS, ROW_FIELDS } from '../../src/journal/write/row-frame';
import type { SqliteJournal } from '../../src/journal/write/sqlite-journal';
import { createThreadWriter } from '../../src/journal/write/thread-writer';
import type { JournalWriter } from '../../src/journal/write/writer';
import { BareInserts } from './bare-inserts';
import { settings } from './generated-market';
import { compared, median, percentile, type BenchResult } from './harness';
import type { JournalRows } from './journal-rows';

export const DURABILITIES: readonly Durability[] = ['async', 'commit', 'fsync'];
const BASELINE = 'bare loop of inserts, 1000 a transaction';
/** With less the writer would wait for the feeder; with more the latencies would be those of the queue. */
const WAITING_BYTES_MAX = 4 * 1_024 * 1_024;

export interface PaceShape {
  /** At least this many, and this long in each durability: 60 s cover a minute at full pace. */
  readonly laps: number;
  readonly secondsMin: number;
  /** Laps that do not count. */
  readonly warmUpLaps: number;
  readonly durabilities: readonly Durability[];
}

export async function measurePace(
  directory: string,
  rows: JournalRows,
  { laps, secondsMin, warmUpLaps, durabilities }: PaceShape,
): Promise<BenchResult[]> {
  const bare = new BareInserts(join(directory, 'bare.sqlite'), rows);
  const bareRates: number[] = [];
  const contenders = durabilities.map((d) => new JournalLaps(join(directory, d), d));
  let lap = 0;
  const isEnough = (): boolean =>
    lap >= warmUpLaps + laps && contenders.every(({ seconds }) => seconds >= secondsMin);
  for (; !isEnough(); lap++) {
    const start = performance.now();
    bare.run(lap * rows.count);
    bareRates.push((rows.count * 1000) / (performance.now() - start));
    for (const contender of contenders) await contender.run(rows, lap * rows.count);
  }
  bare.close();
  const results: BenchResult[] = [];
  for (const contender of contenders) {
    await contender.close();
    const { durability, costs } = contender;
    const counted = costs.slice(warmUpLaps);
    const { sourceEvents, count } = rows;
    const bytes = contender.bytes / (lap * count);
    const result = (what: string, value: number, unit: string): BenchResult => ({
      bench: 'journal',
      case: `${durability}, ${what}`,
      value,
      unit,
    });
    const commits = counted.flatMap(({ commitMs }) => commitMs).sort((a, b) => a - b);
    results.push(
      compared(
        result('pace', median(counted.map((c) => c.rate)), 'records/s'),
        BASELINE,
        median(bareRates.slice(warmUpLaps)),
      ),
      result('main thread', median(counted.map((c) => c.mainNanos)), 'ns/record'),
      result('commit at full pace, p99', percentile(commits, 99), 'ms'),
      result('commit at full pace, longest', commits.at(-1)!, 'ms'),
      result('on disk', bytes, 'bytes/record'),
      result('a day of 10,000 events/s', (bytes * count * 864e6) / sourceEvents / 1e9, 'GB'),
    );
  }
  return results;
}

interface LapCost {
  readonly rate: number;
  readonly mainNanos: number;
  /** For each batch, from append to the report of the commit. */
  readonly commitMs: readonly number[];
}

class JournalLaps {
  readonly durability: Durability;
  readonly costs: LapCost[] = [];
  /** The total of all laps. */
  seconds = 0;
  bytes = 0;
  private readonly directory: string;
  private readonly journal: SqliteJournal;
  private writer: JournalWriter | undefined;
  private wake = (): void => {};
  /** Called for a frame of the bench that the journal does not know. */
  private emptied: (() => void) | undefined;

  constructor(directory: string, durability: Durability) {
    this.directory = directory;
    this.durability = durability;
    const { journal } = settings({ journal: { directory, durability } });
    const opened = openJournal(journal, new SystemClock(), {
      createWriter: (own, db, events) => {
        this.writer = createThreadWriter(own, db, {
          ...events,
          committed: (frames) => {
            if (this.emptied !== undefined) return this.emptied();
            events.committed(frames);
            this.wake();
          },
          failed: (failure) => {
            process.stderr.write(`bench journal: ${failure.message}\n`);
            process.exit(1);
          },
        });
        return this.writer;
      },
    });
    if (opened instanceof StartFault) throw new Error(opened.message);
    this.journal = opened.journal;
    this.journal.begin();
  }

  async run(rows: JournalRows, seq: number): Promise<void> {
    const { journal } = this;
    const waiting: { readonly seq: number; readonly atMs: number }[] = [];
    const commitMs: number[] = [];
    let report = (): void => {};
    this.wake = (): void => {
      const nowMs = performance.now();
      const { committedSeq } = journal.status();
      while (waiting.length > 0 && waiting[0]!.seq <= committedSeq) {
        commitMs.push(nowMs - waiting.shift()!.atMs);
      }
      report();
    };
    let mainMs = 0;
    const batches = [...rows.lapBehind(seq)];
    const startMs = performance.now();
    for (const batch of batches) {
      const atMs = performance.now();
      waiting.push({ seq: batch.lastSeq, atMs });
      journal.append(batch, () => {});
      mainMs += performance.now() - atMs;
      while (journal.status().waitingBytes > WAITING_BYTES_MAX) {
        await new Promise<void>((resolve) => (report = resolve));
      }
    }
    await journal.flush();
    await this.writerIdle();
    const ms = performance.now() - startMs;
    this.seconds += ms / 1000;
    this.costs.push({
      rate: (rows.count * 1000) / ms,
      mainNanos: (mainMs * 1e6) / rows.count,
      commitMs,
    });
  }

  /** After its last commit the writer may still move the WAL; a frame without rows waits for that. */
  private async writerIdle(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.emptied = resolve;
      const numbers = new Float64Array(ROW_FIELDS);
      this.writer!.send({
        rows: 0,
        numbers,
        blobs: new Uint8Array(0),
        texts: [],
        extras: NO_EXTRAS,
      });
    });
    this.emptied = undefined;
  }

  async close(): Promise<void> {
    this.journal.close();
    await this.journal.closed;
    this.bytes = statSync(join(this.directory, JOURNAL_FILE)).size;
  }
}
