/** A journal of an older schema is upgraded and loses nothing. */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { join } from 'node:path';

import { writeCheckpoint } from '../../src/market/checkpoint';
import { StartFault } from '../../src/base/start-fault';
import { openReading } from '../../src/journal/recover/reading';
import { salvage } from '../../src/journal/recover/salvage';
import { SCHEMA_VERSION } from '../../src/journal/schema';
import { book, bbo, instrument, trade, at } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { eventsOf, record, stateOf } from '../support/test-recorder';
import { verify } from './verified';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

interface Written {
  readonly directory: string;
  readonly state: string;
  readonly events: unknown[];
  /** The last checkpoint, as older versions wrote it. */
  readonly whole: string;
}

/** A journal with trades, quotes and books, closed in order or cut off. */
async function written(isClosed: boolean): Promise<Written> {
  const directory = scratch.fresh();
  const { recorder, batches } = record(directory, { snapshotEveryMs: 1 });
  const { sequencer, market, journal } = recorder;
  sequencer.submit(1, [instrument()], () => {});
  for (let i = 1; i <= 600; i++) {
    const eventTime = at(i * 1_000);
    sequencer.submit(
      1,
      [trade({ seq: i, prevSeq: i - 1, price: 10_000 + (i % 7), eventTime })],
      () => {},
      { receiveTime: eventTime },
    );
    const form = i === 1 ? 'snapshot' : 'delta';
    sequencer.submit(1, [book(form, i, i - 1, [9_990, i], [10_020, 7], { eventTime })], () => {}, {
      receiveTime: eventTime,
    });
    sequencer.submit(1, [bbo(i, [9_990, i], [10_020, 7], { eventTime })], () => {}, {
      receiveTime: eventTime,
    });
    if (i % 50 === 0) sequencer.drain();
  }
  sequencer.drain();
  const state = stateOf(market);
  const events = eventsOf(batches);
  const whole = writeCheckpoint({
    ...market.checkpoint(),
    statistics: recorder.statistics.state(),
  });
  if (isClosed) {
    recorder.close();
    await journal.closed;
  } else journal.abandon();
  return { directory, state, events, whole };
}

/**
 * Turns a journal into that of an older version: before schema 4 it had no pieces, before 3 no extra
 * columns; and it had other views.
 */
function asSchema(schema: number, { directory, whole }: Written): string {
  const path = join(directory, 'journal.sqlite');
  const db = new Database(path);
  for (const { name } of db
    .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'view'")
    .all()) {
    db.run(`DROP VIEW "${name}"`);
  }
  if (schema < 4) {
    // One that was cut off has no checkpoint.
    db.run('UPDATE record SET side = 0, prev_seq = 0, text = ?, ref = ? WHERE kind = 10', [
      whole,
      Bun.hash.crc32(whole),
    ]);
    db.run('DROP TABLE piece');
  }
  for (const column of schema < 3 ? ['as_of', 'flags', 'volume_high'] : []) {
    db.run(`ALTER TABLE record DROP COLUMN ${column}`);
  }
  db.run('CREATE VIEW trades AS SELECT id / 8 AS seq FROM record WHERE kind = 3');
  db.run(`PRAGMA user_version = ${schema}`);
  db.run('PRAGMA wal_checkpoint(TRUNCATE)');
  db.close();
  return path;
}

function version(path: string): number {
  const db = new Database(path, { readonly: true });
  const { user_version } = db.query('PRAGMA user_version').get() as { user_version: number };
  db.close();
  return user_version;
}

describe.each([2, 3, 4])('a journal of schema %d', (schema) => {
  for (const isClosed of [true, false]) {
    test(`${isClosed ? 'closed in order' : 'cut off'}: continues where it ended, and is sound`, async () => {
      const before = await written(isClosed);
      const { directory, state, events } = before;
      const path = asSchema(schema, before);
      expect(version(path)).toBe(schema);
      const again = record(directory);
      expect(version(path)).toBe(SCHEMA_VERSION);
      expect(stateOf(again.recorder.market)).toBe(state);
      again.recorder.sequencer.submit(
        1,
        [trade({ seq: 601, prevSeq: 600, eventTime: at(601_000) })],
        (r) => expect(r).toHaveProperty('seq'),
        { receiveTime: at(601_000) },
      );
      again.recorder.sequencer.drain();
      again.recorder.close();
      await again.recorder.journal.closed;
      expect(await verify(directory, true)).toBeObject();
      const read = openReading(directory);
      if (read instanceof StartFault) throw new Error(read.message);
      const seqs = [...read.pages()]
        .flat()
        .filter(({ id }) => id % 8 === 0)
        .map(({ id }) => id / 8);
      read.close();
      expect(seqs.slice(0, events.length)).toEqual(events.map((_, i) => i + 1));
      const db = new Database(path, { readonly: true });
      expect(db.query('SELECT count(*) AS n FROM trades WHERE timing IS NULL').get()).toEqual({
        n: 601,
      });
      db.close();
    });
  }

  test('is not changed by a reader, which is refused with a hint', async () => {
    const older = await written(true);
    const { directory } = older;
    const path = asSchema(schema, older);
    const before = Bun.hash(await Bun.file(path).arrayBuffer());
    const read = openReading(directory);
    expect(read).toBeInstanceOf(StartFault);
    expect(read).toMatchObject({
      code: 'journal-older',
      hint: expect.stringContaining('tapedeck serve') as string,
    });
    expect(Bun.hash(await Bun.file(path).arrayBuffer())).toBe(before);
  });

  test('that is damaged is salvaged into one of this schema, up to the damage', async () => {
    const before = await written(true);
    const { directory, events } = before;
    const path = asSchema(schema, before);
    salvage(directory, 1_000, undefined, at(0));
    expect(version(path)).toBe(SCHEMA_VERSION);
    const again = record(directory);
    expect(again.recorder.sequencer.lastSeq).toBeGreaterThanOrEqual(events.length);
    again.recorder.close();
    await again.recorder.journal.closed;
    const db = new Database(path, { readonly: true });
    expect(db.query('SELECT max(seq) AS seq FROM trades').get()).toEqual({
      seq: (events as { seq: number; type: string }[]).findLast(
        (e) => e.seq <= 1_000 && e.type === 'trade',
      )!.seq,
    });
    db.close();
  });
});
