/** Verify: sound journals, however they ended, and each kind of damage found and named. */

import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { StartFault } from '../../src/base/start-fault';
import { openRecording } from '../../src/ingest/recording/recording';
import { openReading } from '../../src/journal/reading';
import { stateHash } from '../../src/market/state-hash';
import { verifyJournal, type Verified } from '../../src/verify';
import { Journaled } from '../orders/journaled';
import { randomScript } from '../orders/script';
import { contentOf, ScratchDirectory } from '../support/scratch-directory';
import { record, testConfig, type Recording } from '../support/test-recorder';

const TAPES = join(import.meta.dir, '../../fixtures/tapes');
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

function verify(directory: string): Verified | string {
  const reading = openReading(directory);
  if (reading instanceof StartFault) return `${reading.code}: ${reading.message}`;
  try {
    return verifyJournal(reading, testConfig(directory).limits);
  } finally {
    reading.close();
  }
}

async function play(name: string, { recorder }: Recording): Promise<void> {
  const recording = await openRecording(join(TAPES, name), { onFault: 'skip' });
  if ('code' in recording) throw new Error(recording.message);
  for await (const { records } of recording) {
    for (const { events, receiveTime } of records) {
      recorder.sequencer.submit(1, events, () => {}, receiveTime);
      recorder.sequencer.drain();
    }
  }
}

describe('a sound journal', () => {
  const names = readdirSync(TAPES).filter((name) => /\.(ndjson|txt)$/.test(name));
  test.each(names)('of %s: while written, behind a crash, closed, opened again', async (name) => {
    const directory = scratch.fresh();
    const written = record(directory, { snapshotEveryMs: 1 });
    await play(name, written);
    const { market, sequencer } = written.recorder;
    const found = verify(directory);
    expect(found).toEqual({
      records: sequencer.lastSeq,
      seqFirst: 1,
      seqLast: sequencer.lastSeq,
      epochs: 1,
      stateHash: stateHash(market),
    });
    const crashed = scratch.copyOf(directory);
    const before = contentOf(crashed);
    expect(verify(crashed)).toEqual(found);
    expect(contentOf(crashed)).toEqual(before);
    written.recorder.close();
    const files = readdirSync(directory);
    expect(verify(directory)).toEqual(found);
    expect(readdirSync(directory)).toEqual(files); // not even an index of a WAL

    // What begins after a crash announces nothing here, so the market stands as it stood.
    const again = record(crashed);
    expect(stateHash(again.recorder.market)).toBe((found as Verified).stateHash);
    again.recorder.close();
    expect(verify(crashed)).toEqual({ ...(found as Verified), epochs: 2 });
  });

  test('of venues, with checkpoints on the way', () => {
    const run = Journaled.create(scratch.fresh(), 150);
    run.play(randomScript(11, 600, true), 5, 0);
    const found = verify(run.directory);
    expect(found).toMatchObject({ stateHash: stateHash(run.recorder.market) });
    expect(verify(run.crash(scratch.fresh()))).toEqual(found);
    run.recorder.close();
    expect(verify(run.directory)).toEqual(found);
  });

  test('without a record', () => {
    const directory = scratch.fresh();
    record(directory).recorder.close();
    expect(verify(directory)).toMatchObject({ records: 0, seqFirst: 0, seqLast: 0, epochs: 1 });
  });

  test('and equal markets have equal hashes, others have others', () => {
    const hashes = [7, 7, 8].map((seed) => {
      const run = Journaled.create(scratch.fresh());
      run.play(randomScript(seed, 100, true), 5, 0);
      const hash = stateHash(run.recorder.market);
      run.abandon();
      return hash;
    });
    expect(hashes[0]).toMatch(/^[0-9a-f]{16}$/);
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).not.toBe(hashes[0]);
  });
});

test('no journal, another program, a newer version', () => {
  const directory = scratch.fresh();
  expect(verify(directory)).toStartWith('no-journal: ');
  record(directory).recorder.close();
  const db = new Database(join(directory, 'journal.sqlite'));
  db.run('PRAGMA user_version = 99');
  expect(verify(directory)).toStartWith('journal-newer: ');
  db.run('PRAGMA application_id = 7');
  expect(verify(directory)).toStartWith('journal-foreign: ');
  db.close();
});

