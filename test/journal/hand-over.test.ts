/**
 * Hand-over: what happens between the market and a writer that is slow, refuses, or comes back. The
 * disk is steered here; what a real one does is in test/cli/disk-full.test.ts.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { BatchEvent } from '../../protocol/records';
import { ManualClock } from '../../src/base/clock';
import type { Durability, GapNote } from '../../src/journal/journal';
import type { JournalOptions } from '../../src/journal/write/journal-parts';
import type { SqliteJournal } from '../../src/journal/write/sqlite-journal';
import {
  LEVELS_FIELD,
  OWN_FIRST,
  ROW_FIELDS,
  type RowFrame,
} from '../../src/journal/write/row-frame';
import { KIND, seqOf, SLOTS } from '../../src/journal/schema';
import { instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { SteeredWriter } from '../support/steered-writer';
import { openedJournal, textState } from '../support/test-journal';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** A journal with its writer steered, and what it told. */
class Desk {
  readonly writer = new SteeredWriter();
  readonly journal: SqliteJournal;
  readonly told: string[] = [];
  readonly gaps: GapNote[] = [];
  /** Places of the batches whose promise holds, in the order in which that was said. */
  readonly durable: number[] = [];
  private seq = 0;

  constructor(durability: Durability, more: Partial<JournalOptions> = {}) {
    const options = { durability, commitEveryMs: 60_000, queueBytesMax: 10_000, ...more };
    const opening = { createWriter: this.writer.create };
    this.journal = openedJournal(scratch.fresh(), options, undefined, opening).journal;
    this.journal.checkpoints.source = textState(() => `state at ${this.seq}`);
    this.journal.notices = {
      failed: (error) => {
        throw error;
      },
      onFailing: (reason) => void this.told.push(`failing: ${reason}`),
      onRecovered: () => void this.told.push('recovered'),
      onRoom: () => void this.told.push('room'),
      onHole: (gap) => void this.gaps.push(gap),
    };
    this.writer.commit(); // the beginning of the epoch
  }

  /** A batch of trades, about a hundred bytes each. */
  append(size: number): void {
    const firstSeq = this.seq + 1;
    const events: BatchEvent[] = [];
    while (events.length < size) {
      const seq = ++this.seq;
      events.push(seq === 1 ? instrument('A', { seq }) : trade({ symbol: 'A', seq }));
    }
    const lastSeq = this.seq;
    this.journal.append({ epoch: this.journal.epoch, firstSeq, lastSeq, events }, () => {
      this.durable.push(lastSeq);
    });
  }

  /** Commits all there is, also what is sent meanwhile. */
  commitAll(): void {
    void this.journal.flush();
    while (this.writer.waiting.length > 0) {
      this.writer.commit(1);
      void this.journal.flush();
    }
  }

  get lastSeq(): number {
    return this.seq;
  }
}

interface Row {
  readonly kind: number;
  readonly seq: number;
  readonly slot: number;
  readonly ref: number;
  readonly text: string | undefined;
}

function rowsOf(frames: readonly RowFrame[]): Row[] {
  return frames.flatMap(({ rows, numbers, texts }) => {
    let text = 0;
    return Array.from({ length: rows }, (_, i): Row => {
      const at = i * ROW_FIELDS;
      const kind = numbers[at]!;
      const hasText =
        [KIND.instrument, KIND.status, KIND.command].includes(kind) || kind >= KIND.gap;
      expect(numbers[at + LEVELS_FIELD]).toBeLessThan(0); // no books here
      const own = kind === KIND.checkpoint ? OWN_FIRST + 1 : OWN_FIRST;
      return {
        kind,
        seq: seqOf(numbers[at + 1]!),
        slot: numbers[at + 1]! % SLOTS,
        ref: numbers[at + own]!,
        text: hasText ? texts[text++] : undefined,
      };
    });
  });
}

test('how far the disk is behind is told, in places and in time', () => {
  const clock = new ManualClock();
  const writer = new SteeredWriter();
  const options = { durability: 'commit' as const, commitEveryMs: 60_000, queueBytesMax: 10_000 };
  const { journal } = openedJournal(scratch.fresh(), options, clock, {
    createWriter: writer.create,
  });
  writer.commit();
  const lag = (): object => {
    const { lagRecords, lagMs } = journal.status();
    return { lagRecords, lagMs };
  };
  expect(lag()).toEqual({ lagRecords: 0, lagMs: 0 });
  const append = (seq: number): void => {
    const event = seq === 1 ? instrument('A', { seq }) : trade({ symbol: 'A', seq });
    const arrivedMs = clock.monotonicMs();
    const batch = { epoch: journal.epoch, firstSeq: seq, lastSeq: seq, events: [event], arrivedMs };
    journal.append(batch, () => {});
    clock.advance(1e9);
  };
  for (const seq of [1, 2, 3, 4]) append(seq); // the first two are sent, the others grow a frame
  expect(lag()).toEqual({ lagRecords: 4, lagMs: 4_000 });
  writer.commit(1);
  expect(lag()).toEqual({ lagRecords: 3, lagMs: 3_000 });
  writer.commit(1);
  expect(lag()).toEqual({ lagRecords: 2, lagMs: 2_000 }); // of the oldest in the frame that was sent now
  writer.commit();
  expect(lag()).toEqual({ lagRecords: 0, lagMs: 0 });
  // From the arrival of each batch to its commit: 4, 3, 2 and 1 s.
  const { committed, commit } = journal.durations;
  expect([committed.count, committed.sumSeconds, commit.count]).toEqual([4, 10, 0]);
});

