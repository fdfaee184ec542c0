/**
 * Verify structure: whether the file is one that SQLite, and this version of the schema, made.
 *
 * While a server may be writing, the table of records is left out of SQLite's own check, which would be
 * one long read and keep the WAL from being shortened; every record of it is read anyway, in order.
 */

import { Database } from 'bun:sqlite';

import { TABLES } from './schema';
import { isAtRest } from './verify-connection';
import { VIEWS } from './views';

const SMALL_TABLES = ['sqlite_schema', 'instrument', 'block', 'part', 'note'];

/** The first fault in the structure of the file. @throws Error when it does not read at all */
export function structureFault(db: Database, path: string): string | undefined {
  const checks = isAtRest(path) ? [''] : SMALL_TABLES.map((name) => `('${name}')`);
  for (const of of checks) {
    // Of another length than quick_check only by the index of `instrument`, which it looks at as well.
    const row = db.query(`PRAGMA integrity_check${of}`).values()[0] as [string];
    if (row[0] !== 'ok') return row[0];
  }
  const expected = schemaOf(emptyJournal());
  const found = schemaOf(db);
  const differs = expected.findIndex((sql, i) => sql !== found[i]);
  if (differs >= 0) return `its schema is not that of this version: ${found[differs] ?? 'a part of it is missing'}`; // prettier-ignore
  return undefined;
}

function emptyJournal(): Database {
  const db = new Database(':memory:');
  db.run(TABLES + VIEWS);
  return db;
}

/** All statements that made it; others may have made more. */
function schemaOf(db: Database): string[] {
  return db
    .query('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid')
    .values()
    .map((row) => row.join(' '));
}
