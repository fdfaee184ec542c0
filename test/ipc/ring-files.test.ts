/** Files that are not valid rings: each fails with its own error code, and no file of others changes. */

import { afterAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { Nanos } from '../../protocol/time';
import { StartFault } from '../../src/base/start-fault';
import { createRingFile } from '../../src/ipc/ring-file';
import { INT } from '../../src/ipc/ring-layout';
import { processStart } from '../../src/ipc/ring-open';
import { defaultRingPath, prepareRingDirectory } from '../../src/ipc/ring-path';
import { RingReader } from '../../src/ipc/ring-reader';
import { batchOf, definition, makeRing, openRing, RingDirectory, checkableTick } from './made-ring';

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: rings of another user need root');
const rings = new RingDirectory();
const mounted: string[] = [];
afterAll(() => {
  for (const path of mounted) Bun.spawnSync(['umount', '-l', path]); // lazy: the ring is still mapped
  rings.remove();
});

const OPTIONS = { slots: 64, entries: 8, epoch: 1, time: Nanos.ZERO };

function opening(path: string): [string, string] {
  const opened = RingReader.open(path);
  if (!(opened instanceof StartFault)) throw new Error('it was opened');
  return [opened.code, opened.message];
}

function making(path: string): [string, string] {
  const made = createRingFile({ ...OPTIONS, path });
  if (!(made instanceof StartFault)) throw new Error('it was created');
  return [made.code, made.message];
}

test('a reader that starts before the writer finds no ring', () => {
  const path = rings.fresh();
  expect(opening(path)).toEqual(['ring-absent', `there is no ring ${path}`]);
});

test('a file that is not a ring is neither read nor replaced', () => {
  const path = rings.fresh();
  for (const content of ['a note', 'x'.repeat(10_000)]) {
    writeFileSync(path, content);
    expect(opening(path)).toEqual(['ring-foreign', `${path} is not a Tapedeck ring`]);
    expect(making(path)).toEqual(['ring-foreign', `${path} is not a Tapedeck ring`]);
    expect(readFileSync(path, 'utf8')).toBe(content);
  }
});

test('a directory is neither opened nor replaced', () => {
  const path = rings.fresh();
  mkdirSync(path);
  expect(opening(path)[0]).toBe('ring-unusable');
  expect(making(path)[0]).toBe('ring-unusable');
});

test('a ring of another layout is not opened; an abandoned one is replaced', () => {
  const { path, file } = makeRing(rings.fresh(), 64);
  // The layouts of an older and of a newer server.
  for (const layout of [1, 9]) {
    file.words.ints[INT.version] = layout;
    expect(opening(path)).toEqual([
      'ring-version',
      `the ring ${path} has layout ${layout}; this program expects 2`,
    ]);
  }
  // A ring that an older server left behind is replaced.
  file.words.ints[INT.version] = 1;
  file.remove();
  const left = rings.fresh();
  const bytes = ringOf(left);
  new DataView(bytes.buffer).setInt32(INT.version * 4, 1, true);
  writeFileSync(left, bytes);
  makeRing(left, 64).file.remove();
});

test('a truncated or empty ring, or one with an invalid header, is damaged; a writer replaces it', () => {
  const path = rings.fresh();
  for (const bytes of [0, 100, 512, 9_000]) {
    writeFileSync(path, ringOf(path).subarray(0, bytes));
    expect(opening(path)[0]).toBe('ring-damaged');
    expect(opening(path)[1]).toContain(path);
  }
  const bytes = ringOf(path);
  new DataView(bytes.buffer).setInt32(INT.slots * 4, 65, true);
  writeFileSync(path, bytes);
  expect(opening(path)).toEqual([
    'ring-damaged',
    `the ring ${path} is damaged: its header is invalid`,
  ]);
  makeRing(path, 64).file.remove();
});

/** The bytes of a valid ring. */
function ringOf(path: string): Uint8Array<ArrayBuffer> {
  writeFileSync(path, '');
  const { file } = makeRing(path, 64);
  const bytes = new Uint8Array(readFileSync(path));
  file.remove();
  return bytes;
}

test('a second writer on the same path is refused; the error has the pid of the first', () => {
  const { path, file, writer } = makeRing(rings.fresh(), 64);
  expect(making(path)).toEqual([
    'ring-in-use',
    `the ring ${path} is written by another Tapedeck process (process ${process.pid})`,
  ]);
  writer.accept(batchOf([definition('ACME', 1)])); // the first writer is not affected
  const reader = openRing(path, { from: 'oldest' });
  expect([reader.poll(), reader.record.type]).toEqual(['record', 'instrument']);
  file.remove();
  expect(existsSync(path)).toBe(false);
  makeRing(path, 64).file.remove();
});

test('a ring in an absent directory cannot be created', () => {
  const path = join(rings.path, 'absent', 'a.ring');
  expect(making(path)[0]).toBe('ring-unusable');
  expect(making(path)[1]).toContain('ENOENT');
});

test('a ring that does not fit its file system leaves no file behind', () => {
  const disk = join(rings.path, 'small');
  mkdirSync(disk);
  const { exitCode } = Bun.spawnSync([
    'mount',
    '-t',
    'tmpfs',
    '-o',
    'size=65536,mode=0700',
    'none',
    disk,
  ]);
  if (exitCode !== 0) {
    console.log('skipped: this user cannot mount a small file system');
    return;
  }
  mounted.push(disk);
  const path = join(disk, 'a.ring');
  const made = createRingFile({ ...OPTIONS, path, slots: 65_536 }) as StartFault;
  expect([made.code, made.message]).toEqual([
    'ring-unusable',
    `the ring ${path} cannot be created: there is no room for 8397312 bytes`,
  ]);
  expect([existsSync(path), existsSync(`${path}.new`)]).toEqual([false, false]);
  makeRing(path, 64).file.remove(); // a small one fits
});

test('the mode of a ring allows its owner, and optionally a group, whatever the umask', () => {
  const before = process.umask(0);
  const { path, file } = makeRing(rings.fresh(), 64);
  process.umask(before);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(rings.path).filter((name) => name.startsWith(basename(path)))).toEqual([
    basename(path),
  ]);
  if (process.getuid?.() !== 0) {
    chmodSync(path, 0);
    expect(opening(path)[0]).toBe('ring-unusable');
  }
  file.remove();
  const group = process.getgid!();
  const shared = createRingFile({ ...OPTIONS, path, group });
  if (shared instanceof StartFault) throw new Error(shared.message);
  expect([statSync(path).mode & 0o777, statSync(path).gid]).toEqual([0o660, group]);
  shared.remove();
});

