/** A directory for the files of one test file; `remove` when they are done. */

import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class ScratchDirectory {
  readonly path = mkdtempSync(join(tmpdir(), 'tapedeck-journal-'));
  private count = 0;

  /** A path in it that nothing has used. */
  fresh(): string {
    return join(this.path, `${this.count++}`);
  }

  /** The files of a directory as they stand now: what an abrupt end would leave. */
  copyOf(directory: string): string {
    const copy = this.fresh();
    mkdirSync(copy);
    for (const name of readdirSync(directory)) {
      // The index of the WAL is rebuilt, and a lock is not a file's content.
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

/** Name and content of every file that is not an index of SQLite, to see whether any has changed. */
export function contentOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory)
      .filter((name) => !name.endsWith('-shm') && !name.startsWith('lock'))
      .sort()
      .map((name) => [name, Bun.hash(readFileSync(join(directory, name))).toString(16)]),
  );
}
