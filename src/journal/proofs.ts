/**
 * Proofs: which blocks hold what was written. A reader gives out no row of a block before its rows are
 * held against its checksum, and its parts against its rows.
 *
 * A proof costs about as much as one read of the block (1,024 rows), so it is kept for `PROOF_MS`: a
 * block that rots meanwhile is given out until then. The rows behind the newest block are held against
 * `open_block`, each commit once. A block that is not sound counts as missing, with the reason `damaged`.
 * Bounded: `PROOFS_MAX` blocks, the oldest proof goes first; the damaged ones, of which there are few.
 */

import type { Database, Statement } from 'bun:sqlite';

import { SystemClock, type Clock } from '../base/clock';
import { BlockFold, type Block, type Part } from './blocks';
import type { BlockRow } from './checked-rows';
import type { MissingRange } from '../base/contracts/past';
import { NO_VISITOR, OpenProof, PROOF_MS } from './recover/open-proof';
import type { RowFrame } from './write/row-frame';
import { BLOCK_ROWS, idOf, KIND, seqOf } from './schema';
import { VerifyRows } from './verify/rows';

const PROOFS_MAX = 65_536;

/** The reason that a damaged block is missing for. Of the noted reasons none is this. */
export const DAMAGED = 'damaged';

export interface ProofOptions {
  /** The machine's, unless time is steered. */
  readonly clock?: Pick<Clock, 'monotonicMs'>;
  /** Called once for each block that is not sound. */
  readonly onDamage?: ((range: MissingRange) => void) | undefined;
  /** For who finds rows by their ids: the parts of a block, by which others find them, are not held against it. */
  readonly rowsAlone?: boolean;
}

/** Rows that stand under one checksum, or the rows of no block yet. Ids, both inclusive. */
export interface Span {
  readonly first: number;
  readonly last: number;
  readonly isSound: boolean;
}

interface Checked extends Span {
  readonly atMs: number;
}

type PartBinds = [
  of: number,
  lastId: number,
  firstId: number,
  minHi: number,
  minLo: number,
  maxHi: number,
  maxLo: number,
  tradeSeq: number,
  bookSeq: number,
];

export class Proofs {
  /** Blocks that were read for their proof. */
  reads = 0;
  private readonly db: Database;
  private readonly clock: Pick<Clock, 'monotonicMs'>;
  private readonly onDamage: (range: MissingRange) => void;
  private readonly rowsAlone: boolean;
  private readonly rows: VerifyRows;
  /** Of its own buffers, since who goes through a frame may have other blocks proven. */
  private readonly frames: VerifyRows;
  private readonly open: OpenProof;
  private readonly block: Statement<BlockRow, [number]>;
  private readonly newest: Statement<{ id: number | null }, []>;
  private readonly part: Statement<{ is: number }, PartBinds>;
  private readonly expired: Statement<{ id: number }, [number]>;
  /** By last id, in the order in which they were checked. */
  private readonly checked = new Map<number, Checked>();
  private readonly damage = new Map<number, MissingRange>();
  /** The one that was asked for last. */
  private near: Span | null = null;
  /** By which the damage behind the newest block is kept. */
  private openKey = 0;

  constructor(db: Database, options: ProofOptions = {}) {
    this.db = db;
    this.clock = options.clock ?? new SystemClock();
    this.onDamage = options.onDamage ?? (() => {});
    this.rowsAlone = options.rowsAlone === true;
    this.rows = new VerifyRows(db, false);
    this.frames = new VerifyRows(db, false);
    this.open = new OpenProof(db, this.rows);
    this.block = db.prepare(
      'SELECT first_id, last_id, crc FROM block WHERE last_id >= ? ORDER BY last_id LIMIT 1',
    );
    this.newest = db.prepare('SELECT max(last_id) AS id FROM block');
    this.part = db.prepare(
      `SELECT 1 AS "is" FROM part WHERE instrument = ? AND last_id = ? AND first_id = ?
         AND time_min = (? << 32) | ? AND time_max = (? << 32) | ? AND trade_seq = ? AND book_seq = ?`,
    );
    this.expired = db.prepare(
      `SELECT n.id FROM note n JOIN record r ON r.id = n.id
         WHERE n.kind = ${KIND.gap} AND n.id >= ? AND r.text = 'retention' LIMIT 1`,
    );
  }

  /** Before each transaction: what the one before saw may have changed. */
  begin(): void {
    this.near = null;
  }

  /** A statement that is still there would keep a database open behind its close. */
  finalize(): void {
    for (const each of [
      this.rows,
      this.frames,
      this.open,
      this.block,
      this.newest,
      this.part,
      this.expired,
    ])
      each.finalize();
  }

  /** Last id of the newest block; −1 without one. */
  end(): number {
    return this.newest.get()?.id ?? -1;
  }

  /** Whether the block that a part says it is of is sound. */
  isSound(firstId: number, lastId: number): boolean {
    const known = this.known(lastId);
    if (known !== undefined) return known.isSound && known.first === firstId;
    return this.atOnce(() => {
      const row = this.block.get(lastId);
      if (row?.last_id === lastId) return this.check(row).isSound && row.first_id === firstId;
      // The part of a block that is not there; unless retention deleted it since the part was read.
      if (this.expired.get(lastId) === null) this.reportDamage(lastId, firstId);
      return false;
    });
  }