test('other files beside the path of a ring do not block it, and are not changed', () => {
  const path = rings.fresh();
  const foreign = [`${path}.lock`, `${path}.new`, `${path}.${process.pid}-0.new`];
  for (const name of foreign) {
    writeFileSync(name, 'of somebody else');
    chmodSync(name, 0);
    if (isRoot) chownSync(name, NOBODY, NOBODY);
  }
  symlinkSync(join(rings.path, 'elsewhere'), `${path}.${process.pid}-1.new`);
  const { file } = makeRing(path, 64);
  openRing(path);
  file.remove();
  expect([existsSync(path), existsSync(join(rings.path, 'elsewhere'))]).toEqual([false, false]);
  for (const name of foreign) expect(statSync(name).size).toBe(16);
});

test('a temporary file of a server that died is removed by the next server', () => {
  const path = rings.fresh();
  const left = `${path}.${2 ** 22 + 1}-0.new`;
  writeFileSync(left, 'unfinished');
  makeRing(path, 64).file.remove();
  expect(existsSync(left)).toBe(false);
});

test('a symbolic link is neither followed by a reader nor replaced by a writer', () => {
  const { path, file } = makeRing(rings.fresh(), 64);
  const link = rings.fresh();
  symlinkSync(path, link);
  expect(opening(link)).toEqual([
    'ring-unusable',
    `the ring ${link} cannot be opened: it is a symbolic link`,
  ]);
  expect(making(link)[0]).toBe('ring-unusable');
  expect(readFileSync(path).length).toBeGreaterThan(0);
  file.remove();
});