describe('commit', () => {
  test('a promise holds when its frame is committed, in the order of the batches', () => {
    const desk = new Desk('commit');
    desk.append(2);
    desk.append(3);
    desk.append(1);
    expect(desk.writer.waiting).toHaveLength(2); // one is written, one is ready, the rest grows
    expect(desk.durable).toEqual([]);
    desk.writer.commit(1);
    expect(desk.durable).toEqual([2]);
    desk.writer.commit(1);
    expect(desk.durable).toEqual([2, 5]);
    desk.writer.commit();
    expect(desk.durable).toEqual([2, 5, 6]);
  });

  test('what came behind it without a record waits with it', () => {
    const desk = new Desk('commit');
    const order: string[] = [];
    desk.journal.behind(() => order.push('nothing before it'));
    desk.append(1);
    desk.journal.behind(() => order.push(`behind ${desk.durable.join()}`));
    expect(order).toEqual(['nothing before it']);
    desk.writer.commit();
    expect(order).toEqual(['nothing before it', 'behind 1']);
  });

  test('a full queue asks the market to wait, and says when there is room', () => {
    const desk = new Desk('commit');
    const hasRoom = (): boolean => desk.journal.hasRoom;
    while (hasRoom()) desk.append(5);
    const { waitingBytes } = desk.journal.status();
    expect(waitingBytes).toBeGreaterThanOrEqual(10_000);
    expect(waitingBytes).toBeLessThan(11_000);
    expect(desk.told).toEqual([]);
    desk.commitAll();
    expect(desk.told).toEqual(['room']);
    expect(hasRoom()).toBe(true);
    expect(desk.journal.status()).toMatchObject({
      holes: 0,
      waitingBytes: 0,
      committedSeq: desk.lastSeq,
    });
  });

  test('while the disk refuses nothing is promised and nothing given up; when it is back, all is there', () => {
    const desk = new Desk('commit');
    desk.append(2);
    desk.writer.fail();
    desk.writer.fail();
    desk.append(2);
    expect(desk.durable).toEqual([]);
    expect(desk.told).toEqual(['failing: database or disk is full']); // once a spell
    expect(desk.journal.status()).toMatchObject({
      state: 'failing',
      reason: 'database or disk is full',
      failures: 2,
    });
    desk.commitAll();
    expect(desk.told).toEqual(['failing: database or disk is full', 'recovered']);
    expect(desk.durable).toEqual([2, 4]);
    expect(
      rowsOf(desk.writer.committed)
        .filter(({ slot }) => slot === 0)
        .map(({ seq }) => seq),
    ).toEqual([1, 2, 3, 4]);
    expect(desk.journal.status().state).toBe('ok');
  });

  test('a failure that does not pass is told as one', () => {
    const desk = new Desk('commit');
    desk.append(1);
    expect(() => desk.writer.fail('database disk image is malformed', false)).toThrow('malformed');
  });
});

describe('flush', () => {
  test('resolves when all before it is committed', async () => {
    const desk = new Desk('async');
    desk.append(3);
    let isDone = false;
    const flushed = desk.journal.flush().then(() => (isDone = true));
    await Promise.resolve();
    expect([isDone, desk.writer.waiting.length]).toEqual([false, 1]);
    desk.writer.commit();
    await flushed;
    await desk.journal.flush(); // nothing waits
  });

  test('does not wait for a disk that refuses', async () => {
    const desk = new Desk('commit');
    desk.append(3);
    const flushed = desk.journal.flush();
    desk.writer.fail();
    await flushed;
    await desk.journal.flush();
    desk.commitAll();
    await desk.journal.flush();
  });
});

