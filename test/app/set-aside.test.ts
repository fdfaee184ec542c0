/** Records that were not replicated are set aside, with the definitions that only they had. */

import { afterAll, expect, test } from 'bun:test';

import type { Instrument } from '../../protocol/messages';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import { openReplica } from '../../src/app/replica';
import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { verifyBoth } from '../journal/verified';
import { feed, venue } from '../orders/market-run';
import { ScratchDirectory } from '../support/scratch-directory';
import { testConfig } from '../support/test-recorder';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

function define({ sequencer, market }: Recorder, ...all: readonly Instrument[]): void {
  for (const d of all) sequencer.act((out) => market.define(d, out));
  sequencer.drain();
}

test.each([0, 3_000])(
  'definitions behind what is kept, with %d records before',
  async (records) => {
    const directory = scratch.fresh();
    const old = openRecorder(testConfig(directory), new SystemClock());
    if (old instanceof StartFault) throw new Error(old.message);
    define(old, venue('ACME'), feed('KEPT'));
    for (let i = 0; i < records; i++) {
      define(old, { ...feed('KEPT'), previousClose: 10_000 + i });
    }
    const keepUpTo = old.lastSeq;
    const kept = old.market.known('KEPT')!.definition;
    define(old, venue('GONE'), { ...feed('KEPT'), previousClose: 77 });
    old.close();
    await old.closed;

    const replica = openReplica(testConfig(directory), new SystemClock(), {
      following: { keepUpTo },
    });
    if (replica instanceof StartFault) throw new Error(replica.message);
    expect(replica.lastSeq).toBe(keepUpTo);
    expect(replica.instruments.known('GONE')).toBeUndefined();
    expect(replica.instruments.known('KEPT')!.definition).toEqual(kept);

    // Another leader defines another instrument under the next number.
    const other = replica.lead(replica.epoch + 1, {});
    define(other, venue('OTHER'));
    const { lastSeq: seqLast } = other;
    replica.close();
    await replica.closed;
    expect(await verifyBoth(directory)).toMatchObject({ seqLast });
  },
);
