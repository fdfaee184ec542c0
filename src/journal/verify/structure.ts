/**
 * Verify structure: whether the file was made by SQLite and by this version of the schema.
 *
 * While a server may be writing, SQLite's own check leaves the table of records out: it would be
 * one long read and keep the WAL from being shortened. All records are read in order anyway.
 */

import { Database } from 'bun:sqlite';

import { TABLES } from '../schema';
import { isAtRest } from '../read-connection';

const SMALL_TABLES = ['sqlite_schema', 'instrument', 'block', 'part', 'note'];

/** The first fault in the structure of the file. @throws Error when it cannot be read at all */
export function structureFault(db: Database, path: string): string | undefined {
  const checks = isAtRest(path) ? [''] : SMALL_TABLES.map((name) => `('${name}')`);
  for (const of of checks) {
    // It takes as long as quick_check, and also checks the index of `instrument`.
    const row = db.query(`PRAGMA integrity_check${of}`).values()[0] as [string];
    if (row[0] !== 'ok') return row[0];
  }
  const found = tablesOf(db);
  for (const [name, sql] of expectedTables()) {
    if (found.get(name) !== sql) return `the table ${name} is not as this version makes it`;
  }
  // Views hold no data, so another version may define them differently; but they must work.
  for (const { name } of db.query("SELECT name FROM sqlite_schema WHERE type = 'view'").all() as {
    name: string;
  }[]) {
    db.query(`SELECT * FROM "${name}" LIMIT 0`).finalize();
  }
  return undefined;
}

function expectedTables(): ReadonlyMap<string, string> {
  const db = new Database(':memory:');
  try {
    db.run(TABLES);
    return tablesOf(db);
  } finally {
    db.close();
  }
}

/**
 * The statement that created each table, without comments and spaces, since an added column stands
 * behind the comments.
 */
function tablesOf(db: Database): ReadonlyMap<string, string> {
  const rows = db.query("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").values() as [
    string,
    string,
  ][];
  return new Map(rows.map(([name, sql]) => [name, plain(sql)]));
}

function plain(sql: string): string {
  const text = sql.replaceAll(/--.*$/gm, '').replaceAll(/\s+/g, ' ');
  return text.replaceAll(/ ?([(),]) ?/g, '$1');
}
