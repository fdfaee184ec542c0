/**
 * Damage: bytes of the file are flipped, pages zeroed, or the WAL is torn, and then the server
 * starts. Whatever was hit, it serves what was recorded up to some seq, declares the rest, and
 * leaves the damaged file beside it unchanged.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import { isSound } from '../../src/journal/checked-rows';
import type { RecordRow } from '../../src/journal/records';
import { SELECT_RECORD } from '../../src/journal/schema';
import { Market } from '../../src/market/market';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import { FakeSource } from '../support/fake-source';
import { at, instrument } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { eventsOf, record, stateOf, testConfig, type Recording } from '../support/test-recorder';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const SYMBOL = 'ACME';

/** A journal of some thousand records: several blocks, two checkpoints, and a tail. */
function recorded(seed: number): Recording & { directory: string } {
  const directory = scratch.fresh();
  const recording = record(directory, { checkpointEveryEvents: 3_000 }, { states: true });
  const { sequencer } = recording.recorder;
  const source = new FakeSource(new Prng(seed), SYMBOL);
  const say = (events: Parameters<typeof sequencer.submit>[1]): void =>
    sequencer.submit(1, events, (result) => {
      if ('fault' in result) throw new Error(result.fault.message);
    });
  say([instrument(SYMBOL), source.snapshot(source.seq)]);
  for (let i = 0; i < 1_500; i++) {
    const from = source.seq;
    source.advance(2);
    say([source.delta(from, source.seq), source.trade(), source.trade()]);
    if (i % 3 === 0) sequencer.drain();
  }
  sequencer.drain();
  return { ...recording, directory };
}

interface Opened {
  readonly recorder: Recorder;
  readonly reports: string[];
}

function reopen(directory: string): Opened | StartFault {
  const reports: string[] = [];
  const recorder = openRecorder(testConfig(directory), new ManualClock(at(1)), {
    onDamage: (message) => void reports.push(message),
  });
  return recorder instanceof StartFault ? recorder : { recorder, reports };
}

function query<T>(directory: string, sql: string): T[] {
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  const rows = db.query(sql).all() as T[];
  db.close();
  return rows;
}

/** The market at a seq, which may lie inside a batch. */
function stateAt(before: Recording, seq: number): string {
  const known = before.states.get(seq);
  if (known !== undefined) return known;
  const market = new Market(testConfig('unused').limits);
  market.restore(
    null,
    eventsOf(before.batches).filter((event) => event.seq <= seq),
  );
  return stateOf(market);
}

/** What must be true after a start, whatever was done to the files. */
function expectTruth(directory: string, before: Recording, what: unknown): 'whole' | 'salvaged' {
  const opened = reopen(directory);
  if (opened instanceof StartFault) throw new Error(`${JSON.stringify(what)}: ${opened.message}`);
  const { recorder, reports } = opened;
  // Numbers continue behind all that were published; damage may make it look as if there were more.
  const { lastSeq } = recorder.sequencer;
  expect(lastSeq).toBeGreaterThanOrEqual(before.recorder.sequencer.lastSeq);
  recorder.close();
  const gaps = query<{ from_seq: number; to_seq: number }>(
    directory,
    'SELECT from_seq, to_seq FROM gaps ORDER BY to_seq',
  );
  const good = query<{ seq: number }>(
    directory,
    'SELECT id / 8 AS seq FROM record WHERE id % 8 = 0 ORDER BY id',
  ).map(({ seq }) => seq);
  // Each seq is recorded or declared missing, and never both.
  const covered = [
    ...good,
    ...gaps.flatMap((g) =>
      Array.from({ length: g.to_seq - g.from_seq + 1 }, (_, i) => g.from_seq + i),
    ),
  ];
  expect([what, covered.toSorted((a, b) => a - b)]).toEqual([
    what,
    Array.from({ length: lastSeq }, (_, i) => i + 1),
  ]);
  // The market is that after the last good record without a hole at the end. If the records before
  // a sound checkpoint are damaged, it is that of the checkpoint.
  const recorded = gaps.at(-1)?.to_seq === lastSeq ? gaps.at(-1)!.from_seq - 1 : lastSeq;
  const checkpoints = query<{ seq: number }>(
    directory,
    'SELECT seq FROM checkpoints ORDER BY seq',
  ).map(({ seq }) => seq);
  const end = checkpoints.findLast((seq) => seq > recorded && seq < lastSeq) ?? recorded;
  const state = stateOf(recorder.market);
  // A checkpoint at the end is the old one, or was made at the close just now; the newest state is
  // right.
  const isNewest = checkpoints.includes(lastSeq) && state === stateAt(before, lastSeq);
  expect([what, isNewest || state === stateAt(before, end)]).toEqual([what, true]);
  // Damage outside the records (in pieces of a checkpoint, for example) costs no record.
  if (gaps.length === 0 && reports.length === 0) return 'whole';
  if (reports.length > 0) {
    const asides = readdirSync(directory).filter((name) => name.startsWith('journal-damaged-'));
    expect(asides.length).toBeGreaterThan(0);
  }
  return 'salvaged';
}

