/** Verify: sound journals, however they ended, and each kind of damage, which is found and named. */

import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { pieceCrc, PiecePacker, unpackPiece, type PieceRow } from '../../src/journal/write/piece';
import { openRecording } from '../../src/ingest/recording/recording';
import { Prng } from '../../src/base/prng';
import type { RecordRow } from '../../src/journal/records';
import { RowFrameWriter } from '../../src/journal/write/row-frame';
import { RowWriter } from '../../src/journal/write/row-writer';
import { SELECT_RECORD } from '../../src/journal/schema';
import { connectToRead } from '../../src/journal/read-connection';
import { stateHash } from '../../src/market/state-hash';
import type { Verified } from '../../src/verify/verify';
import { Journaled } from '../orders/journaled';
import { randomScript } from '../orders/script';
import { readSeed } from '../support/seed';
import { contentOf, ScratchDirectory } from '../support/scratch-directory';
import { record, type Recording } from '../support/test-recorder';
import { deep } from '../support/tier';
import { verify, verifyBoth } from './verified';

const TAPES = join(import.meta.dir, '../../fixtures/tapes');
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

async function importTape(name: string, { recorder }: Recording): Promise<void> {
  const recording = await openRecording(join(TAPES, name), { onFault: 'skip' });
  if ('code' in recording) throw new Error(recording.message);
  for await (const { records } of recording) {
    for (const { events, receiveTime } of records) {
      recorder.sequencer.submit(1, events, () => {}, { receiveTime });
      recorder.sequencer.drain();
    }
  }
}

describe('a sound journal', () => {
  const names = readdirSync(TAPES).filter((name) => /\.(ndjson|txt)$/.test(name));
  test.each(names)('of %s: while written, after a crash, closed, opened again', async (name) => {
    const directory = scratch.fresh();
    const written = record(directory, { snapshotEveryMs: 1 });
    await importTape(name, written);
    const { market, sequencer } = written.recorder;
    const found = await verifyBoth(directory);
    expect(found).toEqual({
      records: sequencer.lastSeq,
      seqFirst: 1,
      seqLast: sequencer.lastSeq,
      epochs: 1,
      stateHash: stateHash(market),
    });
    const crashed = scratch.copyOf(directory);
    const before = contentOf(crashed);
    expect(await verifyBoth(crashed)).toEqual(found);
    expect(contentOf(crashed)).toEqual(before);
    written.recorder.close();
    const files = readdirSync(directory);
    expect(await verifyBoth(directory)).toEqual(found);
    expect(readdirSync(directory)).toEqual(files); // not even an index of a WAL

    // A start after a crash notes nothing of the market here, so the market is unchanged.
    const again = record(crashed);
    expect(stateHash(again.recorder.market)).toBe((found as Verified).stateHash);
    again.recorder.close();
    expect(await verifyBoth(crashed)).toEqual({ ...(found as Verified), epochs: 2 });
  });

  test('of venues, with checkpoints in between', async () => {
    const run = Journaled.create(scratch.fresh(), 150);
    run.execute(randomScript(11, 600, true), 5, 0);
    const found = await verifyBoth(run.directory);
    expect(found).toMatchObject({ stateHash: stateHash(run.recorder.market) });
    expect(await verifyBoth(run.crash(scratch.fresh()))).toEqual(found);
    run.recorder.close();
    expect(await verifyBoth(run.directory)).toEqual(found);
  });

  test('without a record', async () => {
    const directory = scratch.fresh();
    record(directory).recorder.close();
    expect(await verifyBoth(directory)).toMatchObject({
      records: 0,
      seqFirst: 0,
      seqLast: 0,
      epochs: 1,
    });
  });

  test('equal markets have equal hashes, different ones have different hashes', () => {
    const hashes = [7, 7, 8].map((seed) => {
      const run = Journaled.create(scratch.fresh());
      run.execute(randomScript(seed, 100, true), 5, 0);
      const hash = stateHash(run.recorder.market);
      run.abandon();
      return hash;
    });
    expect(hashes[0]).toMatch(/^[0-9a-f]{16}$/);
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).not.toBe(hashes[0]);
  });
});

