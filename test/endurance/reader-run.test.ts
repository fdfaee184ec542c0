/** A reader under faults: the SDK in its own process passes, and every kind of error of a reader is found. */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Json } from '../support/kill-rows';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { ReaderRecord } from './reader-record';
import { judge, readerRun, type Trial } from './reader-run';
import { deep, testDeep } from '../support/tier';

setDefaultTimeout(240_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const READER = `${process.execPath} ${join(import.meta.dir, 'reader-sdk.ts')}`;

let trial: Trial | undefined;
let lines: string[] = [];

test('[T5] [T6] [R2] [R5] the SDK passes under faults', async () => {
  const seed = readSeed();
  console.log(`reader run: seed ${seed}`);
  const run = await readerRun({
    reader: READER,
    minutes: deep(0.4, 0.2),
    seed,
    out: scratch.fresh(),
  });
  const { report } = run;
  trial = run.trial;
  lines = readFileSync(join(report.out, 'lines.ndjson'), 'utf8').trimEnd().split('\n');
  const { checked, faults } = report.figures as { checked: Json; faults: Json };
  for (const what of ['compared', 'books', 'sourceTrades', 'rest'])
    expect(checked[what]).toBeGreaterThan(0);
  expect(Object.keys(faults).length).toBeGreaterThanOrEqual(deep(6, 1));
  expect(report.violations).toEqual([]);
});

/** The kinds of errors found when the lines of the reader are changed. */
function judged(change: (lines: Json[]) => Json[]): Set<string> {
  const { source } = trial!;
  const record = new ReaderRecord((m) => source.knows(m));
  const all = change(lines.map((line) => JSON.parse(line) as Json));
  for (const line of all) record.take(JSON.stringify(line));
  judge(record, trial!);
  return new Set(record.violations.map(({ what }) => what));
}

/** Changes the newest live message of a kind that the reader still holds at the end. */
function newest(type: string, all: Json[], fits: (m: Json) => boolean = () => true): number {
  const at = all.findLastIndex(
    ({ kind, message }) =>
      kind === 'message' && (message as Json)['type'] === type && fits(message as Json),
  );
  if (at < 0) throw new Error(`the run has no ${type}`);
  return at;
}

function without(type: string): (all: Json[]) => Json[] {
  return (all) => all.toSpliced(newest(type, all), 1);
}

function altered(type: string, change: (m: Json, line: Json) => void, fits?: (m: Json) => boolean) {
  return (all: Json[]): Json[] => {
    const line = all[newest(type, all, fits)]!;
    change(line['message'] as Json, line);
    return all;
  };
}

test('the unchanged lines pass again', () => {
  expect(judged((all) => all)).toEqual(new Set());
});

for (const type of ['trade', 'tick', 'bbo', 'book']) {
  test(`a ${type} that the reader left out is found`, () => {
    expect(judged(without(type))).toContain('missing');
  });
}

test('a repeated message is found', () => {
  const twice = (all: Json[]): Json[] => {
    const at = newest('trade', all);
    return all.toSpliced(at, 0, all[at]!);
  };
  expect(judged(twice)).toContain('repeated');
});

test('a trade with another price counts as never published', () => {
  const found = judged(altered('trade', (m) => (m['price'] = '1.00')));
  expect(found).toContain('invented');
  expect(found).toContain('content');
});

test('a tick or quote with another content is found', () => {
  expect(judged(altered('tick', (m) => (m['volume'] = '0.001')))).toContain('content');
  expect(judged(altered('bbo', (m) => (m['askQuantity'] = '0.001')))).toContain('content');
});

test('a copy of a book that is not the best ten levels is found', () => {
  const wrong = altered(
    'book',
    (_, line) => ((line['book'] as Json)['bids'] = []),
    ({ form }) => form === 'delta',
  );
  expect(judged(wrong)).toContain('copy');
});

test('a message that no journal has is found', () => {
  const later = altered('tick', (m) => (m['seq'] = (m['seq'] as number) + 1_000_000));
  expect(judged(later)).toContain('not-in-journal');
});

test('a bar with another value is found', () => {
  expect(judged(altered('bar', (m) => (m['close'] = '1.00')))).toContain('bar');
});

testDeep('a reset that was passed over in silence is found', () => {
  const silent = (all: Json[]): Json[] => all.filter(({ kind }) => kind !== 'reset');
  const found = judged(silent);
  expect(found.size).toBeGreaterThan(0);
});
