/** Checkpoint files: a replica that begins with one has its leader's state once it has what came after. */

import { afterAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';

import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { installCheckpoint, writeCheckpointFile } from '../../src/journal/export/checkpoint-file';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { stateHash } from '../../src/market/state-hash';
import { DEFINITIONS, execute, randomScript } from '../orders/script';
import { ReplicaPair } from '../support/replica-pair';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';
import { verifyBoth } from './verified';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** A leader that takes a checkpoint from time to time. */
function busy(seed: number, everyEvents: number): ReplicaPair {
  const clock = new ManualClock();
  const both = new ReplicaPair(scratch.fresh(), clock, { checkpointEveryEvents: everyEvents });
  const random = new Prng(seed);
  const begin = (): void => {
    const { market, sequencer } = both.leader;
    for (const d of DEFINITIONS) sequencer.act((out) => market.define(d, out));
    sequencer.drain();
  };
  begin();
  for (const step of randomScript(seed, 400, true)) {
    clock.advance(1_000_777);
    execute(step, both.leader.market, both.leader.sequencer);
    if (random.chance(0.5)) both.leader.sequencer.drain();
    if (!random.chance(0.005)) continue;
    both.leader.close();
    both.leader = both.openLeader();
    begin();
  }
  both.leader.sequencer.drain();
  return both;
}

describe('a checkpoint file', () => {
  test('is a sound journal, and with the batches after it leads to the state of its leader', async () => {
    const seed = readSeed();
    const runs = deep(20, 3);
    for (let i = 0; i < runs; i++) {
      const both = busy(seed + i, 50 + 40 * i);
      const file = `${scratch.fresh()}.sqlite`;
      const position = writeCheckpointFile(both.leader.past.path, file)!;
      const directory = scratch.fresh();
      installCheckpoint(directory, readFileSync(file));
      expect(await verifyBoth(directory)).toMatchObject({ seqLast: position.seq });
      both.restartReplica(directory);
      const { replica } = both;
      expect([replica.epoch, replica.lastSeq]).toEqual([position.epoch, position.seq]);
      both.deliver();
      expect([seed + i, stateHash(replica.instruments)]).toEqual([
        seed + i,
        stateHash(both.leader.market),
      ]);
      expect(replica.statistics.state()).toEqual(both.leader.statistics.state());
      expect([...replica.pastEpochs.keys()]).toEqual([...both.leader.pastEpochs.keys()]);
      await both.close();
      expect(await verifyBoth(directory)).toMatchObject({ seqLast: both.leader.lastSeq });
    }
  });

  test('is not written where there is no checkpoint, and never over a journal', async () => {
    const both = new ReplicaPair(scratch.fresh(), new ManualClock());
    const file = `${scratch.fresh()}.sqlite`;
    expect(writeCheckpointFile(both.leader.past.path, file)).toBeNull();
    expect(() => installCheckpoint(both.leaderDirectory, new Uint8Array(9))).toThrow(JOURNAL_FILE);
    await both.close();
  });
});
