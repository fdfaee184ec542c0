/**
 * The venue compared with its oracle: after every command all events and the state hash are equal, and the
 * quantities in the events add up. A failure names the seed and the command.
 *
 * The full run of the issue: `bun test/venue/against-oracle.ts 1000000 [first seed]`.
 */

import { InvariantError, assert } from '../../src/base/assert';
import { Prng } from '../../src/base/prng';
import { applyCommand, type VenueCommand } from '../../src/market/venue/commands';
import { Venue } from '../../src/market/venue/venue';
import { BUY, SELL } from '../../src/market/venue/constants';
import { NaiveVenue, type NaiveEvent } from '../support/naive-venue';
import { naiveStateHash } from './naive-hash';
import { Quantities } from './quantities';
import { byOwner, randomCommand, randomProfile } from './random-commands';
import { Recorder } from './recorder';

const CHECK_EVERY = 16;
const RESTORE_EVERY = 97;

/** How many events of each kind occurred, so that a test can check that all did. */
export type EventCounts = Map<string, number>;

/**
 * Runs one seed.
 * @throws InvariantError at the first difference, with seed and command
 */
export function runAgainstOracle(seed: number, commands: number, counts: EventCounts): void {
  const random = new Prng(seed);
  const profile = randomProfile(random);
  const naive = new NaiveVenue(profile.definition);
  const recorder = new Recorder();
  const quantities = new Quantities();
  let venue = new Venue(profile.definition, recorder);
  let newestId = 0;
  for (let i = 0; i < commands; i++) {
    const drawn = randomCommand(profile, newestId, naive.restingIds(), random);
    const known = 'orderId' in drawn ? venue.order(drawn.orderId) : undefined;
    const command = random.chance(0.9) ? byOwner(drawn, known?.owner) : drawn;
    try {
      const outcome = applyCommand(venue, command);
      const events = recorder.take();
      naive.apply(command);
      compareEvents(events, naive.events);
      const hash = venue.stateHash();
      assert(hash === naiveStateHash(naive.canonical()), 'the state hashes differ');
      newestId = Math.max(newestId, outcome);
      for (const event of events) {
        quantities.take(event, known?.open ?? 0);
        const name = event[0] === 'rejected' ? `rejected ${event[1]}` : event[0];
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      if (i % CHECK_EVERY === 0) checkDeeply(venue, naive, quantities);
      if (i % RESTORE_EVERY === 0) {
        venue = restored(venue, recorder);
        assert(venue.stateHash() === hash, 'a restored venue has another state hash');
      }
    } catch (error) {
      throw failure(seed, i, command, error);
    }
  }
}

function compareEvents(fast: NaiveEvent[], naive: NaiveEvent[]): void {
  const equal =
    fast.length === naive.length &&
    fast.every((event, i) => {
      const other = naive[i]!;
      return event.length === other.length && event.every((v, k) => Object.is(v, other[k]));
    });
  if (!equal) {
    const lines = (events: NaiveEvent[]): string => events.map((e) => e.join(' ')).join('\n  ');
    throw new InvariantError(`events differ:\n  ${lines(fast)}\nexpected:\n  ${lines(naive)}`);
  }
}

function checkDeeply(venue: Venue, naive: NaiveVenue, quantities: Quantities): void {
  venue.check();
  for (const side of [BUY, SELL] as const) {
    const levels = naive.levels(side);
    assert(same(venue.top(side, 10), levels.slice(0, 20)), 'the ten best levels differ');
    const out = [1, 2, 3];
    venue.copyTop(side, 1000, out);
    assert(same(out, levels), 'the levels differ');
    quantities.check(side, levels);
  }
}

function restored(venue: Venue, recorder: Recorder): Venue {
  const copy = new Venue(venue.definition, recorder);
  const wrong = copy.restore(venue.snapshot());
  assert(wrong === undefined, `a snapshot was refused: ${wrong}`);
  copy.check();
  return copy;
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function failure(seed: number, at: number, command: VenueCommand, cause: unknown): Error {
  const what = cause instanceof Error ? cause.message : String(cause);
  const text = `seed ${seed}, command ${at} ${JSON.stringify(command)}: ${what}`;
  return new InvariantError(text, { cause });
}

if (import.meta.main) {
  const perSeed = 1000;
  const total = Number(Bun.argv[2] ?? 1_000_000);
  const first = Number(Bun.argv[3] ?? 1);
  const counts: EventCounts = new Map();
  const seeds = Math.ceil(total / perSeed);
  for (let seed = first; seed < first + seeds; seed++) runAgainstOracle(seed, perSeed, counts);
  console.log(`${seeds * perSeed} commands over seeds ${first} to ${first + seeds - 1}: equal`);
  console.log(
    [...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, n]) => `  ${name}: ${n}`)
      .join('\n'),
  );
}
