/**
 * Transactions, durabilities, epochs, checkpoints, and an orderly end that leaves nothing to recover.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import type { BatchEvent } from '../../protocol/records';
import { ManualClock } from '../../src/base/clock';
import type { OpenedJournal } from '../../src/journal/recover/opening';
import { at, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { openedJournal as opened, savedText, textState } from '../support/test-journal';
import { until } from '../support/until';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** Writes batches of trades behind the existing ones. */
class Writer {
  durable = 0;
  private seq: number;
  private readonly opened: OpenedJournal;

  constructor(o: OpenedJournal) {
    this.opened = o;
    this.seq = o.recovered.lastSeq;
  }

  write(...sizes: readonly number[]): void {
    const { journal, recovered } = this.opened;
    for (const size of sizes) {
      const firstSeq = this.seq + 1;
      const events: BatchEvent[] = [];
      while (events.length < size) {
        const seq = ++this.seq;
        events.push(seq === 1 ? instrument('A', { seq }) : trade({ symbol: 'A', seq }));
      }
      journal.append({ epoch: recovered.epoch, firstSeq, lastSeq: this.seq, events }, () => {
        this.durable += 1;
      });
    }
  }
}

/** The newest seq that another process would find now. */
function written(directory: string): number {
  const db = new Database(join(scratch.copyOf(directory), 'journal.sqlite'));
  const { n } = db.query('SELECT count(*) AS n FROM record WHERE id % 8 = 0').get() as {
    n: number;
  };
  db.close();
  return n;
}

function query(directory: string, sql: string): unknown[] {
  const db = new Database(join(directory, 'journal.sqlite'));
  const rows = db.query(sql).all();
  db.close();
  return rows;
}

describe('durability', () => {
  test.each(['commit', 'fsync'] as const)(
    '%s: it is written when it is acknowledged',
    (durability) => {
      const directory = scratch.fresh();
      const o = opened(directory, { durability });
      const writer = new Writer(o);
      for (let i = 1; i <= 5; i++) {
        writer.write(2);
        expect([writer.durable, written(directory)]).toEqual([i, i * 2]);
      }
      const synchronous = durability === 'fsync' ? 2 : 1;
      // @ts-expect-error: the setting is the connection's own, and cannot be seen from outside
      expect(o.journal.parts.db.query('PRAGMA synchronous').get()).toEqual({ synchronous });
      o.journal.close();
    },
  );

  test('async: acknowledged at once, written within its bound', async () => {
    const directory = scratch.fresh();
    const o = opened(directory, { durability: 'async', commitEveryMs: 40 });
    const writer = new Writer(o);
    writer.write(2, 3);
    expect([writer.durable, written(directory)]).toEqual([2, 0]);
    await until(() => written(directory) > 0);
    expect(written(directory)).toBe(5);
    writer.write(1);
    expect(written(directory)).toBe(5);
    await until(() => written(directory) === 6);
    o.journal.close();
  });

  test('async: the number of uncommitted records is bounded too, and the close writes them', () => {
    const directory = scratch.fresh();
    const o = opened(directory, { durability: 'async', commitEveryMs: 10_000 });
    const writer = new Writer(o);
    writer.write(4_000);
    expect(written(directory)).toBe(0);
    writer.write(96);
    expect(written(directory)).toBe(4_096);
    writer.write(7);
    expect(written(directory)).toBe(4_096);
    o.journal.close();
    expect(written(directory)).toBe(4_103);
  });

  test('a batch is one transaction: if one event cannot be written, none of its batch is', () => {
    const directory = scratch.fresh();
    const o = opened(directory);
    new Writer(o).write(3);
    const events = [trade({ symbol: 'A', seq: 4 }), trade({ symbol: 'NEVER-DEFINED', seq: 5 })];
    const batch = { epoch: o.recovered.epoch, firstSeq: 4, lastSeq: 5, events };
    let acknowledged = false;
    expect(() => o.journal.append(batch, () => (acknowledged = true))).toThrow('NEVER-DEFINED');
    expect([acknowledged, written(directory)]).toEqual([false, 3]);
    o.journal.abandon();
  });

  test('an existing record is not overwritten', () => {
    const o = opened(scratch.fresh());
    new Writer(o).write(3);
    const again = {
      epoch: o.recovered.epoch,
      firstSeq: 3,
      lastSeq: 3,
      events: [trade({ symbol: 'A', seq: 3 })],
    };
    expect(() => o.journal.append(again, () => {})).toThrow();
    o.journal.abandon();
  });
});

describe('epochs', () => {
  test('each start begins one with a new number, and the journal knows where each began and ended', () => {
    const directory = scratch.fresh();
    const clock = new ManualClock(at(0));
    const epochs: number[] = [];
    for (const size of [3, 0, 4]) {
      const o = opened(directory, {}, clock); // the clock stands still, or is set back
      epochs.push(o.recovered.epoch);
      if (size > 0) new Writer(o).write(size);
      o.journal.close();
    }
    const crashed = opened(directory, {}, clock);
    new Writer(crashed).write(2);
    const copy = scratch.copyOf(directory);
    crashed.journal.close();
    const last = opened(copy, {}, clock);
    epochs.push(crashed.recovered.epoch, last.recovered.epoch);
    expect(new Set(epochs).size).toBe(epochs.length);
    expect(epochs.every((epoch) => Number.isSafeInteger(epoch) && epoch > 0)).toBe(true);
    expect(query(copy, 'SELECT first_seq, last_seq, clean FROM epochs ORDER BY first_seq')).toEqual(
      [
        { first_seq: 1, last_seq: 3, clean: 1 },
        { first_seq: 4, last_seq: 7, clean: 1 },
        { first_seq: 8, last_seq: 9, clean: 0 },
        { first_seq: 10, last_seq: null, clean: 0 },
      ],
    );
    expect(query(copy, 'SELECT epoch FROM epochs ORDER BY first_seq')).toEqual(
      epochs.filter((_, i) => i !== 1).map((epoch) => ({ epoch })), // the one that numbered nothing
    );
    last.journal.close();
  });
});

