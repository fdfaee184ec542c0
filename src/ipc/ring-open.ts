/**
 * Ring open: maps the file of a ring and validates its header before a reader uses any of it. Each way
 * in which a file can fail has its own error code.
 */

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

import { ownUid } from '../base/private-files';
import { StartFault } from '../base/start-fault';
import {
  DOUBLE,
  ENTRIES_MAX,
  ENTRY_BYTES,
  HEADER_BYTES,
  INT,
  LAYOUT_VERSION,
  MAGIC_HIGH,
  MAGIC_LOW,
  SLOTS_MAX,
  SLOTS_MIN,
  SLOT_BYTES,
  ringBytes,
  wordsOf,
  type RingShape,
  type RingWords,
} from './ring-layout';

export interface OpenedRing {
  readonly words: RingWords;
  readonly shape: RingShape;
}

/** Why this machine does not support rings; undefined if it does. */
export function ringUnsupported(): StartFault | undefined {
  if (process.platform === 'linux' && process.arch === 'x64') return undefined;
  return new StartFault(
    'ring-unusable',
    `a ring needs Linux on x86-64; this is ${process.platform} on ${process.arch}`,
    'Use the WebSocket stream.',
  );
}

/**
 * Maps the file of a ring and validates it. Only files of trusted owners are accepted: this user, root
 * and `owner`.
 * @param owner uid of another trusted user
 */
export function openRingFile(path: string, owner?: number): OpenedRing | StartFault {
  const unsupported = ringUnsupported();
  if (unsupported !== undefined) return unsupported;
  let file: number | undefined;
  try {
    // No symbolic link, and no file on which `open` blocks. The checks apply to the descriptor that is mapped.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (!stat.isFile()) return unusable(path, 'it is not a regular file');
    if (![0, ownUid(), owner].includes(stat.uid)) return foreign(path, stat.uid);
    return checkRing(path, wordsOf(Bun.mmap(`/proc/self/fd/${file}`, { shared: true })));
  } catch (e) {
    return unmapped(path, e as NodeJS.ErrnoException);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function foreign(path: string, uid: number): StartFault {
  const hint = `The owner of a ring controls its content. If user ${uid} runs the server, pass --ring-owner ${uid}, or the option owner.`;
  return new StartFault('ring-foreign', `the ring ${path} belongs to user ${uid}`, hint);
}

function unusable(path: string, why: string): StartFault {
  const hint = 'Only the user who runs the server and members of ipc.ring.group may read a ring.';
  return new StartFault('ring-unusable', `the ring ${path} cannot be opened: ${why}`, hint);
}

function checkRing(path: string, words: RingWords): OpenedRing | StartFault {
  const { ints, doubles, bytes } = words;
  if (ints[INT.magicLow] !== MAGIC_LOW || ints[INT.magicHigh] !== MAGIC_HIGH) {
    const hint = 'Pass the path of a ring: the value of --ring, or of the setting ipc.ring.path.';
    return new StartFault('ring-foreign', `${path} is not a Tapedeck ring`, hint);
  }
  if (bytes.length < HEADER_BYTES) return damaged(path, `it has ${bytes.length} bytes`);
  if (ints[INT.version] !== LAYOUT_VERSION) {
    return new StartFault(
      'ring-version',
      `the ring ${path} has layout ${ints[INT.version]}; this program expects ${LAYOUT_VERSION}`,
      'Use the same version of Tapedeck for the server and its readers.',
    );
  }
  const shape = { slots: ints[INT.slots]!, entries: ints[INT.entries]! };
  if (!isShape(shape) || ints[INT.slotBytes] !== SLOT_BYTES || ints[INT.entryBytes] !== ENTRY_BYTES)
    return damaged(path, 'its header is invalid');
  const { slotsOffset, fileBytes } = ringBytes(shape);
  if (doubles[DOUBLE.slotsOffset] !== slotsOffset || doubles[DOUBLE.fileBytes] !== fileBytes) {
    return damaged(path, 'its header is invalid');
  }
  if (bytes.length !== fileBytes) {
    return damaged(path, `it has ${bytes.length} bytes; expected ${fileBytes}`);
  }
  return { words, shape };
}

export function isShape({ slots, entries }: RingShape): boolean {
  const isPower = slots > 0 && (slots & (slots - 1)) === 0;
  return (
    isPower && slots >= SLOTS_MIN && slots <= SLOTS_MAX && entries > 0 && entries <= ENTRIES_MAX
  );
}

function damaged(path: string, why: string): StartFault {
  const hint = 'Restart the server; it creates a new ring.';
  return new StartFault('ring-damaged', `the ring ${path} is damaged: ${why}`, hint);
}

function unmapped(path: string, e: NodeJS.ErrnoException): StartFault {
  if (e.code === 'ENOENT') {
    const hint = 'Start the server first, with --ring or ipc.ring.enabled; it creates the ring.';
    return new StartFault('ring-absent', `there is no ring ${path}`, hint);
  }
  // An empty file cannot be mapped.
  if (e.code === 'EINVAL') return damaged(path, 'it is empty');
  return unusable(path, e.code === 'ELOOP' ? 'it is a symbolic link' : e.message);
}

/** Start time of a process, in clock ticks after boot; 0 if there is no such process. */
export function processStart(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The program name precedes these fields, in parentheses, and may contain any character.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 0 : Number(fields[19]);
  } catch {
    return 0;
  }
}

/** Whether the process that writes a ring is alive. */
export function isWriterThere({ ints, doubles }: RingWords): boolean {
  return processStart(ints[INT.pid]!) === doubles[DOUBLE.pidStart];
}
