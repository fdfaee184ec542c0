/** Two writers of one journal: real processes, while the files are renamed. */

import { afterAll, describe, expect, test } from 'bun:test';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { lockFile } from '../../src/base/file-lock';
import { openRecorder } from '../../src/app/recorder';
import { instrument, trade } from '../support/market-events';
import { contentOf, ScratchDirectory } from '../support/scratch-directory';
import { record, testConfig } from '../support/test-recorder';
import { verifyBoth } from './verified';

const CHILD = join(import.meta.dir, 'writer-child.ts');
const scratch = new ScratchDirectory();
const mounts: string[] = [];
afterAll(() => {
  for (const path of mounts) Bun.spawnSync(['umount', path]);
  scratch.remove();
});

function withJournal(): string {
  const directory = scratch.fresh();
  const { recorder } = record(directory, {}, { clock: new SystemClock() });
  recorder.sequencer.submit(1, [instrument(), trade()], () => {});
  recorder.close();
  return directory;
}

function open(directory: string): string {
  const recorder = openRecorder(testConfig(directory), new SystemClock());
  if (recorder instanceof StartFault) return recorder.code;
  recorder.close();
  return 'opened';
}

/** Runs `then` while another process holds the directory, and kills that process with SIGKILL. */
async function whileHeld(directory: string, act: () => void | Promise<void>): Promise<void> {
  const child = Bun.spawn([process.execPath, CHILD, directory, 'hold'], { stdout: 'pipe' });
  const { value } = await child.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe('open\n');
  try {
    await act();
  } finally {
    child.kill('SIGKILL');
    await child.exited;
  }
}

/** Nothing in the directory of the journal changes when a second writer is refused. */
function expectHeld(directory: string, journalIn = directory): void {
  const before = contentOf(journalIn);
  expect(open(directory)).toBe('data-in-use');
  expect(contentOf(journalIn)).toEqual(before);
}

function takeLockFileAway(directory: string): void {
  renameSync(join(directory, 'lock.sqlite'), join(directory, 'lock-away'));
}

describe('a second writer of a journal is refused even though', () => {
  test('lock.sqlite was moved away', async () => {
    const directory = withJournal();
    await whileHeld(directory, () => {
      takeLockFileAway(directory);
      expectHeld(directory);
    });
    expect(open(directory)).toBe('opened');
    expect(await verifyBoth(directory)).toEqual(expect.objectContaining({ seqFirst: 1 }));
  });

  test('lock.sqlite was deleted while the journal was new', async () => {
    const directory = scratch.fresh();
    await whileHeld(directory, () => {
      rmSync(join(directory, 'lock.sqlite'));
      expectHeld(directory);
    });
    expect(open(directory)).toBe('opened');
  });

  test('the file was moved into another directory', async () => {
    const directory = withJournal();
    const other = scratch.fresh();
    mkdirSync(other);
    await whileHeld(directory, () => {
      renameSync(join(directory, 'journal.sqlite'), join(other, 'journal.sqlite'));
      expectHeld(other);
      renameSync(join(other, 'journal.sqlite'), join(directory, 'journal.sqlite'));
    });
    expect(open(directory)).toBe('opened');
  });

  test('it is reached by a hard link', async () => {
    const directory = withJournal();
    const other = scratch.fresh();
    mkdirSync(other);
    linkSync(join(directory, 'journal.sqlite'), join(other, 'journal.sqlite'));
    await whileHeld(directory, () => expectHeld(other, directory));
    expect(open(directory)).toBe('opened');
  });

  test('the directory was renamed, and is reached by a symbolic link', async () => {
    const directory = withJournal();
    const renamed = scratch.fresh();
    const link = scratch.fresh();
    await whileHeld(directory, () => {
      renameSync(directory, renamed);
      symlinkSync(renamed, link);
      takeLockFileAway(renamed);
      expectHeld(renamed);
      expectHeld(link);
      renameSync(renamed, directory);
    });
    expect(open(directory)).toBe('opened');
  });

  test('the directory is reached by a bind mount', async () => {
    const directory = withJournal();
    const bound = scratch.fresh();
    mkdirSync(bound);
    if (Bun.spawnSync(['mount', '--bind', directory, bound]).exitCode !== 0) {
      console.log('skipped: this user may not bind a directory');
      return;
    }
    mounts.push(bound);
    await whileHeld(directory, () => {
      takeLockFileAway(directory);
      expectHeld(bound);
    });
    expect(open(bound)).toBe('opened');
  });

  test('the file is new and has the good part of a damaged one', async () => {
    const directory = withJournal();
    const path = join(directory, 'journal.sqlite');
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.fill(0x5a, 0, 4_096)); // not even its header can be read
    await whileHeld(directory, () => {
      expect(readFileSync(path).equals(bytes)).toBe(false);
      takeLockFileAway(directory);
      expectHeld(directory);
    });
    expect(open(directory)).toBe('opened');
  });
});

test('the lock neither conflicts with those of SQLite nor releases them', async () => {
  const directory = withJournal();
  const path = join(directory, 'journal.sqlite');
  await whileHeld(directory, () => {
    expect(lockFile(path)).toBe('taken');
    // Another process reads, and sees that others have the file open.
    const read = Bun.spawnSync(['sqlite3', path, 'SELECT count(*) FROM record']);
    expect(read.stderr.toString()).toBe('');
    expect(existsSync(`${path}-wal`)).toBe(true);
  });
  const held = lockFile(path);
  expect(held).toHaveProperty('release');
  expect(lockFile(path)).toBe('taken'); // from this process as well
  (held as { release(): void }).release();
  expect(open(directory)).toBe('opened');
});

test('a file that cannot be locked is reported as such', () => {
  expect(lockFile(scratch.path)).toEqual({ absent: expect.stringContaining('EISDIR') });
  expect(lockFile(join(scratch.path, 'none'))).toEqual({
    absent: expect.stringContaining('ENOENT'),
  });
});
