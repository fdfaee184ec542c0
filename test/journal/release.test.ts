/**
 * Release: the content of a commit is passed on in order, a part in each turn, and nothing overtakes it.
 */

import { afterAll, beforeEach, describe, expect, test } from 'bun:test';

import type { BatchEvent } from '../../protocol/records';
import { ManualClock } from '../../src/base/clock';
import type { SqliteJournal } from '../../src/journal/write/sqlite-journal';
import { RELEASED_A_TURN } from '../../src/journal/write/release';
import { at, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { SteeredWriter } from '../support/steered-writer';
import { openedJournal } from '../support/test-journal';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const BATCH_EVENTS = 100;

/** A journal whose disk and event loop are steered. */
class Scene {
  readonly disk = new SteeredWriter();
  /** The callbacks, in order. */
  readonly seen: (number | string)[] = [];
  readonly journal: SqliteJournal;
  private readonly turns: (() => void)[] = [];
  private readonly epoch: number;
  private seq = 0;

  constructor() {
    const clock = new ManualClock(at(0));
    clock.turns.soon = (_kind, act) => void this.turns.push(act);
    const slices = { ms: 1, schedule: () => {} };
    const create = { createWriter: this.disk.create, slices };
    const opened = openedJournal(scratch.fresh(), { durability: 'commit' }, clock, create);
    this.journal = opened.journal;
    this.epoch = opened.recovered.epoch;
    this.disk.commit();
  }

  /** @returns the number of batches */
  append(batches: number): number {
    for (let i = 0; i < batches; i++) {
      const firstSeq = this.seq + 1;
      const events: BatchEvent[] = [];
      while (events.length < BATCH_EVENTS) {
        const seq = ++this.seq;
        events.push(seq === 1 ? instrument('A', { seq }) : trade({ symbol: 'A', seq }));
      }
      const { seq: lastSeq, epoch } = this;
      this.journal.append({ epoch, firstSeq, lastSeq, events }, () => this.seen.push(lastSeq));
    }
    return batches;
  }

  /** Commits all frames, including those that follow from them. */
  commitAll(): void {
    while (this.disk.waiting.length > 0) this.disk.commit();
  }

  turn(): void {
    for (const act of this.turns.splice(0)) act();
  }

  get waitingTurns(): number {
    return this.turns.length;
  }

  get batchesSeen(): number[] {
    return this.seen.filter((one) => typeof one === 'number');
  }
}

describe('the content of a commit', () => {
  let scene: Scene;

  beforeEach(() => {
    scene = new Scene();
  });

  /** One frame is under way; everything else is in the next one. */
  function fill(batches: number): number[] {
    scene.append(batches);
    return Array.from({ length: batches }, (_, i) => (i + 1) * BATCH_EVENTS);
  }

  test('is passed on in turns with a bounded number of events, in the order of the batches', () => {
    const all = fill(100);
    scene.commitAll();
    const counts: number[] = [];
    let before = 0;
    // The commits themselves were turns; from here on the turns are counted.
    before = scene.batchesSeen.length;
    expect(before).toBeLessThan(all.length / 2);
    while (scene.waitingTurns > 0) {
      scene.turn();
      counts.push((scene.batchesSeen.length - before) * BATCH_EVENTS);
      before = scene.batchesSeen.length;
    }
    expect(scene.seen).toEqual(all);
    expect(Math.max(...counts)).toBe(RELEASED_A_TURN);
  });

  test('is not overtaken by what was requested after it', async () => {
    const all = fill(100);
    scene.journal.behind(() => scene.seen.push('before the commit'));
    scene.commitAll();
    scene.journal.behind(() => scene.seen.push('behind'));
    void scene.journal.flush().then(() => scene.seen.push('flushed'));
    scene.append(1);
    scene.commitAll();
    while (scene.waitingTurns > 0) scene.turn();
    await Promise.resolve();
    await Promise.resolve();
    const marks = ['before the commit', 'behind'];
    expect(scene.seen.filter((one) => one !== 'flushed')).toEqual([...all, ...marks, 10_100]);
    expect(scene.seen).toContain('flushed');
  });

  test('has been passed on when the journal is closed', async () => {
    const all = fill(100);
    scene.commitAll();
    expect(scene.seen.length).toBeLessThan(all.length);
    scene.journal.close();
    await scene.journal.closed;
    expect(scene.seen).toEqual(all);
  });

  test('stops further appends while much of it waits', () => {
    let room = 0;
    scene.journal.notices = { ...scene.journal.notices, onRoom: () => (room += 1) };
    fill(400);
    expect(scene.journal.hasRoom).toBe(true);
    scene.commitAll();
    expect([scene.journal.hasRoom, room]).toEqual([false, 0]);
    while (scene.waitingTurns > 0) scene.turn();
    expect([scene.journal.hasRoom, room]).toEqual([true, 1]);
  });
});
