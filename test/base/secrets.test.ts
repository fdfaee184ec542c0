/** Unused random numbers: 53 bits, never 0, never one that is in use. */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { freshNumber, secretBytes } from '../../src/base/secrets';

/** Returns these bytes, one draw after the other. */
function from(...draws: readonly (readonly number[])[]): (count: number) => Uint8Array {
  let drawn = 0;
  return (count) => {
    const bytes = Uint8Array.from(draws[drawn++]!);
    expect(bytes.length).toBe(count);
    return bytes;
  };
}

const draw = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 7, maxLength: 7 });

test('a whole number from 1 to 2^53 - 1: the first draw that is not in use', () => {
  fc.assert(
    fc.property(fc.array(draw, { minLength: 1, maxLength: 5 }), fc.nat(4), (draws, takenCount) => {
      const all = draws.map((bytes) => freshNumber(from(bytes, [0, 0, 0, 0, 0, 0, 1]), new Set()));
      for (const number of all) expect(Number.isSafeInteger(number) && number > 0).toBe(true);
      const taken = new Set(all.slice(0, takenCount));
      const last = [0x1f, 255, 255, 255, 255, 255, 255]; // if all others are in use
      const expected = all.find((number) => !taken.has(number)) ?? Number.MAX_SAFE_INTEGER;
      expect(freshNumber(from(...draws, last), taken)).toBe(expected);
    }),
  );
});

test('0 is drawn again, and all 53 bits are drawn', () => {
  expect(freshNumber(from([0xe0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 9]), new Set())).toBe(9);
  let [ones, zeros] = [0n, 0n];
  for (let i = 0; i < 200; i++) {
    const bits = BigInt(freshNumber(secretBytes, new Set()));
    ones |= bits;
    zeros |= ~bits & (2n ** 53n - 1n);
  }
  expect([ones, zeros]).toEqual([2n ** 53n - 1n, 2n ** 53n - 1n]);
});
