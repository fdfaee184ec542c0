/**
 * Row frame: events as flat numbers and bytes, the form in which they cross to the writer's thread.
 *
 * A structured clone of event objects would cost the main thread microseconds each; a frame is moved,
 * not copied, and costs tens of nanoseconds a row. It is also what a block's checksum is taken of. A row:
 *
 *     0     1   2           3         4   5   6   7   8 … 12             13
 *     ┌─────┬───┬───────────┬─────────┬───┬───┬───┬───┬──────────────────┬─────────────┐
 *     │kind │id │instrument │prev_seq │ event │receive│ own numbers      │ bytes of    │
 *     │     │   │           │         │ hi  lo│ hi  lo│ (NONE: null)     │ its levels  │
 *     └─────┴───┴───────────┴─────────┴───────┴───────┴──────────────────┴─────────────┘
 *
 * The levels of all rows follow each other in `blobs` as protocol/layout.ts lays them out, and the
 * texts of the kinds that have one in `texts`, both in the order of the rows. The extra columns, which few
 * rows have, are in `extras`, in the order of their rows:
 *
 *     0     1      2      3       4
 *     ┌─────┬──────┬──────┬───────┬─────────────┐
 *     │ row │ as_of       │ flags │ volume_high │    (NONE: null)
 *     │     │ hi   │ lo   │       │             │
 *     └─────┴──────┴──────┴───────┴─────────────┘
 */

import { levelsBytes, writeLevels } from '../../../protocol/layout';
import { BOOK_FORMS, type Status } from '../../../protocol/messages';
import { plainText } from '../../../protocol/plain';
import {
  orderTime,
  type BatchEvent,
  type Command,
  type RecordedBbo,
  type RecordedBook,
  type RecordedPlain,
  type RecordedTick,
  type RecordedTrade,
  type Snapshot,
} from '../../../protocol/records';
import { sumHigh, sumLow } from '../../../protocol/sums';
import { Nanos } from '../../../protocol/time';
import { pieceBytes, type RawPiece } from './piece';
import {
  AGGRESSORS,
  commandText,
  definitionText,
  markFlags,
  timingFlags,
  type RecordRow,
} from '../records';
import { BODY_COLUMN, idOf, KIND, MARK_SIDE, OWN_COLUMNS, SLOT, type KindName } from '../schema';

export const ROW_FIELDS = 14;
export const OWN_FIRST = 8;
export const LEVELS_FIELD = 13;
export const EXTRA_FIELDS = 5;
/** Stands for null; it is not a safe integer. */
export const NONE = -(2 ** 53);

/** A number of a frame as a column: null where it is NONE. */
export function nullable(value: number): number | null {
  return value === NONE ? null : value;
}

export interface RowFrame {
  readonly rows: number;
  readonly numbers: Float64Array<ArrayBuffer>;
  readonly blobs: Uint8Array<ArrayBuffer>;
  readonly texts: readonly string[];
  readonly extras: Float64Array<ArrayBuffer>;
  /** Instruments that must be known though their records are missing: id and definition. */
  readonly definitions?: readonly (readonly [id: number, text: string])[];
  /**
   * Checkpoints behind this id are not sound; pieces behind this cycle belong to a cycle that did
   * not end.
   */
  readonly unfinished?: { readonly lastId: number; readonly cycle: number };
  /** Pieces of the state. They are written before the marks of this frame. */
  readonly pieces?: readonly RawPiece[];
}

/** What the journal notes at a seq besides events. */
export type Note =
  | { readonly kind: 'gap'; readonly from: number; readonly reason: string }
  | { readonly kind: 'checkpoint'; readonly from: number; readonly text: string }
  | { readonly kind: 'epoch'; readonly event: 'opened' | 'closed'; readonly epoch: number };

/** Names of kinds by their number. */
export const KIND_NAMES: readonly KindName[] = Object.keys(KIND).reduce<KindName[]>((names, n) => {
  names[KIND[n as KindName]] = n as KindName;
  return names;
}, []);

const ROWS_START = 256;
const BLOBS_START = 16 * 1_024;
export const NO_EXTRAS = new Float64Array(0);

export class RowFrameWriter {
  rows = 0;
  private numbers = new Float64Array(ROWS_START * ROW_FIELDS);
  private blobs = new Uint8Array(BLOBS_START);
  private view = new DataView(this.blobs.buffer);
  private blobEnd = 0;
  private texts: string[] = [];
  private textLength = 0;
  private extras: number[] = [];
  private pieces: RawPiece[] = [];
  /** About how much memory its pieces take. */
  pieceBytes = 0;

  /** Whether the frame has no rows and no pieces. */
  get isEmpty(): boolean {
    return this.rows === 0 && this.pieces.length === 0;
  }

  /** About how much memory the frame takes without its pieces. */
  get bytes(): number {
    const numbers = this.rows * ROW_FIELDS + this.extras.length;
    return numbers * 8 + this.blobEnd + this.textLength * 2;
  }

