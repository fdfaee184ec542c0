/**
 * Descriptors: whether the process may open more files and sockets. Strangers' connections take them too,
 * and where none is left starting a thread does not fail but ends the process, so it is asked before.
 */

import { closeSync, openSync, readFileSync } from 'node:fs';
import { devNull } from 'node:os';

/** What is wanted for a thread, with much to spare: connections come while it starts. */
export const THREAD_DESCRIPTORS = 64;

/** Whether so many could be opened now. */
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

/** How many the process may have at most; undefined where the system does not tell. */
export function descriptorsMax(): number | undefined {
  try {
    const most = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return most === undefined ? undefined : Number(most);
  } catch {
    return undefined; // not Linux, or no /proc
  }
}