describe('the file is damaged', () => {
  test('by bytes that were flipped anywhere', () => {
    const seed = readSeed();
    const random = new Prng(seed);
    const before = recorded(seed);
    const outcomes: string[] = [];
    for (const isClosed of [false, true]) {
      if (isClosed) before.recorder.close();
      const pristine = scratch.copyOf(before.directory);
      for (let run = 0; run < 20; run++) {
        const directory = scratch.copyOf(pristine);
        const name = !isClosed && random.chance(0.5) ? 'journal.sqlite-wal' : 'journal.sqlite';
        const path = join(directory, name);
        const bytes = readFileSync(path);
        const offsets = Array.from({ length: random.int(1, 4) }, () =>
          random.int(0, bytes.length - 1),
        );
        for (const offset of offsets) bytes[offset]! ^= 1 << random.int(0, 7);
        writeFileSync(path, bytes);
        outcomes.push(expectTruthOrOld([seed, run, name, offsets], directory, before));
      }
    }
    expect(new Set(outcomes).size).toBeGreaterThan(1);
  }, 120_000);

  test('in the text of its schema it is refused; a record of an unknown kind makes its block invalid', () => {
    const seed = readSeed() + 3;
    const before = recorded(seed);
    before.recorder.close();
    const renamed = scratch.copyOf(before.directory);
    const path = join(renamed, 'journal.sqlite');
    const bytes = readFileSync(path);
    const text = '  receive_time INTEGER';
    expect(bytes.indexOf(text)).toBeGreaterThan(0);
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at)) {
      bytes.write('  beceive_time', at);
    }
    writeFileSync(path, bytes);
    expect(reopen(renamed)).toMatchObject({ code: 'journal-damaged' });
    expect(readFileSync(path).equals(bytes)).toBe(true);
    const [block] = query<Parameters<typeof isSound>[1]>(
      before.directory,
      'SELECT first_id, last_id, crc FROM block LIMIT 1',
    );
    const rows = query<RecordRow>(
      before.directory,
      `${SELECT_RECORD} WHERE id <= ${block!.last_id}`,
    );
    expect(isSound(rows, block!)).toBe(true);
    expect(isSound([...rows.slice(0, -1), { ...rows.at(-1)!, kind: 35 }], block!)).toBe(false);
  });

  test('by pages that were zeroed', () => {
    const seed = readSeed() + 1;
    const random = new Prng(seed);
    const before = recorded(seed);
    before.recorder.close();
    const pristine = scratch.copyOf(before.directory);
    for (let run = 0; run < 10; run++) {
      const directory = scratch.copyOf(pristine);
      const path = join(directory, 'journal.sqlite');
      const bytes = readFileSync(path);
      const page = random.int(0, bytes.length / 4_096 - 1);
      bytes.fill(0, page * 4_096, (page + 1) * 4_096);
      writeFileSync(path, bytes);
      expectTruthOrOld([seed, run, page], directory, before);
    }
  }, 120_000);

  test('by a WAL that was torn: what was committed before the tear is kept, the rest is declared', () => {
    const seed = readSeed() + 2;
    const random = new Prng(seed);
    const before = recorded(seed);
    for (let run = 0; run < 12; run++) {
      const directory = scratch.copyOf(before.directory);
      const path = join(directory, 'journal.sqlite-wal');
      expect(existsSync(path)).toBe(true);
      truncateSync(path, random.int(0, readFileSync(path).length));
      expectTruthOrOld([seed, run], directory, before);
    }
    before.recorder.close();
  }, 120_000);
});

/**
 * Like `expectTruth`. But damage in a part that a start does not read stays until somebody reads
 * it, and `verify` finds it.
 */
function expectTruthOrOld(what: unknown, directory: string, before: Recording): string {
  const opened = reopen(directory);
  if (opened instanceof StartFault && opened.hint.startsWith('Start again')) {
    // The first write met it.
    expect([what, expectTruth(directory, before, what)]).toEqual([what, 'salvaged']);
    return 'found by a write';
  }
  if (opened instanceof StartFault) {
    // Without its schema nothing in the file can be read: the operator must decide.
    const isSchema =
      opened.code === 'journal-damaged' && /no such (column|table)/.test(opened.message);
    expect([what, opened.message, isSchema]).toEqual([what, opened.message, true]);
    return 'refused';
  }
  const { lastSeq } = opened.recorder.sequencer;
  expect(lastSeq).toBeGreaterThanOrEqual(before.recorder.sequencer.lastSeq);
  const state = stateOf(opened.recorder.market);
  try {
    opened.recorder.close();
  } catch (e) {
    // Only a write meets it: that stops the server, and the next start sets the file aside.
    expect([what, (e as Error).message]).toEqual([what, expect.stringContaining('malformed')]);
    opened.recorder.journal.abandon();
    expect([what, expectTruth(directory, before, what)]).toEqual([what, 'salvaged']);
    return 'found by a write';
  }
  if (opened.reports.length === 0) {
    const lost = query<{ from_seq: number; reason: string }>(
      directory,
      'SELECT from_seq, reason FROM gaps',
    );
    const end = lost.length === 0 ? lastSeq : lost[0]!.from_seq - 1;
    expect([what, state === stateAt(before, end)]).toEqual([what, true]);
    return lost.length === 0 ? 'not read' : 'torn';
  }
  // The good part continues: read again, it is what it was, and the rest is declared.
  const again = scratch.copyOf(directory);
  expectTruth(again, before, what);
  const events = eventsOf(before.batches);
  const kept = record(directory);
  const trades = kept.recorder.journal.trades(SYMBOL, Number.MAX_SAFE_INTEGER, 50);
  for (const trade of trades) expect(trade).toMatchObject(omitSource(events[trade.seq - 1]!));
  kept.recorder.close();
  return 'salvaged';
}

function omitSource(event: object): object {
  const { sourceSeq: _, ...rest } = event as { sourceSeq?: number };
  return rest;
}
