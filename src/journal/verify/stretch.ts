/**
 * Verify stretch: whether the records of some blocks are what was written, and whether blocks,
 * parts and the list of notes agree with them.
 *
 * Every seq has a record or lies in a gap; no gap covers a record or another gap. The records of a
 * block have its checksum, and its parts are those that its records give. The table `note` lists
 * all notes. If a checksum differs, the records are checked against each other to name the first
 * wrong one. Every read is a transaction of its own. Bounded: `PAGE_ROWS` rows, and the parts of
 * one stretch.
 */

import type { Database } from 'bun:sqlite';

import { BlockFold, type Part } from '../blocks';
import type { BlockRow } from '../checked-rows';
import type { InstrumentRow } from '../recover/reading';
import { RecordChecks } from './record-checks';
import type { RecordRow } from '../records';
import { ROW_FIELDS, type RowFrame } from '../write/row-frame';
import { BLOCK_ROWS, KIND, SELECT_RECORD, seqOf } from '../schema';
import type { Definition, Fault, StretchFound, StretchTask } from './messages';
import { VerifyRows, type RowVisitor } from './rows';

/** Blocks read before a faulty one, to know most of the state that its records follow from. */
const CONTEXT_BLOCKS = 8;

interface PartRow extends Part {
  lastId: number;
  firstId: number;
}

const SELECT_PARTS = `SELECT instrument, last_id AS lastId, first_id AS firstId,
  time_min >> 32 AS minHi, time_min & 4294967295 AS minLo,
  time_max >> 32 AS maxHi, time_max & 4294967295 AS maxLo,
  trade_seq AS tradeSeq, book_seq AS bookSeq
  FROM part WHERE instrument = ? AND last_id > ? AND last_id <= ?`;

export class StretchCheck {
  private readonly db: Database;
  private readonly rows: VerifyRows;
  private readonly instruments: readonly InstrumentRow[];
  private readonly known: ReadonlySet<number>;

  /** @param instruments as they were when the verification began */
  constructor(db: Database, instruments: readonly InstrumentRow[]) {
    this.db = db;
    this.rows = new VerifyRows(db, true);
    this.instruments = instruments;
    this.known = new Set(instruments.map(({ id }) => id));
  }

  close(): void {
    this.rows.finalize();
  }

  run(task: StretchTask): StretchFound {
    const walk = new Walk(task);
    let fault: Fault | undefined;
    try {
      fault =
        (task.isSealed ? this.blocks(task, walk) : this.unsealed(task, walk)) ??
        this.notes(task, walk);
    } catch (e) {
      const upTo = Math.max(seqOf(task.lastId), walk.expected);
      fault = {
        seq: walk.expected,
        lastSeq: upTo,
        message: `the file is damaged, from record ${walk.expected} on: ${(e as Error).message}`,
      };
    }
    const { events, definitions } = walk;
    return { events, definitions: [...definitions.values()], fault };
  }

  private blocks(task: StretchTask, walk: Walk): Fault | undefined {
    const blocks = this.db
      .query<BlockRow, [number, number]>(
        'SELECT first_id, last_id, crc FROM block WHERE last_id > ? AND last_id <= ? ORDER BY last_id',
      )
      .all(task.afterId, task.lastId);
    const parts = this.parts(task);
    for (const block of blocks) {
      const fault = this.block(block, parts, walk);
      if (fault !== undefined) return fault;
    }
    const stray = parts.values().next().value;
    return (
      stray &&
      span(
        stray.firstId,
        stray.lastId,
        `there is a part of the instrument ${stray.instrument} up to record ${seqOf(stray.lastId)}, but no such block`,
      )
    );
  }

  /**
   * All parts of the stretch, by block and instrument; those that are right are removed from the
   * map.
   */
  private parts({ afterId, lastId }: StretchTask): Map<string, PartRow> {
    const parts = new Map<string, PartRow>();
    const select = this.db.query<PartRow, [number, number, number]>(SELECT_PARTS);
    for (const id of this.known) {
      for (const part of select.all(id, afterId, lastId)) parts.set(keyOf(part, part.lastId), part);
    }
    return parts;
  }

