/** Unusable directories: each is refused with its reason, and nothing in it is changed. */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ManualClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { openRecorder } from '../../src/app/recorder';
import { at, instrument, trade } from '../support/market-events';
import { contentOf, ScratchDirectory } from '../support/scratch-directory';
import { record, testConfig } from '../support/test-recorder';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

function open(directory: string): StartFault | 'opened' {
  const recorder = openRecorder(testConfig(directory), new ManualClock(at(0)));
  if (recorder instanceof StartFault) return recorder;
  recorder.close();
  return 'opened';
}

/** Expects a refusal with this code, twice, that leaves every file as it is. */
function expectRefused(directory: string, code: string, exitCode: number): StartFault {
  const before = contentOf(directory);
  let refused: StartFault | undefined;
  for (let i = 0; i < 2; i++) {
    const found = open(directory);
    if (found === 'opened') throw new Error(`it was opened; expected ${code}`);
    expect([found.code, found.exitCode]).toEqual([code, exitCode] as never);
    expect(found.message).toContain(directory);
    expect(found.hint).not.toBe('');
    refused = found;
  }
  expect(contentOf(directory)).toEqual(before);
  return refused!;
}

/** A directory with a journal of three records, closed in order. */
function withJournal(): string {
  const directory = scratch.fresh();
  const { recorder } = record(directory);
  recorder.sequencer.submit(1, [instrument(), trade()], () => {});
  recorder.close();
  return directory;
}

/** A journal as a crash leaves it: no block has its last records yet. */
function withOpenJournal(): string {
  const directory = scratch.fresh();
  const { recorder } = record(directory);
  recorder.sequencer.submit(1, [instrument(), trade()], () => {});
  recorder.sequencer.drain();
  const copy = scratch.copyOf(directory);
  recorder.close();
  return copy;
}

/** Adds a last transaction to the WAL that is not moved into the file. */
function withHotWal(directory: string, ...statements: string[]): string {
  const db = new Database(join(directory, 'journal.sqlite'), { create: true });
  db.run('PRAGMA journal_mode = WAL');
  for (const statement of statements) db.run(statement);
  const copy = scratch.copyOf(directory);
  db.close();
  return copy;
}

