/**
 * Turns: no turn of the event loop is longer than 5 ms, whatever a client sends within its limits.
 *
 * The processor time of the thread counts, relative to a fixed piece of work at the same time, and the least of
 * several repetitions. So neither a busy machine nor a pause of the collector makes it fail.
 */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { MESSAGES } from '../../protocol/messages';
import { OPERATIONS } from '../support/routes';
import { MESSAGE_CASES, REST_CASES } from './cases';
import { boundOf, EXCEPTIONS } from './exceptions';
import { leastOf } from './scan';
import { Stage } from './stage';
import { testDeep } from '../support/tier';

/** Messages with a lower code go from client to server. */
const SERVER_CODES = 32;

/** By hand, `TAPEDECK_TURNS_LARGE=1`: a market of thousands of instruments and sessions, for an hour. */
const IS_LARGE = process.env['TAPEDECK_TURNS_LARGE'] === '1';
const SIZES = IS_LARGE
  ? { instruments: 9_000, levels: 20_000, orders: 2_000, sessions: 1_000 }
  : { instruments: 500, levels: 5_000, orders: 1_000, sessions: 40 };
const TIMEOUT_MS = IS_LARGE ? 1_800_000 : 300_000;

/** These take seconds each. */
const LONG = new Set([
  'amend five thousand in a frame',
  'cancel five thousand in a frame',
  'cancelOrdersOfOwner of 5,000 orders',
  'connection nothing, for longer than a heartbeat',
  'ingest trades of which the last is wrong',
  'ingest trades up to 16 MB',
  'order ten thousand in a frame',
  'subscribe ten thousand in a frame',
]);

const ALL = [...MESSAGE_CASES, ...REST_CASES];

describe('there is a case', () => {
  const of = new Set(ALL.map((one) => one.of));

  test('for each message of a client', () => {
    const types = Object.values(MESSAGES).filter(({ code }) => code < SERVER_CODES);
    expect(types.map(({ type }) => type).filter((name) => !of.has(name))).toEqual([]);
    expect(types.length).toBeGreaterThanOrEqual(11);
  });

  test('for each operation of REST', () => {
    expect(OPERATIONS.map(({ id }) => id).filter((id) => !of.has(id))).toEqual([]);
  });

  test('for each exception', () => {
    const names = new Set(ALL.map(({ of: kind, name }) => `${kind} ${name}`.trim()));
    expect([...EXCEPTIONS.keys()].filter((name) => !names.has(name))).toEqual([]);
  });
});

describe('the longest turn', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start(SIZES);
  }, TIMEOUT_MS);
  afterAll(() => stage.end());

  const kinds = new Set<string>();
  for (const one of ALL) {
    const isFirst = kinds.size < kinds.add(one.of).size;
    const name = `${one.of} ${one.name}`.trim();
    const bound = boundOf(name, IS_LARGE);
    const define = LONG.has(name) || !isFirst ? testDeep : test;
    define(
      `of ${name} is at most ${bound} ms`,
      async () => {
        const found = await leastOf(stage, one, bound);
        expect(found.scaledMs, JSON.stringify(found)).toBeLessThanOrEqual(bound);
      },
      TIMEOUT_MS,
    );
  }
});
