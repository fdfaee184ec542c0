/** A directory for the files of one test file; call `remove` when they are no longer needed. */

import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class ScratchDirectory {
  readonly path = mkdtempSync(join(tmpdir(), 'tapedeck-journal-'));
  private count = 0;

  /** An unused path in it. */
  fresh(): string {
    return join(this.path, `${this.count++}`);
  }

  /** Copies the files of a directory in their present state: what an abrupt end would leave. */
  copyOf(directory: string): string {
    const copy = this.fresh();
    mkdirSync(copy);
    for (const name of readdirSync(directory)) {
      // The index of the WAL is rebuilt at a start, and a lock is not copied with its file.
      if (!name.endsWith('-shm') && !name.startsWith('lock')) {
        copyFileSync(join(directory, name), join(copy, name));
      }
    }
    return copy;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Name and content of every file except the indexes of SQLite, to check whether anything has changed. */
export function contentOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory)
      .filter((name) => !name.endsWith('-shm') && !name.startsWith('lock'))
      .sort()
      .map((name) => [name, Bun.hash(readFileSync(join(directory, name))).toString(16)]),
  );
}
