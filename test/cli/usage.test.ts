/** The command line: help, exit codes, and errors that give advice. */

import { afterAll, describe, expect, test } from 'bun:test';

import { Scratch, tapedeck } from '../support/tapedeck-process';

const scratch = new Scratch();
afterAll(() => scratch.remove());
const NOWHERE = 'http://127.0.0.1:1';

describe('help', () => {
  test('lists every command', async () => {
    const { code, stdout } = await tapedeck(['--help']);
    expect(code).toBe(0);
    for (const command of ['serve', 'import', 'tail', 'book', 'export', 'verify', 'completion'])
      expect(stdout).toContain(command);
  });

  test.each([
    ['serve', ['--host', '--port', '--data', '--config', '--durability', 'TAPEDECK_PORT']],
    [
      'import',
      [
        '--data',
        '--to',
        '--key',
        '--speed',
        '--format',
        '--on-fault',
        '--time-unit',
        '--symbol',
        '--price-scale',
        '--quantity-scale',
        '--snapshot-symbol',
        '--json',
      ],
    ],
    ['tail', ['--url', '--json', 'trade:SYM', 'status']],
    ['book', ['--url', '--at', '--depth', '--json', '--once']],
    ['export', ['--data', '--kind', '--symbol', '--from', '--to', '--format', '--output']],
    ['verify', ['--data', 'stateHash']],
    ['completion', ['bash', 'zsh', 'fish']],
  ])('%s', async (command, words) => {
    const [asked, helped] = await Promise.all([
      tapedeck([command, '--help']),
      tapedeck(['help', command]),
    ]);
    expect(helped).toEqual(asked);
    expect([asked.code, asked.stderr]).toEqual([0, '']);
    for (const word of [...words, 'Example']) expect(asked.stdout).toContain(word);
  });

  test('the version', async () => {
    expect((await tapedeck(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

test('completion for an unknown shell is refused', async () => {
  expect(await tapedeck(['completion', 'csh'])).toMatchObject({ code: 64, stdout: '' });
});

describe('a mistake in the call gives exit code 64', () => {
  test.each([
    [[], 'Usage: tapedeck'],
    [['nonsense'], "unknown command 'nonsense'"],
    [['serv'], 'Did you mean serve?'],
    [['serve', '--nonsense'], "unknown option '--nonsense'"],
    [['serve', '--por', '1'], 'Did you mean --port?'],
    [['serve', 'extra'], 'too many arguments'],
    [['serve', '--port'], 'argument missing'],
    [['replay'], "missing required argument 'file'"],
    [['replay', 'x', '--speed', '0'], 'expected max or a number above 0'],
    [['replay', 'x', '--speed', '-1'], 'expected max or a number above 0'],
    [['replay', 'x', '--speed', 'fast'], 'expected max or a number above 0'],
    [['replay', 'x', '--speed', '9'.repeat(400)], 'expected max or a number above 0'],
    [['replay', 'x', '--format', 'zip'], 'Allowed choices are binance, ndjson'],
    [['replay', 'x', '--on-fault', 'hope'], 'Allowed choices are stop, skip'],
    [['replay', 'x', '--to', NOWHERE, '--data', 'd'], 'cannot be used with option'],
    [['tail'], "missing required argument 'topic'"],
    [['book'], "missing required argument 'symbol'"],
    [['book', 'ACME', '--depth', '0'], 'expected a whole number from 1'],
    [['book', 'ACME', '--depth', 'all'], 'expected a whole number from 1'],
    [['book', 'ACME', '--at', 'yesterday'], 'expected ns since 1970 or an ISO 8601 time'],
    [['book', 'ACME', '--at', '-1'], 'expected ns since 1970 or an ISO 8601 time'],
  ])('%j', async (args, words) => {
    const { code, stdout, stderr } = await tapedeck(args);
    expect([code, stdout]).toEqual([64, '']);
    expect(stderr).toContain(words);
    expect(stderr).not.toContain('    at ');
  });
});

describe('no server', () => {
  test.each([
    [['tail', 'trade:ACME', '--url', NOWHERE]],
    [['book', 'ACME', '--url', NOWHERE]],
    [['replay', 'fixtures/tapes/gap.ndjson', '--to', NOWHERE]],
    [['tail', 'trade:ACME', '--url', 'http://[nonsense']],
    [['book', 'ACME', '--url', 'http://[nonsense']],
  ])('%j is exit code 69 and says how to start one', async (args) => {
    const { code, stdout, stderr } = await tapedeck(args);
    expect([code, stdout]).toEqual([69, '']);
    expect(stderr).toMatch(
      /^tapedeck: no Tapedeck answers at .*\[connection-failed\]\n {2}Start a server/,
    );
  });

  test('a server that is not Tapedeck answers', async () => {
    const other = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('hello') });
    try {
      const url = other.url.href;
      for (const args of [
        ['tail', 'trade:A'],
        ['book', 'A'],
      ]) {
        const { code, stderr } = await tapedeck([...args, '--url', url]);
        expect(code).toBe(69);
        expect(stderr).toContain('[connection-failed]');
        expect(stderr).not.toContain('    at ');
      }
    } finally {
      await other.stop(true);
    }
  });
});
