/** A takeover by a server whose clock is minutes behind that of the leader before it: the journal stays sound. */

import { afterAll, expect, test } from 'bun:test';

import { openReplica } from '../../src/app/replica';
import { ManualClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { stateHash } from '../../src/market/state-hash';
import { decodeBatch } from '../../protocol/batch';
import { Nanos } from '../../protocol/time';
import { verifyBoth } from '../journal/verified';
import { DEFINITIONS, execute, randomScript } from '../orders/script';
import { ReplicaPair } from '../support/replica-pair';
import { ScratchDirectory } from '../support/scratch-directory';
import { testConfig } from '../support/test-recorder';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

for (const minutes of [-10, 10]) {
  test(`a new leader whose clock is ${minutes} minutes off continues the market`, async () => {
    const start = 1_700_000_000;
    const both = new ReplicaPair(scratch.fresh(), new ManualClock(Nanos.fromSeconds(start, 0)));
    const { market, sequencer } = both.leader;
    for (const d of DEFINITIONS) sequencer.act((out) => market.define(d, out));
    for (const step of randomScript(1, 200, true)) execute(step, market, sequencer);
    sequencer.drain();

    const clock = new ManualClock(Nanos.fromSeconds(start + minutes * 60, 0));
    const directory = scratch.fresh();
    const replica = openReplica(testConfig(directory), clock, {
      following: { keepUpTo: Infinity },
    });
    if (replica instanceof StartFault) throw new Error(replica.message);
    for (const entry of both.log) {
      if ('epoch' in entry) replica.beginEpoch(entry.epoch);
      else {
        const batch = decodeBatch(entry.bytes);
        if ('code' in batch) throw new Error(batch.message);
        replica.take(batch);
      }
    }
    expect(stateHash(replica.instruments)).toBe(stateHash(market));
    const recorder = replica.lead(both.leader.epoch + 1, {});
    for (const step of randomScript(2, 200, true))
      execute(step, recorder.market, recorder.sequencer);
    recorder.sequencer.drain();
    expect(recorder.lastSeq).toBeGreaterThan(both.leader.lastSeq + 100);
    const last = stateHash(recorder.market);
    await both.close();
    replica.close();
    await replica.closed;
    expect(await verifyBoth(directory)).toMatchObject({
      seqLast: recorder.lastSeq,
      stateHash: last,
    });
  });
}
