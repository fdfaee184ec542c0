/** Replica: it has the numbers, events, orders and state of its leader, whatever ends and restarts. */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { NO_LEADER } from '../../src/app/no-leader';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import type { Batch } from '../../src/base/contracts/batch';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { KIND } from '../../src/journal/schema';
import { stateHash } from '../../src/market/state-hash';
import { DEFINITIONS, execute, randomScript, type Step } from '../orders/script';
import { order } from '../orders/market-run';
import { verifyBoth } from '../journal/verified';
import { ReplicaPair } from '../support/replica-pair';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

function pair(): { both: ReplicaPair; clock: ManualClock } {
  const clock = new ManualClock();
  const both = new ReplicaPair(scratch.fresh(), clock);
  const { market, sequencer } = both.leader;
  for (const d of DEFINITIONS) sequencer.act((out) => market.define(d, out));
  sequencer.drain();
  return { both, clock };
}

function step({ leader }: ReplicaPair, clock: ManualClock, one: Step): void {
  clock.advance(1_000_777);
  execute(one, leader.market, leader.sequencer);
}

/** What readers are sent, however events were divided into batches. */
function sent(batches: readonly Batch[]): unknown {
  return batches.flatMap(({ epoch, events, executions }) => [
    ...events.map((event) => ({ epoch, ...event })),
    ...executions,
  ]);
}

/** The records and the epochs of a journal. */
function records(directory: string): unknown[] {
  const db = new Database(join(directory, JOURNAL_FILE), { readonly: true });
  try {
    return db
      .query(
        `SELECT id, kind, prev_seq, event_time, receive_time, price, quantity, bid, ask, volume, side, ref, levels, text
         FROM record WHERE kind NOT IN (${KIND.checkpoint}, ${KIND.epoch}) ORDER BY id`,
      )
      .all()
      .concat(db.query(`SELECT id / 8, ref, text FROM record WHERE kind = ${KIND.epoch}`).all());
  } finally {
    db.close();
  }
}

function restartLeader(both: ReplicaPair): void {
  both.leader.close();
  both.leader = both.openLeader();
  const { market, sequencer } = both.leader;
  sequencer.act((out) => market.announceRecovered(out));
  sequencer.drain();
}

describe('a replica', () => {
  test('hands out what its leader hands out, and records it, across restarts of either', async () => {
    const seed = readSeed();
    const runs = deep(20, 3);
    for (let i = 0; i < runs; i++) {
      const random = new Prng(seed + i);
      const { both, clock } = pair();
      for (const one of randomScript(seed + i, 300, true)) {
        step(both, clock, one);
        if (random.chance(0.4)) both.leader.sequencer.drain();
        if (random.chance(0.3)) both.deliver(random.int(1, 5));
        if (random.chance(0.01)) restartLeader(both);
        if (!random.chance(0.01)) continue;
        const { replica } = both;
        if (random.chance(0.5)) {
          replica.close();
          await replica.closed;
          both.restartReplica(both.replicaDirectory);
        } else {
          // Its process ends at once; the copy has what was committed.
          const { followed } = both;
          both.restartReplica(scratch.copyOf(both.replicaDirectory));
          followed.splice(followed.findLastIndex((b) => b.lastSeq <= both.replica.lastSeq) + 1);
        }
      }
      both.leader.sequencer.drain();
      both.deliver();
      expect([seed + i, both.replica.lastSeq]).toEqual([seed + i, both.leader.lastSeq]);
      expect(stateHash(both.replica.instruments)).toBe(stateHash(both.leader.market));
      expect(both.replica.statistics.state()).toEqual(both.leader.statistics.state());
      expect(sent(both.followed)).toEqual(sent(both.led));
      expect(both.replica.epoch).toBe(both.leader.epoch);
      const path = both.replicaDirectory;
      await both.close();
      expect(await verifyBoth(path)).toMatchObject({ seqLast: both.leader.lastSeq });
      expect(records(path).filter(isNoEnd)).toEqual(records(both.leaderDirectory).filter(isNoEnd));
    }
  });

  test('becomes the leader where its leader ended: the numbering continues, and the past is its own', async () => {
    const seed = readSeed() + 1_000;
    const { both, clock } = pair();
    for (const one of randomScript(seed, 200, true)) step(both, clock, one);
    both.leader.sequencer.drain();
    both.deliver();
    const { replica, leader } = both;
    const { epoch, lastSeq } = leader;
    const recorder = replica.lead(77, {});
    expect([recorder.epoch, recorder.lastSeq, replica.lastSeq]).toEqual([77, lastSeq, lastSeq]);
    expect(recorder.pastEpochs.get(epoch)).toEqual({ kept: lastSeq, pushed: lastSeq });
    recorder.sequencer.act((out) => recorder.market.announceRecovered(out));
    const { length } = both.followed;
    for (const one of randomScript(seed + 1, 200, true))
      execute(one, recorder.market, recorder.sequencer);
    recorder.sequencer.drain();
    expect(both.followed[length]).toMatchObject({ epoch: 77, firstSeq: lastSeq + 1 });
    recorder.close();
    leader.close();
    await Promise.all([recorder.closed, leader.closed]);
    expect(await verifyBoth(both.replicaDirectory)).toMatchObject({
      epochs: 2,
      seqLast: recorder.lastSeq,
    });
  });

  test('sets aside what was never replicated, and continues from what was', async () => {
    const { both, clock } = pair();
    for (const one of randomScript(readSeed(), 100, true)) {
      step(both, clock, one);
      both.leader.sequencer.drain();
    }
    both.deliver();
    const { replica } = both;
    const kept = both.followed.at(-3)!.lastSeq;
    replica.close();
    await replica.closed;
    both.restartReplica(both.replicaDirectory, kept);
    expect(both.replica.lastSeq).toBe(kept);
    expect(readdirSync(both.replicaDirectory).some((name) => name.includes('damaged'))).toBe(true);
    both.deliver();
    expect(stateHash(both.replica.instruments)).toBe(stateHash(both.leader.market));
    await both.close();
    expect(await verifyBoth(both.replicaDirectory)).toMatchObject({ epochs: 1 });
  });

  test('passes orders to the leader; its answer comes once the order can be read here', async () => {
    const { both } = pair();
    both.deliver();
    const asked = both.replica.orders.submit('ada', { ...order(), price: 100 });
    await Promise.resolve();
    both.leader.sequencer.drain();
    let isAnswered = false;
    void asked.then(() => (isAnswered = true));
    await Bun.sleep(0);
    expect(isAnswered).toBe(false);
    both.deliver();
    const outcome = await asked;
    if ('code' in outcome) throw new Error(outcome.message);
    expect(outcome.order).toMatchObject({ owner: 'ada', status: 'open', seq: outcome.seq });
    expect(both.replica.orders.openOf('ada', 0, 10)).toHaveLength(1);
    await both.close();
  });

  test('refuses to write without a leader, and says so', async () => {
    const clock = new ManualClock();
    const both = new ReplicaPair(scratch.fresh(), clock);
    both.replica.leader = NO_LEADER;
    const { entry, orders, administration } = both.replica;
    expect(entry.refusal()).toMatchObject({ code: 'no-leader' });
    expect(await orders.submit('ada', order())).toMatchObject({ code: 'no-leader' });
    expect(await administration.define({})).toMatchObject({ code: 'no-leader' });
    await both.close();
    expect(existsSync(join(both.replicaDirectory, JOURNAL_FILE))).toBe(true);
  });
});

/** All records except ends of epochs: only the leader notes those of an orderly stop. */
function isNoEnd(row: unknown): boolean {
  return (row as { text: string | null }).text !== 'closed';
}
