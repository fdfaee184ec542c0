/**
 * Ring file: makes a ring, and holds it against a second server. The lock is on the file of the ring itself
 * and goes with the process, so nothing that others put beside it is in the way. A ring that a dead server
 * left is marked as ended, for those who still read it, and a new file takes its name.
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
/** To map it takes the right to write it. */
const OWNER_AND_GROUP = 0o660;
/** Another server may take the name, or give it up, at the same moment. */
const TRIES = 5;
const NAMES_MAX = 100;
const CHUNK_BYTES = 1_048_576;

export interface RingOptions extends RingShape {
  readonly path: string;
  /** Of those who read it besides its owner. */
  readonly group?: number | undefined;
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
      if (old !== null) closeSync(old); // its name is no more, or another's
    }
  }
  return unusable(options.path, new Error('another process makes and removes it'));
}

/** The file that has the name, locked; null: none has. So no two servers replace the same one. */
function holdOld(path: string): number | null | 'changed' | StartFault {
  const other = openRingFile(path);
  if (other instanceof StartFault) {
    // What is no ring is not ours to replace; what was one may go.
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
      'Stop that process, or give another path with --ring or ipc.ring.path.',
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
      linkSync(fresh, path); // fails where another has taken the name meanwhile
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

/** A file that nobody else has put there. */
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

/** What a server left that ended while it made a ring. */
function removeLeft(path: string): void {
  const [directory, name] = [dirname(path), basename(path)];
  for (const other of readdirSync(directory)) {
    const pid = other.startsWith(`${name}.`) && /\.(\d+)-\d+\.new$/.exec(other)?.[1];
    if (typeof pid !== 'string' || processStart(Number(pid)) !== 0) continue;
    const left = join(directory, other);
    if (statSync(left, { throwIfNoEntry: false })?.uid === ownUid()) rmSync(left, { force: true });
  }
}

/** Every page is written, since one for which there is no room later would end the process. */
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
    ? 'Make room, or give fewer ipc.ring.slots or a smaller limits.instrumentsMax.'
    : 'Give a path in a directory that is there and may be written, such as /dev/shm.';
  return new StartFault('ring-unusable', `the ring ${path} cannot be made: ${why}`, hint);
}
