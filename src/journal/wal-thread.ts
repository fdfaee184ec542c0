/**
 * WAL thread: moves SQLite's WAL into the file from a connection of its own, while the writer goes on.
 * The time is the disk's: two syncs and a copy of every page.
 */

import { Database } from 'bun:sqlite';

interface Port {
  onmessage: ((event: MessageEvent<{ readonly path: string }>) => void) | null;
  postMessage(message: 'moved'): void;
}

const port = globalThis as unknown as Port;

port.onmessage = ({ data: { path } }): void => {
  try {
    const db = new Database(path, { create: false, readwrite: true });
    db.run('PRAGMA busy_timeout = 5000');
    db.run('PRAGMA wal_checkpoint(PASSIVE)');
    db.close();
  } catch {
    // A full disk: the writer meets it as well, and says so.
  }
  port.postMessage('moved');
};
