/**
 * Ring file: creates the file of a ring and locks it against a second server. The lock is on the file
 * itself and ends with the process, so other files beside it cannot block a server. If a dead server
 * left a ring, its file is marked as ended for the readers that still map it, and a new file replaces it.
 */

import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

import type { Nanos } from '../../protocol/time';
import { assert } from '../base/assert';
import { lockDescriptor } from '../base/file-lock';
import { ownUid } from '../base/private-files';
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
/** `Bun.mmap` maps a shared file only with permission to write it. */
const OWNER_AND_GROUP = 0o660;
/** Another server may create or remove the file at the same time. */
const TRIES = 5;
const NAMES_MAX = 100;
const CHUNK_BYTES = 1_048_576;

export interface RingOptions extends RingShape {
  readonly path: string;
  /** Id of the group that may read the ring besides its owner. */
  readonly group?: number | undefined;
  /** Epoch of the events' sequence numbers. */
  readonly epoch: number;
  /** Current time; the first heartbeat. */
  readonly time: Nanos;
}

export interface RingFile {
  readonly words: RingWords;
  /** Removes the file and its lock. A reader that has mapped the file keeps its mapping. */
  remove(): void;
}

export function createRingFile(options: RingOptions): RingFile | StartFault {
  assert(isShape(options), 'the slots of a ring are a power of two, and it has entries');
  const unsupported = ringUnsupported();
  if (unsupported !== undefined) return unsupported;
  for (let i = 0; i < TRIES; i++) {
    const old = holdOld(options.path);
    if (old instanceof StartFault) return old;
    if (old === 'changed') continue;
    try {
      const made = replace(options, old);
      if (made !== 'changed') return made;
    } finally {
      if (old !== null) closeSync(old); // the path now leads to no file, or to another one
    }
  }
  return unusable(options.path, new Error('another process creates and removes it repeatedly'));
}

/**
 * Opens and locks the file at the path, so that no two servers replace the same file.
 * @returns its descriptor; null when there is no file; `changed` when another process replaced it
 */
function holdOld(path: string): number | null | 'changed' | StartFault {
  const other = openRingFile(path);
  if (other instanceof StartFault) {
    // Never replace a file that is not a ring. A damaged or outdated ring may be replaced.
    if (other.code === 'ring-foreign' || other.code === 'ring-unusable') return other;
    if (other.code === 'ring-absent') return null;
  }
  let file: number;
  try {
    file = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (e) {
    return (e as NodeJS.ErrnoException).code === 'ENOENT' ? 'changed' : unusable(path, e);
  }
  if (lockDescriptor(file) === 'taken') {
    closeSync(file);
    const pid = other instanceof StartFault ? '' : ` (process ${other.words.ints[INT.pid]})`;
    return new StartFault(
      'ring-in-use',
      `the ring ${path} is written by another Tapedeck process${pid}`,
      'Stop that process, or set another path with --ring or ipc.ring.path.',
    );
  }
  if (!hasName(file, path)) {
    closeSync(file);
    return 'changed';
  }
  if (!(other instanceof StartFault)) Atomics.store(other.words.ints, INT.state, STATE_ENDED);
  return file;
}

function replace(options: RingOptions, old: number | null): RingFile | 'changed' | StartFault {
  const { path } = options;
  let file: number | undefined;
  let fresh = '';
  try {
    removeLeft(path);
    [fresh, file] = openFresh(path);
    allocate(file, options);
    lockDescriptor(file);
    const words = wordsOf(Bun.mmap(`/proc/self/fd/${file}`, { shared: true }));
    putHeader(words, options);
    if (old !== null) renameSync(fresh, path);
    else {
      linkSync(fresh, path); // fails if another process has created the file meanwhile
      rmSync(fresh);
    }
    return { words, remove: () => remove(path, file!) };
  } catch (e) {
    if (fresh !== '') rmSync(fresh, { force: true });
    if (file !== undefined) closeSync(file);
    if (old === null && (e as NodeJS.ErrnoException).code === 'EEXIST') return 'changed';
    return unusable(path, e, ringBytes(options).fileBytes);
  }
}

function remove(path: string, file: number): void {
  if (hasName(file, path)) rmSync(path, { force: true });
  closeSync(file);
}

function hasName(file: number, path: string): boolean {
  const [own, named] = [fstatSync(file), statSync(path, { throwIfNoEntry: false })];
  return named !== undefined && own.ino === named.ino && own.dev === named.dev;
}

/** Creates a file with a temporary name; never opens an existing one. */
function openFresh(path: string): [path: string, file: number] {
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  for (let i = 0; ; i++) {
    const fresh = `${path}.${process.pid}-${i}.new`;
    try {
      return [fresh, openSync(fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, OWNER_ONLY)];
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EEXIST' || i === NAMES_MAX) throw e;
    }
  }
}

/** Removes the temporary files of servers that died while they created a ring. */
function removeLeft(path: string): void {
  const [directory, name] = [dirname(path), basename(path)];
  for (const other of readdirSync(directory)) {
    const pid = other.startsWith(`${name}.`) && /\.(\d+)-\d+\.new$/.exec(other)?.[1];
    if (typeof pid !== 'string' || processStart(Number(pid)) !== 0) continue;
    const left = join(directory, other);
    if (statSync(left, { throwIfNoEntry: false })?.uid === ownUid()) rmSync(left, { force: true });
  }
}

/** Writes every page: a page that cannot be allocated later would kill the process (SIGBUS). */
function allocate(file: number, options: RingOptions): void {
  const bytes = ringBytes(options).fileBytes;
  if (options.group === undefined) fchmodSync(file, OWNER_ONLY);
  else {
    fchownSync(file, ownUid(), options.group);
    fchmodSync(file, OWNER_AND_GROUP);
  }
  const zeros = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; at < bytes;) {
    at += writeSync(file, zeros, 0, Math.min(CHUNK_BYTES, bytes - at), at);
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
    ? 'Free some memory, or set fewer ipc.ring.slots or a smaller limits.instrumentsMax.'
    : 'Set a path in a directory that exists and is writable, such as /dev/shm.';
  return new StartFault('ring-unusable', `the ring ${path} cannot be created: ${why}`, hint);
}
