/**
 * Row writer: writes frames into the tables, on the thread that holds the connection. The caller
 * begins and ends the transaction. When a transaction fails, `resume` resets the writer to what is
 * in the file.
 */

import type { Database, SQLQueryBindings, Statement } from 'bun:sqlite';

import { BlockFold, type Block } from '../blocks';
import { insertOf, type InsertRow } from './insert-row';
import { EXTRA_FIELDS, NO_EXTRAS, nullable, RowFrameWriter, type RowFrame } from './row-frame';
import { PIECE_KIND, pieceCrc, PiecePacker, type RawPiece } from './piece';
import { parseDefinition, type RecordRow } from '../records';
import {
  insertSql,
  KIND,
  MARK_SIDE,
  SELECT_RECORD,
  SLOT,
  SLOTS,
  UPDATE_EXTRAS,
  type KindName,
  isNote,
} from '../schema';

/** How many of the newest checkpoints are kept. Those of schema 3 after a gap are kept besides. */
const CHECKPOINTS_KEPT = 2;

/**
 * Deletes the pieces of a thing that neither the two newest checkpoints nor the current cycle need.
 * Binds: kind, key, cycle.
 */
const DROP_PIECES = `DELETE FROM piece WHERE kind = ?1 AND key = ?2 AND cycle <
  (SELECT max(cycle) FROM piece WHERE kind = ?1 AND key = ?2 AND cycle <= ?3)`;
/** Deletes the chunks of ended orders that are empty according to all checkpoints. Binds: kind. */
const DROP_EMPTY = `DELETE FROM piece WHERE kind = ? AND key <
  (SELECT min(CASE WHEN json_valid(r.text) THEN r.text ->> 'endedFrom' END) FROM note n JOIN record r ON r.id = n.id
    WHERE n.kind = ${KIND.checkpoint} AND r.side = ${MARK_SIDE})`;

export class RowWriter {
  private readonly db: Database;
  private readonly statements: Statement[] = [];
  /** One for each kind of row. */
  private readonly inserts: InsertRow[] = [];
  private readonly putBlock: Statement;
  private readonly putPart: Statement;
  private readonly putOpen: Statement;
  private readonly dropOpen: Statement;
  private readonly putNote: Statement;
  private readonly putExtras: Statement;
  private readonly putPiece: Statement;
  private readonly dropPieces: Statement;
  private readonly packer = new PiecePacker();
  private fold = new BlockFold();
  /** The extra columns of the current frame. */
  private extras = NO_EXTRAS;