describe('an orderly end', () => {
  test('leaves one file, a checkpoint at the last seq, and no records to read again', () => {
    const directory = scratch.fresh();
    const o = opened(directory);
    o.journal.checkpoints.source = textState(() => 'the state');
    new Writer(o).write(5);
    o.journal.close();
    expect(readdirSync(directory).filter((name) => name.startsWith('journal'))).toEqual([
      'journal.sqlite',
    ]);
    const again = opened(directory);
    expect([savedText(again.recovered.saved), [...again.recovered.tail].flat()]).toEqual([
      'the state',
      [],
    ]);
    again.journal.close();
  });

  test('keeps the state even if it changed without an event', () => {
    const directory = scratch.fresh();
    const o = opened(directory, { checkpointEveryEvents: 2 });
    let state = 'at the second event';
    o.journal.checkpoints.source = textState(() => state);
    new Writer(o).write(2);
    state = 'changed behind the tenth level';
    o.journal.close();
    const again = opened(directory);
    expect(savedText(again.recovered.saved)).toBe('changed behind the tenth level');
    again.journal.close();
  });

  test('releases the directory', () => {
    const directory = scratch.fresh();
    for (let i = 0; i < 3; i++) opened(directory).journal.close();
    const o = opened(directory);
    o.journal.abandon();
    opened(directory).journal.close();
    expect(existsSync(join(directory, 'lock.sqlite'))).toBe(true);
  });
});

describe('checkpoints', () => {
  /** Three checkpoints at 10, 20 and 30, then four events, then an abrupt end. */
  function withCheckpoints(): string {
    const directory = scratch.fresh();
    const o = opened(directory, { checkpointEveryEvents: 10 });
    let n = 0;
    o.journal.checkpoints.source = textState(() => `state ${++n} ${'x'.repeat(100)}`);
    new Writer(o).write(10, 10, 10, 4);
    const copy = scratch.copyOf(directory);
    o.journal.close();
    return copy;
  }

  function recovered(directory: string): [state: string | undefined, tail: number[]] {
    const o = opened(directory);
    const result: [string | undefined, number[]] = [
      savedText(o.recovered.saved)?.slice(0, 7),
      [...o.recovered.tail].flat().map((e) => (e.type === 'gap' ? -1 : e.seq)),
    ];
    o.journal.close();
    return result;
  }

  const from = (first: number): number[] =>
    Array.from({ length: 34 - first + 1 }, (_, i) => first + i);

  test('the newest is used, and the two newest are kept', () => {
    const directory = withCheckpoints();
    expect(query(directory, 'SELECT seq FROM checkpoints ORDER BY seq')).toEqual([
      { seq: 20 },
      { seq: 30 },
    ]);
    expect(recovered(directory)).toEqual(['state 3', from(31)]);
  });

  test.each([
    ['a byte of its mark is flipped', "text = replace(text, 'pieces', 'pieceS')"],
    ['its end is cut off', 'text = substr(text, 1, 50)'],
    ['its checksum is flipped', 'ref = ref + 1'],
    ['it is empty', "text = ''"],
    ['it is no text', "text = x'fffe00'"],
  ])('one is passed over when %s', (_, damage) => {
    const directory = withCheckpoints();
    const strict = damage.includes("x'fffe00'") ? `text = CAST(x'fffe00' AS TEXT)` : damage;
    query(directory, `UPDATE record SET ${strict} WHERE kind = 10 AND id / 8 = 30`);
    expect(recovered(directory)).toEqual(['state 2', from(21)]);
  });

  test.each([
    [
      'a byte of a piece is flipped',
      "UPDATE piece SET body = CAST(substr(body, 1, 20) || x'00' || substr(body, 22) AS BLOB) WHERE cycle = 3",
    ],
    [
      'the end of a piece is cut off',
      'UPDATE piece SET body = substr(body, 1, 50) WHERE cycle = 3',
    ],
    ['the checksum of a piece is flipped', 'UPDATE piece SET crc = crc + 1 WHERE cycle = 3'],
    ['a piece has another seq', 'UPDATE piece SET seq = seq - 1 WHERE cycle = 3'],
    ['a piece is of another thing', 'UPDATE piece SET key = 1 WHERE cycle = 3'],
    ['a piece has gone', 'DELETE FROM piece WHERE cycle = 3'],
  ])('one is passed over when %s', (_, damage) => {
    const directory = withCheckpoints();
    query(directory, damage);
    expect(recovered(directory)).toEqual(['state 2', from(21)]);
    expect(query(directory, 'SELECT seq FROM checkpoints WHERE seq = 30')).toEqual([]);
  });

  test('if none is sound, all records are read again', () => {
    const directory = withCheckpoints();
    query(directory, 'UPDATE record SET ref = ref + 1 WHERE kind = 10');
    expect(recovered(directory)).toEqual([undefined, from(1)]);
  });

  test('a tail that is due for a checkpoint gets one soon', () => {
    const directory = withCheckpoints();
    const o = opened(directory, { checkpointEveryEvents: 5 });
    o.journal.checkpoints.source = textState(() => 'soon');
    new Writer(o).write(1);
    expect(query(directory, 'SELECT max(seq) AS seq FROM checkpoints')).toEqual([{ seq: 35 }]);
    o.journal.close();
  });
});
