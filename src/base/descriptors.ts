/**
 * Descriptors: whether the process can open more files and sockets. Connections of strangers use them up too, and Bun
 * ends the process when it cannot start a thread for want of one, so this is checked before a thread is started.
 */

import { closeSync, openSync, readFileSync } from 'node:fs';
import { devNull } from 'node:os';

/** Descriptors required for a thread, with a margin for connections that open while it starts. */
export const THREAD_DESCRIPTORS = 64;

/** Whether `count` descriptors can be opened now. */
export function hasDescriptors(count: number): boolean {
  const opened: number[] = [];
  try {
    while (opened.length < count) opened.push(openSync(devNull, 'r'));
    return true;
  } catch {
    return false;
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

/** The process's limit; undefined if the system does not report it. */
export function descriptorsMax(): number | undefined {
  try {
    const most = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return most === undefined ? undefined : Number(most);
  } catch {
    return undefined; // not Linux, or no /proc
  }
}