test('no journal, another program, a newer version', async () => {
  const directory = scratch.fresh();
  expect(await verify(directory)).toStartWith('no-journal: ');
  record(directory).recorder.close();
  const db = new Database(join(directory, 'journal.sqlite'));
  db.run('PRAGMA user_version = 99');
  expect(await verify(directory)).toStartWith('journal-newer: ');
  db.run('PRAGMA application_id = 7');
  expect(await verify(directory)).toStartWith('journal-foreign: ');
  db.close();
});

describe('damage', () => {
  let feed: string;
  let crashedFeed: string;
  let venue: string;

  beforeAll(async () => {
    feed = scratch.fresh();
    const written = record(feed, { snapshotEveryMs: 1 });
    await importTape('two-instruments.ndjson', written);
    crashedFeed = scratch.copyOf(feed);
    written.recorder.close();
    const run = Journaled.create(scratch.fresh(), 1_000);
    run.execute(randomScript(5, 1_500, true), 5, 0);
    run.recorder.close();
    venue = run.directory;
  });

  /** A copy in which statements were run. */
  function changed(directory: string, ...statements: string[]): string {
    const copy = scratch.copyOf(directory);
    const db = new Database(join(copy, 'journal.sqlite'));
    for (const sql of statements) {
      const { changes } = db.run(sql);
      if (!sql.startsWith('ALTER')) expect([sql, changes]).not.toEqual([sql, 0]);
    }
    db.close();
    return copy;
  }

  /** The result of verifying a copy in which a statement was run. */
  async function after(directory: string, sql: string, isReplayed = false): Promise<string> {
    const found = await verify(changed(directory, sql), isReplayed);
    if (typeof found !== 'string') throw new Error(`not found: ${sql}`);
    return found;
  }

  const first = (kind: number): string => `id = (SELECT min(id) FROM record WHERE kind = ${kind})`;
  const last = (kind: number): string => `id = (SELECT max(id) FROM record WHERE kind = ${kind})`;
  const inside = 'id = (SELECT max(id) / 16 * 8 FROM record)';

  const CHANGES: readonly (readonly [string, string, RegExp])[] = [
    ['DELETE', `DELETE FROM record WHERE ${inside}`, /^record \d+ is missing$/],
    [
      'INSERT',
      `INSERT INTO record (id, kind, instrument, prev_seq, event_time, receive_time) SELECT max(id) / 8 * 8 + 80, 3, 1, 0, 1, 1 FROM record`,
      /is missing|no such record|does not read|in no block|ends at/,
    ],
    [
      'chain',
      `UPDATE record SET prev_seq = prev_seq + 1 WHERE ${last(3)}`,
      /prevSeq is \d+; expected \d+$/,
    ],
    [
      'trade',
      `UPDATE record SET price = price + 1 WHERE ${first(3)}`,
      /last is \d+; expected \d+$/,
    ],
    [
      'quantity',
      `UPDATE record SET quantity = quantity + 1 WHERE ${last(3)}`,
      /quantity is \d+; expected \d+$/,
    ],
    [
      'volume',
      `UPDATE record SET volume = volume + 1 WHERE ${last(2)}`,
      /volume is \d+; expected \d+$/,
    ],
    [
      'tick',
      `UPDATE record SET event_time = event_time + 1 WHERE ${first(2)}`,
      /event time is not that of its trade$/,
    ],
    ['bid', `UPDATE record SET bid = bid + 1 WHERE ${last(2)}`, /bid is \d+; expected/],
    [
      'crc',
      `UPDATE record SET ref = ref - 1 WHERE ${last(5)}`,
      /checksum of the ten levels is \d+; expected \d+$/,
    ],
    [
      'levels',
      `UPDATE record SET levels = zeroblob(8) WHERE ${last(8)}`,
      /its levels are not those|checksum/,
    ],
    [
      'cut levels',
      `UPDATE record SET levels = zeroblob(3) WHERE ${first(5)}`,
      /^record \d+ does not read$/,
    ],
    [
      'no levels',
      `UPDATE record SET levels = NULL WHERE ${first(5)}`,
      /^record \d+ does not read$/,
    ],
    [
      'what its kind has not',
      `UPDATE record SET ask_quantity = 5 WHERE ${first(3)}`,
      /^record \d+ does not read$/,
    ],
    [
      'snapshot time',
      `UPDATE record SET event_time = 1 WHERE ${first(8)}`,
      /its times are not those/,
    ],
    ['kind', `UPDATE record SET kind = 99 WHERE ${inside}`, /^record \d+ does not read$/],
    [
      'a kind of note',
      `UPDATE record SET kind = 9 WHERE ${inside}`,
      /^record \d+ (does not read|is missing)$/,
    ],
    [
      'instrument',
      `UPDATE record SET instrument = 99 WHERE ${inside}`,
      /instrument 99, which is not in the table/,
    ],
    ['definition', `UPDATE instrument SET definition = '{}' WHERE id = 1`, /is defined otherwise/],
    [
      'scale',
      'UPDATE instrument SET price_scale = 1 WHERE id = 1',
      /as another than it is defined/,
    ],
    [
      'text of a definition',
      `UPDATE record SET text = '{' WHERE id = 8`,
      /^record 1 does not read$/,
    ],
    [
      'stray instrument',
      `INSERT INTO instrument VALUES (99, 'STRAY', 0, 0, '{}')`,
      /STRAY .* no record defines it/,
    ],
    [
      'number of an epoch',
      `UPDATE record SET ref = ref + 1 WHERE ${first(11)}`,
      /epoch \d+ ends at \d+, but never began$/,
    ],
    [
      'epoch time',
      `UPDATE record SET event_time = event_time + 1 WHERE ${first(11)}`,
      /^what is noted at 0 has two times$/,
    ],
    [
      'no epoch',
      'DELETE FROM note WHERE kind = 11',
      /what is noted at \d+ is not in the list of notes/,
    ],
    ['a note of nothing', 'INSERT INTO note VALUES (9, 17)', /names one at 2 that is not there/],
    ['a note of a kind that is none', 'INSERT INTO note VALUES (12, 17)', /kinds that are none/],
    ['a note after the end', 'INSERT INTO note VALUES (9, 1 << 40)', /after the last record/],
    [
      'end',
      `DELETE FROM record WHERE id = (SELECT max(id) FROM record WHERE kind < 9)`,
      /record \d+ is missing|do not match their checksum/,
    ],
    [
      'a gap that is none',
      `INSERT INTO record (id, kind, instrument, prev_seq, event_time, receive_time, ref, text) VALUES (41, 9, 0, 0, 1, 1, 5, 'crash')`,
      /^the gap from 5 to 5 covers records that are not missing$/,
    ],
    [
      'part',
      'UPDATE part SET trade_seq = trade_seq - 1',
      /^the part of the instrument 1 in the records .* is not what they give$/,
    ],
    ['part times', 'UPDATE part SET time_max = time_max - 1', /is not what they give$/],
    ['no part', 'DELETE FROM part WHERE instrument = 1', /is missing$/],
    [
      'a part of no instrument',
      'INSERT INTO part SELECT 77, last_id, first_id, time_min, time_max, 0, 0 FROM part LIMIT 1',
      /of instruments that are not in the table/,
    ],
    ['a part of no block', 'UPDATE part SET last_id = last_id + 8', /part/],
    [
      'block',
      'UPDATE block SET crc = crc + 1',
      /^the records 1 to \d+ do not match their checksum$/,
    ],
    ['a block cut short', 'UPDATE block SET first_id = first_id + 8', /holds the records 1 to/],
    ['a block too long', 'UPDATE block SET last_id = last_id + 8', /block|part/],
    ['no block', 'DELETE FROM block', /in no block|parts of blocks/],
    [
      'table',
      'ALTER TABLE note ADD COLUMN more INTEGER',
      /the table note is not as this version makes it/,
    ],
  ];

  test.each(CHANGES)('in a feed: %s', async (_, sql, expected) => {
    expect(await after(feed, sql)).toMatch(expected);
  });

  // Records in the open block have no checksum of a block, but they are checked against each other.
  const UNSEALED =
    /DELETE|INSERT|chain|trade|quantity|volume|tick|bid|crc|levels|kind|instrument|definition|epoch|note|gap/;
  // The number of an epoch without an end is in one record alone, so a change of it cannot be found.
  const UNPROVEN = 'number of an epoch';
  const inOpenBlock = ([what, sql]: (typeof CHANGES)[number]): boolean =>
    what !== UNPROVEN && UNSEALED.test(what) && !/block|part|end/.test(sql);
  test.each(CHANGES.filter(inOpenBlock))(
    'in a feed that was cut off: %s',
    async (_, sql, expected) => {
      expect(await after(crashedFeed, sql)).toMatch(expected);
    },
  );

  test.each([
    [
      'crc',
      `UPDATE record SET ref = ref - 1 WHERE ${last(10)}`,
      /checkpoint at \d+ has not its checksum/,
    ],
    [
      'state',
      `UPDATE record SET text = replace(text, 'cycle', 'cyclE') WHERE ${last(10)}`,
      /checkpoint at \d+ has not its checksum/,
    ],
    [
      'after no gap',
      `UPDATE record SET side = 1 WHERE ${last(10)}`,
      /says that it stands behind a gap/,
    ],
    [
      'end of its epoch',
      `UPDATE record SET ref = ref - 1 WHERE ${last(11)}`,
      /epoch \d+ ends at \d+, but never began$/,
    ],
    ['another end of it', `UPDATE record SET ref = ref + 1 WHERE ${last(11)}`, /never began/],
    [
      'what it says of its epoch',
      `UPDATE record SET text = 'opened' WHERE ${last(11)}`,
      /says opened/,
    ],
  ])('in what a closed feed notes: %s', async (_, sql, expected) => {
    expect(await after(feed, sql)).toMatch(expected);
  });

  test('a checkpoint of another state, with the checksum of that', async () => {
    const copy = scratch.copyOf(feed);
    const db = new Database(join(copy, 'journal.sqlite'));
    const piece = db.query('SELECT * FROM piece WHERE kind = 1').get() as PieceRow & { id: number };
    const content = unpackPiece(piece.body);
    const text = content.text.replace(/"volume":\d+,"count"/, '"volume":7,"count"');
    expect(text).not.toBe(content.text);
    const body = new PiecePacker().pack({ ...content, text });
    db.run('UPDATE piece SET body = ?, crc = ? WHERE id = ?', [
      body,
      pieceCrc({ ...piece, body }),
      piece.id,
    ]);
    db.close();
    expect(await verify(copy)).toBeObject(); // the state that it should have follows from all records alone
    expect(await verify(copy, true)).toMatch(
      /^the state of \S+ in the checkpoint at \d+ is not that behind record \d+$/,
    );
  });

  const FOLLOWS = [
    ['quantity', `UPDATE record SET quantity = quantity + 1 WHERE ${first(7)}`],
    ['side', `UPDATE record SET side = 1 - side WHERE ${first(7)}`],
    ['id', `UPDATE record SET ref = ref + 65536 WHERE ${first(7)}`],
    ['state', `UPDATE record SET ref = ref + 1 WHERE ${last(6)}`],
    ['top', `UPDATE record SET bid_quantity = bid_quantity + 1 WHERE ${last(4)}`],
  ] as const;
  test.each(deep(FOLLOWS, 2))('in what follows from commands: %s', async (_, sql) => {
    const copy = changed(venue, sql);
    expect(await verify(copy)).toMatch(/records? \d+/);
    // With valid checksums, only executing the commands again finds it.
    sealAgain(copy);
    expect(await verify(copy, true)).toMatch(/record \d+/);
  });

  /** Builds blocks, parts and notes again, as if the records had been written like this. */
  function sealAgain(directory: string): void {
    const db = new Database(join(directory, 'journal.sqlite'));
    const rows = new RowFrameWriter();
    for (const row of db.query<RecordRow, []>(`${SELECT_RECORD} ORDER BY id`).all()) rows.row(row);
    for (const table of ['record', 'block', 'part', 'note']) db.run(`DELETE FROM ${table}`);
    const writer = new RowWriter(db);
    writer.write(rows.take());
    writer.endBlock();
    writer.finalize();
    db.close();
  }

  test('threads find the same', async () => {
    expect(await verify(venue, false, 0)).toEqual(await verify(venue));
    const copy = changed(
      venue,
      `UPDATE record SET prev_seq = prev_seq + 1 WHERE ${last(4)}`,
      `UPDATE record SET quantity = quantity + 1 WHERE ${first(3)}`,
    );
    const found = await verify(copy);
    expect(found).toMatch(/^record \d+ /);
    expect(await verify(copy, false, 0)).toBe(found);
  });

  test('a rebuilt seal is sound', async () => {
    const copy = scratch.copyOf(venue);
    sealAgain(copy);
    expect(await verifyBoth(copy)).toEqual(await verify(venue));
  });

  test('a byte flipped anywhere is found, or nothing is read from it', async () => {
    const seed = readSeed();
    const random = new Prng(seed);
    const bytes = readFileSync(join(venue, 'journal.sqlite'));
    const sound = rowsOf(venue);
    let found = 0;
    const flips = deep(250, 30);
    for (let i = 0; i < flips; i++) {
      const copy = scratch.copyOf(venue);
      const at = random.int(0, bytes.length - 1);
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1 << random.int(0, 7);
      writeFileSync(join(copy, 'journal.sqlite'), flipped);
      const result = await verify(copy);
      if (typeof result === 'string') found += 1;
      else if (rowsOf(copy) !== sound) throw new Error(`seed ${seed}: not found at ${at}`);
      rmSync(copy, { recursive: true });
    }
    expect(found).toBeGreaterThan(flips * 0.4);
  });

  /** Everything to read as one hash; the time at which a block was written is left out. */
  function rowsOf(directory: string): string {
    const db = connectToRead(join(directory, 'journal.sqlite'));
    const hash = new Bun.CryptoHasher('sha1');
    for (const select of [
      '* FROM record',
      '* FROM instrument',
      'last_id, first_id, crc FROM block',
      '* FROM part',
      '* FROM note',
    ]) {
      for (const row of db.query(`SELECT ${select}`).values()) hash.update(JSON.stringify(row));
    }
    db.close();
    return hash.digest('hex');
  }

  test('a flipped byte in any page of the file', async () => {
    const bytes = readFileSync(join(venue, 'journal.sqlite'));
    const size = bytes.readUInt16BE(16);
    const leaves = Array.from({ length: bytes.length / size }, (_, i) => i * size).filter(
      (at) => at > 0 && bytes[at] === 13,
    );
    let pages = 0;
    for (const at of leaves) {
      const copy = scratch.copyOf(venue);
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 0x40;
      writeFileSync(join(copy, 'journal.sqlite'), flipped);
      const found = await verify(copy);
      // An old checkpoint lies in free pages, and has no meaning any more.
      if (typeof found !== 'string') expect([at, rowsOf(copy)]).toEqual([at, rowsOf(venue)]);
      else expect([at, found]).toEqual([at, expect.stringMatching(/damaged/)]);
      pages += typeof found === 'string' ? 1 : 0;
      rmSync(copy, { recursive: true });
    }
    expect(pages).toBeGreaterThan(20);
  });

  test('a truncated file, and a file that is no journal', async () => {
    const copy = scratch.copyOf(venue);
    const path = join(copy, 'journal.sqlite');
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length / 2));
    expect(await verify(copy)).toMatch(/damaged/);
    writeFileSync(path, 'not a database, but long enough for SQLite to look at it'.repeat(20));
    expect(await verify(copy)).toMatch(/journal-damaged/);
  });
});