describe('async', () => {
  test('gives up what does not fit, and notes the gap with the state behind it', () => {
    const desk = new Desk('async');
    desk.append(10);
    desk.writer.fail();
    while (desk.journal.status().state !== 'hole' && desk.gaps.length === 0) {
      desk.append(10);
      if (desk.journal.status().holes > 0) break;
    }
    const from = desk.lastSeq - 9;
    desk.append(4);
    const to = desk.lastSeq;
    expect(desk.durable.at(-1)).toBe(to); // the push goes on
    expect(desk.journal.status()).toMatchObject({ state: 'failing', holes: 1, holeRecords: 14 });
    desk.commitAll();
    expect(desk.gaps).toEqual([{ type: 'gap', from, to, reason: 'disk' }]);
    desk.append(2);
    desk.commitAll();
    const rows = rowsOf(desk.writer.committed);
    const places = rows.filter(({ slot }) => slot === 0).map(({ seq }) => seq);
    expect(places).toEqual([...Array.from({ length: from - 1 }, (_, i) => i + 1), to + 1, to + 2]);
    const notes = rows.filter(({ slot, seq }) => slot > 0 && seq > 0);
    expect(notes).toMatchObject([
      { kind: KIND.gap, seq: to, slot: 1, ref: from, text: 'disk' },
      { kind: KIND.checkpoint, seq: to, slot: 2 },
    ]);
    const pieces = desk.writer.committed.flatMap((frame) => frame.pieces ?? []);
    expect(pieces).toMatchObject([{ seq: to, text: `state at ${to}` }]);
    expect(desk.journal.status()).toMatchObject({ state: 'ok', holes: 1, holeRecords: 14 });
  });

  test('what is given up does not count as committed, whatever is committed meanwhile', () => {
    const desk = new Desk('async');
    desk.writer.fail();
    while (desk.journal.status().holes === 0) desk.append(10);
    const from = desk.lastSeq - 9;
    desk.append(10);
    while (desk.gaps.length === 0) {
      expect(desk.journal.status().committedSeq).toBeLessThan(from);
      expect(desk.journal.missing()).toMatchObject({ to: desk.lastSeq });
      void desk.journal.flush();
      desk.writer.commit(1);
    }
    desk.commitAll();
    expect(desk.journal.status().committedSeq).toBe(desk.lastSeq);
    expect(desk.journal.missing()).toBeNull();
  });

  test('an instrument that was defined in the gap is known behind it', () => {
    const desk = new Desk('async', { queueBytesMax: 1 });
    desk.append(1);
    const events = [instrument('B', { seq: 2 })]; // which does not fit any more
    const { epoch } = desk.journal;
    desk.journal.append({ epoch, firstSeq: 2, lastSeq: 2, events }, () => {});
    desk.commitAll();
    const definitions = desk.writer.committed.flatMap((frame) => frame.definitions ?? []);
    expect(definitions).toEqual([[2, JSON.stringify(events[0])]]);
  });

  test('a gap that is open at the end, on a disk that refuses, is left to the next start', async () => {
    const desk = new Desk('async');
    desk.writer.fail();
    while (desk.journal.status().holes === 0) desk.append(10);
    desk.journal.close();
    expect(await desk.journal.closed).toBeUndefined();
    const rows = rowsOf(desk.writer.committed).filter(({ seq }) => seq > 0);
    expect(rows.filter(({ slot }) => slot > 0)).toEqual([]);
  });

  test('a gap that is open at the end is noted by the close', async () => {
    const desk = new Desk('async');
    while (desk.journal.status().holes === 0) desk.append(10);
    desk.journal.close();
    expect(await desk.journal.closed).toBeUndefined();
    const notes = rowsOf(desk.writer.committed).filter(({ seq }) => seq === desk.lastSeq);
    expect(notes.map(({ kind }) => kind)).toEqual([KIND.gap, KIND.checkpoint, KIND.epoch]);
  });
});

test('whatever the disk does: every place is committed once or in a gap, and memory is bounded', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ append: fc.integer({ min: 1, max: 30 }) }) },
    { weight: 3, arbitrary: fc.record({ commit: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 1, arbitrary: fc.constant({ fail: true }) },
    { weight: 1, arbitrary: fc.constant({ flush: true }) },
  );
  fc.assert(
    fc.property(
      fc.constantFrom<Durability>('async', 'commit'),
      fc.array(step, { maxLength: 120 }),
      (durability, steps) => {
        const desk = new Desk(durability);
        let answered = 0;
        let asked = 0;
        for (const s of steps) {
          if ('append' in s && desk.journal.hasRoom) {
            desk.append(s.append);
            asked += 1;
            desk.journal.behind(() => (answered += 1));
          }
          if ('commit' in s && desk.writer.waiting.length > 0) {
            desk.writer.commit(Math.min(s.commit, desk.writer.waiting.length));
          }
          if ('fail' in s && desk.writer.waiting.length > 0) desk.writer.fail();
          if ('flush' in s) void desk.journal.flush();
          // One batch may lie over the mark, and what closes a gap.
          expect(desk.journal.status().waitingBytes).toBeLessThan(10_000 + 30 * 150 + 1_000);
        }
        desk.commitAll();
        desk.commitAll();
        const rows = rowsOf(desk.writer.committed);
        let next = 1;
        for (const { kind, seq, slot, ref } of rows) {
          if (slot === 0) {
            expect(seq).toBe(next);
            next = seq + 1;
          } else if (kind === KIND.gap) {
            expect(ref).toBe(next);
            next = seq + 1;
          }
        }
        expect(next).toBe(desk.lastSeq + 1);
        expect(desk.durable).toEqual(desk.durable.toSorted((a, b) => a - b));
        expect([desk.durable.length, answered]).toEqual([asked, asked]);
        if (durability === 'commit') expect(desk.gaps).toEqual([]);
        desk.journal.abandon();
      },
    ),
    { numRuns: 100 },
  );
}, 60_000);
