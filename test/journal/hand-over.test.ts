/**
 * Hand-over: what happens between the market and a writer that is slow, refuses, or recovers. The
 * disk is steered here; test/cli/disk-full.test.ts has a real one.
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

/** A journal with a steered writer, and its notices. */
class SteeredJournal {
  readonly writer = new SteeredWriter();
  readonly journal: SqliteJournal;
  readonly notices: string[] = [];
  readonly gaps: GapNote[] = [];
  /** The last seq of each durable batch, in the order of the callbacks. */
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
      onFailing: (reason) => void this.notices.push(`failing: ${reason}`),
      onRecovered: () => void this.notices.push('recovered'),
      onRoom: () => void this.notices.push('room'),
      onHole: (gap) => void this.gaps.push(gap),
    };
    this.writer.commit(); // the note of the epoch
  }

  /** A batch of trades of about a hundred bytes each. */
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

  /** Commits everything, including what is sent meanwhile. */
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
      expect(numbers[at + LEVELS_FIELD]).toBeLessThan(0); // there are no books here
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

test('reports how far the disk is behind, in records and in time', () => {
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
  for (const seq of [1, 2, 3, 4]) append(seq); // two are sent at once, the others join the next frame
  expect(lag()).toEqual({ lagRecords: 4, lagMs: 4_000 });
  writer.commit(1);
  expect(lag()).toEqual({ lagRecords: 3, lagMs: 3_000 });
  writer.commit(1);
  expect(lag()).toEqual({ lagRecords: 2, lagMs: 2_000 }); // that of the oldest event in the frame that was just sent
  writer.commit();
  expect(lag()).toEqual({ lagRecords: 0, lagMs: 0 });
  // From the arrival of each batch to its commit: 4, 3, 2 and 1 s.
  const { committed, commit } = journal.durations;
  expect([committed.count, committed.sumSeconds, commit.count]).toEqual([4, 10, 0]);
});

describe('commit', () => {
  test('a batch is durable when its frame is committed; callbacks keep the order of the batches', () => {
    const steered = new SteeredJournal('commit');
    steered.append(2);
    steered.append(3);
    steered.append(1);
    expect(steered.writer.waiting).toHaveLength(2); // one is being written, one is ready, the rest grows
    expect(steered.durable).toEqual([]);
    steered.writer.commit(1);
    expect(steered.durable).toEqual([2]);
    steered.writer.commit(1);
    expect(steered.durable).toEqual([2, 5]);
    steered.writer.commit();
    expect(steered.durable).toEqual([2, 5, 6]);
  });

  test('a callback without a record waits for the batch before it', () => {
    const steered = new SteeredJournal('commit');
    const order: string[] = [];
    steered.journal.behind(() => order.push('nothing before it'));
    steered.append(1);
    steered.journal.behind(() => order.push(`behind ${steered.durable.join()}`));
    expect(order).toEqual(['nothing before it']);
    steered.writer.commit();
    expect(order).toEqual(['nothing before it', 'behind 1']);
  });

  test('a full queue makes the market wait, and reports when there is room', () => {
    const steered = new SteeredJournal('commit');
    const hasRoom = (): boolean => steered.journal.hasRoom;
    while (hasRoom()) steered.append(5);
    const { waitingBytes } = steered.journal.status();
    expect(waitingBytes).toBeGreaterThanOrEqual(10_000);
    expect(waitingBytes).toBeLessThan(11_000);
    expect(steered.notices).toEqual([]);
    steered.commitAll();
    expect(steered.notices).toEqual(['room']);
    expect(hasRoom()).toBe(true);
    expect(steered.journal.status()).toMatchObject({
      holes: 0,
      waitingBytes: 0,
      committedSeq: steered.lastSeq,
    });
  });

  test('while the disk refuses, nothing becomes durable and nothing is given up; afterwards everything is written', () => {
    const steered = new SteeredJournal('commit');
    steered.append(2);
    steered.writer.fail();
    steered.writer.fail();
    steered.append(2);
    expect(steered.durable).toEqual([]);
    expect(steered.notices).toEqual(['failing: database or disk is full']); // once for each failure period
    expect(steered.journal.status()).toMatchObject({
      state: 'failing',
      reason: 'database or disk is full',
      failures: 2,
    });
    steered.commitAll();
    expect(steered.notices).toEqual(['failing: database or disk is full', 'recovered']);
    expect(steered.durable).toEqual([2, 4]);
    expect(
      rowsOf(steered.writer.committed)
        .filter(({ slot }) => slot === 0)
        .map(({ seq }) => seq),
    ).toEqual([1, 2, 3, 4]);
    expect(steered.journal.status().state).toBe('ok');
  });

  test('a final failure is reported as one', () => {
    const steered = new SteeredJournal('commit');
    steered.append(1);
    expect(() => steered.writer.fail('database disk image is malformed', false)).toThrow(
      'malformed',
    );
  });
});

describe('flush', () => {
  test('resolves when everything before it is committed', async () => {
    const steered = new SteeredJournal('async');
    steered.append(3);
    let isDone = false;
    const flushed = steered.journal.flush().then(() => (isDone = true));
    await Promise.resolve();
    expect([isDone, steered.writer.waiting.length]).toEqual([false, 1]);
    steered.writer.commit();
    await flushed;
    await steered.journal.flush(); // nothing waits
  });

  test('does not wait for a disk that refuses', async () => {
    const steered = new SteeredJournal('commit');
    steered.append(3);
    const flushed = steered.journal.flush();
    steered.writer.fail();
    await flushed;
    await steered.journal.flush();
    steered.commitAll();
    await steered.journal.flush();
  });
});

