/** What a server logs at its start and its end, and that it does not depend on readers of its output. */

import { afterAll, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';

import { StartFault } from '../../src/base/start-fault';
import { loadSettings } from '../../src/config/config';
import { demoSettings } from '../../src/app/demo';
import { VERSION } from '../../src/version';
import { PROGRAM } from '../support/program';
import { StreamClient } from '../support/stream-client';
import { Scratch, ServerProcess } from '../support/tapedeck-process';

const FULL = '/dev/full';
const scratch = new Scratch();
afterAll(() => scratch.remove());

function linesOf(stderr: string): Record<string, unknown>[] {
  const lines = stderr.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a start and an orderly stop are one log line each', async () => {
  const server = await ServerProcess.start({ logLevel: 'info', args: ['--demo'] });
  const reader = await StreamClient.open(server.url);
  const { stderr } = await server.stop('SIGTERM');
  expect((await reader.closed).code).toBe(1001);
  const lines = linesOf(stderr);
  expect(lines.filter(({ msg }) => msg === 'the server has started')).toEqual([
    expect.objectContaining({
      version: VERSION,
      url: server.url,
      directory: server.data,
      durability: 'commit',
      epoch: expect.any(Number),
      recovery: { ms: expect.any(Number), records: 0 },
      retention: { hours: 0, bytes: 2 ** 30 },
    }),
  ]);
  expect(lines.filter(({ msg }) => msg === 'the server has stopped')).toEqual([
    expect.objectContaining({
      reason: 'SIGTERM',
      ms: expect.any(Number),
      journal: 'closed',
      readers: 1,
      readersCut: 0,
      requestsCut: 0,
    }),
  ]);
  await server.remove();
});

test.each([
  ['', { hours: 0, bytes: 2 ** 30 }],
  ['[journal.retention]\nbytes = 0\n', { hours: 0, bytes: 0 }],
  ['[journal.retention]\nhours = 2\n', { hours: 2, bytes: 0 }],
])('a demo bounds its journal where the settings do not say: %j', (text, retention) => {
  const loaded = loadSettings({ config: scratch.write(text, '.toml') }, {});
  if (loaded instanceof StartFault) throw new Error(loaded.message);
  expect(demoSettings(loaded).journal.retention).toEqual(retention);
  expect(loaded.config.journal.retention.bytes).toBe(0); // of a server without the demo
});

test.skipIf(!existsSync(FULL)).each([
  ['standard output', `> ${FULL}`],
  ['the log', `2> ${FULL}`],
])('a server continues when nobody reads %s', async (_, output) => {
  const data = scratch.fresh();
  const args = ['serve', '--port', '0', '--data', data];
  const script = `exec "$@" ${output}`;
  const child = Bun.spawn(['bash', '-c', script, 'bash', ...PROGRAM, ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: 60_000,
  });
  const reported = output.startsWith('2') ? child.stdout : child.stderr;
  const reader = reported.getReader();
  const announced = output.startsWith('2') ? '/v1/stream' : 'standard output is closed';
  for (let text = ''; !text.includes(announced);) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`it ended: ${text}`);
    text += Buffer.from(value).toString();
  }
  child.kill('SIGTERM');
  expect(await child.exited).toBe(0);
});
