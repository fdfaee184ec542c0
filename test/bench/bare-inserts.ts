/**
 * The baseline of the bench `journal`: a loop that inserts the same rows with prepared statements, a thousand in a
 * transaction, and does nothing else: no checksum, no block, no thread, no callback. Its arguments are made
 * beforehand.
 */

import { Database, type Statement } from 'bun:sqlite';

import {
  LEVELS_FIELD,
  NONE,
  OWN_FIRST,
  RowFrameWriter,
  ROW_FIELDS,
  KIND_NAMES,
} from '../../src/journal/write/row-frame';
import {
  BODY_COLUMN,
  idOf,
  insertSql,
  KIND,
  OWN_COLUMNS,
  TABLES,
  type KindName,
} from '../../src/journal/schema';
import type { JournalRows } from './journal-rows';

const TRANSACTION = 1000;

type Argument = number | string | Uint8Array | null;

interface BareRow {
  readonly kind: number;
  readonly id: number;
  /** The columns after the id. */
  readonly rest: readonly Argument[];
}

export class BareInserts {
  private readonly db: Database;
  private readonly statements: Statement[] = [];
  private readonly rows: readonly BareRow[];

  constructor(path: string, rows: JournalRows) {
    this.db = new Database(path, { create: true });
    this.db.run('PRAGMA journal_mode = WAL');
    this.db.run('PRAGMA synchronous = NORMAL');
    this.db.run(TABLES);
    for (const name of Object.keys(KIND) as KindName[]) {
      this.statements[KIND[name]] = this.db.prepare(insertSql(name));
    }
    this.rows = bareRows(rows);
  }

  /** Inserts a lap whose seqs begin after `seq`. */
  run(seq: number): void {
    const { rows, statements, db } = this;
    const shift = idOf(seq);
    for (let from = 0; from < rows.length; from += TRANSACTION) {
      db.run('BEGIN IMMEDIATE');
      const to = Math.min(from + TRANSACTION, rows.length);
      for (let i = from; i < to; i++) {
        const { kind, id, rest } = rows[i]!;
        insert(statements[kind]!, id + shift, rest);
      }
      db.run('COMMIT');
    }
  }

  close(): void {
    for (const statement of this.statements) statement?.finalize();
    this.db.close();
  }
}

/** Spreading an array into arguments would cost a third. */
function insert(s: Statement, id: number, r: readonly Argument[]): void {
  switch (r.length) {
    case 8:
      s.run(id, r[0]!, r[1]!, r[2]!, r[3]!, r[4]!, r[5]!, r[6]!, r[7]!);
      return;
    case 9:
      s.run(id, r[0]!, r[1]!, r[2]!, r[3]!, r[4]!, r[5]!, r[6]!, r[7]!, r[8]!);
      return;
    case 10:
      s.run(id, r[0]!, r[1]!, r[2]!, r[3]!, r[4]!, r[5]!, r[6]!, r[7]!, r[8]!, r[9]!);
      return;
    case 11:
      s.run(id, r[0]!, r[1]!, r[2]!, r[3]!, r[4]!, r[5]!, r[6]!, r[7]!, r[8]!, r[9]!, r[10]!);
      return;
    default:
      s.run(id, ...r);
  }
}

function bareRows(journalRows: JournalRows): BareRow[] {
  const rows: BareRow[] = [];
  const instruments = new Map<string, number>();
  const writer = new RowFrameWriter();
  for (const { events } of journalRows.lapBehind(0)) {
    for (const event of events) {
      if (!instruments.has(event.symbol)) instruments.set(event.symbol, instruments.size + 1);
      writer.event(event, instruments.get(event.symbol)!);
    }
    const frame = writer.take();
    let blobEnd = 0;
    let text = 0;
    for (let at = 0; at < frame.rows * ROW_FIELDS; at += ROW_FIELDS) {
      const n = frame.numbers.subarray(at, at + ROW_FIELDS);
      const name = KIND_NAMES[n[0]!]!;
      const own = Array.from(n.subarray(OWN_FIRST, OWN_FIRST + OWN_COLUMNS[name].length), nullable);
      const rest: Argument[] = [...n.subarray(2, OWN_FIRST), ...own];
      const body = BODY_COLUMN[name];
      if (body === 'text') rest.push(frame.texts[text++]!);
      if (body === 'levels') rest.push(frame.blobs.slice(blobEnd, (blobEnd += n[LEVELS_FIELD]!)));
      rows.push({ kind: n[0]!, id: n[1]!, rest });
    }
  }
  return rows;
}

function nullable(value: number): number | null {
  return value === NONE ? null : value;
}
