/**
 * Local users: files that a server writes are for its user alone, whatever the umask; and nothing that another user
 * can change is trusted. As root this test starts processes of another user; otherwise that part is left out, and
 * reported as such.
 */

import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { instrument, tape, trade } from '../support/feed';
import { placeExecutable } from '../support/program';
import {
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  tapedeck,
  writeTestKeys,
} from '../support/tapedeck-process';
import { until } from '../support/until';

const NOBODY = 65_534;
const scratch = new Scratch();
const setpriv = Bun.which('setpriv');
const isRoot = process.getuid?.() === 0 && setpriv !== null;
if (!isRoot) console.warn('skipped: other users, which takes root and setpriv');
/** A directory that other users can read too. */
const open = mkdtempSync('/var/tmp/tapedeck-users-');
chmodSync(open, 0o755);
afterAll(() => {
  scratch.remove();
  rmSync(open, { recursive: true, force: true });
});

let mask: number | undefined;
afterEach(() => {
  if (mask !== undefined) process.umask(mask);
  mask = undefined;
});

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

/** Modes of everything in a directory. */
function modes(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory).map((name) => [name, modeOf(join(directory, name))]),
  );
}

test.each([0, 0o022])(
  'with a umask of %d all files are for their owner alone, also those that were open before',
  async (umask) => {
    mask = process.umask(umask);
    const data = join(scratch.fresh(), 'made');
    const first = await ServerProcess.start({ args: ['--data', data], keys: null });
    await first.stop('SIGKILL');
    const written = await ServerProcess.start({ args: ['--data', data], keys: null });
    const lines = tape(instrument('ACME'), trade('ACME', '1.00', '1'));
    writeTestKeys(data, [{ name: 'feed', roles: ['publish'] }]);
    await until(async () => (await written.ingest(lines, PUBLISH_KEY)).status === 200);
    const all = modes(data);
    expect(Object.keys(all)).toEqual(
      expect.arrayContaining([
        'head',
        'journal.sqlite',
        'journal.sqlite-shm',
        'journal.sqlite-wal',
        'keys.json',
        'lock.sqlite',
      ]),
    );
    expect(new Set(Object.values(all))).toEqual(new Set(['600']));
    expect(modeOf(data)).toBe('700');
    await written.stop('SIGKILL');
    // As an older server left them.
    for (const name of ['journal.sqlite', 'journal.sqlite-wal', 'lock.sqlite'])
      chmodSync(join(data, name), 0o644);
    const again = await ServerProcess.start({ args: ['--data', data], keys: null });
    expect(new Set(Object.values(modes(data)))).toEqual(new Set(['600']));
    await again.stop('SIGKILL');
  },
);

test('a journal that is set aside and its successor are for their owner alone', async () => {
  mask = process.umask(0);
  const data = scratch.fresh();
  const first = await ServerProcess.start({ args: ['--data', data], keys: null });
  await first.stop('SIGKILL');
  writeFileSync(
    join(data, 'journal.suspect'),
    `${statSync(join(data, 'journal.sqlite')).ino}\na test`,
  );
  const second = await ServerProcess.start({ args: ['--data', data], keys: null });
  const all = modes(data);
  expect(Object.keys(all).length).toBeGreaterThan(5);
  expect(new Set(Object.values(all))).toEqual(new Set(['600']));
  await second.stop('SIGKILL');
});

test('a data directory that everyone can write is refused, with advice', async () => {
  const data = scratch.fresh();
  mkdirSync(data);
  for (const mode of [0o777, 0o1777, 0o702]) {
    chmodSync(data, mode);
    const { code, stderr } = await tapedeck(['serve', '--port', '0', '--data', data]);
    expect([code, stderr]).toEqual([73, expect.stringContaining('can be written by every user')]);
    expect(stderr).toContain(`chmod 700 ${data}`);
    expect(readdirSync(data)).toEqual([]);
  }
});

test('keys that others can write cause a warning, at the start and when they are read again', async () => {
  const data = scratch.fresh();
  writeTestKeys(data, [{ name: 'feed', roles: ['publish'] }]);
  const keys = join(data, 'keys.json');
  chmodSync(data, 0o770);
  chmodSync(keys, 0o666);
  const server = await ServerProcess.start({ args: ['--data', data], keys: null });
  writeTestKeys(data, [{ name: 'other', roles: ['publish'] }]);
  chmodSync(keys, 0o620);
  await until(
    async () => (await server.ingest(tape(instrument('ACME')), PUBLISH_KEY)).status === 401,
  );
  const { stderr } = await server.stop('SIGTERM');
  const said = stderr
    .split('\n')
    .filter((line) => line.includes(`${keys} can be written by others`));
  expect(said.length).toBeGreaterThanOrEqual(2);
  expect(said[0]).toContain(`chmod 600 ${keys}`);
  expect(stderr).toContain(`${data} can be written by its group`);
});

describe.skipIf(!isRoot)('as another user', () => {
  const program = join(open, 'tapedeck');
  const asNobody = [setpriv!, `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];

  test('preparation: a program that others may run too', () => {
    placeExecutable(program);
    for (const name of readdirSync(open)) chmodSync(join(open, name), 0o755);
  });

  const asOther = (args: string[]) =>
    tapedeck(args, { command: [...asNobody, program], cwd: '/', env: {} });

  test.each(['directory', 'keys.json', 'journal.sqlite', 'link'])(
    'a %s of another user is refused',
    async (what) => {
      const data = mkdtempSync(join(open, 'data-'));
      const other = join(open, `file-${what}`);
      chmodSync(data, 0o755);
      if (what !== 'directory') chownSync(data, NOBODY, NOBODY);
      const path =
        what === 'directory' ? data : join(data, what === 'link' ? 'journal.sqlite' : what);
      if (what === 'link') {
        writeFileSync(other, '');
        chownSync(other, 1, 1);
        symlinkSync(other, path);
      } else if (what !== 'directory') writeFileSync(path, '{"version":1,"keys":[]}');
      if (what !== 'link') chownSync(path, 1, 1);
      const { code, stderr } = await asOther(['serve', '--port', '0', '--data', data]);
      expect([code === 73 || code === 78, stderr]).toEqual([
        true,
        expect.stringContaining(`${path} belongs to user 1`),
      ]);
      expect(existsSync(join(data, 'lock.sqlite'))).toBe(false);
    },
  );

  test('files that a server of root writes cannot be read', async () => {
    const data = join(open, 'of-root');
    const server = await ServerProcess.start({ args: ['--data', data], keys: null });
    const read = await asOther(['verify', '--data', data]);
    expect(read.code).not.toBe(0);
    expect(Bun.spawnSync([...asNobody, 'cat', join(data, 'journal.sqlite')]).success).toBe(false);
    await server.stop('SIGKILL');
  });
});