  /** Returns the frame and begins a new one. */
  take(): RowFrame {
    const { rows, texts } = this;
    const numbers = this.numbers.slice(0, rows * ROW_FIELDS);
    const blobs = this.blobs.slice(0, this.blobEnd);
    const extras = this.extras.length === 0 ? NO_EXTRAS : Float64Array.from(this.extras);
    this.texts = [];
    this.rows = 0;
    this.blobEnd = 0;
    this.textLength = 0;
    if (extras !== NO_EXTRAS) this.extras = [];
    const { pieces } = this;
    this.pieces = [];
    this.pieceBytes = 0;
    return { rows, numbers, blobs, texts, extras, ...(pieces.length > 0 && { pieces }) };
  }

  piece(piece: RawPiece): void {
    this.pieces.push(piece);
    this.pieceBytes += pieceBytes(piece);
  }

  /** @param instrument its id in the journal */
  event(e: BatchEvent, instrument: number): void {
    const id = idOf(e.seq);
    switch (e.type) {
      case 'tick':
        return this.tick(e, id, instrument);
      case 'trade':
        return this.trade(e, id, instrument);
      case 'bbo':
        return this.bbo(e, id, instrument);
      case 'book':
        return this.book(e, id, instrument);
      case 'snapshot':
        return this.snapshot(e, id, instrument);
      case 'status':
        return this.status(e, id, instrument);
      case 'command':
        return this.command(e, id, instrument);
      case 'instrument':
        this.open(KIND.instrument, id, instrument, 0, Nanos.ZERO, Nanos.ZERO);
        this.own(NONE, NONE, NONE, NONE, NONE);
        return this.text(definitionText(e));
      default:
        return this.plain(e, id, instrument);
    }
  }

  /** @param seq the seq that it is noted at @param at the time when it was noted */
  note(note: Note, seq: number, at: Nanos): void {
    switch (note.kind) {
      case 'gap':
        this.open(KIND.gap, idOf(seq, SLOT.gap), 0, 0, at, at);
        this.own(note.from, NONE, NONE, NONE, NONE);
        this.text(note.reason);
        return;
      case 'checkpoint':
        this.open(KIND.checkpoint, idOf(seq, SLOT.checkpoint), 0, note.from, at, at);
        this.own(MARK_SIDE, Bun.hash.crc32(note.text), NONE, NONE, NONE);
        this.text(note.text);
        return;
      case 'epoch':
        this.open(KIND.epoch, idOf(seq, SLOT[note.event]), 0, 0, at, at);
        this.own(note.epoch, NONE, NONE, NONE, NONE);
        this.text(note.event);
    }
  }

  /** Adds a row as read from the journal. It gives the same frame as when it was written. */
  row(r: RecordRow): void {
    const name = KIND_NAMES[r.kind];
    if (name === undefined) throw new Error(`record ${r.id} is of the unknown kind ${r.kind}`);
    const at = this.reserveRow();
    const n = this.numbers;
    n[at] = r.kind;
    n[at + 1] = r.id;
    n[at + 2] = r.instrument;
    n[at + 3] = r.prev_seq;
    n[at + 4] = r.event_hi;
    n[at + 5] = r.event_lo;
    n[at + 6] = r.receive_hi;
    n[at + 7] = r.receive_lo;
    const own = OWN_COLUMNS[name] as readonly (keyof RecordRow)[];
    for (let i = 0; i < OWN_FIELDS; i++) {
      n[at + OWN_FIRST + i] = i < own.length ? ((r[own[i]!] as number | null) ?? NONE) : NONE;
    }
    if (BODY_COLUMN[name] === 'text') this.text(r.text ?? '');
    if (BODY_COLUMN[name] === 'levels' && r.levels !== null) {
      this.reserveBytes(r.levels.length);
      this.blobs.set(r.levels, this.blobEnd);
      this.endBlob(r.levels.length);
    }
    const { as_of_hi: hi, as_of_lo: lo, flags, volume_high: high } = r;
    if (hi === null && flags === null && high === null) return;
    this.extras.push(this.rows - 1, hi ?? NONE, lo ?? NONE, flags ?? NONE, high ?? NONE);
  }

  private tick(e: RecordedTick, id: number, instrument: number): void {
    this.open(KIND.tick, id, instrument, e.prevSeq, e.eventTime, e.receiveTime);
    this.own(e.last, e.quantity, e.bid ?? NONE, e.ask ?? NONE, sumLow(e.volume));
    if (e.asOf !== undefined || typeof e.volume === 'bigint')
      this.extra(e.asOf, 0, sumHigh(e.volume));
  }

  private bbo(e: RecordedBbo, id: number, instrument: number): void {
    this.open(KIND.bbo, id, instrument, e.prevSeq, e.eventTime, e.receiveTime);
    this.own(e.bid ?? NONE, e.bidQuantity, e.ask ?? NONE, e.askQuantity, NONE);
    if (e.asOf !== undefined || e.mark !== null) this.extra(e.asOf, markFlags(e.mark), 0);
  }

