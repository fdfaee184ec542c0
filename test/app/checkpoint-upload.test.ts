/** Checkpoints that a leader stores for new members: only what the log has. */

import { afterAll, expect, test } from 'bun:test';

import { CheckpointUpload } from '../../src/app/checkpoint-upload';
import { SystemClock } from '../../src/base/clock';
import { ok, type CheckpointStore } from '../../src/cluster/broker';
import type { LogPosition } from '../../src/cluster/frame-chain';
import { ReplicaPair } from '../support/replica-pair';
import { trade } from '../support/market-events';
import { feed } from '../orders/market-run';
import { ScratchDirectory } from '../support/scratch-directory';
import { until } from '../support/until';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const SILENT = { info: () => {}, warn: () => {}, error: () => {} };

/** A store that keeps where its checkpoints stand. */
class Store implements CheckpointStore {
  readonly kept: LogPosition[] = [];

  put({ epoch, seq }: LogPosition, content: Uint8Array) {
    this.kept.push({ epoch, seq });
    return Promise.resolve(ok({ name: '', epoch, seq, bytes: content.length }));
  }

  list() {
    return Promise.resolve(ok([]));
  }

  get() {
    return Promise.resolve(ok(null));
  }
}

/** A leader's journal with a checkpoint. */
async function journaled(): Promise<ReplicaPair> {
  const both = new ReplicaPair(scratch.fresh(), new SystemClock(), { checkpointEveryEvents: 20 });
  const { market, sequencer } = both.leader;
  sequencer.act((out) => market.define(feed('FEED'), out));
  for (let i = 1; i <= 100; i++) {
    sequencer.submit(
      1,
      [{ ...trade({ symbol: 'FEED', seq: i, prevSeq: i - 1 }), tradeId: i }],
      () => {},
    );
    sequencer.drain();
  }
  await both.leader.past.flush();
  return both;
}

test('a checkpoint waits until the log has all of it; one of a past epoch that the log left behind is dropped', async () => {
  const both = await journaled();
  const store = new Store();
  let cycles = 1;
  let answer: 'yes' | 'not-yet' | 'never' = 'not-yet';
  const asked: LogPosition[] = [];
  const upload = new CheckpointUpload({
    store,
    clock: new SystemClock(),
    log: SILENT,
    path: both.leader.past.path,
    directory: both.leaderDirectory,
    everyMs: 0,
    cycles: () => cycles,
    logged: ({ epoch, seq }) => {
      asked.push({ epoch, seq });
      return answer;
    },
  });
  const looks = (count: number) =>
    until(() => {
      upload.look();
      return asked.length >= count;
    });
  await looks(5);
  expect(store.kept).toEqual([]);
  answer = 'yes';
  await until(() => {
    upload.look();
    return store.kept.length === 1;
  });
  expect(store.kept).toEqual([asked[0]!]);

  answer = 'never';
  cycles = 2;
  const { length } = asked;
  await looks(length + 1);
  answer = 'yes';
  cycles = 3;
  await until(() => {
    upload.look();
    return store.kept.length === 2;
  });
  upload.stop();
  await both.close();
});
