/** Journal end: where a journal ends that nobody has opened, for a member of a cluster before it starts. */

import { Database } from 'bun:sqlite';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { readEpochs } from './notes';
import { countTables, JOURNAL_FILE } from './reading';
import { seqOf } from '../schema';

/** @returns null if there is no journal, or an empty one @throws Error if it cannot be read */
export function journalEnd(directory: string): { epoch: number; seq: number } | null {
  const path = join(directory, JOURNAL_FILE);
  if (!existsSync(path)) return null;
  const db = new Database(path, { readonly: true });
  try {
    if (countTables(db) === 0) return null;
    const newest = db.query<{ id: number | null }, []>('SELECT max(id) AS id FROM record').get();
    if (newest?.id == null) return null;
    return { epoch: readEpochs(db).at(-1)?.epoch ?? 0, seq: seqOf(newest.id) };
  } finally {
    db.close();
  }
}