describe('async', () => {
  test('gives up what does not fit, and notes the gap with the state after it', () => {
    const steered = new SteeredJournal('async');
    steered.append(10);
    steered.writer.fail();
    while (steered.journal.status().state !== 'hole' && steered.gaps.length === 0) {
      steered.append(10);
      if (steered.journal.status().holes > 0) break;
    }
    const from = steered.lastSeq - 9;
    steered.append(4);
    const to = steered.lastSeq;
    expect(steered.durable.at(-1)).toBe(to); // publishing continues
    expect(steered.journal.status()).toMatchObject({ state: 'failing', holes: 1, holeRecords: 14 });
    steered.commitAll();
    expect(steered.gaps).toEqual([{ type: 'gap', from, to, reason: 'disk' }]);
    steered.append(2);
    steered.commitAll();
    const rows = rowsOf(steered.writer.committed);
    const seqs = rows.filter(({ slot }) => slot === 0).map(({ seq }) => seq);
    expect(seqs).toEqual([...Array.from({ length: from - 1 }, (_, i) => i + 1), to + 1, to + 2]);
    const notes = rows.filter(({ slot, seq }) => slot > 0 && seq > 0);
    expect(notes).toMatchObject([
      { kind: KIND.gap, seq: to, slot: 1, ref: from, text: 'disk' },
      { kind: KIND.checkpoint, seq: to, slot: 2 },
    ]);
    const pieces = steered.writer.committed.flatMap((frame) => frame.pieces ?? []);
    expect(pieces).toMatchObject([{ seq: to, text: `state at ${to}` }]);
    expect(steered.journal.status()).toMatchObject({ state: 'ok', holes: 1, holeRecords: 14 });
  });

  test('records that were given up do not count as committed', () => {
    const steered = new SteeredJournal('async');
    steered.writer.fail();
    while (steered.journal.status().holes === 0) steered.append(10);
    const from = steered.lastSeq - 9;
    steered.append(10);
    while (steered.gaps.length === 0) {
      expect(steered.journal.status().committedSeq).toBeLessThan(from);
      expect(steered.journal.missing()).toMatchObject({ to: steered.lastSeq });
      void steered.journal.flush();
      steered.writer.commit(1);
    }
    steered.commitAll();
    expect(steered.journal.status().committedSeq).toBe(steered.lastSeq);
    expect(steered.journal.missing()).toBeNull();
  });

  test('an instrument that was defined in the gap is known after it', () => {
    const steered = new SteeredJournal('async', { queueBytesMax: 1 });
    steered.append(1);
    const events = [instrument('B', { seq: 2 })]; // does not fit any more
    const { epoch } = steered.journal;
    steered.journal.append({ epoch, firstSeq: 2, lastSeq: 2, events }, () => {});
    steered.commitAll();
    const definitions = steered.writer.committed.flatMap((frame) => frame.definitions ?? []);
    expect(definitions).toEqual([[2, JSON.stringify(events[0])]]);
  });

  test('a gap that is open at the end, on a disk that refuses, is left to the next start', async () => {
    const steered = new SteeredJournal('async');
    steered.writer.fail();
    while (steered.journal.status().holes === 0) steered.append(10);
    steered.journal.close();
    expect(await steered.journal.closed).toBeUndefined();
    const rows = rowsOf(steered.writer.committed).filter(({ seq }) => seq > 0);
    expect(rows.filter(({ slot }) => slot > 0)).toEqual([]);
  });

  test('a gap that is open at the end is noted by the close', async () => {
    const steered = new SteeredJournal('async');
    while (steered.journal.status().holes === 0) steered.append(10);
    steered.journal.close();
    expect(await steered.journal.closed).toBeUndefined();
    const notes = rowsOf(steered.writer.committed).filter(({ seq }) => seq === steered.lastSeq);
    expect(notes.map(({ kind }) => kind)).toEqual([KIND.gap, KIND.checkpoint, KIND.epoch]);
  });
});

test('for any behaviour of the disk every seq is committed once or in a gap, and memory is bounded', () => {
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
        const steered = new SteeredJournal(durability);
        let answered = 0;
        let asked = 0;
        for (const s of steps) {
          if ('append' in s && steered.journal.hasRoom) {
            steered.append(s.append);
            asked += 1;
            steered.journal.behind(() => (answered += 1));
          }
          if ('commit' in s && steered.writer.waiting.length > 0) {
            steered.writer.commit(Math.min(s.commit, steered.writer.waiting.length));
          }
          if ('fail' in s && steered.writer.waiting.length > 0) steered.writer.fail();
          if ('flush' in s) void steered.journal.flush();
          // One batch may exceed the bound, and so may what closes a gap.
          expect(steered.journal.status().waitingBytes).toBeLessThan(10_000 + 30 * 150 + 1_000);
        }
        steered.commitAll();
        steered.commitAll();
        const rows = rowsOf(steered.writer.committed);
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
        expect(next).toBe(steered.lastSeq + 1);
        expect(steered.durable).toEqual(steered.durable.toSorted((a, b) => a - b));
        expect([steered.durable.length, answered]).toEqual([asked, asked]);
        if (durability === 'commit') expect(steered.gaps).toEqual([]);
        steered.journal.abandon();
      },
    ),
    { numRuns: 100 },
  );
}, 60_000);
