/**
 * Auth: identifies the sender of a request and its permissions. A key is found by its id and compared in
 * constant time. A token is checked by its signature. A sender without either has the permissions that the
 * server grants to everybody.
 * Bounded: by the file of keys.
 */

import { fault, type Fault } from '../../../protocol/codes';
import { clientAt } from './addresses';
import { covers, EXPIRED, type Claimed, type Lapse, type Principal } from './principal';
import { isLocal, isOwnMachine, isOwnPage } from './origins';
import { idOf, isKey, storedKey, type Role, type StoredKey } from './stored-keys';
import { symbolsOf } from './symbols';
import type { Tokens } from './tokens';
import type { WrongKeys } from './wrong-keys';

export interface KeyringOptions {
  /** Roles that need no key. */
  readonly anonymousRoles: readonly Role[];
  /** Origins of pages that may act for their users, in addition to the server's own. */
  readonly origins: readonly string[];
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly wrongKeys: WrongKeys;
}

/** An entry to compare with if there is none, so that an unknown id takes the same time. */
const NO_KEY = storedKey(
  `tk_000000000000_${'A'.repeat(43)}`,
  { name: 'none', roles: [], symbols: [], expiresAt: 0 },
  0,
  '0'.repeat(32),
);

export class Keyring {
  /** The principal of a sender without a key. */
  readonly anonymous: Principal;
  /**
   * The principal of a sender without a key whose browser acts for another site: it has at most the role
   * `read`.
   */
  private readonly stranger: Principal;
  private readonly options: KeyringOptions;
  private keys: ReadonlyMap<string, Known> = new Map();
  private tokens: Tokens | null = null;

  constructor(options: KeyringOptions) {
    this.options = options;
    const { anonymousRoles } = options;
    const nobody = {
      name: 'anonymous',
      symbols: () => true,
      patterns: ['*'],
      keyId: null,
      expiresAt: null,
      lapsed: () => undefined,
    };
    this.anonymous = { ...nobody, roles: new Set(anonymousRoles) };
    this.stranger = { ...nobody, roles: new Set(anonymousRoles.filter((role) => role === 'read')) };
  }

  /** Reading needs no key, so clients need not be asked for one. */
  get isOpen(): boolean {
    return this.anonymous.roles.has('read');
  }

  /** Whether the server accepts keys or tokens at all. */
  get hasKeys(): boolean {
    return this.keys.size > 0 || this.tokens !== null;
  }

  /** Replaces all keys. */
  load(keys: readonly StoredKey[], tokens: Tokens | null): void {
    this.tokens = tokens;
    this.keys = new Map(
      keys.map((stored) => {
        const { id, name, symbols: patterns, expiresAt, hash } = stored;
        const roles = this.withRead(stored.roles);
        const symbols = symbolsOf(patterns);
        const principal: Principal = {
          name,
          roles,
          symbols,
          patterns,
          keyId: id,
          expiresAt,
          lapsed: () => this.lapseOfKey(principal, hash),
        };
        return [id, { stored, principal }];
      }),
    );
  }

  /**
   * Why a principal is no longer allowed: its key was removed, has lost permissions or has expired.
   * @param hash hash of the key
   */
  private lapseOfKey(principal: Principal, hash: string): Lapse | undefined {
    const now = this.keys.get(principal.keyId!);
    if (now === undefined || now.stored.hash !== hash) return 'key-revoked';
    if (!covers(now.principal, principal)) return 'key-revoked';
    return this.isOver(now.principal) ? 'key-expired' : undefined;
  }

  /** Where reading needs no key, every key may read too. */
  private withRead(roles: Iterable<Role>): ReadonlySet<Role> {
    return new Set(this.isOpen ? [...roles, 'read'] : roles);
  }

  /**
   * The principal of a key or token.
   * @param address address of the client
   * @returns a promise for a token only
   */
  find(secret: string, address: () => string): Principal | Fault | Promise<Principal | Fault> {
    const id = idOf(secret);
    if (id === undefined) {
      const { tokens } = this;
      if (tokens === null || !/^[\w-]+\.[\w-]+\.[\w-]*$/.test(secret)) return NOT_A_KEY;
      const { wrongKeys } = this.options;
      return wrongKeys.during(secret, address, () => this.ofToken(tokens, secret));
    }
    const known = this.keys.get(id);
    const refused = known === undefined ? this.options.wrongKeys.begin(address()) : undefined;
    if (refused !== undefined) return refused;
    const fits = isKey(secret, known?.stored ?? NO_KEY);
    if (known === undefined || !fits) return NOT_A_KEY;
    return this.isOver(known.principal) ? EXPIRED : known.principal;
  }

  private async ofToken(tokens: Tokens, secret: string): Promise<Principal | Fault> {
    const found = await tokens.check(secret, this.options.now());
    if ('code' in found) return found;
    const lapsed = (): Lapse | undefined => {
      // The signing key was replaced, or tokens are no longer accepted.
      if (this.tokens?.signer !== tokens.signer) return 'key-revoked';
      return this.isOver(found) ? 'key-expired' : undefined;
    };
    return { ...found, roles: this.withRead(found.roles), lapsed };
  }

  private isOver({ expiresAt }: Claimed): boolean {
    return expiresAt !== null && expiresAt <= this.options.now();
  }

  /** The principal of an earlier one that is still allowed, with the current permissions of its key. */
  renewed(principal: Principal): Principal {
    const { keyId } = principal;
    return keyId === null ? principal : (this.keys.get(keyId)?.principal ?? principal);
  }

  /**
   * The principal of a request: by its `Authorization: Bearer` header, or the one without a key.
   * @param addressOf returns the address of the connection; empty if unknown
   */
  async of(request: Request, addressOf: (request: Request) => string): Promise<Principal | Fault> {
    const header = request.headers.get('authorization');
    if (header === null) {
      // Roles that need no key are for programs of this machine. They must not be available to a web site
      // that is open in a browser on this machine, to a site whose name resolves to this machine, or to
      // clients of a proxy on this machine.
      if (this.anonymous.roles.size === this.stranger.roles.size) return this.anonymous;
      const { headers } = request;
      const isTrusted =
        isOwnMachine(headers) &&
        isOwnPage(headers, this.options.origins) &&
        isLocal(headers, addressOf(request));
      return isTrusted ? this.anonymous : this.stranger;
    }
    const match = /^Bearer +(\S+)$/i.exec(header);
    const found =
      match === null ? NOT_A_KEY : await this.find(match[1]!, () => clientAt(addressOf(request)));
    return 'code' in found ? { ...found, field: 'Authorization' } : found;
  }
}

interface Known {
  readonly stored: StoredKey;
  readonly principal: Principal;
}

const NOT_A_KEY = fault('unauthorized', 'this is no key of this server');