  private block(block: BlockRow, parts: Map<string, PartRow>, walk: Walk): Fault | undefined {
    const range = `the records ${seqOf(block.first_id)} to ${seqOf(block.last_id)}`;
    const beginsAfter = walk.lastId;
    const read = this.rows.read(walk.lastId, block.last_id, walk);
    if ('message' in read)
      return this.named(block, beginsAfter) ?? at(Math.min(read.seq, walk.expected), read.message);
    const { frame } = read;
    walk.lastId = block.last_id;
    walk.events += frame.rows;
    const unknown = this.unknownInstrument(frame);
    if (unknown !== undefined) return unknown;
    const fold = new BlockFold();
    let found: ReturnType<BlockFold['end']>;
    if (frame.rows <= BLOCK_ROWS && !read.isCut) {
      fold.take(frame, null, (full) => (found = full));
      found ??= fold.end();
    }
    if (found === undefined || found.crc !== block.crc) {
      return (
        this.named(block, beginsAfter) ??
        span(block.first_id, block.last_id, `${range} do not match their checksum`)
      );
    }
    if (found.firstId !== block.first_id || found.lastId !== block.last_id) {
      return span(
        block.first_id,
        block.last_id,
        `the block of ${range} holds the records ${seqOf(found.firstId)} to ${seqOf(found.lastId)}`,
      );
    }
    for (const part of found.parts) {
      const key = keyOf(part, block.last_id);
      const stored = parts.get(key);
      if (stored === undefined || !isSame(stored, part) || stored.firstId !== block.first_id) {
        const what = stored === undefined ? 'is missing' : 'is not what they give';
        return span(
          block.first_id,
          block.last_id,
          `the part of the instrument ${part.instrument} in ${range} ${what}`,
        );
      }
      parts.delete(key);
    }
    return undefined;
  }

  /**
   * The rows of the open block. They are fewer than a block and have no checksum of a block, so
   * they are checked against each other.
   */
  private unsealed(task: StretchTask, walk: Walk): Fault | undefined {
    for (;;) {
      const read = this.rows.read(walk.lastId, task.lastId, walk);
      if ('message' in read)
        return (
          this.named(bounds(task), task.afterId) ??
          at(Math.min(read.seq, walk.expected), read.message)
        );
      walk.events += read.frame.rows;
      walk.lastId = read.lastId;
      const fault = this.unknownInstrument(read.frame);
      if (fault !== undefined) return fault;
      if (walk.events >= BLOCK_ROWS) {
        return span(
          task.afterId + 1,
          task.lastId,
          `the records from ${seqOf(task.afterId) + 1} on are in no block`,
        );
      }
      if (!read.isCut) break;
    }
    if (walk.lastNoteSeq >= walk.expected)
      return at(walk.expected, `record ${walk.expected} is missing`);
    return walk.events === 0 ? undefined : this.named(bounds(task), task.afterId);
  }

  private unknownInstrument({ rows, numbers }: RowFrame): Fault | undefined {
    for (let i = 2; i < rows * ROW_FIELDS; i += ROW_FIELDS) {
      if (this.known.has(numbers[i]!)) continue;
      const seq = seqOf(numbers[i - 1]!);
      return at(
        seq,
        `record ${seq} names instrument ${numbers[i]}, which is not in the table of instruments`,
      );
    }
    return undefined;
  }

  /**
   * The first record between two ids that is inconsistent with those before it, if one can be
   * named.
   */
  private named(block: { first_id: number; last_id: number }, afterId: number): Fault | undefined {
    const start = this.db
      .query<{ id: number }, [number]>(
        `SELECT first_id AS id FROM block WHERE last_id <= ? ORDER BY last_id DESC LIMIT 1 OFFSET ${CONTEXT_BLOCKS - 1}`,
      )
      .get(afterId);
    const checks = new RecordChecks(this.instruments);
    let from = -1;
    if (start !== null) {
      from = start.id - 1;
      checks.join(seqOf(from));
    }
    const page = this.db.prepare<RecordRow, [number, number]>(
      `${SELECT_RECORD} WHERE id > ? AND id <= ? AND kind <> ${KIND.checkpoint} ORDER BY id LIMIT ${BLOCK_ROWS}`,
    );
    try {
      for (;;) {
        const rows = page.all(from, block.last_id);
        for (const row of rows) {
          const found = checks.take(row);
          const seq = seqOf(row.id);
          if (typeof found !== 'string') continue;
          // The records before it belong to another stretch.
          return row.id < block.first_id ? undefined : at(seq, found);
        }
        if (rows.length < BLOCK_ROWS) return undefined;
        from = rows.at(-1)!.id;
      }
    } finally {
      page.finalize();
    }
  }