  /** Whether the row at an id, if there is one, is proven. */
  covers(id: number): boolean {
    const { near } = this;
    if (near !== null && id >= near.first && id <= near.last) return near.isSound;
    const span = this.spanAt(id);
    return span.isSound && id >= span.first && id <= span.last;
  }

  /** The span that an id lies in, or the next one; behind the newest block, what of it is proven. */
  spanAt(id: number): Span {
    const span = this.atOnce((): Span => {
      const row = this.block.get(id);
      if (row === null) return this.openSpan();
      return this.known(row.last_id) ?? this.check(row);
    });
    this.near = span;
    return span;
  }

  /** What is behind the newest block, as far as it is proven. */
  openSpan(): Span {
    return this.atOnce((): Span => {
      const end = this.end();
      const last = this.open.upTo(end, this.clock.monotonicMs());
      const lost = this.open.damage();
      if (lost === null || this.openKey !== end + 1) this.damage.delete(this.openKey);
      this.openKey = end + 1; // no id of a block
      if (lost !== null) this.reportDamage(this.openKey, idOf(seqOf(last) + 1), lost);
      return { first: end + 1, last, isSound: true };
    });
  }

  /**
   * The block that an id lies in or the next one, read once for its proof and for its rows.
   * @returns undefined where its proof is known, or it is in no block: it is to be read by its rows.
   *   The frame holds until the next one is read; null where the block is not sound
   */
  read(id: number): { readonly span: Span; readonly frame: RowFrame | null } | undefined {
    const row = this.block.get(id);
    if (row === null || this.known(row.last_id) !== undefined) return undefined;
    const frame = this.frameOf(row, this.frames);
    const span = this.note(row, frame !== null);
    this.near = span;
    return { span, frame };
  }

  /** Places between two blocks are missing, and nothing says so. */
  lose(from: number, to: number): void {
    this.reportDamage(idOf(to) + 2, idOf(from), idOf(to)); // no id of a block
  }

  /** Places of the blocks that were found not to be sound, in order; what is noted as missing may be among them. */
  damaged(): readonly MissingRange[] {
    if (this.damage.size === 0) return [];
    return [...this.damage.values()].sort((a, b) => a.from - b.from);
  }

  private known(lastId: number): Checked | undefined {
    const known = this.checked.get(lastId);
    return known !== undefined && this.clock.monotonicMs() - known.atMs < PROOF_MS
      ? known
      : undefined;
  }

  private check(row: BlockRow): Checked {
    return this.note(row, this.frameOf(row, this.rows) !== null);
  }

  private note({ first_id: first, last_id: last }: BlockRow, isSound: boolean): Checked {
    const checked = { first, last, isSound, atMs: this.clock.monotonicMs() };
    this.checked.delete(last);
    this.checked.set(last, checked);
    if (this.checked.size > PROOFS_MAX) this.checked.delete(this.checked.keys().next().value!);
    if (isSound) this.damage.delete(last);
    else this.reportDamage(last, first);
    return checked;
  }

  /** The rows of a block; null where they, or its parts, are not what was written. */
  private frameOf(row: BlockRow, rows: VerifyRows): RowFrame | null {
    this.reads += 1;
    try {
      const read = rows.read(row.first_id - 1, row.last_id, NO_VISITOR);
      if ('message' in read || read.isCut || read.frame.rows > BLOCK_ROWS) return null;
      const fold = new BlockFold();
      let found: Block | undefined;
      fold.take(read.frame, null, (full) => (found = full));
      found ??= fold.end();
      if (found?.crc !== row.crc || found.firstId !== row.first_id || found.lastId !== row.last_id)
        return null;
      return this.rowsAlone || this.hasParts(row, found.parts) ? read.frame : null;
    } catch (e) {
      if ((e as { code?: string }).code?.startsWith('SQLITE_CORRUPT') === true) return null;
      throw e;
    }
  }

  /** What its rows are found by. */
  private hasParts({ first_id, last_id }: BlockRow, parts: Iterable<Part>): boolean {
    for (const p of parts) {
      const stored = this.part.get(
        p.instrument,
        last_id,
        first_id,
        p.minHi,
        p.minLo,
        p.maxHi,
        p.maxLo,
        p.tradeSeq,
        p.bookSeq,
      );
      if (stored === null) return false;
    }
    return true;
  }

  private reportDamage(key: number, firstId: number, lastId = key): void {
    const isNews = !this.damage.has(key);
    const range = { from: seqOf(firstId), to: seqOf(lastId), reason: DAMAGED };
    this.damage.set(key, range);
    if (isNews) this.onDamage(range);
  }

  /** In one state of the journal. */
  private atOnce<T>(read: () => T): T {
    if (this.db.inTransaction) return read();
    this.db.run('BEGIN');
    try {
      return read();
    } finally {
      this.db.run('COMMIT');
    }
  }
}
