/** Checkpoint thread: a worker that writes the newest checkpoint of a journal into a file, and reads it. */

import { readFileSync, rmSync } from 'node:fs';

import type { CheckpointPosition } from './export/checkpoint-file';
import { writeCheckpointFile } from './export/checkpoint-file';

export interface CheckpointTask {
  /** Of the journal, and of a file that is used meanwhile. */
  readonly path: string;
  readonly scratch: string;
}

/** Null: there is no sound checkpoint. A string: why it cannot be had. */
export type CheckpointAnswer =
  (CheckpointPosition & { readonly content: Uint8Array<ArrayBuffer> }) | string | null;

interface Port {
  onmessage: ((event: MessageEvent<CheckpointTask>) => void) | null;
  postMessage(message: CheckpointAnswer, transfer: ArrayBuffer[]): void;
}

const port = globalThis as unknown as Port;

port.onmessage = ({ data: { path, scratch } }): void => {
  try {
    rmSync(scratch, { force: true });
    const position = writeCheckpointFile(path, scratch);
    if (position === null) return port.postMessage(null, []);
    const content = new Uint8Array(readFileSync(scratch));
    port.postMessage({ ...position, content }, [content.buffer]);
  } catch (e) {
    port.postMessage(String(e), []);
  } finally {
    rmSync(scratch, { force: true });
  }
};
