/**
 * Parts by time: the blocks in which an instrument has trades in a range of time, in the order of
 * their earliest times, or backwards by their latest times. Bounded: `PARTS` of them at a time.
 */

import type { Database, Statement } from 'bun:sqlite';

import { Nanos } from '../../../protocol/time';
import type { Stretch } from './blocks';

/** The end of a range of time from which to read; `last` goes backwards. */
export type TimeOrder = 'first' | 'last';

/** Both inclusive; it may become narrower while parts are read. */
export interface TimeRange {
  readonly order: TimeOrder;
  readonly first: Nanos;
  readonly last: Nanos;
}

export interface TimedPart extends Stretch {
  /** Its earliest time; when reading backwards, its latest time. */
  readonly time: Nanos;
}

interface PartRow {
  first_id: number;
  last_id: number;
  trade_seq: number;
  hi: number;
  lo: number;
}

const PARTS = 256;

type TimeBinds = [
  of: number,
  end: number,
  firstHi: number,
  firstLo: number,
  lastHi: number,
  lastLo: number,
  hi: number,
  lo: number,
  id: number,
];

export class PartsByTime {
  private readonly forwards: Statement<PartRow, TimeBinds>;
  private readonly backwards: Statement<PartRow, TimeBinds>;

  constructor(db: Database) {
    const select = (
      time: string,
      comparison: '>' | '<',
      order: 'ASC' | 'DESC',
    ): Statement<PartRow, TimeBinds> =>
      db.prepare<PartRow, TimeBinds>(
        `SELECT first_id, last_id, trade_seq, ${time} >> 32 AS hi, ${time} & 4294967295 AS lo FROM part
           WHERE instrument = ? AND last_id <= ? AND trade_seq > 0
             AND time_max >= (? << 32) | ? AND time_min <= (? << 32) | ?
             AND (${time}, last_id) ${comparison} ((? << 32) | ?, ?)
           ORDER BY ${time} ${order}, last_id ${order} LIMIT ${PARTS}`,
      );
    this.forwards = select('time_min', '>', 'ASC');
    this.backwards = select('time_max', '<', 'DESC');
  }

  /** @param end id of the last block to consider */
  *of(instrument: number, end: number, range: TimeRange): Generator<TimedPart> {
    const isForwards = range.order === 'first';
    const statement = isForwards ? this.forwards : this.backwards;
    let [hi, lo, id] = isForwards
      ? [0, 0, -1]
      : [0x7fff_ffff, 0xffff_ffff, Number.MAX_SAFE_INTEGER];
    for (;;) {
      const { first, last } = range;
      const parts = statement.all(
        instrument,
        end,
        first.hi,
        first.lo,
        last.hi,
        last.lo,
        hi,
        lo,
        id,
      );
      for (const part of parts) {
        const time = new Nanos(part.hi, part.lo);
        // The range has become narrower.
        if (isForwards ? time.compare(range.last) > 0 : time.compare(range.first) < 0) return;
        yield { first: part.first_id, last: part.last_id, tradeSeq: part.trade_seq, time };
        [hi, lo, id] = [part.hi, part.lo, part.last_id];
      }
      if (parts.length < PARTS) return;
    }
  }
}
