/** `tapedeck verify`: journals of real servers, however they ended, and what it reports for bad ones. */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { contentOf } from '../support/scratch-directory';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { until } from '../support/until';

const scratch = new Scratch();
afterAll(() => scratch.remove());

interface Line {
  records: number;
  seqFirst: number;
  seqLast: number;
  epochs: number;
  stateHash: string;
}

async function verify(data: string, ...more: string[]): Promise<Line> {
  const { code, stdout, stderr } = await tapedeck(['verify', '--data', data, ...more]);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^\{.*\}\n$/);
  const line = JSON.parse(stdout) as Line;
  expect(Object.keys(line)).toEqual(['records', 'seqFirst', 'seqLast', 'epochs', 'stateHash']);
  expect(line).toMatchObject({ seqFirst: 1, records: line.seqLast });
  expect(line.stateHash).toMatch(/^[0-9a-f]{16}$/);
  return line;
}

test('a busy venue: while it runs, killed, started again, ended in order', async () => {
  const data = scratch.fresh();
  const args = ['--demo', '--rate', '2000'];
  const first = await ServerProcess.start({ data, args });
  await until(async () => ((await first.json('/v1/instruments'))['seq'] as number) > 500);
  const running = await verify(data);
  await verify(data, '--replay');
  await first.stop('SIGKILL');
  const before = contentOf(data);
  const killed = await verify(data);
  expect(contentOf(data)).toEqual(before);
  expect(killed.seqLast).toBeGreaterThan(running.seqLast);
  expect(await verify(data, '--replay')).toEqual(killed);

  const second = await ServerProcess.start({ data, args });
  const more = killed.seqLast + 100;
  await until(async () => ((await second.json('/v1/instruments'))['seq'] as number) > more);
  await second.stop('SIGTERM');
  const files = readdirSync(data);
  const closed = await verify(data);
  expect(closed.epochs).toBe(2);
  expect(closed.seqLast).toBeGreaterThan(killed.seqLast);
  expect(readdirSync(data)).toEqual(files);
  await Promise.all([first.remove(), second.remove()]);
});

describe('what it reports', () => {
  test('without a journal', async () => {
    const data = scratch.fresh();
    const { code, stdout, stderr } = await tapedeck(['verify', '--data', data]);
    expect([code, stdout]).toEqual([66, '']);
    expect(stderr).toContain(`there is no journal in ${data} [no-journal]`);
    expect(() => readdirSync(data)).toThrow(); // and creates none
  });

  test('the first fault: its record, and what is wrong with it', async () => {
    const data = scratch.fresh();
    const tape = join(import.meta.dir, '../../fixtures/tapes/two-instruments.ndjson');
    expect((await tapedeck(['replay', tape, '--data', data])).code).toBe(0);
    const db = new Database(join(data, 'journal.sqlite'));
    const { seq } = db.query('SELECT max(seq) AS seq FROM ticks').get() as { seq: number };
    db.run('UPDATE record SET volume = 7 WHERE id = ? * 8', [seq]);
    db.close();
    const { code, stdout, stderr } = await tapedeck(['verify', '--data', data]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(new RegExp(`record ${seq} \\(tick \\S+\\): volume is 7; expected \\d+`));
  });

  test('a file that is no database', async () => {
    const data = scratch.fresh();
    mkdirSync(data);
    writeFileSync(join(data, 'journal.sqlite'), 'hello '.repeat(1000));
    const { code, stdout, stderr } = await tapedeck(['verify', '--data', data]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('file is not a database [journal-damaged]');
  });
});
