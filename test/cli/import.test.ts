/** `tapedeck import`: what is wrong with a recording, a key or a server, and what is done about it. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { book, instrument, tape, trade, type Levels } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import {
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  tapedeck,
  TRADE_KEY,
} from '../support/tapedeck-process';

const TAPES = join(import.meta.dir, '../../fixtures/tapes');
const scratch = new Scratch();
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ config: '[limits]\nframeBytesMax = 8192' });
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

const offline = (file: string, ...more: string[]) =>
  tapedeck(['import', file, '--data', scratch.fresh(), ...more]);
const online = (file: string, ...more: string[]) =>
  tapedeck(['import', file, '--to', server.url, '--key', PUBLISH_KEY, ...more]);

describe('files that are no recordings give exit code 65', () => {
  test.each([
    ['missing', () => '/nowhere.ndjson', '[unreadable-recording]'],
    ['a directory', () => TAPES, 'it is a directory'],
    ['of another kind', () => scratch.write('{\n  "name": "tapedeck"\n}\n'), '[not-a-recording]'],
    [
      'random bytes',
      () => scratch.write(Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251)),
      '[not-a-recording]',
    ],
    [
      'gzip of something else',
      () => scratch.write(Bun.gzipSync('hello\nworld\n')),
      '[not-a-recording]',
    ],
  ])('%s', async (_name, make, words) => {
    const file = make();
    for (const { code, stdout, stderr } of [await offline(file), await online(file)]) {
      expect([code, stdout]).toEqual([65, '']);
      expect(stderr).toContain(`tapedeck: ${file}`);
      expect(stderr).toContain(words);
      expect(stderr).not.toContain('    at ');
    }
  });

  test('a truncated gzip: everything before the break is imported', async () => {
    const lines = tape(
      instrument('CUT'),
      ...Array.from({ length: 5_000 }, (_, i) => trade('CUT', `${i % 977}.${(i % 90) + 10}`, '1')),
    );
    const whole = Bun.gzipSync(lines);
    const file = scratch.write(whole.slice(0, Math.floor(whole.length * 0.8)), '.gz');
    const data = scratch.fresh();
    const { code, stderr } = await tapedeck(['import', file, '--data', data]);
    expect(code).toBe(65);
    expect(stderr).toContain('[truncated-recording]');
    const served = await ServerProcess.start({ data });
    const { trades } = (await served.json('/v1/trades/CUT?limit=1000')) as { trades: unknown[] };
    expect(trades).toHaveLength(1000);
    await served.remove();
  });
});

describe('a damaged line', () => {
  const file = join(TAPES, 'damaged.ndjson');
  test('stops by default, named by file and line', async () => {
    for (const { code, stdout, stderr } of [await offline(file), await online(file)]) {
      expect(code).toBe(65);
      expect(stdout).toStartWith('3 lines: 2 taken, 0 repeated, 0 waiting, 0 skipped, 1 refused\n');
      expect(stderr).toStartWith(`tapedeck: ${file}:3: `);
      expect(stderr).toContain('pass --on-fault skip');
    }
  });

  test('is skipped and counted on request', async () => {
    const { code, stdout, stderr } = await offline(file, '--on-fault', 'skip');
    expect(code).toBe(0);
    expect(stdout).toContain(' 0 skipped, 9 refused\n');
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(9);
    for (const line of lines) expect(line).toMatch(/damaged\.ndjson:\d+: .+ \[[a-z-]+\]$/);
  });

  test('the same for one that only the market refuses', async () => {
    const lines = tape(
      instrument('STEPS', { priceIncrement: '0.05' }),
      trade('STEPS', '1.05', '1'),
      trade('STEPS', '1.06', '1'),
      trade('STEPS', '1.10', '2'),
    );
    const path = scratch.write(lines, '.ndjson');
    for (const run of [offline, online]) {
      const stopped = await run(path);
      expect(stopped.code).toBe(65);
      expect(stopped.stderr).toContain(`${path}:3: `);
      expect(stopped.stderr).toContain('[off-increment]');
    }
    for (const run of [offline, online]) {
      const skipped = await run(path, '--on-fault', 'skip');
      expect(skipped).toMatchObject({ code: 0 });
      expect(skipped.stdout).toMatch(/^4 lines: 3 taken, .* 0 skipped, 1 refused\n3 events in /);
      expect(skipped.stderr).toContain(`${path}:3: `);
    }
    expect(await server.json('/v1/tick/STEPS')).toMatchObject({ last: '1.10' });
  });
});

describe('into a server', () => {
  test.each([
    ['without a key', [], '(unauthorized)'],
    ['with a wrong one', ['--key', 'wrong-key-wrong-key'], '(unauthorized)'],
    ['with one that may only trade', ['--key', TRADE_KEY], '(forbidden)'],
  ])('%s is exit code 77', async (_name, key, words) => {
    const args = ['import', join(TAPES, 'gap.ndjson'), '--to', server.url, ...key];
    const { code, stdout, stderr } = await tapedeck(args);
    expect([code, stdout]).toEqual([77, '']);
    expect(stderr).toContain(words);
    expect(stderr).toContain('[refused]');
  });

  test('a symbol that another source feeds', async () => {
    const source = await StreamClient.open(server.url, undefined, {
      authorization: `Bearer ${PUBLISH_KEY}`,
    });
    await source.publish(instrument('TAKEN'), trade('TAKEN', '1.00', '1'));
    const path = scratch.write(tape(instrument('TAKEN'), trade('TAKEN', '2.00', '1')), '.ndjson');
    const { code, stderr } = await online(path);
    expect(code).toBe(65);
    expect(stderr).toContain(`${path}:2: `);
    expect(stderr).toContain('[symbol-in-use]');
    await source.close();
  });

  test('messages are smaller than the largest frame of the server, whatever the lines contain', async () => {
    const levels = (from: number, count: number): Levels =>
      Array.from({ length: count }, (_, i) => [`${from + i}.00`, `${i + 1}.123`]);
    const lines = tape(
      instrument('BIG'),
      ...Array.from({ length: 60 }, (_, i) =>
        book('BIG', 'snapshot', levels(1, 90), levels(1000, 90), { seq: i + 1 }),
      ),
      ...Array.from({ length: 400 }, (_, i) =>
        trade('BIG', '1.00', '1', { seq: i + 1, prevSeq: i }),
      ),
    );
    const path = scratch.write(lines, '.ndjson');
    expect(await online(path)).toMatchObject({ code: 0, stderr: '' });
    expect(await server.json('/v1/tick/BIG')).toMatchObject({ volume: '400.000' });
    expect(await online(path, '--on-fault', 'skip')).toMatchObject({ code: 0, stderr: '' });
  });

  test('paced by the recorded times', async () => {
    const at = (ms: number) => ({
      receiveTime: `${1_700_000_000_000 + ms}000000`,
      eventTime: `${1_700_000_000_000 + ms}000000`,
    });
    const lines = tape(
      instrument('PACED'),
      trade('PACED', '1.00', '1', at(0)),
      trade('PACED', '2.00', '1', at(3_000)),
    );
    const path = scratch.write(lines, '.ndjson');
    const reader = await StreamClient.open(server.url);
    const startMs = performance.now();
    expect(await online(path, '--speed', '10')).toMatchObject({ code: 0 });
    expect(performance.now() - startMs).toBeGreaterThan(290);
    await reader.close();
  });
});

test('settings without an effect are refused', async () => {
  const file = join(TAPES, 'gap.ndjson');
  const keyed = await offline(file, '--key', PUBLISH_KEY);
  expect([keyed.code, keyed.stdout]).toEqual([64, '']);
  expect(keyed.stderr).toContain('--key needs --to');
  expect((await online(file, '--config', scratch.write(''))).code).toBe(64);
});

test('several files, gzip and plain, in the order given', async () => {
  const first = tape(instrument('MANY'), trade('MANY', '1.00', '1'));
  const second = tape(instrument('MANY'), trade('MANY', '2.00', '1'));
  const data = scratch.fresh();
  const files = [scratch.write(Bun.gzipSync(first), '.gz'), scratch.write(second)];
  const { code, stdout } = await tapedeck(['import', ...files, '--data', data]);
  expect(code).toBe(0);
  expect(stdout).toStartWith(
    '4 lines: 4 taken, 0 repeated, 0 waiting, 0 skipped, 0 refused\n4 events in ',
  );
  const served = await ServerProcess.start({ data });
  expect(await served.json('/v1/tick/MANY')).toMatchObject({ last: '2.00', volume: '2.000' });
  await served.remove();
});

test('the format may be given instead of being detected', async () => {
  const file = join(TAPES, 'binance-mini.txt');
  expect((await offline(file, '--format', 'binance')).code).toBe(0);
  expect(readFileSync(file, 'utf8').length).toBeGreaterThan(0);
  expect((await offline(file, '--format', 'ndjson')).code).toBe(65);
});
