/**
 * Descriptors: whether the process may open more files and sockets. Strangers' connections take them too,
 * and where none is left starting a thread does not fail but ends the process, so it is asked before.
 */

import { closeSync, openSync } from 'node:fs';
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
