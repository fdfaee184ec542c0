/**
 * Views of the journal, for people with any SQL tool; a start replaces them if they are not the
 * current ones.
 */

import { Database } from 'bun:sqlite';
import { afterAll, expect, test } from 'bun:test';
import { join } from 'node:path';

import { instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { record } from '../support/test-recorder';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

test.each([
  ['one that is damaged', ['DROP VIEW gaps', 'CREATE VIEW gaps AS SELECT * FROM oote']],
  ['one that is missing', ['DROP VIEW trades']],
  ['one of another version', ['CREATE VIEW older AS SELECT 1']],
])('%s', async (_, changes) => {
  const directory = scratch.fresh();
  const first = record(directory).recorder;
  first.sequencer.submit(1, [instrument('A'), trade({ symbol: 'A' })], () => {});
  first.close();
  await first.journal.closed;
  const path = join(directory, 'journal.sqlite');
  const views = (): object[] => {
    const db = new Database(path);
    const all = db.query("SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY name");
    const rows = all.all() as object[];
    db.close();
    return rows;
  };
  const before = views();
  const db = new Database(path);
  for (const sql of changes) db.run(sql);
  db.close();
  expect(views()).not.toEqual(before);
  const second = record(directory).recorder;
  second.close();
  await second.journal.closed;
  expect(views()).toEqual(before);
});
