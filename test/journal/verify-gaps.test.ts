/** Verify: journals with gaps of each reason. */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';

import { Retainer } from '../../src/journal/write/retention';
import { stateHash } from '../../src/market/state-hash';
import type { Recorder } from '../../src/app/recorder';
import type { Verified } from '../../src/verify/verify';
import { book, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { record } from '../support/test-recorder';
import { verify, verifyBoth } from './verified';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

describe('gaps that are declared', () => {
  /** A journal of one instrument, one trade in a batch, whose disk and process are steered. */
  class Steered {
    readonly directory: string;
    recorder!: Recorder;
    private n = 0;

    constructor(directory = scratch.fresh()) {
      this.directory = directory;
    }

    say(count: number): void {
      for (let i = 0; i < count; i++) {
        const n = ++this.n;
        const [bid, ask] = [9_000 + (n % 7), 10_000 + (n % 5)];
        const events =
          n === 1
            ? [instrument('ACME'), book('snapshot', 1, 0, [9_000, 5], [10_000, 5])]
            : [
                trade({ seq: n, prevSeq: n - 1, price: ask }),
                book('delta', n, n - 1, [bid, n], [ask, n]),
              ];
        this.recorder.sequencer.submit(1, events, (r) => expect(r).toHaveProperty('seq'));
        this.recorder.sequencer.drain();
      }
    }
  }

  async function expectSound(directory: string, gaps: unknown[]): Promise<Verified> {
    const found = await verifyBoth(directory);
    if (typeof found === 'string') throw new Error(found);
    expect(found.gaps).toEqual(gaps as never);
    const missing = found.gaps!.reduce((sum, { from, to }) => sum + to - from + 1, 0);
    expect(found.records + missing).toBe(found.seqLast);
    return found;
  }

  /**
   * Half is committed, a part is published and not committed, the process ends; then it starts
   * again.
   */
  test('crash', async () => {
    const s = new Steered();
    const open = (more: Parameters<typeof record>[1] = {}): void => {
      s.recorder = record(s.directory, {
        durability: 'async',
        commitEveryMs: 60_000,
        ...more,
      }).recorder;
    };
    open();
    s.say(10);
    await s.recorder.journal.flush();
    const { lastSeq } = s.recorder.sequencer;
    s.say(5);
    const head = s.recorder.sequencer.lastSeq;
    s.recorder.journal.abandon();
    open();
    const gap = { from: lastSeq + 1, to: head, reason: 'crash' };
    expect(stateHash(s.recorder.market)).toBeString();
    s.say(7);
    s.recorder.close();
    await expectSound(s.directory, [gap]);
  });

  test('disk: the market continued, and a checkpoint after the gap has its state', async () => {
    const s = new Steered();
    const queueBytesMax = 20_000;
    s.recorder = record(s.directory, {
      durability: 'async',
      commitEveryMs: 60_000,
      queueBytesMax,
      snapshotEveryMs: 1,
    }).recorder;
    s.say(20);
    await s.recorder.journal.flush();
    s.say(100);
    expect(s.recorder.journal.status().state).toBe('hole');
    await s.recorder.journal.flush();
    s.say(20);
    await s.recorder.journal.flush();
    const found = await verifyBoth(s.directory);
    expect(found).toMatchObject({
      gaps: [{ reason: 'disk' }],
      stateHash: stateHash(s.recorder.market),
    });
    s.say(100); // and again, to its end
    s.recorder.close();
    const closed = await verifyBoth(s.directory);
    expect(closed).toMatchObject({
      gaps: [{ reason: 'disk' }, { reason: 'disk' }],
      stateHash: stateHash(s.recorder.market),
    });
    const gaps = (closed as Verified).gaps!;
    for (const sql of [
      `DELETE FROM record WHERE id = ${gaps[0]!.to * 8 + 1}`,
      `DELETE FROM record WHERE id = ${gaps[0]!.to * 8 + 2}`,
      `UPDATE record SET text = 'crash' WHERE id = ${gaps[0]!.to * 8 + 1}`,
      `UPDATE record SET text = 'retention' WHERE id = ${gaps[0]!.to * 8 + 1}`,
      `UPDATE record SET text = 'dusk' WHERE id = ${gaps[0]!.to * 8 + 1}`,
      `UPDATE record SET ref = ref - 1 WHERE id = ${gaps[0]!.to * 8 + 1}`,
      `UPDATE record SET ref = ref + 1 WHERE id = ${gaps[0]!.to * 8 + 1}`,
      `UPDATE record SET side = 0 WHERE id = ${gaps[0]!.to * 8 + 2}`,
    ]) {
      const copy = scratch.copyOf(s.directory);
      const db = new Database(join(copy, 'journal.sqlite'));
      expect(db.run(sql).changes).toBe(1);
      db.close();
      expect([sql, await verify(copy)]).toEqual([sql, expect.stringMatching(/gap|missing|note/)]);
    }
  });

  test('retention: what is cut off, and a book and chains that begin after it', async () => {
    const s = new Steered();
    s.recorder = record(s.directory, { checkpointEveryEvents: 3_000, snapshotEveryMs: 1 }).recorder;
    s.say(2_000);
    s.recorder.close();
    const db = new Database(join(s.directory, 'journal.sqlite'));
    const retainer = new Retainer(db, { hours: 0, bytes: 1 });
    retainer.step();
    db.close();
    const [{ to } = { to: 0 }] = (await expectSoundGaps(s.directory)) as { to: number }[];
    expect(to).toBeGreaterThan(1_000);
    await expectSound(s.directory, [{ from: 1, to, reason: 'retention' }]);
  });

  test('damage at the end, and in the middle', async () => {
    const s = new Steered();
    s.recorder = record(s.directory, { checkpointEveryEvents: 3_000, snapshotEveryMs: 1 }).recorder;
    s.say(1_200);
    const crashed = scratch.copyOf(s.directory);
    s.recorder.close();
    for (const [directory, where] of [
      [crashed, '(SELECT max(last_id) FROM block)'],
      [s.directory, '(SELECT last_id FROM block ORDER BY last_id LIMIT 1 OFFSET 1)'],
    ] as const) {
      const db = new Database(join(directory, 'journal.sqlite'));
      db.run(`UPDATE record SET prev_seq = prev_seq + 1 WHERE id = ${where}`);
      db.close();
      expect(await verify(directory)).toMatch(/^record \d+ .*prevSeq/);
      // The middle of a journal is read when something else is damaged; here the newest checkpoint
      // is.
      const last = new Database(join(directory, 'journal.sqlite'));
      if (directory === s.directory)
        last.run('UPDATE block SET crc = crc + 1 WHERE last_id = (SELECT max(last_id) FROM block)');
      if (directory === s.directory)
        last.run(
          'UPDATE record SET ref = ref + 1 WHERE id = (SELECT max(id) FROM note WHERE kind = 10)',
        );
      last.close();
      const again = record(directory, { snapshotEveryMs: 1 });
      again.recorder.close();
      const found = await verifyBoth(directory);
      if (typeof found === 'string') throw new Error(found);
      expect(found.gaps!.map(({ reason }) => reason)).toContain('damage');
      expect(found.stateHash).toBe(stateHash(again.recorder.market));
    }
  });

  async function expectSoundGaps(directory: string): Promise<unknown> {
    const found = await verifyBoth(directory);
    if (typeof found === 'string') throw new Error(found);
    return found.gaps;
  }
});
