/** Where the commands find a key: on the command line, in a file, on standard input, in the environment. */

import { afterAll, beforeAll, expect, test } from 'bun:test';

import { instrument, tape, trade } from '../support/feed';
import { PROGRAM } from '../support/program';
import {
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  tapedeck,
  testKey,
} from '../support/tapedeck-process';

const READER = testKey('reader');
const scratch = new Scratch();
let server: ServerProcess;
let recording: string;

beforeAll(async () => {
  server = await ServerProcess.start({
    config: '[auth]\nrequireKey = true\n',
    keys: [{ name: 'reader', roles: ['read'] }],
  });
  const lines = tape(instrument('ACME'), trade('ACME', '1.00', '1'));
  expect((await server.ingest(lines, PUBLISH_KEY)).status).toBe(200);
  recording = scratch.write(tape(instrument('ACME')), '.ndjson');
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

/** The server accepts the key, and has no tick. */
const LET_IN = expect.stringContaining('(no-data)');
const book = (...more: string[]): string[] => ['book', 'ACME', '--url', server.url, ...more];
const pour = (...more: string[]): string[] => ['import', recording, '--to', server.url, ...more];

async function withInput(args: string[], input: string): Promise<{ code: number; stderr: string }> {
  const child = Bun.spawn([...PROGRAM, ...args], {
    stdin: Buffer.from(input),
    stdout: 'ignore',
    stderr: 'pipe',
  });
  return { code: await child.exited, stderr: await new Response(child.stderr).text() };
}

test('from a file, with or without a line feed; the command line takes precedence over the environment', async () => {
  for (const content of [READER, `${READER}\n`, ` ${READER}\r\n`]) {
    const { stderr } = await tapedeck(book('--key-file', scratch.write(content)));
    expect(stderr).toEqual(LET_IN);
  }
  const env = { TAPEDECK_KEY: 'none' };
  expect((await tapedeck(book('--key-file', scratch.write(READER)), { env })).stderr).toEqual(
    LET_IN,
  );
  expect((await tapedeck(book('--key', READER), { env })).stderr).toEqual(LET_IN);
  expect((await tapedeck(book(), { env })).stderr).toContain('(unauthorized)');
  expect((await tapedeck(book())).stderr).toContain('(unauthorized)');
});

test('from the environment and from standard input', async () => {
  expect((await tapedeck(book(), { env: { TAPEDECK_KEY: READER } })).stderr).toEqual(LET_IN);
  expect((await withInput(book('--key-file', '-'), `${READER}\n`)).stderr).toEqual(LET_IN);
});

test('for import and tail too', async () => {
  expect(await tapedeck(pour('--key-file', scratch.write(PUBLISH_KEY)))).toMatchObject({ code: 0 });
  expect(await tapedeck(pour(), { env: { TAPEDECK_KEY: PUBLISH_KEY } })).toMatchObject({ code: 0 });
  expect(await withInput(pour('--key-file', '-'), PUBLISH_KEY)).toMatchObject({ code: 0 });
  const tail = ['tail', 'trade:NONE', '--url', server.url];
  expect((await tapedeck([...tail, '--key-file', scratch.write(READER)])).stderr).toContain(
    '(unknown-symbol)',
  );
  expect((await tapedeck(tail, { env: { TAPEDECK_KEY: READER } })).stderr).toContain(
    '(unknown-symbol)',
  );
  // An import into a journal presents it to nobody.
  const offline = await tapedeck(['import', recording, '--data', scratch.fresh()], {
    env: { TAPEDECK_KEY: PUBLISH_KEY },
  });
  expect(offline.code).toBe(0);
});

test('an invalid key is reported without its text', async () => {
  const absent = scratch.fresh();
  for (const [file, words] of [
    [absent, `${absent} cannot be read`],
    [scratch.write(''), 'has no key in it'],
    [scratch.write(`${READER}\nmore`), 'has no key in it'],
    [scratch.write('x'.repeat(20_000)), 'has no key in it'],
  ] as const) {
    const { code, stderr } = await tapedeck(book('--key-file', file));
    expect([code, stderr]).toEqual([64, expect.stringContaining(words)]);
    expect(stderr).not.toContain(READER.slice(0, 16));
  }
  expect((await tapedeck(book('--key', READER, '--key-file', absent))).code).not.toBe(0);
  const offline = await tapedeck([
    'import',
    recording,
    '--data',
    scratch.fresh(),
    '--key-file',
    absent,
  ]);
  expect(offline.stderr).toContain('--key-file needs --to');
  const twice = await withInput(
    ['import', '-', '--to', server.url, '--key-file', '-'],
    PUBLISH_KEY,
  );
  expect(twice).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('cannot both be read from standard input'),
  });
});

test('the help of each command that takes a key warns of the list of processes', async () => {
  for (const command of ['book', 'tail', 'import']) {
    const { stdout } = await tapedeck([command, '--help']);
    const words = stdout.replace(/\s+/g, ' ');
    for (const part of ['--key-file <FILE>', 'TAPEDECK_KEY', 'list of processes'])
      expect(words).toContain(part);
  }
});
