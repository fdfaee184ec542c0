/**
 * Upgrade: a journal of the schema before, brought up to this one where it lies. Columns for what few
 * records have are added, which are null in all that is there, so every checksum stays what it is; the
 * views are made anew. One transaction: an upgrade that is interrupted has not happened.
 */

import { Database } from 'bun:sqlite';

import { SCHEMA_VERSION } from './schema';
import { VIEWS } from './views';

/** @throws Error of SQLite when the file does not read, or cannot be written */
export function upgrade(path: string): void {
  const db = new Database(path, { create: false, readwrite: true });
  try {
    db.run('PRAGMA busy_timeout = 5000');
    db.transaction(() => {
      for (const column of ['as_of', 'flags', 'volume_high']) {
        db.run(`ALTER TABLE record ADD COLUMN ${column} INTEGER`);
      }
      const views = db
        .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'view'")
        .all();
      for (const { name } of views) db.run(`DROP VIEW "${name}"`);
      db.run(VIEWS);
      db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    }).immediate();
  } finally {
    db.close();
  }
}
