/** Standard output that accepts no more: a closed pipe, and a full disk. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { book, instrument, tape, trade } from '../support/feed';
import { PROGRAM } from '../support/program';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';

const FULL = '/dev/full';
const hasFull = existsSync(FULL);
if (!hasFull) console.log(`skipped: what a full disk does, since there is no ${FULL}`);

const scratch = new Scratch();
let server: ServerProcess;
let data: string;

beforeAll(async () => {
  server = await ServerProcess.start();
  const events = [instrument('ACME'), book('ACME', 'snapshot', [['9.99', '1']], [['10.01', '1']])];
  await server.ingest(tape(...events, trade('ACME', '10.00', '1')));
  data = scratch.fresh();
  await tapedeck(['keys', 'make', 'desk', '--data', data]);
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

/** Every command that prints and ends, in each of its forms. */
const COMMANDS: readonly (readonly [name: string, args: () => readonly string[]])[] = [
  ['--help', () => ['--help']],
  ['--version', () => ['--version']],
  ['help keys', () => ['help', 'keys']],
  ['serve --help', () => ['serve', '--help']],
  ['completion bash', () => ['completion', 'bash']],
  ['keys list', () => ['keys', 'list', '--data', data]],
  ['keys list --json', () => ['keys', 'list', '--json', '--data', data]],
  ['config print', () => ['config', 'print']],
  ['config check', () => ['config', 'check']],
  ['verify', () => ['verify', '--data', server.data]],
  ['book', () => ['book', 'ACME', '--url', server.url]],
  ['book --json', () => ['book', 'ACME', '--json', '--url', server.url]],
  ['tail', () => ['tail', 'trade:ACME', '--url', server.url]],
  ['export', () => ['export', '--data', server.data, '--kind', 'trade', '--symbol', 'ACME']],
  ['replay', () => ['replay', 'fixtures/tapes/gap.ndjson', '--data', scratch.fresh()]],
];

/** Its exit code and its standard error, with standard output redirected by this piece of bash. */
async function run(output: '| true' | `> ${string}`, args: readonly string[]) {
  const script = `"$@" ${output}; exit "\${PIPESTATUS[0]}"`;
  const child = Bun.spawn(['bash', '-c', script, 'bash', ...PROGRAM, ...args], {
    cwd: join(import.meta.dir, '../..'),
    stdin: 'ignore',
    stderr: 'pipe',
  });
  return { stderr: await new Response(child.stderr).text(), code: await child.exited };
}

describe('a closed pipe ends the command quietly', () => {
  test.each(COMMANDS)('%s', async (_, args) => {
    const { stderr, code } = await run('| true', args());
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe.skipIf(!hasFull)('a full disk is reported', () => {
  test.each(COMMANDS)('%s', async (_, args) => {
    const { stderr, code } = await run(`> ${FULL}`, args());
    expect(stderr).toStartWith('tapedeck: standard output cannot be written: ENOSPC');
    expect(stderr).not.toContain('    at ');
    expect(code).toBe(73);
  });
});

describe('a key that could not be printed', () => {
  test.each(['| true', `> ${FULL}`] as const)('is revoked (%s)', async (output) => {
    if (output !== '| true' && !hasFull) return;
    const { stderr, code } = await run(output, ['keys', 'make', 'lost', '--data', data]);
    expect(stderr).toContain('the key could not be printed');
    expect(code).toBe(73);
    const { stdout } = await tapedeck(['keys', 'list', '--data', data]);
    expect(stdout).toStartWith('desk ');
    expect(stdout).not.toContain('lost');
  });
});

test.skipIf(!hasFull)('errors that cannot be printed keep their exit code', async () => {
  expect((await run(`> ${FULL} 2>&1`, ['keys', 'lost'])).code).toBe(64);
  expect((await run(`> ${FULL} 2>&1`, ['verify', '--data', scratch.fresh()])).code).toBe(66);
});
