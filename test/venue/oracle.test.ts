/** The venue compared with its oracle, over many seeds. `against-oracle.ts` runs it at any length. */

import { expect, test } from 'bun:test';

import { REJECTIONS } from '../../src/market/venue/rejections';
import { readSeed } from '../support/seed';
import { runAgainstOracle, type EventCounts } from './against-oracle';

const SEEDS = 100;
const COMMANDS_PER_SEED = 1000;
/** Seeds that once failed, or reach what others rarely do, are kept. */
const KEPT_SEEDS = [1, 2, 3];

test('[V1] after every command all events and the state hash equal those of the naive venue', () => {
  const counts: EventCounts = new Map();
  const first = readSeed();
  for (const seed of KEPT_SEEDS) runAgainstOracle(seed, COMMANDS_PER_SEED, counts);
  for (let i = 0; i < SEEDS; i++) runAgainstOracle(first + i, COMMANDS_PER_SEED, counts);

  // A comparison that reached nothing would prove nothing.
  const events = ['accepted', 'trade', 'amended', 'cancelled', 'expired', 'levelChanged'];
  for (const name of events) expect(counts.get(name) ?? 0).toBeGreaterThan(1000);
  for (let code = 1; code < REJECTIONS.length; code++) {
    expect([REJECTIONS[code]!.code, counts.has(`rejected ${code}`)]).toEqual([
      REJECTIONS[code]!.code,
      true,
    ]);
  }
}, 120_000);