describe('damage', () => {
  let feed: string;
  let venue: string;

  beforeAll(async () => {
    feed = scratch.fresh();
    const written = record(feed, { snapshotEveryMs: 1 });
    await play('two-instruments.ndjson', written);
    written.recorder.close();
    const run = Journaled.create(scratch.fresh(), 100);
    run.play(randomScript(5, 300, true), 5, 0);
    run.recorder.close();
    venue = run.directory;
  });

  /** What is found in a copy in which this was done. */
  function after(directory: string, sql: string): string {
    const copy = scratch.copyOf(directory);
    const db = new Database(join(copy, 'journal.sqlite'));
    const { changes } = db.run(sql);
    db.close();
    expect([sql, changes]).not.toEqual([sql, 0]);
    const found = verify(copy);
    if (typeof found !== 'string') throw new Error(`not found: ${sql}`);
    return found;
  }

  const first = (kind: number): string => `seq = (SELECT min(seq) FROM record WHERE kind = ${kind})`; // prettier-ignore
  const last = (kind: number): string => `seq = (SELECT max(seq) FROM record WHERE kind = ${kind})`;
  const inside = 'seq = (SELECT max(seq) / 2 FROM record)';

  test.each([
    ['DELETE', `DELETE FROM record WHERE ${inside}`, /^record \d+ is missing$/],
    ['chain', `UPDATE record SET prev_seq = prev_seq + 1 WHERE ${last(3)}`, /prevSeq is \d+; expected \d+$/], // prettier-ignore
    ['trade', `UPDATE record SET price = price + 1 WHERE ${first(3)}`, /last is \d+; expected \d+$/], // prettier-ignore
    ['quantity', `UPDATE record SET quantity = quantity + 1 WHERE ${last(3)}`, /quantity is \d+; expected \d+$/], // prettier-ignore
    ['volume', `UPDATE record SET volume = volume + 1 WHERE ${last(2)}`, /volume is \d+; expected \d+$/], // prettier-ignore
    ['tick', `UPDATE record SET event_time = event_time + 1 WHERE ${first(2)}`, /event time is not that of its trade$/], // prettier-ignore
    ['bid', `UPDATE record SET bid = bid + 1 WHERE ${last(2)}`, /bid is \d+; expected/],
    ['crc', `UPDATE record SET ref = ref - 1 WHERE ${last(5)}`, /checksum of the ten levels is \d+; expected \d+$/], // prettier-ignore
    ['levels', `UPDATE record SET levels = zeroblob(8) WHERE ${last(8)}`, /its levels are not those|checksum/], // prettier-ignore
    ['cut levels', `UPDATE record SET levels = zeroblob(3) WHERE ${first(5)}`, /^record \d+ does not read$/], // prettier-ignore
    ['snapshot time', `UPDATE record SET event_time = 1 WHERE ${first(8)}`, /its times are not those/], // prettier-ignore
    ['kind', `UPDATE record SET kind = 99 WHERE ${inside}`, /^record \d+ does not read$/],
    ['instrument', `UPDATE record SET instrument = 99 WHERE ${inside}`, /instrument 99, which is not in the table/], // prettier-ignore
    ['definition', `UPDATE instrument SET definition = '{}' WHERE id = 1`, /is defined otherwise/],
    ['text of a definition', `UPDATE record SET text = '{' WHERE seq = 1`, /^record 1 does not read$/], // prettier-ignore
    ['stray instrument', `INSERT INTO instrument VALUES (99, 'STRAY', 0, 0, '{}')`, /STRAY .* no record defines it/], // prettier-ignore
    ['epoch', 'UPDATE epoch SET first_seq = 2', /^epoch \d+ begins at 2; expected 1$/],
    ['epoch end', 'UPDATE epoch SET last_seq = last_seq + 1', /newest epoch ends at \d+; the records end at/], // prettier-ignore
    ['no epoch', 'DELETE FROM epoch', /no epoch/],
    ['checkpoint', `UPDATE checkpoint SET crc = crc - 1`, /checkpoint at \d+ has not its checksum/],
    ['end', `DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)`, /records end at/],
  ])('in a feed: %s', (_, sql, expected) => {
    expect(after(feed, sql)).toMatch(expected);
  });

  test('a checkpoint of another state, with the checksum of that', () => {
    const copy = scratch.copyOf(feed);
    const db = new Database(join(copy, 'journal.sqlite'));
    const { state } = db.query('SELECT state FROM checkpoint').get() as { state: string };
    const other = state.replace(/"volume":(\d+)/, '"volume":7');
    expect(other).not.toBe(state);
    db.run('UPDATE checkpoint SET state = ?, crc = ?', [other, Bun.hash.crc32(other)]);
    db.close();
    expect(verify(copy)).toMatch(/^the checkpoint at \d+ is not the state behind record \d+$/);
  });

  test.each([
    ['quantity', `UPDATE record SET quantity = quantity + 1 WHERE ${first(7)}`],
    ['side', `UPDATE record SET side = 1 - side WHERE ${first(7)}`],
    ['id', `UPDATE record SET ref = ref + 65536 WHERE ${first(7)}`],
    ['state', `UPDATE record SET ref = ref + 1 WHERE ${last(6)}`],
    ['top', `UPDATE record SET bid_quantity = bid_quantity + 1 WHERE ${last(4)}`],
  ])('in what follows from commands: %s', (_, sql) => {
    expect(after(venue, sql)).toMatch(/record \d+/);
  });

  test('a flipped byte in any page of the file', () => {
    const bytes = readFileSync(join(venue, 'journal.sqlite'));
    const size = bytes.readUInt16BE(16);
    const leaves = Array.from({ length: bytes.length / size }, (_, i) => i * size).filter(
      (at) => at > 0 && bytes[at] === 13,
    );
    expect(leaves.length).toBeGreaterThan(5);
    for (const at of leaves) {
      const copy = scratch.copyOf(venue);
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 0x40;
      writeFileSync(join(copy, 'journal.sqlite'), flipped);
      expect([at, verify(copy)]).toEqual([at, expect.stringMatching(/damaged/)]);
    }
  });

  test('a file that is cut, and one that is none', () => {
    const copy = scratch.copyOf(venue);
    const path = join(copy, 'journal.sqlite');
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length / 2));
    expect(verify(copy)).toMatch(/damaged/);
    writeFileSync(path, 'not a database, but long enough for SQLite to look at it'.repeat(20));
    expect(verify(copy)).toMatch(/journal-damaged/);
  });
});
