/**
 * WAL thread: moves SQLite's write-ahead log into the database file, over a connection of its own,
 * while the writer continues. The time goes to the disk: two syncs and a copy of every page.
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
    // The disk is full: the writer meets that as well and reports it.
  }
  port.postMessage('moved');
};
