/**
 * Ring open: a ring's file as its readers find it, checked before a word of it is believed. Every way
 * in which it can be none is a fault with a code of its own.
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

/** Why this machine has no rings, or undefined. */
export function ringUnsupported(): StartFault | undefined {
  if (process.platform === 'linux' && process.arch === 'x64') return undefined;
  return new StartFault(
    'ring-unusable',
    `a ring needs Linux on x86-64; this is ${process.platform} on ${process.arch}`,
    'Use the WebSocket stream.',
  );
}

/**
 * Maps a ring's file, if it is of somebody whom its reader trusts. What is read of it is as its writer left
 * it so far.
 * @param owner the user whose it may be, besides the own one and root
 */
export function openRingFile(path: string, owner?: number): OpenedRing | StartFault {
  const unsupported = ringUnsupported();
  if (unsupported !== undefined) return unsupported;
  let file: number | undefined;
  try {
    // Not a link, nor what makes an opening wait; what is checked is what is mapped.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (!stat.isFile()) return unusable(path, 'it is no file');
    if (![0, ownUid(), owner].includes(stat.uid)) return foreign(path, stat.uid);
    return checkRing(path, wordsOf(Bun.mmap(`/proc/self/fd/${file}`, { shared: true })));
  } catch (e) {
    return unmapped(path, e as NodeJS.ErrnoException);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function foreign(path: string, uid: number): StartFault {
  const hint = `Whoever owns it says what stands in it. If user ${uid} runs the server, say so: --ring-owner ${uid}, or the option owner.`;
  return new StartFault('ring-foreign', `the ring ${path} belongs to user ${uid}`, hint);
}

function unusable(path: string, why: string): StartFault {
  const hint = 'A ring is for the user who runs the server, and for ipc.ring.group.';
  return new StartFault('ring-unusable', `the ring ${path} cannot be opened: ${why}`, hint);
}

function checkRing(path: string, words: RingWords): OpenedRing | StartFault {
  const { ints, doubles, bytes } = words;
  if (ints[INT.magicLow] !== MAGIC_LOW || ints[INT.magicHigh] !== MAGIC_HIGH) {
    const hint = 'Give the path of a ring: that of --ring, or ipc.ring.path of the settings.';
    return new StartFault('ring-foreign', `${path} is no ring of Tapedeck`, hint);
  }
  if (bytes.length < HEADER_BYTES) return damaged(path, `it has ${bytes.length} bytes`);
  if (ints[INT.version] !== LAYOUT_VERSION) {
    return new StartFault(
      'ring-version',
      `the ring ${path} has layout ${ints[INT.version]}; this program knows ${LAYOUT_VERSION}`,
      'Use the same version of Tapedeck for the server and its readers.',
    );
  }
  const shape = { slots: ints[INT.slots]!, entries: ints[INT.entries]! };
  if (!isShape(shape) || ints[INT.slotBytes] !== SLOT_BYTES || ints[INT.entryBytes] !== ENTRY_BYTES)
    return damaged(path, 'its header is not one');
  const { slotsOffset, fileBytes } = ringBytes(shape);
  if (doubles[DOUBLE.slotsOffset] !== slotsOffset || doubles[DOUBLE.fileBytes] !== fileBytes) {
    return damaged(path, 'its header is not one');
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
  const hint = 'Start the server again; it makes a new one.';
  return new StartFault('ring-damaged', `the ring ${path} is damaged: ${why}`, hint);
}

function unmapped(path: string, e: NodeJS.ErrnoException): StartFault {
  if (e.code === 'ENOENT') {
    const hint = 'Start the server first, with --ring or ipc.ring.enabled; it makes the ring.';
    return new StartFault('ring-absent', `there is no ring ${path}`, hint);
  }
  // An empty file cannot be mapped.
  if (e.code === 'EINVAL') return damaged(path, 'it is empty');
  return unusable(path, e.code === 'ELOOP' ? 'it is a symbolic link' : e.message);
}

/** When a process began, in clock ticks after the machine's start; 0 when there is none. */
export function processStart(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program comes before, in parentheses, and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 0 : Number(fields[19]);
  } catch {
    return 0;
  }
}

/** Whether the process that writes a ring is there. */
export function isWriterThere({ ints, doubles }: RingWords): boolean {
  return processStart(ints[INT.pid]!) === doubles[DOUBLE.pidStart];
}
