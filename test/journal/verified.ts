/** The result of a verification, in both its strengths. */

import { expect } from 'bun:test';

import { StartFault } from '../../src/base/start-fault';
import { openReading } from '../../src/journal/recover/reading';
import { verifyJournal, type Verified } from '../../src/verify/verify';
import { testConfig } from '../support/test-recorder';

export async function verify(
  directory: string,
  isReplayed = false,
  threadedRecords = 200_000,
): Promise<Verified | string> {
  const reading = openReading(directory);
  if (reading instanceof StartFault) return `${reading.code}: ${reading.message}`;
  try {
    const { limits } = testConfig(directory);
    return await verifyJournal(reading, { limits, isReplayed, threadedRecords });
  } finally {
    reading.close();
  }
}

/** The result of both strengths, which must be the same for a sound journal. */
export async function verifyBoth(directory: string): Promise<Verified | string> {
  const found = await verify(directory);
  expect(await verify(directory, true)).toEqual(found);
  return found;
}
