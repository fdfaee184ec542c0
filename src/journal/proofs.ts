/**
 * Proofs: which blocks hold what was written. A reader gives out no row of a block before the rows
 * were checked against the checksum, and the parts of the block against the rows.
 *
 * A proof costs about as much as one read of the block (1,024 rows), so it is kept for `PROOF_MS`.
 * If a block is damaged meanwhile, its rows are given out until then. The rows after the newest
 * block are checked against `open_block`, each commit once. A block that is not sound counts as
 * missing, with the reason `damaged`. Bounded: `PROOFS_MAX` proofs, of which the oldest is dropped
 * first; and the damaged blocks, which are few.
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

/**
 * The reason for which a damaged block is missing. It is none of the reasons that the journal
 * notes.
 */
export const DAMAGED = 'damaged';

export interface ProofOptions {
  /** The system clock, unless a test steers time. */
  readonly clock?: Pick<Clock, 'monotonicMs'>;
  /** Called once for each block that is not sound. */
  readonly onDamage?: ((range: MissingRange) => void) | undefined;
  /** For readers that find rows by id: the parts of a block are not checked. */
  readonly rowsAlone?: boolean;
}

/** Rows under one checksum, or the rows of the open block. Ids, both inclusive. */
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
  /** Blocks read for their proof so far. */
  reads = 0;
  private readonly db: Database;
  private readonly clock: Pick<Clock, 'monotonicMs'>;
  private readonly onDamage: (range: MissingRange) => void;
  private readonly rowsAlone: boolean;
  private readonly rows: VerifyRows;
  /**
   * It has buffers of its own, since a caller may have other blocks proven while it reads a frame.
   */
  private readonly frames: VerifyRows;
  private readonly open: OpenProof;
  private readonly block: Statement<BlockRow, [number]>;
  private readonly newest: Statement<{ id: number | null }, []>;
  private readonly part: Statement<{ is: number }, PartBinds>;
  private readonly expired: Statement<{ id: number }, [number]>;
  /** By last id, in the order in which the blocks were checked. */
  private readonly checked = new Map<number, Checked>();
  private readonly damage = new Map<number, MissingRange>();
  /** The span that was requested last. */
  private near: Span | null = null;
  /** The key of the damage in the open block. */
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

  /** Call it before each transaction: what the previous transaction saw may have changed. */
  begin(): void {
    this.near = null;
  }

  /** SQLite keeps a database open until all its statements are finalized. */
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

  /** Whether the block that a part belongs to is sound. */
  isSound(firstId: number, lastId: number): boolean {
    const known = this.known(lastId);
    if (known !== undefined) return known.isSound && known.first === firstId;
    return this.atOnce(() => {
      const row = this.block.get(lastId);
      if (row?.last_id === lastId) return this.check(row).isSound && row.first_id === firstId;
      // The block of the part does not exist, and retention did not delete it since the part was
      // read.
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

  /** The span that contains an id, or the next span. Behind the newest block: its proven rows. */
  spanAt(id: number): Span {
    const span = this.atOnce((): Span => {
      const row = this.block.get(id);
      if (row === null) return this.openSpan();
      return this.known(row.last_id) ?? this.check(row);
    });
    this.near = span;
    return span;
  }

  /** The rows after the newest block, as far as they are proven. */
  openSpan(): Span {
    return this.atOnce((): Span => {
      const end = this.end();
      const last = this.open.upTo(end, this.clock.monotonicMs());
      const lost = this.open.damage();
      if (lost === null || this.openKey !== end + 1) this.damage.delete(this.openKey);
      this.openKey = end + 1; // the id of no block
      if (lost !== null) this.reportDamage(this.openKey, idOf(seqOf(last) + 1), lost);
      return { first: end + 1, last, isSound: true };
    });
  }

  /**
   * Reads the block that contains an id, or the next block, once for both its proof and its rows.
   * @returns undefined if its proof is known or it is no block: read it row by row. The frame is
   * valid until the next call; null if the block is not sound
   */
  read(id: number): { readonly span: Span; readonly frame: RowFrame | null } | undefined {
    const row = this.block.get(id);
    if (row === null || this.known(row.last_id) !== undefined) return undefined;
    const frame = this.frameOf(row, this.frames);
    const span = this.note(row, frame !== null);
    this.near = span;
    return { span, frame };
  }

  /** Records between two blocks are missing, and no gap declares it. */
  lose(from: number, to: number): void {
    this.reportDamage(idOf(to) + 2, idOf(from), idOf(to)); // the id of no block
  }

  /** The ranges of damaged blocks, in order. They may overlap with declared gaps. */
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

  /** The rows of a block; null if the rows or the parts are not what was written. */
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

  /** Whether its parts are those that its rows give. */
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

  /** Runs within one read transaction. */
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