describe('the journal', () => {
  test('is created where there is none, with the directories above it', () => {
    const directory = join(scratch.fresh(), 'deep', 'down');
    expect(open(directory)).toBe('opened');
    expect(open(directory)).toBe('opened');
  });

  test('of another program is refused', () => {
    const directory = scratch.fresh();
    mkdirSync(directory);
    const foreign = withHotWal(
      directory,
      'CREATE TABLE theirs (x)',
      'INSERT INTO theirs VALUES (1)',
    );
    expect(Object.keys(contentOf(foreign))).toContain('journal.sqlite-wal');
    expectRefused(foreign, 'journal-foreign', 65);
  });

  test('of a newer version is refused', () => {
    const newer = withHotWal(withJournal(), 'PRAGMA user_version = 99');
    const fault = expectRefused(newer, 'journal-newer', 65);
    expect(fault.message).toContain('schema 99');
  });

  test('that is no database is refused', () => {
    for (const content of ['this is a shopping list\n'.repeat(400), new Uint8Array(9000).fill(7)]) {
      const directory = scratch.fresh();
      mkdirSync(directory);
      writeFileSync(join(directory, 'journal.sqlite'), content);
      expectRefused(directory, 'journal-damaged', 65);
    }
  });

  test('that is a directory is refused', () => {
    const directory = scratch.fresh();
    mkdirSync(join(directory, 'journal.sqlite'), { recursive: true });
    const fault = open(directory);
    expect(fault).toMatchObject({ code: 'journal-damaged' });
  });

  test('without its tables is refused', () => {
    const directory = withJournal();
    const db = new Database(join(directory, 'journal.sqlite'));
    db.run('DROP TABLE record');
    db.close();
    expect(open(directory)).toMatchObject({ code: 'journal-damaged' });
  });

  test('that was created but never written is started', () => {
    const directory = scratch.fresh();
    mkdirSync(directory);
    writeFileSync(join(directory, 'journal.sqlite'), '');
    expect(open(directory)).toBe('opened');
  });

  test.each([
    ['a record of no known kind', 'UPDATE record SET kind = 77 WHERE kind = 3'],
    ['a trade without its price', 'UPDATE record SET price = NULL WHERE kind = 3'],
    ['a definition that is no JSON', "UPDATE record SET text = '{' WHERE kind = 1"],
    ['a record of nobody', 'UPDATE record SET instrument = 55 WHERE kind = 3'],
  ])('with %s continues with the good part, and the rest is set aside', (_, damage) => {
    for (const isSealed of [true, false]) {
      const directory = isSealed ? withJournal() : withOpenJournal();
      const db = new Database(join(directory, 'journal.sqlite'));
      db.run('DELETE FROM record WHERE kind = 10'); // so that the record is read
      db.run('DELETE FROM note WHERE kind = 10');
      db.run(damage);
      const newest = db.query('SELECT max(id) / 8 AS seq FROM record').get() as { seq: number };
      db.close();
      const damaged = readFileSync(join(directory, 'journal.sqlite'));
      const reports: string[] = [];
      const onDamage = (message: string): void => void reports.push(message);
      const recorder = openRecorder(testConfig(directory), new ManualClock(at(0)), {
        onDamage,
      });
      if (recorder instanceof StartFault) throw new Error(recorder.message);
      recorder.close();
      const aside = readdirSync(directory).find((name) => name.startsWith('journal-damaged-'))!;
      expect(reports).toHaveLength(1);
      expect(reports[0]).toContain(aside);
      expect(readFileSync(join(directory, aside))).toEqual(damaged);
      const after = new Database(join(directory, 'journal.sqlite'), { readonly: true });
      const gaps = after.query('SELECT to_seq, reason FROM gaps').all();
      after.close();
      expect(gaps).toEqual([{ to_seq: newest.seq, reason: 'damage' }]);
      expect(open(directory)).toBe('opened');
    }
  });

  test('whose file is gone: the assigned numbers are declared missing, and none is used again', () => {
    const directory = withJournal();
    rmSync(join(directory, 'journal.sqlite'));
    const { recorder } = record(directory);
    expect(recorder.sequencer.lastSeq).toBe(3);
    recorder.close();
    const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
    expect(db.query('SELECT from_seq, to_seq, reason FROM gaps').all()).toEqual([
      { from_seq: 1, to_seq: 3, reason: 'missing' },
    ]);
    db.close();
  });

  test('whose header is destroyed is set aside whole', () => {
    const directory = withJournal();
    const path = join(directory, 'journal.sqlite');
    const bytes = readFileSync(path);
    bytes.fill(0, 0, 100);
    writeFileSync(path, bytes);
    const { recorder } = record(directory);
    expect(recorder.sequencer.lastSeq).toBe(3);
    recorder.close();
    const aside = readdirSync(directory).find((name) => name.startsWith('journal-damaged-'))!;
    expect(readFileSync(join(directory, aside))).toEqual(bytes);
  });

  test('of an older version is refused', () => {
    expectRefused(withHotWal(withJournal(), 'PRAGMA user_version = 1'), 'journal-older', 65);
  });
});

describe('the directory', () => {
  test('that cannot be made or is a file is refused', () => {
    const file = scratch.fresh();
    writeFileSync(file, 'a file');
    for (const directory of [file, join(file, 'below'), '/proc/tapedeck']) {
      const fault = open(directory);
      expect(fault).toMatchObject({ code: 'data-unwritable', exitCode: 73 });
      expect((fault as StartFault).message).toContain(directory);
    }
  });

  const isRoot = process.getuid?.() === 0;
  if (isRoot)
    console.log('skipped: root may write to every directory, so none can be refused to it');
  test.skipIf(isRoot)('that is not writable is refused', () => {
    const directory = withJournal();
    chmodSync(directory, 0o500);
    expectRefused(directory, 'data-unwritable', 73);
    chmodSync(directory, 0o700);
  });

  test('that another process holds is refused until that process has ended, however it ends', async () => {
    const directory = withJournal();
    const child = Bun.spawn(
      [
        process.execPath,
        fileURLToPath(import.meta.resolve('./writer-child.ts')),
        directory,
        'hold',
      ],
      {
        stdout: 'pipe',
      },
    );
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe('open\n');
    try {
      expectRefused(directory, 'data-in-use', 75);
    } finally {
      child.kill('SIGKILL');
      await child.exited;
    }
    expect(open(directory)).toBe('opened');
  });

  test('that this process holds is refused', () => {
    const directory = scratch.fresh();
    const { recorder } = record(directory);
    expectRefused(directory, 'data-in-use', 75);
    recorder.close();
    expect(open(directory)).toBe('opened');
  });
});
