/** The WAL stays short, even if the journal is read all the time. */

import { Database } from 'bun:sqlite';
import { afterAll, expect, test } from 'bun:test';
import { statSync } from 'node:fs';

import { WalMover } from '../../src/journal/write/wal-mover';
import { ScratchDirectory } from '../support/scratch-directory';
import { until } from '../support/until';

const MEGABYTE = 1_048_576;
const WRITTEN = 60;
const LONG = 4;

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

test('a WAL that is always being read is restarted all the same', async () => {
  const path = scratch.fresh();
  const db = new Database(path);
  db.run('PRAGMA journal_mode = WAL');
  db.run('PRAGMA synchronous = OFF');
  db.run('PRAGMA wal_autocheckpoint = 0');
  db.run('CREATE TABLE filled (content BLOB)');
  const mover = new WalMover(db, path, LONG * MEGABYTE);
  const reader = new Worker(new URL('wal-reader-child.ts', import.meta.url).href);
  const seen = { readings: 0 };
  reader.onmessage = (): void => void (seen.readings += 1);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
  reader.postMessage(path);
  await until(() => seen.readings !== 0);
  const insert = db.query('INSERT INTO filled VALUES (zeroblob(?))');
  try {
    for (let i = 0; i < WRITTEN; i++) {
      insert.run(MEGABYTE);
      mover.written(20 * MEGABYTE); // due at once
      await Bun.sleep(10);
      mover.between(true);
    }
    expect(seen.readings).toBeGreaterThan(2);
    // The size of a WAL that is never restarted.
    expect(statSync(`${path}-wal`).size).toBeLessThan((WRITTEN / 2) * MEGABYTE);
  } finally {
    reader.terminate();
    mover.close();
    db.close();
  }
}, 60_000);
