/**
 * Auth: which roles a key has. Keys are kept as hashes of equal length and compared in constant time,
 * all of them each time, so that nothing about them can be read off the clock.
 */

import { createHash, timingSafeEqual } from 'node:crypto';

export type Role = 'publish' | 'trade' | 'admin';

export interface KeySetting {
  readonly name: string;
  readonly secret: string;
  readonly roles: readonly Role[];
}

/** Who is asking: the name of the key, and what it may do. */
export interface Principal {
  readonly name: string;
  readonly roles: ReadonlySet<Role>;
}

export class Keyring {
  /** Somebody without a key, who may read. */
  readonly anonymous: Principal;
  private readonly keys: readonly { hash: Buffer; principal: Principal }[];

  /** @param anonymousRoles what somebody may do without a key, besides reading */
  constructor(settings: readonly KeySetting[], anonymousRoles: readonly Role[]) {
    this.anonymous = { name: 'anonymous', roles: new Set(anonymousRoles) };
    this.keys = settings.map(({ name, secret, roles }) => ({
      hash: sha256(secret),
      principal: { name, roles: new Set(roles) },
    }));
  }

  /** The principal of a secret; undefined when no key fits. */
  find(secret: string): Principal | undefined {
    const hash = sha256(secret);
    let found: Principal | undefined;
    for (const key of this.keys) {
      if (timingSafeEqual(key.hash, hash)) found = key.principal;
    }
    return found;
  }

  /**
   * Who sends a request: the principal of its `Authorization: Bearer` header, or somebody without a
   * key; undefined when the key is wrong.
   */
  of(request: Request): Principal | undefined {
    const header = request.headers.get('authorization');
    if (header === null) return isOwnSite(request.headers) ? this.anonymous : STRANGER;
    const match = /^Bearer +(\S+)$/i.exec(header);
    return match === null ? undefined : this.find(match[1]!);
  }
}

/** Somebody without a key whose browser speaks for another site: who may read and no more. */
const STRANGER: Principal = { name: 'anonymous', roles: new Set() };

/**
 * Whether a request without a key comes from this machine's own pages or from no page at all. What
 * may be done without a key must not be done by any web site that a browser on this machine has open,
 * nor by one that gave its own name this machine's address.
 */
function isOwnSite(headers: Headers): boolean {
  const host = headers.get('host') ?? '';
  const name = host.replace(/:\d+$/, '');
  if (name !== 'localhost' && name !== '[::1]' && !/^127(\.\d{1,3}){3}$/.test(name)) return false;
  const origin = headers.get('origin');
  return origin === null || origin === `http://${host}` || origin === `https://${host}`;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
