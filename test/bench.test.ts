/**
 * The benches at a very small size, so that they keep working. No time is checked here: that is for an idle machine
 * and for people.
 */

import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { SystemClock } from '../src/base/clock';
import { createApp } from '../src/gateway/rest/app';
import { Hosts } from '../src/gateway/auth/hosts';
import { RestCounts } from '../src/gateway/rest/counts';
import { BENCHES } from './bench/benches';
import { percentile, timeInTurn, type BenchResult } from './bench/harness';
import { table } from './bench/table';
import { testDeep } from './support/tier';

const MAIN = join(import.meta.dir, 'bench/main.ts');
const SECONDS_MAX = 120_000;

async function bench(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, err };
}

function checkResult(line: string, name: string): void {
  const result = JSON.parse(line) as BenchResult;
  const compares = result.baseline !== undefined;
  expect(Object.keys(result).sort()).toEqual(
    ['bench', 'case', 'value', 'unit', ...(compares ? ['baseline', 'baselineValue', 'ratio'] : [])]
      .slice()
      .sort(),
  );
  expect(result.bench).toBe(name);
  expect(result.case).not.toBe('');
  expect(result.unit).not.toBe('');
  expect(Number.isFinite(result.value)).toBe(true); // a difference may be below 0 in the quick form
  if (compares) expect(result.ratio).toBeCloseTo(result.value / result.baselineValue!, 9);
}

/** `cluster` needs it; tests of clusters say so where it is missing. */
const NATS = join(import.meta.dir, '../build/nats/nats-server');
/** Each takes seconds even in its quick form, or runs in another test of this file. */
const LONG = new Set([
  'book-query',
  'cluster',
  'fanout',
  'flood',
  'journal',
  'push',
  'recovery',
  'resume-storm',
  'sessions',
  'slow-line',
  'slow-reader',
  'start',
  'tick-query',
]);

describe('bun run bench', () => {
  for (const name of Object.keys(BENCHES)) {
    if (name === 'cluster' && !existsSync(NATS)) continue;
    const define = LONG.has(name) ? testDeep : test;
    define(
      `${name} prints lines of the agreed form`,
      async () => {
        const { code, out, err } = await bench(name, '--quick', '--json');
        expect({ code, err }).toEqual({ code: 0, err: '' });
        const lines = out.trim().split('\n');
        expect(lines.length).toBeGreaterThan(1);
        for (const line of lines) checkResult(line, name);
        const cases = lines.map((line) => (JSON.parse(line) as BenchResult).case);
        expect(new Set(cases).size).toBe(cases.length);
      },
      SECONDS_MAX,
    );
  }

  test('several names run one after the other', async () => {
    const { code, out } = await bench('tick-query', 'book-query', '--quick', '--json');
    expect(code).toBe(0);
    const benches = out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as BenchResult).bench);
    expect([...new Set(benches)]).toEqual(['tick-query', 'book-query']);
  });

  test('an unknown name or flag is reported, with the known names', async () => {
    for (const args of [['encode', 'nonsense'], ['--nonsense']]) {
      const { code, out, err } = await bench(...args);
      expect([code, out]).toEqual([64, '']);
      expect(err).toContain('nonsense');
      for (const name of Object.keys(BENCHES)) expect(err).toContain(name);
    }
  });

  test('without --json the output is a table', () => {
    const first = { bench: 'b', case: 'short', value: 12_345.6, unit: 'events/s' };
    const second = { bench: 'b', case: 'a longer case', value: 0.01234, unit: 'µs' };
    const lines = table([
      { ...first, baseline: 'old', baselineValue: 10_000, ratio: 1.23456 },
      second,
    ]);
    expect(lines.split('\n')).toEqual([
      'b  short          12,346  events/s  1.23 ×  old: 10,000',
      'b  a longer case  0.0123  µs',
      '',
    ]);
  });
});

describe('harness', () => {
  test('a percentile is the least sample that this share does not exceed', () => {
    const sorted = Array.from({ length: 200 }, (_, i) => i + 1);
    expect([50, 99, 99.9, 100].map((p) => percentile(sorted, p))).toEqual([100, 198, 200, 200]);
    expect(percentile([7], 0.1)).toBe(7);
  });

  test('contenders alternate', () => {
    const order: string[] = [];
    const contender = (name: string) => ({
      name,
      run: () => {
        if (order.at(-1) !== name) order.push(name);
        return 1;
      },
    });
    const times = timeInTurn([contender('a'), contender('b')], { rounds: 3, roundMs: 0.01 });
    expect(order.join('')).toBe('ab'.repeat(4));
    expect([...times.keys()]).toEqual(['a', 'b']);
  });
});

test('the hot REST routes are compiled without await, which would cost a tenth of the throughput', () => {
  const options = {
    backlogBytesMax: 1,
    frameBytesMax: 1,
    bodyBytesMax: 1,
    requestSeconds: 1,
    origins: [],
    hosts: new Hosts({ host: '127.0.0.1', names: [], isOpen: true }),
    isTls: false,
    sessionBoundary: 0,
    limits: {} as Parameters<typeof createApp>[0]['limits'],
  };
  const clock = new SystemClock();
  const stages = {
    keys: { isOpen: true },
    counts: new RestCounts(clock),
    metrics: { contentType: 'text/plain' },
    clock,
  };
  const app = createApp(options, stages as unknown as Parameters<typeof createApp>[1]);
  app.compile();
  const hot = app.router.history.filter(({ path }) => /^\/v1\/(tick|orderbook)\//.test(path));
  expect(hot.length).toBe(2);
  for (const route of hot) {
    const handler = route.compile?.() ?? route.composed;
    expect(`${route.path} ${handler?.constructor.name}`).toBe(`${route.path} Function`);
  }
});
