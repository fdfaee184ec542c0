/** Addresses: the servers that a client may use, and the one that it uses now. All serve the same market. */

import { TapedeckError } from './errors';

export class Addresses {
  readonly size: number;
  private readonly all: readonly string[];
  private at = 0;

  /** @throws TapedeckError `connection-failed` if there is none */
  constructor(given: string | readonly string[]) {
    this.all = typeof given === 'string' ? [given] : [...given];
    this.size = this.all.length;
    if (this.size === 0) throw new TapedeckError('connection-failed', 'no address was given');
  }

  get current(): string {
    return this.all[this.at]!;
  }

  /**
   * Goes on to another one.
   * @param preferred the address that the server named. It is used only if it was given to the client, which would
   *   otherwise send its key to wherever a server points
   */
  next(preferred: string | null): void {
    const named = preferred === null ? -1 : this.all.findIndex((url) => isSame(url, preferred));
    this.at = named >= 0 ? named : (this.at + 1) % this.size;
  }
}

function isSame(a: string, b: string): boolean {
  return originOf(a) === originOf(b);
}

function originOf(url: string): string {
  try {
    return new URL(url.includes('://') ? url : `http://${url}`).origin;
  } catch {
    return url;
  }
}
