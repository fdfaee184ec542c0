/**
 * File lock: locks a file itself, whatever its name, directory or links, as long as this process can write it. The
 * system releases it however the process ends.
 *
 * It is a lock of an open file description (`F_OFD_SETLK` of Linux) on one byte far behind any content. SQLite's own
 * locks belong to the process and cover other bytes, so the two do not conflict, on network file systems either;
 * `flock` would lock all bytes there, including those of SQLite. Closing any descriptor of a file releases all locks
 * of the process on it, so call `release` after SQLite has closed the file.
 */

import { dlopen, FFIType, ptr } from 'bun:ffi';
import { closeSync, openSync } from 'node:fs';

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** Layout of `struct flock` with 64-bit offsets. */
const FLOCK_BYTES = 32;
const START_AT = 8;
const LENGTH_AT = 16;
const LOCKED_BYTE = 2n ** 62n;
/** Names of the C library: glibc, musl. */
const LIBRARIES = [
  'libc.so.6',
  `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`,
];
/** Attempts: the holder may end between the two calls. */
const TRIES = 3;

type Fcntl = (descriptor: number, command: number, flock: Uint8Array) => number;

/** No lock: the file cannot be written, or the system has no such locks. */
export type FileLock = 'taken' | { readonly absent: string } | { release(): void };

/** @param path of an existing file */
export function lockFile(path: string): FileLock {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r+');
  } catch (e) {
    return { absent: (e as Error).message }; // SQLite cannot write it either, and reports why
  }
  const lock = lockDescriptor(descriptor);
  if (lock === 'held') return { release: () => closeSync(descriptor) };
  closeSync(descriptor);
  return lock === 'taken'
    ? lock
    : { absent: `the file system of ${path} takes no locks of open files` };
}

/** Locks a descriptor that is open for writing until it is closed; absent if the system has no such locks. */
export function lockDescriptor(descriptor: number): 'held' | 'taken' | 'absent' {
  const fcntl = load();
  if (fcntl === null) return 'absent';
  for (let i = 0; i < TRIES; i++) {
    if (fcntl(descriptor, F_OFD_SETLK, flockOf()) === 0) return 'held';
    const found = flockOf();
    if (fcntl(descriptor, F_OFD_GETLK, found) !== 0) return 'absent';
    if (new DataView(found.buffer).getInt16(0, true) !== F_UNLCK) return 'taken';
  }
  return 'absent';
}

function flockOf(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, F_WRLCK, true);
  view.setBigInt64(START_AT, LOCKED_BYTE, true);
  view.setBigInt64(LENGTH_AT, 1n, true);
  return bytes;
}

function load(): Fcntl | null {
  if (process.platform !== 'linux') return null;
  for (const name of LIBRARIES) {
    try {
      const { symbols } = dlopen(name, {
        fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
      });
      return (descriptor, command, flock) => symbols.fcntl(descriptor, command, ptr(flock));
    } catch {
      // Try the next library.
    }
  }
  return null;
}
