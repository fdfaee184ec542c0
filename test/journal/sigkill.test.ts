/** A real process killed with SIGKILL: what it had acknowledged is in its journal exactly once. */

import { afterAll, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Prng } from '../../src/base/prng';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { record } from '../support/test-recorder';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** Runs a writer, kills it at a random time, and returns the last acknowledged seq. */
async function killed(directory: string, durability: string, lines: number): Promise<number> {
  const child = Bun.spawn(
    [
      process.execPath,
      fileURLToPath(import.meta.resolve('./writer-child.ts')),
      directory,
      durability,
    ],
    { stdout: 'pipe', stderr: 'inherit' },
  );
  let text = '';
  const decoder = new TextDecoder();
  let alive = true;
  for await (const bytes of child.stdout) {
    text += decoder.decode(bytes, { stream: true });
    if (alive && text.split('\n').length > lines) {
      child.kill('SIGKILL');
      alive = false; // and its output is read to the end
    }
  }
  await child.exited;
  expect(child.signalCode).toBe('SIGKILL');
  return Number(text.slice(0, text.lastIndexOf('\n')).split('\n').at(-1));
}

test.each(['commit', 'fsync', 'async'])(
  '%s',
  async (durability) => {
    const prng = new Prng(readSeed());
    const directory = scratch.fresh();
    let last = 0;
    for (let run = 0; run < 2; run++) {
      const acknowledged = await killed(directory, durability, prng.int(50, 400));
      const db = new Database(join(directory, 'journal.sqlite'));
      const { n, low, high } = db
        .query(
          'SELECT count(*) AS n, min(id) / 8 AS low, max(id) / 8 AS high FROM record WHERE id % 8 = 0',
        )
        .get() as { n: number; low: number; high: number };
      const epochs = db.query('SELECT first_seq, last_seq FROM epochs ORDER BY first_seq').all();
      const lost = db
        .query('SELECT ifnull(sum(to_seq - from_seq + 1), 0) AS n FROM gaps')
        .get() as { n: number };
      db.close();
      expect([low, n + lost.n]).toEqual([1, high]); // no number is missing or used twice
      if (durability !== 'async') expect(high).toBeGreaterThanOrEqual(acknowledged);
      expect(acknowledged).toBeGreaterThan(last);
      expect(epochs.at(-1)).toEqual({ first_seq: last + 1, last_seq: null });
      const { recorder } = record(directory, { checkpointEveryEvents: 300 });
      // No published number is used again.
      ({ lastSeq: last } = recorder.sequencer);
      expect(last).toBeGreaterThanOrEqual(Math.max(high, acknowledged));
      if (durability !== 'async') expect(last).toBe(high);
      recorder.close();
    }
  },
  30_000,
);
