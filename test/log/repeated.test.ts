/** Repeated: a fault that repeats is written once, then counted, however often it occurs. */

import { expect, test } from 'bun:test';

import { ManualClock } from '../../src/base/clock';
import { Repeated } from '../../src/log/repeated';
import type { Log } from '../../src/log/contract';

function setUp() {
  const lines: string[] = [];
  const write =
    (level: string) =>
    (detail: object, message: string): void =>
      void lines.push(`${level} ${message} ${JSON.stringify(detail)}`);
  const log: Log = { info: write('info'), warn: write('warn'), error: write('error') };
  const clock = new ManualClock();
  const repeated = new Repeated(log, clock);
  const pass = (seconds: number): void => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1e9);
      repeated.look();
    }
  };
  return { lines, repeated, pass };
}

test('the first is written, the rest is counted and reported every ten seconds while it continues', () => {
  const { lines, repeated, pass } = setUp();
  for (let i = 0; i < 5; i++) repeated.report('warn', 'refused', 'a', { session: i });
  expect(lines).toEqual(['warn refused {"session":0}']);
  pass(10);
  expect(lines.slice(1)).toEqual([
    'warn refused, again and again {"session":4,"repeated":4,"seconds":10}',
  ]);
  repeated.report('warn', 'refused', 'a', { session: 9 });
  pass(10);
  expect(lines.slice(2)).toEqual([
    'warn refused, again and again {"session":9,"repeated":1,"seconds":10}',
  ]);
  pass(60);
  expect(lines).toHaveLength(3);
  repeated.report('warn', 'refused', 'a', { session: 10 }); // the series had ended, so this is a first one again
  expect(lines.slice(3)).toEqual(['warn refused {"session":10}']);
});

test('each code is a separate kind, with a limited number of lines', () => {
  const { lines, repeated } = setUp();
  for (let i = 0; i < 9; i++) {
    for (const code of ['a', 'b']) repeated.report('info', 'closed', code, { code, i }, 3);
  }
  expect(lines).toHaveLength(6);
});

test('a stop reports what was counted', () => {
  const { lines, repeated } = setUp();
  for (let i = 0; i < 1_001; i++) repeated.report('error', 'failed', '', {});
  repeated.close();
  expect(lines).toEqual([
    'error failed {}',
    'error failed, again and again {"repeated":1000,"seconds":0}',
  ]);
  repeated.close();
  expect(lines).toHaveLength(2);
});

test('lines and memory are bounded for any number of kinds', () => {
  const { lines, repeated, pass } = setUp();
  for (let i = 0; i < 100_000; i++) repeated.report('warn', 'refused', `code ${i}`, {});
  expect(lines.length).toBeLessThan(300);
  const before = lines.length;
  pass(10);
  expect(lines.slice(before)).toEqual([
    expect.stringMatching(/^warn others, again and again .*"repeated":99743/),
  ]);
});
