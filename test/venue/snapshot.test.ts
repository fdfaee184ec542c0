/** Snapshots and state hashes: what they contain, what they refuse, and that recovery changes nothing. */

import { describe, expect, test } from 'bun:test';

import { Prng } from '../../src/base/prng';
import { applyCommand } from '../../src/market/venue/commands';
import { StateHasher } from '../../src/market/venue/state-hash';
import { Venue } from '../../src/market/venue/venue';
import { BUY, GTC, LIMIT, OPEN, SELL } from '../../src/market/venue/constants';
import { murmur3 } from './naive-hash';
import { randomCommand, randomProfile, type Profile } from './random-commands';
import { Recorder } from './recorder';

function openProfile(seed: number): Profile {
  const profile = randomProfile(new Prng(seed));
  return {
    ...profile,
    nonsense: 0,
    states: 0,
    definition: { ...profile.definition, initialState: 'open' },
  };
}

function run(venue: Venue, profile: Profile, random: Prng, from: number, to: number): void {
  for (let i = from; i < to; i++) applyCommand(venue, randomCommand(profile, i, [], random));
}

/** Two bids at 100, an ask at 101, 5 each. */
function smallVenue(): Venue {
  const venue = new Venue(
    {
      priceIncrement: 1,
      quantityIncrement: 1,
      quantityMin: 1,
      quantityMax: 1000,
      priceMin: 1,
      priceMax: 1000,
      ordersPerOwnerMax: 10,
      ordersMax: 10,
      selfTrade: 'cancel-newest',
      referencePrice: null,
      initialState: 'open',
    },
    new Recorder(),
  );
  venue.submit(1, BUY, LIMIT, GTC, false, 100, 5);
  venue.submit(2, BUY, LIMIT, GTC, true, 100, 5);
  venue.submit(3, SELL, LIMIT, GTC, false, 101, 5);
  return venue;
}

describe('snapshot', () => {
  test('[V1] commands after a restore give the events and the hash of an uninterrupted venue', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const profile = openProfile(seed);
      const recorder = new Recorder();
      const venue = new Venue(profile.definition, recorder);
      run(venue, profile, new Prng(seed), 0, 500);
      const copyRecorder = new Recorder();
      const copy = new Venue(profile.definition, copyRecorder);
      expect(copy.restore(venue.snapshot())).toBeUndefined();
      expect(copy.stateHash()).toBe(venue.stateHash());
      recorder.take();
      run(venue, profile, new Prng(seed + 100), 500, 1000);
      run(copy, profile, new Prng(seed + 100), 500, 1000);
      expect(copyRecorder.take()).toEqual(recorder.take());
      expect(copy.snapshot()).toEqual(venue.snapshot());
    }
  });

  test('a damaged snapshot is refused, or is a possible state of a venue', () => {
    const sound = smallVenue().snapshot();
    const before = smallVenue();
    const hash = before.stateHash();
    for (let at = 0; at < sound.length; at++) {
      for (const bits of [1, 0x80, 0xff]) {
        const damaged = sound.slice();
        damaged[at]! ^= bits;
        const copy = smallVenue();
        const wrong = copy.restore(damaged);
        if (wrong === undefined) copy.check();
        else expect(copy.stateHash()).toBe(hash);
      }
    }
  });

  test('a snapshot that is too short or too long is refused', () => {
    const sound = smallVenue().snapshot();
    for (let length = 0; length < sound.length; length++) {
      expect(smallVenue().restore(sound.slice(0, length))).toBeString();
    }
    expect(smallVenue().restore(new Uint8Array([...sound, 0]))).toContain('bytes long');
  });

  test('version 1, which has the sum of all trades after the trade id, is read', () => {
    const venue = smallVenue();
    venue.submit(4, SELL, LIMIT, GTC, false, 100, 7);
    const now = venue.snapshot();
    for (const volume of [7, Number.MAX_SAFE_INTEGER]) {
      const earlier = new Uint8Array(now.length + 8);
      earlier.set(now.subarray(0, 32));
      earlier.set(now.subarray(32), 40);
      const view = new DataView(earlier.buffer);
      view.setBigUint64(0, 1n, true);
      view.setBigUint64(32, BigInt(volume), true);
      const copy = smallVenue();
      expect(copy.restore(earlier)).toBeUndefined();
      expect(copy.snapshot()).toEqual(now);
      expect(copy.lastPrice).toBe(100);
      expect(smallVenue().restore(earlier.subarray(0, 36))).toBeString();
    }
  });

  test('every impossible state is refused with its reason', () => {
    const fields: [number, number, string][] = [
      [0, 4, 'version'],
      [1, 9, 'state'],
      [2, 1, 'id'],
      [3, 0, 'id'],
      [6, 0, 'id'],
      [7, 2 ** 40, 'owner'],
      [8, 0, 'price'],
      [9, 0, 'quantity'],
      [10, 2, 'flags'],
      [11, 1, 'id'],
      [13, 2 ** 50, 'price'],
      [14, Number.MAX_SAFE_INTEGER, 'quantity'],
      [19, 100, 'crossed'],
    ];
    for (const [at, value, what] of fields) {
      const bytes = smallVenue().snapshot();
      new DataView(bytes.buffer).setBigUint64(at * 8, BigInt(value), true);
      expect([at, smallVenue().restore(bytes)]).toEqual([at, expect.stringContaining(what)]);
    }
  });
});

describe('state hash', () => {
  test('is MurmurHash3 of the snapshot, whose known answers hold', () => {
    // Known answers of MurmurHash3_x86_32 (Appleby's SMHasher and its common ports).
    expect(murmur3(Buffer.from('test'), 0)).toBe('ba6bd213');
    expect(murmur3(Buffer.from('test'), 0x9747b28c)).toBe('704b81dc');
    const venue = smallVenue();
    const bytes = Buffer.from(venue.snapshot());
    expect(venue.stateHash()).toBe(murmur3(bytes, 0) + murmur3(bytes, 0x9747b28c));
  });

  test('is the same in all versions', () => {
    const hasher = new StateHasher();
    for (const value of [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) hasher.number(value);
    expect(hasher.digest()).toBe('f1bd0300737bd102');
  });

  test('depends on places in the queue, owners, states and ids', () => {
    const hashes = new Set<string>();
    const base = smallVenue();
    hashes.add(base.stateHash());
    const moved = smallVenue();
    const first = moved.order(1)!;
    moved.amend(1, 1, first.price, first.open + first.open);
    moved.amend(1, 1, first.price, first.open);
    hashes.add(moved.stateHash());
    const numbered = smallVenue();
    const { price, open } = numbered.order(3)!;
    numbered.cancel(3, 3);
    numbered.submit(3, SELL, LIMIT, GTC, false, price, open);
    hashes.add(numbered.stateHash());
    const halted = smallVenue();
    halted.setState(2);
    hashes.add(halted.stateHash());
    halted.setState(OPEN);
    expect(halted.stateHash()).toBe(base.stateHash());
    expect(hashes.size).toBe(4);
  });
});
