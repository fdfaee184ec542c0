/**
 * Old records are deleted in the background; what a start needs stays, and the loss is declared.
 */

import { afterAll, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { join } from 'node:path';

import type { SourceEvent } from '../../protocol/messages';
import { SystemClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { HistoryReader } from '../../src/journal/history/reader';
import { createThreadWriter } from '../../src/journal/write/thread-writer';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import { StartFault } from '../../src/base/start-fault';
import { FakeSource } from '../support/fake-source';
import { instrument } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { stateOf, testConfig } from '../support/test-recorder';
import { until } from '../support/until';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const BYTES = 1_500_000;

function open(directory: string, hours: number, bytes: number): Recorder {
  const config = testConfig(directory, {
    checkpointEveryEvents: 2_000,
    snapshotEveryMs: 1_000,
    retention: { hours, bytes },
  });
  const recorder = openRecorder(config, new SystemClock(), {
    createWriter: createThreadWriter,
  });
  if (recorder instanceof StartFault) throw new Error(recorder.message);
  return recorder;
}

/** Sends events of a busy instrument until a number of records is committed. */
async function fill(recorder: Recorder, source: FakeSource, rounds: number): Promise<void> {
  const { sequencer } = recorder;
  for (let i = 0; i < rounds; i++) {
    const from = source.seq;
    source.advance(2);
    const events: SourceEvent[] = [source.delta(from, source.seq), source.trade(), source.trade()];
    sequencer.submit(1, events, (result) => {
      if ('fault' in result) throw new Error(result.fault.message);
    });
    if (i % 200 === 199) {
      sequencer.drain();
      await recorder.journal.flush();
    }
  }
  sequencer.drain();
  await recorder.journal.flush();
}

function query<T>(directory: string, sql: string): T[] {
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  const rows = db.query(sql).all() as T[];
  db.close();
  return rows;
}

function usedBytes(directory: string): number {
  const pragma = (name: string): number =>
    Object.values(query<Record<string, number>>(directory, `PRAGMA ${name}`)[0]!)[0]!;
  return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
}

test('by size: the oldest records are deleted, the gap is declared, and the market is the same after a restart', async () => {
  const directory = scratch.fresh();
  const recorder = open(directory, 0, BYTES);
  const quiet = new FakeSource(new Prng(1), 'QUIET');
  const busy = new FakeSource(new Prng(2), 'BUSY');
  const first = [
    instrument('QUIET'),
    quiet.snapshot(quiet.seq),
    instrument('BUSY'),
    busy.snapshot(busy.seq),
  ];
  recorder.sequencer.submit(1, first, () => {});
  await fill(recorder, busy, 8_000);
  await until(() => usedBytes(directory) <= BYTES, 'it is small enough');
  // The book of the quiet instrument was too old, so it was written again.
  await until(() => {
    recorder.sequencer.drain();
    const [row] = query<{ n: number }>(
      directory,
      "SELECT count(*) AS n FROM snapshots WHERE symbol = 'QUIET'",
    );
    return row!.n > 0;
  }, 'the quiet book is there');
  const gaps = query<{ from_seq: number; to_seq: number; reason: string }>(
    directory,
    'SELECT from_seq, to_seq, reason FROM gaps',
  );
  expect(gaps).toMatchObject([{ from_seq: 1, reason: 'retention' }]);
  const [oldest] = query<{ seq: number }>(
    directory,
    'SELECT min(id) / 8 AS seq FROM record WHERE id % 8 = 0',
  );
  expect(oldest!.seq).toBe(gaps[0]!.to_seq + 1);
  const [blocks] = query<{ first: number; parts: number }>(
    directory,
    'SELECT min(first_id) / 8 AS first, (SELECT min(last_id) FROM part) AS parts FROM block',
  );
  expect(blocks!.first).toBe(oldest!.seq);
  expect(blocks!.parts).toBeGreaterThan(gaps[0]!.to_seq * 8);
  const reader = new HistoryReader(join(directory, 'journal.sqlite'));
  const now = new SystemClock().now();
  const book = reader.answer({ kind: 'book', symbol: 'QUIET', at: { hi: now.hi, lo: now.lo } });
  expect(book).toHaveProperty('bids');
  reader.close();
  const state = stateOf(recorder.market);
  recorder.close();
  expect(await recorder.journal.closed).toBeUndefined();
  const again = open(directory, 0, BYTES);
  expect(stateOf(again.market)).toBe(state);
  again.close();
  await again.journal.closed;
}, 60_000);

test('by age: only older records are deleted, and never those that the next start needs', async () => {
  const directory = scratch.fresh();
  const recorder = open(directory, 1, 0);
  const busy = new FakeSource(new Prng(3), 'BUSY');
  recorder.sequencer.submit(1, [instrument('BUSY'), busy.snapshot(busy.seq)], () => {});
  await fill(recorder, busy, 2_000);
  const ids = query<{ last_id: number }>(directory, 'SELECT last_id FROM block ORDER BY last_id');
  expect(ids.length).toBeGreaterThan(6);
  await Bun.sleep(1_200); // one retention step
  expect(query(directory, 'SELECT * FROM gaps')).toEqual([]);
  // All blocks but the newest two were written two hours ago.
  const db = new Database(join(directory, 'journal.sqlite'));
  db.run('PRAGMA busy_timeout = 5000');
  db.run('UPDATE block SET written = written - 7200 WHERE last_id <= ?', [ids.at(-3)!.last_id]);
  db.close();
  await until(() => {
    const [row] = query<{ id: number }>(directory, 'SELECT min(last_id) AS id FROM block');
    return row!.id >= ids.at(-3)!.last_id || row!.id > newestCheckpoint(directory);
  }, 'the old ones are gone');
  const [kept] = query<{ id: number }>(directory, 'SELECT max(id) AS id FROM note WHERE kind = 10');
  expect(kept!.id).toBeGreaterThan(0);
  recorder.close();
  await recorder.journal.closed;
}, 60_000);

function newestCheckpoint(directory: string): number {
  return query<{ id: number }>(directory, 'SELECT max(id) AS id FROM note WHERE kind = 10')[0]!.id;
}
