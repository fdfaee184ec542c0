/**
 * Verify rows: reads rows into the frame that their checksum is computed from, as fast as SQLite
 * returns them.
 *
 * Most of the time of a row is spent on its columns as they cross into JavaScript. So SQL merges
 * two columns into one if no kind uses both, which gives fourteen columns instead of twenty-four.
 * SQL also checks whether a row has a value that rows of its kind never have. Bounded: `PAGE_ROWS`
 * rows at a time, in buffers that are reused.
 */

import type { Database, Statement } from 'bun:sqlite';

import {
  LEVELS_FIELD,
  NO_EXTRAS,
  NONE,
  OWN_FIRST,
  ROW_FIELDS,
  type RowFrame,
} from '../write/row-frame';
import {
  BODY_COLUMN,
  EXTRA_COLUMNS,
  KIND,
  OWN_COLUMNS,
  seqOf,
  SLOT,
  SLOTS,
  type KindName,
  IS_NOTE,
  isNote,
} from '../schema';

/** More than the rows of a block and the notes between them. */
export const PAGE_ROWS = 4_096;

interface PackedRow {
  id: number;
  /** Its instrument × 16 + its kind; null if it has a value that rows of its kind do not have. */
  k: number | null;
  p: number;
  /** Event time and receive time, as 32-bit halves. */
  a: number;
  b: number;
  c: number;
  d: number;
  /** Of each pair of columns, the one that rows of its kind use; see `SELECT_PACKED`. */
  e: number | null;
  f: number | null;
  g: number | null;
  h: number | null;
  j: number | null;
  /** Levels or text of an event. */
  x: Uint8Array | string | null;
  /**
   * The extra columns as digits: high and low half of the order time, flags, high part of the
   * volume.
   */
  y: string | null;
}

const KINDS_MAX = 16;

/** A row that is not a valid record, and its seq. */
export interface RowFault {
  readonly seq: number;
  readonly message: string;
}

/** Gets the rows in their order as they are read. */
export interface RowVisitor {
  /** @returns what is wrong with its seq */
  event(seq: number): string | undefined;
  definition(instrument: number, seq: number, text: string): void;
  /** @returns what is wrong with it @param ref for a gap: the first missing seq */
  note(kind: number, id: number, ref: number | null): string | undefined;
}

const KINDS = Object.keys(KIND) as KindName[];
const OPTIONAL = [
  ...new Set([...Object.values(OWN_COLUMNS), ...Object.values(EXTRA_COLUMNS)].flat()),
  'levels',
  'text',
];
const HAS_TEXT: readonly boolean[] = placed((name) => BODY_COLUMN[name] === 'text');
const HAS_LEVELS: readonly boolean[] = placed((name) => BODY_COLUMN[name] === 'levels');
const SLOT_KINDS: Readonly<Record<number, number>> = {
  [SLOT.gap]: KIND.gap,
  [SLOT.checkpoint]: KIND.checkpoint,
  [SLOT.closed]: KIND.epoch,
  [SLOT.opened]: KIND.epoch,
};

function placed(of: (name: KindName) => boolean): boolean[] {
  const list: boolean[] = [];
  for (const name of KINDS) list[KIND[name]] = of(name);
  return list;
}

/** Not null if a row has a value that rows of its kind do not have, or is of an unknown kind. */
function straySql(): string {
  const cases = KINDS.map((name) => {
    const known = new Set<string | null>([
      ...OWN_COLUMNS[name],
      ...EXTRA_COLUMNS[name],
      BODY_COLUMN[name],
    ]);
    const others = OPTIONAL.filter((column) => !known.has(column));
    return `WHEN ${KIND[name]} THEN coalesce(${others.join()})`;
  });
  return `CASE kind ${cases.join(' ')} ELSE 1 END`;
}

const PACKED_KIND = `instrument * ${KINDS_MAX} + kind`;
const SELECT_PACKED = (kind: string): string => `SELECT id, ${kind} AS k, prev_seq AS p,
  event_time >> 32 AS a, event_time & 4294967295 AS b,
  receive_time >> 32 AS c, receive_time & 4294967295 AS d,
  coalesce(price, bid_quantity) AS e, coalesce(quantity, ask_quantity) AS f, coalesce(bid, side) AS g,
  coalesce(ask, ref) AS h, coalesce(volume, source_seq) AS j,
  CASE WHEN NOT (${IS_NOTE}) THEN coalesce(levels, text) END AS x,
  CASE WHEN coalesce(as_of, flags, volume_high) IS NOT NULL THEN
    concat_ws(' ', ifnull(as_of >> 32, '-'), ifnull(as_of & 4294967295, '-'), ifnull(flags, '-'), ifnull(volume_high, '-')) END AS y
  FROM record WHERE id > ? AND id <= ? ORDER BY id LIMIT ${PAGE_ROWS}`;

export class VerifyRows {
  private readonly page: Statement<PackedRow, [number, number]>;
  private readonly numbers = new Float64Array(PAGE_ROWS * ROW_FIELDS);
  private blobs = new Uint8Array(1_024 * 1_024);

