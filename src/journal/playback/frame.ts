/**
 * Replay frame: gives a replay the rows of a block that was read for its proof. `take` returns the
 * same object each time. Bounded: one row.
 */

import { REPLAYED_CHANNELS } from '../../../protocol/channels';
import {
  EXTRA_FIELDS,
  LEVELS_FIELD,
  nullable,
  OWN_FIRST,
  ROW_FIELDS,
  KIND_NAMES,
  type RowFrame,
} from '../write/row-frame';
import type { ReplayRow } from './rows';
import { OWN_COLUMNS } from '../schema';

/** The number columns besides those that all rows have. */
type Own =
  | 'price'
  | 'quantity'
  | 'bid'
  | 'bid_quantity'
  | 'ask'
  | 'ask_quantity'
  | 'volume'
  | 'side'
  | 'ref';

const REPLAYED: ReadonlySet<string> = new Set(REPLAYED_CHANNELS);
const OWN: readonly (readonly Own[])[] = KIND_NAMES.map((name) =>
  REPLAYED.has(name)
    ? (OWN_COLUMNS[name].filter((column) => column !== 'source_seq') as Own[])
    : [],
);

export class ReplayFrame {
  private readonly row: ReplayRow = {
    id: 0,
    kind: 0,
    instrument: 0,
    prev_seq: 0,
    event_hi: 0,
    event_lo: 0,
    receive_hi: 0,
    receive_lo: 0,
    price: null,
    quantity: null,
    bid: null,
    bid_quantity: null,
    ask: null,
    ask_quantity: null,
    volume: null,
    side: null,
    ref: null,
    levels: null,
    as_of_hi: null,
    as_of_lo: null,
    flags: null,
    volume_high: null,
  };
  private readonly frame: RowFrame;
  private next = 0;
  private blobEnd = 0;
  private extra = 0;

  constructor(frame: RowFrame) {
    this.frame = frame;
  }

  /**
   * The next row of one of the kinds, from an id up to another; undefined if there is none.
   * @param mask one bit for each kind
   */
  take(mask: number, firstId: number, lastId: number): ReplayRow | undefined {
    const { rows, numbers: n, extras } = this.frame;
    while (this.next < rows) {
      const index = this.next++;
      const at = index * ROW_FIELDS;
      const blobAt = this.blobEnd;
      const length = n[at + LEVELS_FIELD]!;
      if (length >= 0) this.blobEnd += length;
      const extraAt = this.extra < extras.length && extras[this.extra] === index ? this.extra : -1;
      if (extraAt >= 0) this.extra += EXTRA_FIELDS;
      const id = n[at + 1]!;
      if (id < firstId || id > lastId || ((mask >> n[at]!) & 1) === 0) continue;
      return this.read(at, length < 0 ? null : [blobAt, blobAt + length], extraAt);
    }
    return undefined;
  }

  private read(
    at: number,
    levels: readonly [from: number, end: number] | null,
    extraAt: number,
  ): ReplayRow {
    const { row, frame } = this;
    const { numbers: n, extras } = frame;
    row.kind = n[at]!;
    row.id = n[at + 1]!;
    row.instrument = n[at + 2]!;
    row.prev_seq = n[at + 3]!;
    row.event_hi = n[at + 4]!;
    row.event_lo = n[at + 5]!;
    row.receive_hi = n[at + 6]!;
    row.receive_lo = n[at + 7]!;
    const own = OWN[row.kind]!;
    for (let i = 0; i < own.length; i++) row[own[i]!] = nullable(n[at + OWN_FIRST + i]!);
    row.levels = levels === null ? null : frame.blobs.subarray(levels[0], levels[1]);
    const isExtra = extraAt >= 0;
    row.as_of_hi = isExtra ? nullable(extras[extraAt + 1]!) : null;
    row.as_of_lo = isExtra ? nullable(extras[extraAt + 2]!) : null;
    row.flags = isExtra ? nullable(extras[extraAt + 3]!) : null;
    row.volume_high = isExtra ? nullable(extras[extraAt + 4]!) : null;
    return row;
  }
}
