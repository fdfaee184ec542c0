/**
 * Own writes: detects that another process has written records into the journal. The file is
 * locked, so this should not happen. But an older version of Tapedeck ignores that lock, and some
 * systems have none. Two processes that write the same journal would mix their numbers.
 *
 * SQLite counts the commits of other connections (`PRAGMA data_version`); moving the WAL does not
 * count. If another connection has committed, the newest record must still be the one that was
 * written here.
 */

import type { Database, Statement } from 'bun:sqlite';

/** Another process has written records. */
export class ForeignWrite extends Error {}

export class OwnWrites {
  private readonly version: Statement<{ data_version: number }, []>;
  private readonly newest: Statement<{ id: number | null }, []>;
  private known: number;
  private newestId: number | null;

  constructor(db: Database) {
    this.version = db.prepare('PRAGMA data_version');
    this.newest = db.prepare('SELECT max(id) AS id FROM record');
    this.known = this.version.get()!.data_version;
    this.newestId = this.newest.get()!.id;
  }

  /** Runs `write` in a transaction that holds the write lock. @throws ForeignWrite */
  within(write: () => void): { commit(): void } {
    const { data_version: version } = this.version.get()!;
    if (version !== this.known) {
      const { id } = this.newest.get()!;
      if (id !== this.newestId) {
        throw new ForeignWrite('another process has written records into the journal');
      }
    }
    write();
    const { id } = this.newest.get()!;
    return {
      commit: () => {
        this.known = version;
        this.newestId = id;
      },
    };
  }

  finalize(): void {
    this.version.finalize();
    this.newest.finalize();
  }
}
