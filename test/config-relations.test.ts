/** Settings that contradict each other: each relation at its limit, and just beyond it. */

import { expect, test } from 'bun:test';

import { check } from '../src/config';
import { RELATIONS } from '../src/config-relations';
import { StartFault } from '../src/base/start-fault';

type Settings = Record<string, Record<string, number>>;

interface Row {
  readonly relation: string;
  readonly holds: Settings;
  readonly breaks: Settings;
  readonly words: string;
}

const ROWS: readonly Row[] = [
  {
    relation: 'push.backlogBytesMax: 4 × limits.frameBytesMax',
    holds: { limits: { frameBytesMax: 2_097_152 } },
    breaks: { limits: { frameBytesMax: 2_097_153 } },
    words: 'push.backlogBytesMax is 8388608; expected at least 4 × limits.frameBytesMax (8388612)',
  },
  {
    relation: 'push.backlogBytesMax: 65536 + 4 × push.outboxBytesMax',
    holds: { push: { outboxBytesMax: 2_080_768 } },
    breaks: { push: { outboxBytesMax: 2_080_769 } },
    words: 'push.backlogBytesMax is 8388608; expected at least 65536 + 4 × push.outboxBytesMax (8388612)', // prettier-ignore
  },
  {
    relation: 'push.lagMs: push.pongMs - 1',
    holds: { push: { lagMs: 29_999 } },
    breaks: { push: { lagMs: 30_000, controlMs: 60_000 } },
    words: 'push.lagMs is 30000; expected at most push.pongMs - 1 (29999)',
  },
  {
    relation: 'push.lagMs: push.controlMs - 1',
    holds: { push: { lagMs: 999, controlMs: 1_000 } },
    breaks: { push: { lagMs: 1_000, controlMs: 1_000 } },
    words: 'push.lagMs is 1000; expected at most push.controlMs - 1 (999)',
  },
  {
    relation: 'push.staleMs: push.pongMs - 1 and push.controlMs - 1',
    holds: { push: { staleMs: 9_999, pongMs: 10_000 } },
    breaks: { push: { staleMs: 10_000, pongMs: 10_000 } },
    words: 'push.staleMs is 10000; expected at most push.pongMs - 1 and push.controlMs - 1 (9999)',
  },
  {
    relation: 'push.heartbeatMs: push.pongMs',
    holds: { push: { heartbeatMs: 30_000 } },
    breaks: { push: { heartbeatMs: 30_001 } },
    words: 'push.heartbeatMs is 30001; expected at most push.pongMs (30000)',
  },
  {
    relation: 'push.controlMessagesMax: 5002 + 2 × limits.topicsMax',
    holds: { limits: { topicsMax: 12_499 } },
    breaks: { limits: { topicsMax: 12_500 } },
    words:
      'push.controlMessagesMax is 30000; expected at least 5002 + 2 × limits.topicsMax (30002)',
  },
  {
    relation: 'limits.bodiesBytesMax: limits.bodyBytesMax',
    holds: { limits: { bodyBytesMax: 268_435_456 } },
    breaks: { limits: { bodyBytesMax: 268_435_457 } },
    words: 'limits.bodiesBytesMax is 268435456; expected at least limits.bodyBytesMax (268435457)',
  },
];

test('each relation has its row here', () => {
  const named = RELATIONS.map(({ setting, formula }) => `${setting}: ${formula}`);
  expect(ROWS.map(({ relation }) => relation)).toEqual(named);
});

test.each(ROWS)('$relation', ({ relation, holds, breaks, words }) => {
  const taken = check(holds);
  if (taken instanceof StartFault) throw new Error(taken.message);
  const refused = check(breaks);
  if (!(refused instanceof StartFault)) throw new Error('it was taken');
  expect([refused.code, refused.exitCode]).toEqual(['bad-config', 78]);
  const { reason } = RELATIONS[ROWS.findIndex((row) => row.relation === relation)]!;
  expect(refused.message).toBe(`${words}: ${reason}`);
});

test('the tables of the README give the defaults that the relations are about', async () => {
  const config = check({});
  if (config instanceof StartFault) throw new Error(config.message);
  const readme = await Bun.file(`${import.meta.dir}/../README.md`).text();
  for (const [name, value] of Object.entries(config.push)) {
    const row = new RegExp(`^\\| \`${name}\` +\\| ([0-9,]+) `, 'm').exec(readme);
    expect([name, row?.[1]]).toEqual([name, value.toLocaleString('en-US')]);
  }
});
