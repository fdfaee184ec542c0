/** Secrets: the only source of randomness that nobody can predict. */

import { randomBytes } from 'node:crypto';

/** Returns `count` random bytes; tests and simulations use their own. */
export type Secrets = (count: number) => Uint8Array;

/** Bytes of the system's generator. */
export function secretBytes(count: number): Buffer {
  return randomBytes(count);
}

/** A random integer from 1 to 2^53 − 1 that is not among `taken`. */
export function freshNumber(secrets: Secrets, taken: ReadonlySet<number>): number {
  for (;;) {
    const bytes = secrets(7);
    const number = bytes.reduce((sum, byte, i) => (i === 0 ? byte & 0x1f : sum * 256 + byte), 0);
    if (number !== 0 && !taken.has(number)) return number;
  }
}
