/**
 * Ring file: makes a ring, and holds its name against a second server. The lock is an open exclusive
 * transaction on a file beside it, which the system lets go of however the process ends. A ring that a
 * dead server left is marked as ended, for those who still read it, and a new file takes its name.
 */

import { Database } from 'bun:sqlite';
import { closeSync, fchmodSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';

import type { Nanos } from '../../protocol/time';
import { assert } from '../base/assert';
import { StartFault } from '../base/start-fault';
import {
  DOUBLE,
  ENTRY_BYTES,
  HEADER_BYTES,
  INT,
  LAYOUT_VERSION,
  MAGIC_HIGH,
  MAGIC_LOW,
  SLOT_BYTES,
  STATE_ENDED,
  STATE_LIVE,
  ringBytes,
  wordsOf,
  type RingShape,
  type RingWords,
} from './ring-layout';
import { isShape, openRingFile, processStart, ringUnsupported } from './ring-open';

const OWNER_ONLY = 0o600;
const CHUNK_BYTES = 1_048_576;

export interface RingOptions extends RingShape {
  readonly path: string;
  /** That of the numbering of its events. */
  readonly epoch: number;
  /** Now. */
  readonly time: Nanos;
}

export interface RingFile {
  readonly words: RingWords;
  /** Lets go of the name; the file goes too, and who has it open keeps it. */
  remove(): void;
}

export function createRingFile(options: RingOptions): RingFile | StartFault {
  assert(isShape(options), 'a ring has a power of two of slots, and some room for instruments');
  const { path } = options;
  const unsupported = ringUnsupported();
  if (unsupported !== undefined) return unsupported;
  const lock = lockName(path);
  if (lock instanceof StartFault) return lock;
  const made = replace(options);
  if (made instanceof StartFault) {
    lock.close();
    return made;
  }
  const remove = (): void => {
    rmSync(path, { force: true });
    lock.close();
  };
  return { words: made, remove };
}

function lockName(path: string): Database | StartFault {
  const lockPath = `${path}.lock`;
  let db: Database | undefined;
  try {
    closeSync(openSync(lockPath, 'a', OWNER_ONLY));
    db = new Database(lockPath);
    db.run('PRAGMA busy_timeout = 0');
    db.run('PRAGMA journal_mode = OFF'); // nothing is written, only held
    db.run('BEGIN EXCLUSIVE');
    return db;
  } catch (e) {
    db?.close();
    if (!((e as { code?: string }).code ?? '').startsWith('SQLITE_BUSY')) return unusable(path, e);
    const other = openRingFile(path);
    const pid = other instanceof StartFault ? '' : ` (process ${other.words.ints[INT.pid]})`;
    return new StartFault(
      'ring-in-use',
      `the ring ${path} is written by another Tapedeck process${pid}`,
      'Stop that process, or give another path with --ring or ipc.ring.path.',
    );
  }
}

function replace(options: RingOptions): RingWords | StartFault {
  const { path } = options;
  const old = openRingFile(path);
  if (old instanceof StartFault) {
    // What is no ring is not ours to replace; what was one may go.
    if (old.code === 'ring-foreign' || old.code === 'ring-unusable') return old;
  } else {
    Atomics.store(old.words.ints, INT.state, STATE_ENDED);
  }
  const fresh = `${path}.new`;
  try {
    rmSync(fresh, { force: true });
    allocate(fresh, ringBytes(options).fileBytes);
    const words = wordsOf(Bun.mmap(fresh, { shared: true }));
    putHeader(words, options);
    renameSync(fresh, path);
    return words;
  } catch (e) {
    rmSync(fresh, { force: true });
    return unusable(path, e, ringBytes(options).fileBytes);
  }
}

/** Every page is written, since one for which there is no room later would end the process. */
function allocate(path: string, bytes: number): void {
  const file = openSync(path, 'wx', OWNER_ONLY);
  try {
    fchmodSync(file, OWNER_ONLY);
    const zeros = new Uint8Array(CHUNK_BYTES);
    for (let at = 0; at < bytes;) {
      at += writeSync(file, zeros, 0, Math.min(CHUNK_BYTES, bytes - at), at);
    }
  } finally {
    closeSync(file);
  }
}

function putHeader({ ints, doubles }: RingWords, options: RingOptions): void {
  const { entriesOffset, slotsOffset, fileBytes } = ringBytes(options);
  ints[INT.magicLow] = MAGIC_LOW;
  ints[INT.magicHigh] = MAGIC_HIGH;
  ints[INT.version] = LAYOUT_VERSION;
  ints[INT.headerBytes] = HEADER_BYTES;
  ints[INT.slotBytes] = SLOT_BYTES;
  ints[INT.slots] = options.slots;
  ints[INT.entryBytes] = ENTRY_BYTES;
  ints[INT.entries] = options.entries;
  ints[INT.pid] = process.pid;
  doubles[DOUBLE.entriesOffset] = entriesOffset;
  doubles[DOUBLE.slotsOffset] = slotsOffset;
  doubles[DOUBLE.fileBytes] = fileBytes;
  doubles[DOUBLE.epoch] = options.epoch;
  doubles[DOUBLE.pidStart] = processStart(process.pid);
  doubles[DOUBLE.heartbeatMs] = options.time.millis;
  Atomics.store(ints, INT.state, STATE_LIVE);
}

function unusable(path: string, e: unknown, bytes?: number): StartFault {
  const { code, message } = e as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const why = full && bytes !== undefined ? `there is no room for ${bytes} bytes` : message;
  const hint = full
    ? 'Make room, or give fewer ipc.ring.slots or a smaller limits.instrumentsMax.'
    : 'Give a path in a directory that is there and may be written, such as /dev/shm.';
  return new StartFault('ring-unusable', `the ring ${path} cannot be made: ${why}`, hint);
}