test.skipIf(!isRoot)('a ring of another user is opened only if the reader names that user', () => {
  const { path, file } = makeRing(rings.fresh(), 64);
  chownSync(path, NOBODY, NOBODY);
  expect(opening(path)).toEqual(['ring-foreign', `the ring ${path} belongs to user ${NOBODY}`]);
  expect(making(path)).toEqual(['ring-foreign', `the ring ${path} belongs to user ${NOBODY}`]);
  expect(RingReader.open(path, { owner: 1 })).toBeInstanceOf(StartFault);
  expect(openRing(path, { owner: NOBODY }).epoch).toBe(7);
  file.remove();
});

describe('the default directory of a ring', () => {
  const own = process.geteuid!();

  test('is that of the service, that of the session, or one in /dev/shm', () => {
    const both = { RUNTIME_DIRECTORY: '/run/tapedeck:/run/b', XDG_RUNTIME_DIR: '/run/user/1' };
    expect(defaultRingPath(both)).toBe('/run/tapedeck/tapedeck.ring');
    expect(defaultRingPath({ XDG_RUNTIME_DIR: '/run/user/1' })).toBe(
      '/run/user/1/tapedeck/tapedeck.ring',
    );
    // Other users cannot enter the directory of a session.
    expect(defaultRingPath({ XDG_RUNTIME_DIR: '/run/user/1' }, true)).toBe(
      `/dev/shm/tapedeck-${own}/tapedeck.ring`,
    );
    for (const odd of [{}, { XDG_RUNTIME_DIR: '' }, { XDG_RUNTIME_DIR: 'relative' }]) {
      expect(defaultRingPath(odd)).toBe(`/dev/shm/tapedeck-${own}/tapedeck.ring`);
    }
  });

  test('is created for its owner alone; one that is open to others is closed to them', () => {
    const path = join(rings.path, 'private', 'a.ring');
    expect(prepareRingDirectory(path)).toBeUndefined();
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    chmodSync(dirname(path), 0o777);
    expect(prepareRingDirectory(path)).toBeUndefined();
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    expect(prepareRingDirectory(path, process.getgid!())).toBeUndefined();
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o750);
  });

  test('is refused if another user owns it, or if it is a symbolic link', () => {
    const taken = join(rings.path, 'taken');
    const link = join(rings.path, 'link');
    mkdirSync(taken, { mode: 0o777 });
    symlinkSync(taken, link);
    expect(prepareRingDirectory(join(link, 'a.ring'))).toMatchObject({
      code: 'ring-unusable',
      message: expect.stringContaining('not a directory'),
    });
    if (!isRoot) return console.log('skipped: the directory of another user needs root');
    chownSync(taken, NOBODY, NOBODY);
    expect(prepareRingDirectory(join(taken, 'a.ring'))).toMatchObject({
      code: 'ring-unusable',
      message: expect.stringContaining(`belongs to user ${NOBODY}`),
    });
    expect(statSync(taken).uid).toBe(NOBODY);
  });
});

test('a reader reads an open ring to its end after the file is removed', () => {
  const { path, file, writer } = makeRing(rings.fresh(), 64);
  const reader = openRing(path);
  writer.accept(batchOf([definition('ACME', 1), checkableTick('ACME', 2)]));
  writer.end();
  file.remove();
  expect([reader.poll(), reader.poll(), reader.poll()]).toEqual(['record', 'record', 'ended']);
});

test('a writer is identified by pid and start time, since a pid may be used again', () => {
  expect(processStart(process.pid)).toBeGreaterThan(0);
  expect(processStart(2 ** 22 + 1)).toBe(0);
  const { path, file } = makeRing(rings.fresh(), 64);
  expect(openRing(path).writer()).not.toBe('gone');
  file.words.doubles[9]! += 1;
  expect(openRing(path).writer()).toBe('gone');
  truncateSync(path, statSync(path).size);
  file.remove();
});
