/**
 * Tokens: JSON Web Tokens as an alternative to keys, for browsers, which cannot keep a key. A login service
 * issues them. This server checks them with the one algorithm of its settings, so a token cannot choose a
 * weaker one.
 *
 * Claims: `sub`, whom the token is for; `roles`, a list; `symbols`, what may be published (all if absent);
 * `exp`, which is required. Source of the format: RFC 7519.
 */

import { jwtVerify, type JWK } from 'jose';
import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { fault, type Fault } from '../../../protocol/codes';
import { StartFault } from '../../base/start-fault';
import type { Claimed } from './principal';
import { ROLES, SYMBOLS_PATTERN, type Role } from './stored-keys';
import { symbolsOf } from './symbols';

export interface TokenSettings {
  readonly tokenAlgorithm: 'none' | 'EdDSA' | 'HS256';
  /** PEM of an Ed25519 public key; or the raw bytes of the HS256 secret, at least 32. */
  readonly tokenKeyFile: string;
  /** Required values of `iss` and `aud`; empty: any. */
  readonly tokenIssuer: string;
  readonly tokenAudience: string;
}

const SUBJECT = /^[A-Za-z0-9._@-]{1,36}$/;
const SECRET_BYTES_MIN = 32;
const CLOCK_TOLERANCE_S = 5;
/** Length that fits into a header, with room for some further claims. */
const TOKEN_LENGTH_MAX = 8_192;
const SYMBOLS_MAX = 200;
/** The end of the year 9999, in seconds. */
const SECONDS_MAX = 253_402_300_799;

export class Tokens {
  /** Identifies the signing key without revealing it. */
  readonly signer: string;
  private readonly settings: TokenSettings;
  private readonly key: JWK | Uint8Array;

  private constructor(settings: TokenSettings, key: JWK | Uint8Array) {
    this.settings = settings;
    this.key = key;
    const material = key instanceof Uint8Array ? key : JSON.stringify(key);
    this.signer = createHash('sha256').update(material).digest('base64');
  }

  /** Null if the settings have no tokens. */
  static read(settings: TokenSettings): Tokens | StartFault | null {
    const { tokenAlgorithm, tokenKeyFile } = settings;
    if (tokenAlgorithm === 'none') return null;
    let bytes: Buffer;
    try {
      bytes = readFileSync(tokenKeyFile);
    } catch (e) {
      return badKey(`auth.tokenKeyFile cannot be read: ${(e as Error).message}`);
    }
    if (tokenAlgorithm === 'HS256') {
      // An editor adds the line break at the end.
      const secret = Buffer.from(bytes.toString('latin1').replace(/\r?\n$/, ''), 'latin1');
      if (secret.length >= SECRET_BYTES_MIN) return new Tokens(settings, secret);
      return badKey(
        `auth.tokenKeyFile holds ${secret.length} bytes; expected at least ${SECRET_BYTES_MIN} for HS256`,
      );
    }
    try {
      const key = createPublicKey(bytes);
      if (key.asymmetricKeyType !== 'ed25519')
        throw new Error(`its type is ${key.asymmetricKeyType}`);
      return new Tokens(settings, key.export({ format: 'jwk' }) as JWK);
    } catch (e) {
      return badKey(`auth.tokenKeyFile is no Ed25519 public key in PEM: ${(e as Error).message}`);
    }
  }

  async check(token: string, nowSeconds: number): Promise<Claimed | Fault> {
    if (token.length > TOKEN_LENGTH_MAX)
      return refused(`it has more than ${TOKEN_LENGTH_MAX} letters`);
    const { tokenAlgorithm, tokenIssuer, tokenAudience } = this.settings;
    try {
      const { payload } = await jwtVerify(token, this.key, {
        algorithms: [tokenAlgorithm],
        requiredClaims: ['exp', 'sub'],
        currentDate: new Date(nowSeconds * 1000),
        clockTolerance: CLOCK_TOLERANCE_S,
        ...(tokenIssuer !== '' && { issuer: tokenIssuer }),
        ...(tokenAudience !== '' && { audience: tokenAudience }),
      });
      const { sub, exp, roles }: Record<string, unknown> = payload;
      const symbols = payload['symbols'] ?? ['*'];
      if (typeof sub !== 'string' || !SUBJECT.test(sub)) {
        return refused('its sub is no name of 1 to 36 letters');
      }
      // An infinite number such as 1e999 is refused.
      if (!isTime(exp)) return refused('its exp is no number of seconds');
      const odd = ['nbf', 'iat'].find((name) => name in payload && !isTime(payload[name]));
      if (odd !== undefined) return refused(`its ${odd} is no number of seconds`);
      if (!isListOf(roles, (role) => ROLES.includes(role as Role))) {
        return refused(`its roles are not a list of ${ROLES.join(', ')}`);
      }
      if (Array.isArray(symbols) && symbols.length > SYMBOLS_MAX) {
        return refused(`its symbols are more than ${SYMBOLS_MAX}`);
      }
      if (!isListOf(symbols, (symbol) => new RegExp(SYMBOLS_PATTERN).test(symbol))) {
        return refused('its symbols are not a list of patterns');
      }
      // No key can have such a name, so a token is never mistaken for a key and never owns a key's orders.
      const name = `jwt:${sub}`;
      return {
        name,
        roles: new Set(roles as Role[]),
        symbols: symbolsOf(symbols),
        patterns: symbols,
        keyId: null,
        expiresAt: exp,
      };
    } catch (e) {
      return refused((e as Error).message);
    }
  }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= SECONDS_MAX;
}

function isListOf(value: unknown, fits: (item: string) => boolean): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && fits(item));
}

function refused(why: string): Fault {
  return fault('unauthorized', `the token is refused: ${why}`.slice(0, 200));
}

function badKey(message: string): StartFault {
  return new StartFault('bad-config', message, 'Set [auth] as src/docs/operations.md describes.');
}
