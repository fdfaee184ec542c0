/** Many readers behind one address resume, at a small size; `crowd.ts` runs 2,000. */

import { expect, setDefaultTimeout, test } from 'bun:test';

import { runCrowd } from './crowd-run';
import { deep } from '../support/tier';

setDefaultTimeout(180_000);

const READERS = deep(150, 60);
const TRADES = 24_000;

test(`[R10] ${READERS} resume at once: each is sent \`queued\` or data at once, and exactly what it missed; an ordinary reader and another client do not wait for them`, async () => {
  const { crowd, late, stranger, doneBeforeLate, doneBeforeStranger, defects } = await runCrowd({
    readers: READERS,
    trades: TRADES,
    fewTrades: 5_000,
    // More than there are slots: a reader that reads nothing does not keep its slot.
    standing: 12,
    heartbeatMs: 500,
    playbacksMax: 8,
    isChecked: true,
  });
  expect(defects).toEqual([]);
  for (const [i, reader] of crowd.entries()) {
    const { complaints, resets, trades } = reader;
    expect({ i, complaints, resets, trades }).toEqual({
      i,
      complaints: [],
      resets: 0,
      trades: TRADES - (i % 50),
    });
  }
  const waited = crowd.filter(({ queued }) => queued.length > 0);
  expect(waited.length).toBeGreaterThan(READERS / 2);
  for (const reader of [late, stranger]) {
    expect([reader.complaints, reader.resets, reader.trades]).toEqual([[], 0, 5_000]);
  }
  // Most of the crowd is served in several turns, these two in one.
  expect(doneBeforeLate).toBeLessThan(READERS / 2);
  expect(doneBeforeStranger).toBeLessThan(READERS / 2);
});