  /** Where the notes and the table `note` differ. */
  private notes({ afterId, lastId }: StretchTask, { noted }: Walk): Fault | undefined {
    const listed = this.db.query<{ id: number }, [number, number, number]>(
      'SELECT id FROM note WHERE kind = ? AND id > ? AND id <= ?',
    );
    for (const kind of [KIND.gap, KIND.checkpoint, KIND.epoch]) {
      const ids = new Set(listed.all(kind, afterId, lastId).map(({ id }) => id));
      for (const [id, of] of noted) if (of === kind && !ids.delete(id)) ids.add(-id);
      for (const either of ids) {
        const id = Math.abs(either);
        if (this.isListedAsNoted(kind, id)) continue; // the checkpoint was deleted meanwhile
        const seq = seqOf(id);
        const message =
          either < 0
            ? `what is noted at ${seq} is not in the list of notes`
            : `the list of notes names one at ${seq} that is not there`;
        return at(seq, message);
      }
    }
    return undefined;
  }

  private isListedAsNoted(kind: number, id: number): boolean {
    const row = this.db
      .query<{ listed: number; noted: number }, [number, number, number, number]>(
        `SELECT EXISTS (SELECT 1 FROM note WHERE kind = ? AND id = ?) AS listed,
           EXISTS (SELECT 1 FROM record WHERE id = ? AND kind = ?) AS noted`,
      )
      .get(kind, id, id, kind)!;
    return row.listed === row.noted;
  }
}

/** One pass through the rows of a stretch. */
class Walk implements RowVisitor {
  lastId: number;
  /** The seq that must come next. */
  expected: number;
  lastNoteSeq = 0;
  events = 0;
  /** Kinds of the notes by id. */
  readonly noted = new Map<number, number>();
  /** The newest definition of each instrument. */
  readonly definitions = new Map<number, Definition>();

  constructor({ afterId }: StretchTask) {
    this.lastId = afterId;
    this.expected = afterId < 0 ? 1 : seqOf(afterId) + 1;
  }

  event(seq: number): string | undefined {
    if (seq !== this.expected) return `record ${this.expected} is missing`;
    this.expected += 1;
    return undefined;
  }

  definition(instrument: number, seq: number, text: string): void {
    this.definitions.set(instrument, { instrument, seq, text });
  }

  note(kind: number, id: number, own: number | null): string | undefined {
    this.noted.set(id, kind);
    const seq = seqOf(id);
    this.lastNoteSeq = seq;
    if (kind !== KIND.gap) return undefined; // it may stand inside a range that a later gap declares
    if (own === null || own > seq) return `the gap noted at ${seq} does not read`;
    if (own > this.expected) return `record ${this.expected} is missing`;
    if (own < this.expected)
      return `the gap from ${own} to ${seq} covers records that are not missing`;
    this.expected = seq + 1;
    return undefined;
  }
}

function bounds({ afterId, lastId }: StretchTask): { first_id: number; last_id: number } {
  return { first_id: afterId + 1, last_id: lastId };
}

function at(seq: number, message: string): Fault {
  return { seq, lastSeq: seq, message };
}

function span(firstId: number, lastId: number, message: string): Fault {
  return { seq: seqOf(firstId), lastSeq: seqOf(lastId), message };
}

function keyOf({ instrument }: Part, lastId: number): string {
  return `${instrument} ${lastId}`;
}

function isSame(a: Part, b: Part): boolean {
  return (
    a.minHi === b.minHi &&
    a.minLo === b.minLo &&
    a.maxHi === b.maxHi &&
    a.maxLo === b.maxLo &&
    a.tradeSeq === b.tradeSeq &&
    a.bookSeq === b.bookSeq
  );
}
