/** Export output: a new file, or standard output at the pace of its reader. */

import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';

import { StartFault } from '../base/start-fault';

export interface ExportOutput {
  /** @throws Error when it cannot be written */
  write(text: string): Promise<void>;
  /** @param whole whether everything was written; otherwise the partial file is removed */
  close(whole: boolean): void;
}

export function openOutput(path: string | undefined): ExportOutput | StartFault {
  return path === undefined ? standardOutput() : fileOutput(path);
}

function standardOutput(): ExportOutput {
  return {
    write: (text) => new Promise((resolve) => void process.stdout.write(text, () => resolve())),
    close: () => {},
  };
}

function fileOutput(path: string): ExportOutput | StartFault {
  let fd: number;
  try {
    fd = openSync(path, 'wx'); // an existing file may be anything, even the journal itself
  } catch (e) {
    return unwritable(path, e);
  }
  return {
    write: (text) => {
      writeFileSync(fd, text);
      return Promise.resolve();
    },
    close: (whole) => {
      closeSync(fd);
      if (!whole) rmSync(path, { force: true });
    },
  };
}

function unwritable(path: string, e: unknown): StartFault {
  const exists = (e as NodeJS.ErrnoException).code === 'EEXIST';
  return new StartFault(
    'output-unwritable',
    exists
      ? `--output is ${JSON.stringify(path)}, which exists; expected a new file`
      : `--output is ${JSON.stringify(path)}, which cannot be written: ${(e as Error).message}`,
    'Give another file, or leave --output out to write to standard output.',
  );
}
