/**
 * Blocks: where in the journal the records of an instrument are, as stretches of ids. Only proven
 * rows count (`Proofs`): a block that is not sound is skipped, and is a gap from then on.
 *
 * Each block that has the instrument is a stretch, with what its `part` says. The rows behind the
 * newest block are one more stretch, of which nothing is known (`OPEN`). A block is skipped if its
 * times of the instrument are outside the range, or if the caller needs trades or books and it has
 * none. A stretch may have matching records, so the caller checks the time of each record as well.
 * Bounded: `PARTS_MAX` parts at a time. No statement stays open between two stretches.
 */

import type { Database, Statement } from 'bun:sqlite';

import type { TimeHalves } from '../../base/contracts/times';
import { Proofs, type ProofOptions } from '../proofs';
import { SLOTS } from '../schema';

export interface Stretch {
  /** Ids, both inclusive. */
  readonly first: number;
  readonly last: number;
  /** Seq of the newest trade in the block, which may be above `last`; 0: none; `OPEN`: unknown. */
  readonly tradeSeq: number;
}

export const OPEN = -1;

/** The times by which records are ordered; both inclusive. */
export interface Times {
  readonly first: TimeHalves;
  readonly last: TimeHalves;
}

export const TIME_MAX: TimeHalves = { hi: 0x7fff_ffff, lo: 0xffff_ffff };
export const ALWAYS: Times = { first: { hi: 0, lo: 0 }, last: TIME_MAX };

/** Blocks that an answer reads without a pause, before other questions continue. */
export const PART_BLOCKS = 16;

/** An id above all others. */
export const ID_MAX = Math.floor(Number.MAX_SAFE_INTEGER / SLOTS) * SLOTS;

/** What a block must have of the instrument. */
type Holding = 'anything' | 'trade' | 'book';

interface PartRow {
  first_id: number;
  last_id: number;
  trade_seq: number;
}

type PartBinds = [
  instrument: number,
  id: number,
  firstHi: number,
  firstLo: number,
  lastHi: number,
  lastLo: number,
  limit: number,
];

/** Most questions need only the first block or two. */
const PARTS_FIRST = 4;
const PARTS_MAX = 256;

export class Blocks {
  readonly proofs: Proofs;
  private readonly db: Database;
  private readonly holder: Statement<{ id: number }, [number]>;

  constructor(db: Database, options: ProofOptions = {}) {
    this.db = db;
    this.proofs = new Proofs(db, options);
    this.holder = db.prepare(
      'SELECT last_id AS id FROM block WHERE last_id >= ? ORDER BY last_id LIMIT 1',
    );
  }

  /** From an id on, the oldest stretch first. */
  *from(id: number, of: number, times: Times, holding: Holding): Generator<Stretch> {
    let at = id;
    for (;;) {
      const end = this.proofs.end();
      for (let limit = PARTS_FIRST; at <= end; limit = Math.min(limit * 4, PARTS_MAX)) {
        const parts = this.parts('>=', 'ASC', holding).all(...bindsOf(of, at, times, limit));
        for (const part of parts) if (this.isSound(part)) yield stretch(part, id, ID_MAX);
        if (parts.length < limit) break;
        at = parts.at(-1)!.last_id + 1;
      }
      const open = this.open();
      // Between two transactions it may have become a complete block.
      if (open.first === end + 1) return yield { ...open, first: Math.max(id, open.first) };
      at = Math.max(at, end + 1);
    }
  }

  /** Up to an id, the newest stretch first. */
  *upTo(id: number, of: number, times: Times, holding: Holding): Generator<Stretch> {
    const open = this.open();
    const end = open.first - 1;
    if (id > end) yield { ...open, last: Math.min(id, open.last) };
    let at = this.holder.get(id)?.id ?? end;
    for (let limit = PARTS_FIRST; ; limit = Math.min(limit * 4, PARTS_MAX)) {
      const parts = this.parts('<=', 'DESC', holding).all(...bindsOf(of, at, times, limit));
      for (const part of parts) {
        if (part.first_id <= id && this.isSound(part)) yield stretch(part, 0, id);
      }
      if (parts.length < limit) return;
      at = parts.at(-1)!.last_id - 1;
    }
  }

  /**
   * First id of the next block, from an id on, that has the instrument; infinity if there is none.
   */
  nextPart(id: number, of: number): number {
    const part = this.db
      .query<{ id: number }, [number, number]>(
        'SELECT first_id AS id FROM part WHERE instrument = ? AND last_id >= ? ORDER BY last_id LIMIT 1',
      )
      .get(of, id);
    return part?.id ?? Infinity;
  }

  /** The rows after the newest block, as far as they are proven. */
  open(): Stretch {
    const { first, last } = this.proofs.openSpan();
    return { first, last, tradeSeq: OPEN };
  }

  private isSound({ first_id, last_id }: PartRow): boolean {
    return this.proofs.isSound(first_id, last_id);
  }

  private parts(
    comparison: '<=' | '>=',
    order: 'ASC' | 'DESC',
    holding: Holding,
  ): Statement<PartRow, PartBinds> {
    const held = holding === 'anything' ? '' : `AND ${holding}_seq > 0`;
    return this.db.query<PartRow, PartBinds>(
      `SELECT first_id, last_id, trade_seq FROM part WHERE instrument = ? AND last_id ${comparison} ?
         AND time_max >= (? << 32) | ? AND time_min <= (? << 32) | ? ${held} ORDER BY last_id ${order} LIMIT ?`,
    );
  }
}

function bindsOf(of: number, id: number, { first, last }: Times, limit: number): PartBinds {
  return [of, id, first.hi, first.lo, last.hi, last.lo, limit];
}

function stretch({ first_id, last_id, trade_seq }: PartRow, from: number, upTo: number): Stretch {
  const first = Math.max(first_id, from);
  return { first, last: Math.min(last_id, upTo), tradeSeq: trade_seq };
}
