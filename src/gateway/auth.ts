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

  /** The principal of an `Authorization: Bearer` header; undefined when it is wrong. */
  fromHeader(header: string | null | undefined): Principal | undefined {
    if (header === null || header === undefined) return this.anonymous;
    const match = /^Bearer +(\S+)$/i.exec(header);
    return match === null ? undefined : this.find(match[1]!);
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
