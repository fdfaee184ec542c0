/** The bench `matching` at a small size, so that it keeps working; it also compares the two books. */

import { expect, test } from 'bun:test';

import { runMatching } from '../bench/matching';

test('the bench runs, and venue and baseline end with the same levels', async () => {
  const results = await runMatching({ commands: 5_000, rounds: 1, steadySeconds: 0.2 });
  expect(results.length).toBe(15);
  for (const { bench, value, unit } of results) {
    expect(bench).toBe('matching');
    expect(Number.isFinite(value)).toBe(true);
    expect(unit.length).toBeGreaterThan(0);
  }
  expect(results.filter((r) => r.ratio !== undefined).length).toBe(4);
});
