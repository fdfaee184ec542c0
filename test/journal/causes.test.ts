/**
 * Why the journal cannot be written: the name of each cause, at the start and in a running server.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { CAUSES, causeOf, unwritable, WriteError } from '../../src/journal/write/causes';
import { ForeignWrite } from '../../src/journal/write/own-writes';
import { instrument } from '../support/feed';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { until } from '../support/until';
import { testDeep } from '../support/tier';

const scratch = new Scratch();
const mounted: string[] = [];
afterAll(() => {
  for (const path of mounted) Bun.spawnSync(['umount', path]);
  scratch.remove();
});

function mount(...options: string[]): string | undefined {
  const path = scratch.fresh();
  mkdirSync(path);
  if (Bun.spawnSync(['mount', ...options, path]).exitCode !== 0) return undefined;
  mounted.push(path);
  return path;
}

const full = mount('-t', 'tmpfs', '-o', 'size=1048576,mode=0700', 'none');
const isSkipped = full === undefined;
if (isSkipped) console.log('skipped: this user may not mount a small file system');

test('each error of SQLite and the system has a cause with a name', () => {
  const causes = {
    SQLITE_FULL: 'disk-full',
    SQLITE_IOERR_WRITE: 'io-error',
    SQLITE_IOERR_NOMEM: 'no-memory',
    SQLITE_READONLY: 'read-only',
    SQLITE_READONLY_DIRECTORY: 'read-only',
    SQLITE_READONLY_DBMOVED: 'moved',
    SQLITE_BUSY: 'in-use',
    SQLITE_LOCKED_SHAREDCACHE: 'in-use',
    SQLITE_CANTOPEN: 'not-opened',
    SQLITE_CONSTRAINT_PRIMARYKEY: 'foreign-write',
    SQLITE_CORRUPT: 'other',
    ENOSPC: 'disk-full',
    EROFS: 'read-only',
    EIO: 'io-error',
  } as const;
  for (const [code, cause] of Object.entries(causes)) {
    const e = Object.assign(new Error('the words of SQLite'), { code });
    expect([code, causeOf(e, scratch.path)]).toEqual([code, cause]);
    const fault = unwritable(scratch.path, e);
    expect(fault.code).toBe(cause === 'foreign-write' ? 'journal-taken' : 'journal-unwritable');
    expect(fault.message).toContain('the words of SQLite');
    expect(fault.hint).toStartWith(CAUSES[cause]);
  }
  expect(causeOf(new ForeignWrite('theirs'), scratch.path)).toBe('foreign-write');
  expect(causeOf(new WriteError('of another thread', 'moved'), scratch.path)).toBe('moved');
});

describe('a start', () => {
  test.skipIf(isSkipped)('on a full disk', async () => {
    writeFileSync(join(full!, 'filler'), '');
    Bun.spawnSync(['dd', 'if=/dev/zero', `of=${join(full!, 'filler')}`, 'bs=4096']); // until the disk is full
    const io = Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_SHMSIZE' });
    expect(causeOf(io, full!)).toBe('disk-full');
    Bun.spawnSync(['truncate', '-s', '-40K', join(full!, 'filler')]); // room for the lock and little else
    const { code, stderr } = await tapedeck(['serve', '--port', '0', '--data', full!]);
    expect([code, stderr]).toEqual([74, expect.stringContaining(CAUSES['disk-full'])]);
    expect(stderr).toContain('[journal-unwritable]');
  });

  test.skipIf(isSkipped)('on a read-only file', async () => {
    const server = await ServerProcess.start({ data: scratch.fresh() });
    await server.stop();
    const readable = scratch.fresh();
    cpSync(server.data, readable, { recursive: true });
    const journal = join(readable, 'journal.sqlite');
    const bind = Bun.spawnSync(['mount', '--bind', '-o', 'ro', journal, journal]);
    expect(bind.exitCode).toBe(0);
    mounted.push(journal);
    const reading = await ServerProcess.start({ data: readable });
    expect(await reading.json('/readyz')).toMatchObject({
      reasons: [{ code: 'journal-failing', cause: 'read-only', hint: CAUSES['read-only'] }],
      warnings: [{ code: 'journal-unlocked', message: expect.stringContaining('EROFS') }],
    });
    const { stderr } = await reading.stop();
    expect(stderr).toContain('"cause":"read-only"');
    expect(stderr.split('"code":"journal-unlocked"')).toHaveLength(2);
    await reading.remove();
    await server.remove();
  });
});

testDeep('a running server: a lock that another process holds, until it lets go', async () => {
  const server = await ServerProcess.start({ data: scratch.fresh() });
  expect((await server.ingest(JSON.stringify(instrument('ACME')))).status).toBe(200);
  const other = new Database(join(server.data, 'journal.sqlite'));
  other.run('BEGIN IMMEDIATE');
  const said = server.ingest(JSON.stringify(instrument('BETA')));
  const readiness = (status: number): Promise<Response> =>
    until(async () => {
      const answer = await server.get('/readyz');
      return answer.status === status && answer;
    }, `readiness ${status}`);
  expect(await (await readiness(503)).json()).toMatchObject({
    reasons: [{ code: 'journal-failing', cause: 'in-use', hint: CAUSES['in-use'] }],
  });
  other.run('ROLLBACK');
  other.close();
  await readiness(200);
  expect((await said).status).toBe(200);
  const { code, stderr } = await server.stop();
  expect(code).toBe(0);
  expect(stderr).toContain('"cause":"in-use"');
  await server.remove();
});
