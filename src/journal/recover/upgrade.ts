/**
 * Upgrade: brings a journal of an older schema to this one, in place. The additions are empty:
 * schema 2 gets the extra columns, schema 3 the table of pieces; a schema that only knows more kinds
 * of records changes nothing but its version. So every checksum stays valid, and
 * an old checkpoint is used until there is a new one. The views are replaced. An upgrade is one
 * transaction: if it is interrupted, it has not happened.
 */

import { Database } from 'bun:sqlite';

import { PIECE_TABLE, SCHEMA_VERSION } from '../schema';
import { renewViews } from './views';

/** @throws Error of SQLite when the file cannot be read or written */
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
      if (version < 4) db.run(PIECE_TABLE);
      renewViews(db);
      db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    }).immediate();
  } finally {
    db.close();
  }
}
