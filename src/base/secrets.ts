/** Secrets: the one door through which randomness enters that nobody may foresee. */

import { randomBytes } from 'node:crypto';

/** Gives so many random bytes; a test or a simulation hands in its own. */
export type Secrets = (count: number) => Uint8Array;

/** So many bytes from the system's generator. */
export function secretBytes(count: number): Buffer {
  return randomBytes(count);
}

/** A random whole number from 1 to 2^53 − 1, which is none of the numbers taken. */
export function freshNumber(secrets: Secrets, taken: ReadonlySet<number>): number {
  for (;;) {
    const bytes = secrets(7);
    const number = bytes.reduce((sum, byte, i) => (i === 0 ? byte & 0x1f : sum * 256 + byte), 0);
    if (number !== 0 && !taken.has(number)) return number;
  }
}
