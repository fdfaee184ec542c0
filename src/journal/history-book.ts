/**
 * As-of book: the ten levels of an instrument at a past moment.
 *
 * It is the state behind the book record with the latest event time that is not after the moment; of
 * several with that time, behind the last. So where the times of a source step back, each moment has
 * one answer, which what is recorded later with other times does not change.
 * The levels come from the nearest whole book before that record (a snapshot, or a book record that
 * is whole) and the changes between, found backwards along `prev_seq`.
 */

import type { Database, Statement } from 'bun:sqlite';

import { fault, type Fault } from '../../protocol/codes';
import { formatLevels, type Scales } from '../../protocol/json';
import { decodeLevels } from '../../protocol/layout';
import { TenLevels } from '../../protocol/levels';
import { BOOK_FORMS } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { PastBook, TimeWords } from './history-messages';
import type { RecordRow } from './records';
import { KIND, SELECT_RECORD } from './schema';

type Words = [instrument: number, hi: number, lo: number];

export class PastBooks {
  private readonly latest: Statement<RecordRow, Words>;
  private readonly first: Statement<RecordRow, [number]>;
  private readonly snapshot: Statement<RecordRow, [...Words, number]>;
  private readonly bySeq: Statement<RecordRow, [number]>;

  constructor(db: Database) {
    // Read backwards this index gives the last of several with one time first; to ask for it would
    // make SQLite read on and sort.
    const books = `INDEXED BY record_book_time WHERE kind = ${KIND.book} AND instrument = ?`;
    this.latest = db.prepare(
      `${SELECT_RECORD} ${books} AND event_time <= (? << 32) | ? ORDER BY event_time DESC LIMIT 1`,
    );
    this.first = db.prepare(`${SELECT_RECORD} ${books} ORDER BY event_time LIMIT 1`);
    this.snapshot = db.prepare(
      `${SELECT_RECORD} WHERE kind = ${KIND.snapshot} AND instrument = ?
         AND event_time <= (? << 32) | ? AND seq < ? ORDER BY event_time DESC, seq DESC LIMIT 1`,
    );
    this.bySeq = db.prepare(`${SELECT_RECORD} WHERE seq = ?`);
  }

  /** Only inside a transaction, so that its look-ups see one state of the journal. */
  at(symbol: string, instrument: number, scales: Scales, at: TimeWords): PastBook | Fault {
    const record = this.latest.get(instrument, at.hi, at.lo);
    if (record === null) return this.tooEarly(symbol, instrument, at);
    if (BOOK_FORMS[record.side ?? -1] === 'incomplete') {
      const since = new Nanos(record.event_hi, record.event_lo).toString();
      return fault('book-incomplete', `the book of ${symbol} was known to be incomplete since ${since}`, 'at'); // prettier-ignore
    }
    const levels = this.rebuild(record, instrument);
    if (levels === undefined) {
      return fault('internal', `the books before record ${record.seq} do not read`);
    }
    return {
      seq: record.seq,
      eventTime: { hi: record.event_hi, lo: record.event_lo },
      receiveTime: { hi: record.receive_hi, lo: record.receive_lo },
      bids: formatLevels(levels.bids, scales),
      asks: formatLevels(levels.asks, scales),
    };
  }

  private tooEarly(symbol: string, instrument: number, at: TimeWords): Fault {
    const first = this.first.get(instrument);
    if (first === null) return fault('no-data', `no book of ${symbol} is known yet`, 'at');
    const asked = new Nanos(at.hi, at.lo).toString();
    const since = new Nanos(first.event_hi, first.event_lo);
    return fault(
      'before-first-record',
      `at is ${asked}; books of ${symbol} exist since ${since.toString()} (${since.toISOString()})`,
      'at',
    );
  }

  /** The levels behind a record; undefined when what they need is not in the journal. */
  private rebuild(record: RecordRow, instrument: number): TenLevels | undefined {
    const base = this.snapshot.get(instrument, record.event_hi, record.event_lo, record.seq);
    const changes: RecordRow[] = [];
    const levels = new TenLevels();
    for (let row = record; ;) {
      const form = BOOK_FORMS[row.side ?? -1];
      if (form === 'snapshot') {
        if (!replace(levels, row)) return undefined;
        break;
      }
      if (form !== 'delta') return undefined;
      changes.push(row);
      if (base !== null && row.prev_seq < base.seq) {
        if (!replace(levels, base)) return undefined;
        break;
      }
      const before = this.bySeq.get(row.prev_seq);
      if (before?.kind !== KIND.book || before.instrument !== instrument) return undefined;
      row = before;
    }
    for (let i = changes.length - 1; i >= 0; i--) {
      const change = decodeLevels(changes[i]!.levels ?? new Uint8Array());
      if (change === undefined) return undefined;
      levels.apply(change.bids, change.asks);
    }
    return levels;
  }
}

function replace(levels: TenLevels, row: RecordRow): boolean {
  const whole = decodeLevels(row.levels ?? new Uint8Array());
  if (whole !== undefined) levels.replace(whole.bids, whole.asks);
  return whole !== undefined;
}
