/**
 * Damage that only the writer encounters: the server stops with a fault, and the next start continues with the good
 * part.
 */

import { Database } from 'bun:sqlite';
import { afterAll, expect, test } from 'bun:test';
import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { instrument, tape, trade } from '../support/feed';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';

const scratch = new Scratch();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  scratch.remove();
});

async function start(data: string, config = ''): Promise<ServerProcess> {
  const server = await ServerProcess.start({ data, config });
  servers.push(server);
  return server;
}

const PAGE = 4_096;

test('old records that retention cannot delete are set aside by the next start', async () => {
  const data = join(scratch.path, 'data');
  const first = await start(data);
  for (let i = 0; i < 20; i++) {
    const lines = tape(
      instrument('ACME'),
      ...Array.from({ length: 1_000 }, () => trade('ACME', '1.00', '1')),
    );
    expect((await first.ingest(lines)).status).toBe(200);
  }
  expect((await first.stop()).code).toBe(0);
  // An orderly end moves the whole WAL.
  expect(statSync(join(data, 'journal.sqlite-wal'), { throwIfNoEntry: false })?.size ?? 0).toBe(0);
  const path = join(data, 'journal.sqlite');
  const bytes = readFileSync(path);
  // Far before the newest checkpoint, where a start does not read.
  bytes.fill(0, 20 * PAGE, 100 * PAGE);
  writeFileSync(path, bytes);

  // It may end before it could report that it has started.
  const config = join(scratch.path, 'retention.toml');
  writeFileSync(config, '[journal.retention]\nbytes = 1\n');
  const args = [
    'serve',
    '--port',
    '0',
    '--data',
    data,
    '--durability',
    'commit',
    '--config',
    config,
  ];
  const { code, stderr } = await tapedeck(args, { timeoutMs: 120_000 });
  expect(code).toBe(65);
  expect(stderr).toContain('malformed');
  expect(stderr).toContain('Start again');
  expect(readdirSync(data)).toContain('journal.suspect');

  // A suspicion does not apply to another file with the same name.
  const other = join(scratch.path, 'other');
  cpSync(data, other, { recursive: true, filter: (from) => !from.includes('journal.sqlite') });
  await (await start(other)).stop();
  expect(readdirSync(other)).not.toContain('journal.suspect');
  await (await start(other)).stop();
  expect(readdirSync(other).filter((name) => name.startsWith('journal-damaged-'))).toEqual([]);

  const third = await start(data);
  expect((await third.get('/readyz')).status).toBe(200);
  expect(
    readdirSync(data).filter((name) => name.startsWith('journal-damaged-')).length,
  ).toBeGreaterThan(0);
  expect(readdirSync(data)).not.toContain('journal.suspect');
  expect((await third.ingest(tape(trade('ACME', '2.00', '1')))).status).toBe(200);
  await third.stop();
  const db = new Database(path, { readonly: true });
  const gaps = db.query<{ reason: string }, []>('SELECT reason FROM gaps').all();
  db.close();
  expect(gaps.map(({ reason }) => reason)).toContain('damage');
}, 180_000);
