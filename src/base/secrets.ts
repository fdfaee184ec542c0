/** Secrets: the one door through which randomness enters that nobody may foresee. */

import { randomBytes } from 'node:crypto';

/** So many bytes from the system's generator. */
export function secretBytes(count: number): Buffer {
  return randomBytes(count);
}
