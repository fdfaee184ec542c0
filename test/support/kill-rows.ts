/**
 * Rows of a journal file for the tests that kill servers, read without any code of `src`: times as digits, decimals
 * made of digits, levels decoded from their bytes.
 */

import { Database } from 'bun:sqlite';
import { join } from 'node:path';

export type Json = Record<string, unknown>;
type Pair = [price: string, quantity: string];

/** A row of `record` with the symbol and scales of its instrument. */
export interface Row {
  readonly id: number;
  readonly kind: number;
  readonly symbol: string;
  readonly price_scale: number;
  readonly quantity_scale: number;
  readonly prev_seq: number;
  readonly event_time: string;
  readonly receive_time: string;
  readonly price: number | null;
  readonly quantity: number | null;
  readonly bid: number | null;
  readonly bid_quantity: number | null;
  readonly ask: number | null;
  readonly ask_quantity: number | null;
  readonly volume: number | null;
  readonly side: number | null;
  readonly ref: number | null;
  readonly source_seq: number | null;
  readonly levels: Uint8Array | null;
  readonly text: string | null;
  readonly flags: number | null;
}

export interface GapRow {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

export interface EpochRow {
  readonly epoch: number;
  readonly first: number;
  readonly last: number | null;
  readonly clean: number;
}

/** Checkpoints (kind 10) are left out: which of them are kept depends on time. */
const SELECT = `SELECT r.id, r.kind, ifnull(i.symbol, '') AS symbol, i.price_scale, i.quantity_scale,
  r.prev_seq, CAST(r.event_time AS TEXT) AS event_time, CAST(r.receive_time AS TEXT) AS receive_time,
  r.price, r.quantity, r.bid, r.bid_quantity, r.ask, r.ask_quantity, r.volume, r.side, r.ref,
  r.source_seq, r.levels, r.text, r.flags
  FROM record r LEFT JOIN instrument i ON i.id = r.instrument WHERE r.id > ? AND r.kind <> 10
  ORDER BY r.id`;

/** Rows after an id, in the order of their ids. */
export function* rowsAfter(directory: string, id: number): Iterable<Row> {
  const db = new Database(join(directory, 'journal.sqlite'));
  try {
    yield* db.query<Row, [number]>(SELECT).iterate(id);
  } finally {
    db.close();
  }
}

/** What the views `gaps` and `epochs` contain. */
export function declared(directory: string): { gaps: GapRow[]; epochs: EpochRow[] } {
  const db = new Database(join(directory, 'journal.sqlite'));
  try {
    const gaps = db
      .query<GapRow, []>(
        'SELECT from_seq AS "from", to_seq AS "to", reason FROM gaps ORDER BY from_seq',
      )
      .all();
    const epochs = db
      .query<EpochRow, []>(
        'SELECT epoch, first_seq AS first, last_seq AS last, clean FROM epochs ORDER BY first_seq',
      )
      .all();
    return { gaps, epochs };
  } finally {
    db.close();
  }
}

/** Deletes the checkpoints, so that a start executes everything from the first record on. */
export function dropCheckpoints(directory: string): number {
  const db = new Database(join(directory, 'journal.sqlite'));
  try {
    const { changes } = db.run('DELETE FROM record WHERE kind = 10');
    db.run('DELETE FROM note WHERE kind = 10');
    return changes;
  } finally {
    db.close();
  }
}

/** A scaled integer as a decimal with all the digits of its scale. */
export function decimal(value: number | null, scale: number): string | null {
  if (value === null) return null;
  const digits = String(Math.abs(value)).padStart(scale + 1, '0');
  const cut = digits.length - scale;
  return `${value < 0 ? '-' : ''}${digits.slice(0, cut)}${scale === 0 ? '' : `.${digits.slice(cut)}`}`;
}

/** The levels of a row as pairs of decimals. */
export function levelsOf(row: Row): { bids: Pair[]; asks: Pair[] } {
  const bytes = row.levels!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const counts = [view.getUint32(0, true), view.getUint32(4, true)] as const;
  const pairs = Array.from({ length: counts[0] + counts[1] }, (_, i): Pair => [
    decimal(Number(view.getBigInt64(8 + i * 16, true)), row.price_scale)!,
    decimal(Number(view.getBigInt64(16 + i * 16, true)), row.quantity_scale)!,
  ]);
  return { bids: pairs.slice(0, counts[0]), asks: pairs.slice(counts[0]) };
}

const FORMS = ['snapshot', 'delta', 'incomplete'];
const AGGRESSORS = ['buy', 'sell', 'none'];
const TIMINGS = [null, 'late', 'ahead', 'late-and-ahead'] as const;

/** Whether a trade was late, on time or ahead when it arrived. */
export function timingOf({ flags }: Row): (typeof TIMINGS)[number] {
  return TIMINGS[(flags ?? 0) & 3]!;
}

function markOf({ flags }: Row): 'stale' | 'recovered' | null {
  if (((flags ?? 0) & 4) !== 0) return 'stale';
  return ((flags ?? 0) & 8) === 0 ? null : 'recovered';
}

/** The message that readers get for a row, in its JSON form; undefined for rows that readers do not get. */
export function messageOf(row: Row): Json | undefined {
  const price = (value: number | null): string | null => decimal(value, row.price_scale);
  const quantity = (value: number | null): string | null => decimal(value, row.quantity_scale);
  const opening = {
    symbol: row.symbol,
    seq: Math.floor(row.id / 8),
    prevSeq: row.prev_seq,
    eventTime: row.event_time,
    receiveTime: row.receive_time,
  };
  switch (row.kind) {
    case 2:
      return {
        type: 'tick',
        ...opening,
        last: price(row.price),
        bid: price(row.bid),
        ask: price(row.ask),
        quantity: quantity(row.quantity),
        volume: quantity(row.volume),
        count: 1,
      };
    case 3:
      return {
        type: 'trade',
        ...opening,
        price: price(row.price),
        quantity: quantity(row.quantity),
        aggressor: AGGRESSORS[row.side!],
        tradeId: row.ref,
        timing: timingOf(row),
      };
    case 4:
      return {
        type: 'bbo',
        ...opening,
        bid: price(row.bid),
        bidQuantity: quantity(row.bid_quantity),
        ask: price(row.ask),
        askQuantity: quantity(row.ask_quantity),
        count: 1,
        mark: markOf(row),
      };
    case 5:
      return {
        type: 'book',
        ...opening,
        form: FORMS[row.side!],
        ...levelsOf(row),
        crc: row.ref,
        count: 1,
        mark: markOf(row),
      };
    case 6: {
      const [state, reason] = row.text!.split(' ');
      return { type: 'status', ...opening, state, reason, missed: row.ref, events: row.quantity };
    }
    default:
      return undefined;
  }
}
