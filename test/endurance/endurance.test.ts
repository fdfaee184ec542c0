/**
 * The programs of this folder at a very small size, so that they keep working, and the functions that judge their
 * results. Whether the server endures is measured on an idle machine for half an hour.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Nanos } from '../../protocol/time';
import type { Item } from '../../src/client';
import { ScratchDirectory } from '../support/scratch-directory';
import { ItemCheck } from './item-check';
import { BARS, judge, type Judged } from './judge';
import { metricValue } from './process-figures';
import { compare, type Entry } from './restart-truth';
import { deep } from '../support/tier';

setDefaultTimeout(120_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

async function run(program: string, ...args: string[]) {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, program), ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, err };
}

const isLinux = process.platform === 'linux';
if (!isLinux) console.log('skipped: the soak reads /proc, which is of Linux');

test.skipIf(!isLinux)('the soak takes samples, judges them, and finds nothing lost', async () => {
  const out = scratch.fresh();
  const small = ['--rate', '300', '--orders', '50', '--readers', '3', '--requests', '20'];
  const short = [
    '--minutes',
    `${deep(0.1, 0.08)}`,
    '--settle-minutes',
    '0',
    '--every-seconds',
    '0.7',
  ];
  const { out: said } = await run('soak.ts', ...small, ...short, '--out', out);
  const samples = readFileSync(out, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Judged);
  expect(samples.length).toBeGreaterThanOrEqual(deep(6, 1));
  for (const sample of samples) {
    expect(sample).toMatchObject({ losses: 0, repeats: 0, mismatches: 0 });
    expect(sample.rssAnonBytes).toBeGreaterThan(1e6);
    expect(sample.fds).toBeGreaterThan(3);
    expect(sample.journalBytes).toBeGreaterThan(0);
  }
  const verdict = JSON.parse(said.slice(said.indexOf('\n{'))) as Record<string, unknown>;
  expect(verdict).toMatchObject({ samples: samples.length, first: null });
  // A few seconds of memory and latency on a busy machine mean nothing; the rest must hold.
  const faults = (verdict['faults'] as string[]).filter((f) => !/memory|p99|descriptors/.test(f));
  expect(faults).toEqual([]);
  expect(verdict['source']).toMatchObject({ refused: 0 });
});

test('the rolling restart: all readers come back, and nothing is lost or repeated', async () => {
  const small = ['--readers', '10', '--times', '1', '--rate', '300', '--apart-seconds', '1'];
  const { code, out, err } = await run('restart.ts', ...small);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const [ordered, killed, total] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(ordered).toMatchObject({ kind: 'SIGTERM', restarts: 1, withoutDataMs: { readers: 10 } });
  expect(killed).toMatchObject({ kind: 'SIGKILL', restarts: 1, withoutDataMs: { readers: 10 } });
  expect(total).toMatchObject({ lost: 0, repeated: 0 });
});

describe('the judge', () => {
  const sample = (atS: number, change: Partial<Judged> = {}): Judged => ({
    atS,
    rssAnonBytes: 100e6 + 20e6 * ((atS % 40) / 40), // garbage is made and collected
    fds: 60,
    threads: 12,
    p99: 2,
    journalBytes: 1e8,
    losses: 0,
    repeats: 0,
    mismatches: 0,
    ...change,
  });
  const half = Array.from({ length: 360 }, (_, i) => (i + 1) * 5);
  const faultsOf = (of: (atS: number) => Partial<Judged>): readonly string[] =>
    judge(
      half.map((atS) => sample(atS, of(atS))),
      BARS,
    ).faults;

  test('accepts what stays constant, whatever happened before it had settled', () => {
    expect(faultsOf((atS) => (atS < 290 ? { rssAnonBytes: atS * 1e6, p99: 50 } : {}))).toEqual([]);
  });

  test('finds what grows slowly', () => {
    const grows = (perHour: number) => (atS: number) => ({
      rssAnonBytes: sample(atS).rssAnonBytes * (1 + (perHour * atS) / 3600),
    });
    expect(faultsOf(grows(0.01))).toEqual([]);
    expect(faultsOf(grows(0.1))).toEqual([expect.stringMatching(/^memory grew by [34]/)]);
  });

  test('finds growing latency, leaked descriptors, and losses that were not declared', () => {
    expect(faultsOf((atS) => ({ p99: atS / 500 }))).toEqual([expect.stringMatching(/^p99 went/)]);
    expect(faultsOf((atS) => ({ fds: 60 + atS / 50 }))).toEqual([
      expect.stringMatching(/^file descriptors/),
    ]);
    expect(faultsOf((atS) => ({ losses: atS > 1_000 ? 1 : 0 }))).toEqual([
      '1 losses at readers that keep up',
    ]);
  });
});

describe('the check of the items that readers have', () => {
  const tick = (seq: number, prevSeq: number): Item =>
    ({ type: 'tick', symbol: 'ACME', seq, prevSeq, eventTime: Nanos.ZERO, count: 1 }) as Item;
  const gap = (from: number, to: number): Item => ({
    type: 'gap',
    topic: 'tick:ACME',
    from,
    to,
    count: 1,
    reason: 'slow-reader',
    shard: null,
    local: false,
  });

  test('finds missing and repeated messages, and accepts declared ones', () => {
    const found = (...items: Item[]) => {
      const check = new ItemCheck();
      for (const item of items) check.take(item);
      return [check.losses, check.repeats, check.gaps];
    };
    expect(found(tick(5, 2), tick(9, 5))).toEqual([0, 0, 0]);
    expect(found(tick(5, 2), tick(9, 7))).toEqual([1, 0, 0]);
    expect(found(tick(5, 2), tick(5, 2))).toEqual([0, 1, 0]);
    expect(found(tick(5, 2), gap(6, 7), tick(9, 7))).toEqual([0, 0, 1]);
    const reset: Item = {
      type: 'reset',
      topics: ['tick:ACME'],
      epoch: 2,
      seq: 8,
      reason: 'other-epoch',
      local: false,
      shard: null,
    };
    expect(found(tick(5, 2), reset, tick(5, 2), tick(9, 5))).toEqual([0, 0, 0]);
  });

  test('compares them with the journal', () => {
    const m = (seq: number, count = 1): Entry => ({ is: 'message', seq, count });
    const journal = [2, 5, 9, 12];
    const of = (...entries: Entry[]) => {
      const { lost, repeated, beyond } = compare(entries, journal);
      return [lost, repeated, beyond];
    };
    expect(of(m(2), m(5), m(9), m(12))).toEqual([0, 0, 0]);
    expect(of(m(5), m(12))).toEqual([1, 0, 0]);
    expect(of(m(5), m(12, 2))).toEqual([0, 0, 0]); // its count covers the missing ones
    expect(of(m(2), { is: 'gap', from: 3, to: 9 }, m(12))).toEqual([0, 0, 0]);
    expect(of(m(2), { is: 'gap', from: 3, to: 5 }, m(12))).toEqual([1, 0, 0]);
    expect(of(m(2), { is: 'reset', seq: 9 }, m(9), m(12))).toEqual([0, 0, 0]);
    expect(of(m(2), m(5), m(5), m(7), m(9))).toEqual([0, 1, 1]);
  });

  test('a metric is found by the end of its name', () => {
    const text = '# HELP a b\nnodejs_eventloop_lag_p99_seconds 0.05\nx{state="a"} 7\n';
    expect(metricValue(text, 'eventloop_lag_p99_seconds')).toBe(0.05);
    expect(metricValue(text, 'x')).toBe(7);
    expect(metricValue(text, 'none')).toBeUndefined();
  });
});
