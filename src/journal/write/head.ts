/**
 * Head: up to which seq anything was published, in a small file that is mapped into memory.
 *
 * What `async` published and did not commit before a crash is in no journal. The head survives the
 * process (but not a loss of power). So the next start can declare what is missing, and no number is
 * used twice. It costs one store for each batch. Its 24 bytes, little-endian:
 *
 *     0        4         8              16             24
 *     ┌────────┬─────────┬──────────────┬──────────────┐
 *     │ "tpHD" │ version │ epoch        │ seq          │
 *     │ uint32 │ uint32  │ float64      │ float64      │
 *     └────────┴─────────┴──────────────┴──────────────┘
 */

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MAGIC = 0x4448_7074;
const VERSION = 1;
const BYTES = 24;

export interface HeadPosition {
  readonly epoch: number;
  readonly seq: number;
}

function pathOf(directory: string): string {
  return join(directory, 'head');
}

/** The content of the file; undefined if it does not exist or is not a head. */
export function readHead(directory: string): HeadPosition | undefined {
  const path = pathOf(directory);
  if (!existsSync(path)) return undefined;
  const bytes = readFileSync(path);
  if (bytes.length !== BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, BYTES);
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== VERSION) return undefined;
  const epoch = view.getFloat64(8, true);
  const seq = view.getFloat64(16, true);
  return isCount(epoch) && isCount(seq) ? { epoch, seq } : undefined;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

export class Head {
  private readonly view: DataView;

  /** Begins an epoch after a seq. @throws Error when the file cannot be written */
  constructor(directory: string, { epoch, seq }: HeadPosition) {
    const bytes = new Uint8Array(BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, VERSION, true);
    view.setFloat64(8, epoch, true);
    view.setFloat64(16, seq, true);
    // The file is replaced as a whole: a process that ends here must not lose the previous content.
    // It is written before it is mapped: a store into a page without room on the disk would end the
    // process.
    const path = pathOf(directory);
    rmSync(`${path}.new`, { force: true }); // left by a process that ended here earlier, or a link
    writeFileSync(`${path}.new`, bytes, { mode: 0o600, flag: 'wx' });
    renameSync(`${path}.new`, path);
    const mapped = Bun.mmap(path, { shared: true });
    this.view = new DataView(mapped.buffer, mapped.byteOffset, BYTES);
  }

  /** Begins another epoch after the present seq. */
  begin(epoch: number): void {
    this.view.setFloat64(8, epoch, true);
  }

  set(seq: number): void {
    this.view.setFloat64(16, seq, true);
  }
}