  constructor(db: Database) {
    this.db = db;
    for (const name of Object.keys(KIND) as KindName[]) {
      this.inserts[KIND[name]] = insertOf(name, this.prepare(insertSql(name)));
    }
    this.putBlock = this.prepare('INSERT INTO block VALUES (?, ?, ?, unixepoch())');
    this.putPart = this.prepare(
      'INSERT INTO part VALUES (?, ?, ?, (? << 32) | ?, (? << 32) | ?, ?, ?)',
    );
    this.putOpen = this.prepare('INSERT OR REPLACE INTO open_block VALUES (?, ?, ?)');
    this.dropOpen = this.prepare('DELETE FROM open_block');
    this.putNote = this.prepare('INSERT OR REPLACE INTO note VALUES (?, ?)');
    this.putExtras = this.prepare(UPDATE_EXTRAS);
    this.putPiece = this.prepare(
      'INSERT OR REPLACE INTO piece (kind, key, cycle, seq, crc, body) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.dropPieces = this.prepare(DROP_PIECES);
    this.resume();
  }

  /** Reads the open block from the file. */
  resume(): void {
    this.fold = new BlockFold();
    const rows = new RowFrameWriter();
    for (const row of this.db
      .query<RecordRow, []>(
        `${SELECT_RECORD} WHERE id > (SELECT ifnull(max(last_id), -1) FROM block)
           AND id % ${SLOTS} = ${SLOT.event} ORDER BY id`,
      )
      .all()) {
      rows.row(row);
    }
    this.fold.take(rows.take(), null, this.writeBlock);
  }

  write(frame: RowFrame): void {
    for (const [id, text] of frame.definitions ?? []) this.define(id, text);
    if (frame.unfinished !== undefined) this.clear(frame.unfinished);
    for (const piece of frame.pieces ?? []) this.writePiece(piece);
    this.extras = frame.extras;
    this.fold.take(frame, this.writeRow, this.writeBlock);
    const open = this.fold.current();
    if (open !== undefined) this.putOpen.run(open.lastId, open.firstId, open.crc);
  }

  /**
   * Ends the open block, so that all records are under the checksum of a block when the file is
   * closed.
   */
  endBlock(): void {
    const block = this.fold.end();
    if (block === undefined) return;
    this.db.transaction(() => this.writeBlock(block))();
  }

  /** SQLite keeps the database open until all its statements are finalized. */
  finalize(): void {
    for (const statement of this.statements) statement.finalize();
  }

  private readonly writeRow = (
    kind: number,
    n: Float64Array,
    at: number,
    body: Uint8Array | string | null,
    extraAt: number,
  ): void => {
    const insert = this.inserts[kind];
    if (insert === undefined) throw new Error(`a row of the kind ${kind}`);
    const id = n[at + 1]!;
    insert(id, n, at, body);
    if (extraAt >= 0) this.writeExtras(id, extraAt);
    if (!isNote(kind)) {
      if (kind === KIND.instrument) this.define(n[at + 2]!, body as string);
      return;
    }
    this.putNote.run(kind, id);
    if (kind === KIND.checkpoint) this.dropCheckpoints();
  };

  private writeExtras(id: number, at: number): void {
    const e = this.extras;
    const [hi, lo, flags, high] = Array.from(e.subarray(at + 1, at + EXTRA_FIELDS), nullable);
    this.putExtras.run(hi!, lo!, flags!, high!, id);
  }

  private readonly writeBlock = (block: Block): void => {
    const { lastId, firstId, crc, parts } = block;
    this.putBlock.run(lastId, firstId, crc);
    this.dropOpen.run();
    for (const p of parts) {
      this.putPart.run(
        p.instrument,
        lastId,
        firstId,
        p.minHi,
        p.minLo,
        p.maxHi,
        p.maxLo,
        p.tradeSeq,
        p.bookSeq,
      );
    }
  };

  private define(id: number, text: string): void {
    const d = parseDefinition(text);
    if (d === undefined) throw new Error('a definition that does not read');
    this.db.run(
      `INSERT INTO instrument (id, symbol, price_scale, quantity_scale, definition)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (symbol) DO UPDATE SET definition = ?5`,
      [id, d.symbol, d.priceScale, d.quantityScale, text],
    );
  }

  private clear({ lastId, cycle }: NonNullable<RowFrame['unfinished']>): void {
    const behind = `SELECT id FROM note WHERE kind = ${KIND.checkpoint} AND id > ?`;
    this.db.run(`DELETE FROM record WHERE id IN (${behind})`, [lastId]);
    this.db.run(`DELETE FROM note WHERE kind = ${KIND.checkpoint} AND id > ?`, [lastId]);
    this.db.run('DELETE FROM piece WHERE cycle > ?', [cycle]);
  }

  private writePiece(raw: RawPiece): void {
    const { kind, key, cycle, seq } = raw;
    const body = this.packer.pack(raw);
    const crc = pieceCrc({ kind, key, cycle, seq, body });
    this.putPiece.run(kind, key, cycle, seq, crc, body);
    this.dropPieces.run(kind, key, cycle - CHECKPOINTS_KEPT);
  }

  /**
   * Deletes all but the newest `CHECKPOINTS_KEPT`. Checkpoints of schema 3 that follow a gap
   * (`side` 1) stay: after a gap nothing else has the state.
   */
  private dropCheckpoints(): void {
    const old = `SELECT n.id FROM note n JOIN record r ON r.id = n.id WHERE n.kind = ${KIND.checkpoint}
      AND r.side <> 1 ORDER BY n.id DESC LIMIT -1 OFFSET ${CHECKPOINTS_KEPT}`;
    for (const { id } of this.db.query<{ id: number }, []>(old).all()) {
      this.db.run('DELETE FROM record WHERE id = ?', [id]);
      this.db.run(`DELETE FROM note WHERE kind = ${KIND.checkpoint} AND id = ?`, [id]);
    }
    this.db.run(DROP_EMPTY, [PIECE_KIND.ended]);
  }

  private prepare(sql: string): Statement<unknown, SQLQueryBindings[]> {
    const statement = this.db.prepare<unknown, SQLQueryBindings[]>(sql);
    this.statements.push(statement);
    return statement;
  }
}
