/**
 * Wrong keys: limits how many wrong keys and tokens of one address are checked per second. Checking a token
 * takes a tenth of a millisecond, and anybody can send one.
 *
 * Other clients may share the address, so correct keys do not wait: a key of the server is looked up by its
 * id, and a token that was valid before is remembered.
 * Bounded: remembered tokens; addresses, by the activity of some seconds.
 */

import { createHash } from 'node:crypto';

import { fault, type Fault } from '../../../protocol/codes';
import { Rates } from '../../base/rate';

export interface WrongKeyLimits {
  readonly wrongKeysPerSecond: number;
}

const KNOWN_MAX = 4_096;

export class WrongKeys {
  private readonly limits: WrongKeyLimits;
  private readonly nowMs: () => number;
  private readonly rates = new Rates();
  /** Digests of tokens that were valid, the newest last. */
  private readonly known = new Set<string>();

  constructor(limits: WrongKeyLimits, nowMs: () => number) {
    this.limits = limits;
    this.nowMs = nowMs;
  }

  /** Counts the check of something that is not known to be valid. @returns why it is not checked */
  begin(address: string): Fault | undefined {
    const { wrongKeysPerSecond: most } = this.limits;
    if (this.rates.take(address, 1, most, this.nowMs())) return undefined;
    return fault(
      'limit-reached',
      `more than ${most} wrong keys or tokens a second from ${address}`,
    );
  }

  /** Checks a token. Valid tokens do not count against the limit. */
  async during<T extends object>(
    token: string,
    address: () => string,
    check: () => Promise<T | Fault>,
  ): Promise<T | Fault> {
    const digest = createHash('sha256').update(token).digest('base64');
    const client = this.known.has(digest) ? undefined : address();
    const refused = client === undefined ? undefined : this.begin(client);
    if (refused !== undefined) return refused;
    const found = await check();
    this.known.delete(digest);
    if ('code' in found) return found;
    if (client !== undefined) this.rates.give(client, 1);
    this.known.add(digest);
    for (const oldest of this.known) {
      if (this.known.size <= KNOWN_MAX) break;
      this.known.delete(oldest);
    }
    return found;
  }
}