  private book(e: RecordedBook, id: number, instrument: number): void {
    this.open(KIND.book, id, instrument, e.prevSeq, e.eventTime, e.receiveTime);
    this.own(BOOK_FORMS.indexOf(e.form), e.crc ?? NONE, NONE, NONE, NONE);
    this.levels(e.bids, e.asks);
    if (e.asOf !== undefined || e.mark !== null) this.extra(e.asOf, markFlags(e.mark), 0);
  }

  private snapshot(e: Snapshot, id: number, instrument: number): void {
    this.open(KIND.snapshot, id, instrument, 0, e.eventTime, e.receiveTime);
    this.own(e.crc, NONE, NONE, NONE, NONE);
    this.levels(e.bids, e.asks);
    if (e.asOf !== undefined) this.extra(e.asOf, 0, 0);
  }

  private status(e: Status, id: number, instrument: number): void {
    this.open(KIND.status, id, instrument, e.prevSeq, e.eventTime, e.receiveTime);
    this.own(e.missed, e.events ?? NONE, NONE, NONE, NONE);
    this.text(`${e.state} ${e.reason}`);
  }

  private plain(e: RecordedPlain, id: number, instrument: number): void {
    this.open(KIND[e.type], id, instrument, e.prevSeq, e.eventTime, e.receiveTime);
    this.own(NONE, NONE, NONE, NONE, NONE);
    this.text(plainText(e));
    if (e.asOf !== undefined) this.extra(e.asOf, 0, 0);
  }

  private command(e: Command, id: number, instrument: number): void {
    this.open(KIND.command, id, instrument, 0, e.eventTime, e.receiveTime);
    this.own(e.price, e.quantity, AGGRESSORS.indexOf(e.side), e.orderId, NONE);
    this.text(commandText(e));
  }

  private trade(e: RecordedTrade, id: number, instrument: number): void {
    this.open(KIND.trade, id, instrument, e.prevSeq, e.eventTime, e.receiveTime);
    const side = AGGRESSORS.indexOf(e.aggressor);
    this.own(e.price, e.quantity, side, e.tradeId, e.sourceSeq ?? NONE);
    if (e.timing === null) return;
    const at = orderTime(e);
    this.extra(at === e.eventTime ? undefined : at, timingFlags(e.timing), 0);
  }

  private open(
    kind: number,
    id: number,
    instrument: number,
    prevSeq: number,
    eventTime: Nanos,
    receiveTime: Nanos,
  ): void {
    const at = this.reserveRow();
    const n = this.numbers;
    n[at] = kind;
    n[at + 1] = id;
    n[at + 2] = instrument;
    n[at + 3] = prevSeq;
    n[at + 4] = eventTime.hi;
    n[at + 5] = eventTime.lo;
    n[at + 6] = receiveTime.hi;
    n[at + 7] = receiveTime.lo;
  }

  private own(a: number, b: number, c: number, d: number, e: number): void {
    const at = (this.rows - 1) * ROW_FIELDS + OWN_FIRST;
    const n = this.numbers;
    n[at] = a;
    n[at + 1] = b;
    n[at + 2] = c;
    n[at + 3] = d;
    n[at + 4] = e;
  }

  /** Adds the extra columns of the newest row; 0 stands for none. */
  private extra(asOf: Nanos | undefined, flags: number, volumeHigh: number): void {
    const [hi, lo] = asOf === undefined ? [NONE, NONE] : [asOf.hi, asOf.lo];
    this.extras.push(this.rows - 1, hi, lo, flags || NONE, volumeHigh || NONE);
  }

  private text(text: string): void {
    this.texts.push(text);
    this.textLength += text.length;
  }

  private levels(bids: readonly number[], asks: readonly number[]): void {
    const length = levelsBytes(bids, asks);
    this.reserveBytes(length);
    writeLevels(this.view, this.blobEnd, bids, asks);
    this.endBlob(length);
  }

  private endBlob(length: number): void {
    this.blobEnd += length;
    this.numbers[(this.rows - 1) * ROW_FIELDS + LEVELS_FIELD] = length;
  }

  /** @returns the offset of the row, which has no levels yet */
  private reserveRow(): number {
    const at = this.rows * ROW_FIELDS;
    if (at === this.numbers.length) {
      const larger = new Float64Array(this.numbers.length * 2);
      larger.set(this.numbers);
      this.numbers = larger;
    }
    this.rows += 1;
    this.numbers[at + LEVELS_FIELD] = NONE;
    return at;
  }

  private reserveBytes(length: number): void {
    if (this.blobEnd + length <= this.blobs.length) return;
    const larger = new Uint8Array(Math.max(this.blobs.length * 2, this.blobEnd + length));
    larger.set(this.blobs);
    this.blobs = larger;
    this.view = new DataView(larger.buffer);
  }
}

const OWN_FIELDS = LEVELS_FIELD - OWN_FIRST;
