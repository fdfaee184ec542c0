/**
 * Auth: who is asking, and what they may do. A key is found by its id and compared in constant time; a
 * token is checked by its signature; who has neither may do what the server leaves to anybody.
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
  /** What may be done without a key. */
  readonly anonymousRoles: readonly Role[];
  /** Pages that may speak for their users, besides the server's own. */
  readonly origins: readonly string[];
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly wrongKeys: WrongKeys;
}

/** An entry to compare with where there is none, so that an unknown id takes the same time. */
const NO_KEY = storedKey(
  `tk_000000000000_${'A'.repeat(43)}`,
  { name: 'none', roles: [], symbols: [], expiresAt: 0 },
  0,
  '0'.repeat(32),
);

export class Keyring {
  /** Somebody without a key. */
  readonly anonymous: Principal;
  /** Somebody without a key whose browser speaks for another site: who may read at the most. */
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

  /** Anybody may read, so nobody need be asked who they are. */
  get isOpen(): boolean {
    return this.anonymous.roles.has('read');
  }

  /** Whether anybody can show one. */
  get hasKeys(): boolean {
    return this.keys.size > 0 || this.tokens !== null;
  }

  /** Takes these keys, and no others from now on. */
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

  /** The key is no more, or goes for less than it did; or it has expired. @param hash of the key */
  private lapseOfKey(principal: Principal, hash: string): Lapse | undefined {
    const now = this.keys.get(principal.keyId!);
    if (now === undefined || now.stored.hash !== hash) return 'key-revoked';
    if (!covers(now.principal, principal)) return 'key-revoked';
    return this.isOver(now.principal) ? 'key-expired' : undefined;
  }

  /** Where anybody may read, so may whoever has a key for something else. */
  private withRead(roles: Iterable<Role>): ReadonlySet<Role> {
    return new Set(this.isOpen ? [...roles, 'read'] : roles);
  }

  /** Whose key or token it is. @param address where it comes from @returns a promise for a token only */
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
      // Whoever signs has another key now, or tokens are not taken any more.
      if (this.tokens?.signer !== tokens.signer) return 'key-revoked';
      return this.isOver(found) ? 'key-expired' : undefined;
    };
    return { ...found, roles: this.withRead(found.roles), lapsed };
  }

  private isOver({ expiresAt }: Claimed): boolean {
    return expiresAt !== null && expiresAt <= this.options.now();
  }

  /** Somebody who was let in before and has not lapsed, with what the key goes for now. */
  renewed(principal: Principal): Principal {
    const { keyId } = principal;
    return keyId === null ? principal : (this.keys.get(keyId)?.principal ?? principal);
  }

  /**
   * Who sends a request: of its `Authorization: Bearer` header, or somebody without a key.
   * @param addressOf whom a connection comes from; empty when that is not known
   */
  async of(request: Request, addressOf: (request: Request) => string): Promise<Principal | Fault> {
    const header = request.headers.get('authorization');
    if (header === null) {
      // What may be done without a key must not be done by any web site that a browser on this machine
      // has open, nor by one that gave its own name this machine's address, nor by those for whom a
      // proxy on this machine speaks.
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