  /**
   * @param findsStray whether a value in a column that the kind of the row does not use makes the
   * row invalid
   */
  constructor(db: Database, findsStray: boolean) {
    const kind = findsStray
      ? `CASE WHEN ${straySql()} IS NULL THEN ${PACKED_KIND} END`
      : PACKED_KIND;
    this.page = db.prepare<PackedRow, [number, number]>(SELECT_PACKED(kind));
  }

  finalize(): void {
    this.page.finalize();
  }

  /**
   * Reads the events behind one id, up to another. The visitor gets them, with the notes between
   * them.
   * @returns the rows, valid until the next call; or what is wrong with the first invalid row
   */
  read(afterId: number, lastId: number, visitor: RowVisitor): ReadRows | RowFault {
    const rows = this.page.all(afterId, lastId);
    const texts: string[] = [];
    const extras: number[] = [];
    let events = 0;
    let blobEnd = 0;
    for (const row of rows) {
      const kind = row.k === null ? 0 : row.k % KINDS_MAX;
      const wrong = visit(row, kind, visitor);
      if (wrong !== undefined) return { seq: seqOf(row.id), message: wrong };
      if (isNote(kind)) continue;
      const at = this.put(row, kind, events);
      if (row.y !== null) extras.push(events, ...extrasOf(row.y));
      events += 1;
      const body = row.x;
      if (typeof body === 'string') {
        texts.push(body);
      } else if (body !== null) {
        this.reserve(blobEnd + body.length);
        this.blobs.set(body, blobEnd);
        blobEnd += body.length;
        this.numbers[at + LEVELS_FIELD] = body.length;
      }
    }
    return {
      frame: {
        rows: events,
        numbers: this.numbers,
        blobs: this.blobs,
        texts,
        extras: extras.length === 0 ? NO_EXTRAS : Float64Array.from(extras),
      },
      lastId: rows.at(-1)?.id ?? afterId,
      isCut: rows.length === PAGE_ROWS,
    };
  }

  private put(r: PackedRow, kind: number, row: number): number {
    const n = this.numbers;
    const at = row * ROW_FIELDS;
    n[at] = kind;
    n[at + 1] = r.id;
    n[at + 2] = (r.k! - kind) / KINDS_MAX;
    n[at + 3] = r.p;
    n[at + 4] = r.a;
    n[at + 5] = r.b;
    n[at + 6] = r.c;
    n[at + 7] = r.d;
    this.putOwn(r, kind, at + OWN_FIRST);
    n[at + LEVELS_FIELD] = NONE;
    return at;
  }

  /** In the order of `OWN_COLUMNS`. */
  private putOwn(r: PackedRow, kind: number, at: number): void {
    const n = this.numbers;
    let first = r.e;
    let second = r.f;
    let third = r.g;
    let fourth = r.h;
    if (kind === KIND.bbo) {
      [first, second, third, fourth] = [r.g, r.e, r.h, r.f];
    } else if (kind === KIND.book) {
      [first, second, third, fourth] = [r.g, r.h, null, null];
    } else if (kind === KIND.snapshot || kind === KIND.status) {
      [first, fourth] = [r.h, null]; // the second number of a status is in another column
    }
    n[at] = first ?? NONE;
    n[at + 1] = second ?? NONE;
    n[at + 2] = third ?? NONE;
    n[at + 3] = fourth ?? NONE;
    n[at + 4] = r.j ?? NONE;
  }

  private reserve(bytes: number): void {
    if (bytes <= this.blobs.length) return;
    const larger = new Uint8Array(Math.max(bytes, this.blobs.length * 2));
    larger.set(this.blobs);
    this.blobs = larger;
  }
}

function extrasOf(digits: string): number[] {
  return digits.split(' ').map((part) => (part === '-' ? NONE : Number(part)));
}

interface ReadRows {
  readonly frame: RowFrame;
  /** The id of the last row, event or note. */
  readonly lastId: number;
  /** Whether there are more rows than were read. */
  readonly isCut: boolean;
}

function visit(row: PackedRow, kind: number, visitor: RowVisitor): string | undefined {
  const { id } = row;
  const slot = id % SLOTS;
  const seq = seqOf(id);
  if (slot === SLOT.event) {
    const wrong = visitor.event(seq);
    if (wrong !== undefined) return wrong;
    const hasText = HAS_TEXT[kind];
    if (isNote(kind) || hasText === undefined || hasText !== (typeof row.x === 'string'))
      return `record ${seq} does not read`;
    if (HAS_LEVELS[kind] === true && row.x === null) return `record ${seq} does not read`;
    if (kind === KIND.instrument)
      visitor.definition((row.k! - kind) / KINDS_MAX, seq, row.x as string);
    return undefined;
  }
  const before = kind === KIND.checkpoint ? seq : 0;
  if (SLOT_KINDS[slot] !== kind || row.k !== kind || row.p < 0 || row.p > before) {
    return `what is noted at ${seq} (id ${id}) does not read`;
  }
  return visitor.note(kind, id, row.h);
}
