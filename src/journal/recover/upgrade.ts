/**
 * Upgrade: a journal of a schema before, brought up to this one where it lies. What is added is empty: to
 * schema 2 columns for what few records have, to schema 3 the table of pieces. So every checksum stays what
 * it is, and a checkpoint of before is read until there is a new one. The views are made anew. One
 * transaction: an upgrade that is interrupted has not happened.
 */

import { Database } from 'bun:sqlite';

import { PIECE_TABLE, SCHEMA_VERSION } from '../schema';
import { renewViews } from '../views';

/** @throws Error of SQLite when the file does not read, or cannot be written */
export function upgrade(path: string): void {
  const db = new Database(path, { create: false, readwrite: true });
  try {
    db.run('PRAGMA busy_timeout = 5000');
    db.transaction(() => {
      const { user_version: version } = db.query('PRAGMA user_version').get() as {
        user_version: number;
      };
      for (const column of version < 3 ? ['as_of', 'flags', 'volume_high'] : []) {
        db.run(`ALTER TABLE record ADD COLUMN ${column} INTEGER`);
      }
      db.run(PIECE_TABLE);
      renewViews(db);
      db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    }).immediate();
  } finally {
    db.close();
  }
}
