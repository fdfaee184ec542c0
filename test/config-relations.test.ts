/** Settings that contradict each other: each relation at its limit, and just beyond it. */

import { describe, expect, test } from 'bun:test';

import { check } from '../src/config/config';
import { RELATIONS } from '../src/config/relations';
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
    words:
      'push.backlogBytesMax is 8388608; expected at least 65536 + 4 × push.outboxBytesMax (8388612)',
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
    relation: 'push.controlMessagesMax: 25002 + 3 × limits.topicsMax',
    holds: { limits: { topicsMax: 11_666 } },
    breaks: { limits: { topicsMax: 11_667 } },
    words:
      'push.controlMessagesMax is 60000; expected at least 25002 + 3 × limits.topicsMax (60003)',
  },
  {
    relation: 'limits.bodiesBytesMax: limits.bodyBytesMax',
    holds: { limits: { bodyBytesMax: 67_108_864, bodiesBytesMax: 67_108_864 } },
    breaks: { limits: { bodyBytesMax: 67_108_864, bodiesBytesMax: 67_108_863 } },
    words: 'limits.bodiesBytesMax is 67108863; expected at least limits.bodyBytesMax (67108864)',
  },
  {
    relation: 'limits.clientBytesPerClientMax: 4 × limits.bodyBytesMax and push.backlogBytesMax',
    holds: { limits: { bodyBytesMax: 67_108_864 } },
    breaks: { limits: { bodyBytesMax: 67_108_865 } },
    words:
      'limits.clientBytesPerClientMax is 268435456; expected at least 4 × limits.bodyBytesMax and push.backlogBytesMax (268435460)',
  },
  {
    relation: 'limits.clientBytesMax: 2 × limits.clientBytesPerClientMax',
    holds: { limits: { clientBytesPerClientMax: 536_870_912 } },
    breaks: { limits: { clientBytesPerClientMax: 536_870_913 } },
    words:
      'limits.clientBytesMax is 1073741824; expected at least 2 × limits.clientBytesPerClientMax (1073741826)',
  },
  {
    relation: 'limits.levelsPerKeyMax: limits.levelsMax',
    holds: { limits: { levelsMax: 200_000, levelsPerKeyMax: 200_000 } },
    breaks: { limits: { levelsMax: 200_000, levelsPerKeyMax: 200_001 } },
    words: 'limits.levelsPerKeyMax is 200001; expected at most limits.levelsMax (200000)',
  },
  {
    relation: 'market.timeAheadMs: market.latenessMs - 1',
    holds: { market: { timeAheadMs: 59_999 } },
    breaks: { market: { timeAheadMs: 60_000 } },
    words: 'market.timeAheadMs is 60000; expected at most market.latenessMs - 1 (59999)',
  },
  {
    relation: 'market.requestsHoldMs: market.requestsIdleMs',
    holds: { market: { requestsHoldMs: 20_000, requestsIdleMs: 20_000 } },
    breaks: { market: { requestsHoldMs: 20_001, requestsIdleMs: 20_000 } },
    words: 'market.requestsHoldMs is 20001; expected at most market.requestsIdleMs (20000)',
  },
];

test('each relation has a row here', () => {
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

describe('own settings of an instrument are compared with the rest', () => {
  const FEED = { symbol: 'ACME', market: 'feed', priceScale: 2, quantityScale: 3 };

  test.each([
    [
      { latenessMs: 10_000 },
      'market.timeAheadMs is 10000; expected at most market.latenessMs - 1 (9999)',
    ],
    [
      { timeAheadMs: 60_000 },
      'market.timeAheadMs is 60000; expected at most market.latenessMs - 1 (59999)',
    ],
    [
      { latenessMs: 5, timeAheadMs: 5 },
      'market.timeAheadMs is 5; expected at most market.latenessMs - 1 (4)',
    ],
  ])('%j', (own, words) => {
    const refused = check({
      instruments: [
        { ...FEED, symbol: 'CALM' },
        { ...FEED, ...own },
      ],
    });
    expect(refused).toBeInstanceOf(StartFault);
    expect((refused as StartFault).message).toStartWith(`of the instrument ACME, ${words}: `);
  });

  test.each([{ latenessMs: 10_001 }, { timeAheadMs: 59_999 }, { latenessMs: 6, timeAheadMs: 5 }])(
    '%j is valid',
    (own) => expect(check({ instruments: [{ ...FEED, ...own }] })).not.toBeInstanceOf(StartFault),
  );
});

test('the tables of settings state the defaults that the relations use', async () => {
  const config = check({});
  if (config instanceof StartFault) throw new Error(config.message);
  const readme = await Bun.file(`${import.meta.dir}/../src/docs/reference/settings.md`).text();
  for (const [name, value] of Object.entries({ ...config.push, ...config.market })) {
    if (typeof value !== 'number') continue;
    const row = new RegExp(`^\\| \`${name}\` +\\| ([0-9,]+) `, 'm').exec(readme);
    expect([name, row?.[1]]).toEqual([name, value.toLocaleString('en-US')]);
  }
});
