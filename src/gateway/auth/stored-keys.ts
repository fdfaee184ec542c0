/**
 * Stored keys: the file `keys.json` of the data directory, and how a key is made.
 *
 * A key is `tk_ID_SECRET`. Its secret is 256 random bits and cannot be guessed, so a fast hash is enough;
 * slow hashes (scrypt, argon2) are for passwords that people choose. The file has the HMAC-SHA-256 of each key
 * with a salt of its own, and never the key. The id finds the entry and is not secret.
 * Bounded: keys in a file (`KEYS_MAX`). The file is replaced atomically.
 */

import { Type, type Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { createHmac, timingSafeEqual } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { fileDoubt, makePrivate } from '../../base/private-files';
import { StartFault } from '../../base/start-fault';

const KEYS_FILE = 'keys.json';
const KEYS_MAX = 10_000;
const TOKEN = /^tk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;
/**
 * Orders belong to the name of a key, so the names of the anonymous principal and of the demo are reserved.
 */
export const NAME_PATTERN = '^(?!anonymous$|sim-)[A-Za-z0-9._-]{1,40}$';
/** Characters of symbols; `*` stands for any number of characters. */
export const SYMBOLS_PATTERN = '^[A-Za-z0-9._*-]{1,40}$';

export const ROLES = ['read', 'publish', 'trade', 'admin'] as const;
export type Role = (typeof ROLES)[number];

const StoredKeySchema = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f]{12}$' }),
    name: Type.String({ pattern: NAME_PATTERN }),
    roles: Type.Array(Type.Union(ROLES.map((role) => Type.Literal(role))), { minItems: 1 }),
    /** Patterns of symbols that it may publish. */
    symbols: Type.Array(Type.String({ pattern: SYMBOLS_PATTERN }), { minItems: 1 }),
    /** In hex. */
    salt: Type.String({ pattern: '^[0-9a-f]{32}$' }),
    hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** Seconds since 1970. */
    createdAt: Type.Integer({ minimum: 0 }),
    expiresAt: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  },
  { additionalProperties: false },
);
const FileSchema = Type.Object(
  { version: Type.Literal(1), keys: Type.Array(StoredKeySchema, { maxItems: KEYS_MAX }) },
  { additionalProperties: false },
);

export type StoredKey = Static<typeof StoredKeySchema>;

export interface KeyWish {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly symbols: readonly string[];
  readonly expiresAt: number | null;
}

/**
 * Makes a new key and its stored entry.
 * @param random random bytes that nobody can predict
 */
export function makeKey(
  wish: KeyWish,
  nowSeconds: number,
  random: (count: number) => Buffer,
): { readonly token: string; readonly stored: StoredKey } {
  const id = random(6).toString('hex');
  const token = `tk_${id}_${random(32).toString('base64url')}`;
  return { token, stored: storedKey(token, wish, nowSeconds, random(16).toString('hex')) };
}

/** The stored entry of a key. @param salt in hex */
export function storedKey(
  token: string,
  { name, roles, symbols, expiresAt }: KeyWish,
  nowSeconds: number,
  salt: string,
): StoredKey {
  const id = idOf(token);
  if (id === undefined) throw new Error('this is no key');
  const hash = hashOf(token, salt).toString('hex');
  return {
    id,
    name,
    roles: [...roles],
    symbols: [...symbols],
    salt,
    hash,
    createdAt: nowSeconds,
    expiresAt,
  };
}

/** The id of a text that has the form of a key. */
export function idOf(token: string): string | undefined {
  return TOKEN.exec(token)?.[1];
}

/** Whether it is this key; compared in constant time. */
export function isKey(token: string, { salt, hash }: StoredKey): boolean {
  return timingSafeEqual(hashOf(token, salt), Buffer.from(hash, 'hex'));
}

function hashOf(token: string, salt: string): Buffer {
  return createHmac('sha256', Buffer.from(salt, 'hex')).update(token).digest();
}

/** The keys of a data directory; none without a file. */
export function readKeys(directory: string): readonly StoredKey[] | StartFault {
  const path = join(directory, KEYS_FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (e) {
    const { code, message } = e as NodeJS.ErrnoException;
    // A missing directory counts as a missing file. The journal reports other problems of the directory.
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    return badKeys(`${path} cannot be read: ${message}`);
  }
  const doubt = fileDoubt(path);
  if (doubt?.isFatal === true) return new StartFault('bad-keys', doubt.message, doubt.hint);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    return badKeys(`${path} is not JSON: ${(e as Error).message}`);
  }
  if (!Value.Check(FileSchema, value)) {
    const wrong = Value.Errors(FileSchema, value).First()!;
    return badKeys(`${path} is not a file of keys: ${wrong.path || '/'}: ${wrong.message}`);
  }
  const ids = new Set(value.keys.flatMap(({ id, name }) => [id, `name ${name}`]));
  if (ids.size !== value.keys.length * 2) return badKeys(`${path} has a key twice`);
  return value.keys;
}

/** Changes the keys of a directory. @returns why that failed, if it did */
export function changeKeys(
  directory: string,
  change: (keys: readonly StoredKey[]) => readonly StoredKey[] | StartFault,
): StartFault | undefined {
  const path = join(directory, KEYS_FILE);
  const next = `${path}.new`;
  let file: number;
  try {
    makePrivate(directory);
    // This file is the lock for changes of the keys: creating it fails while another process has it.
    file = openSync(next, 'wx', 0o600);
  } catch (e) {
    const { code, message } = e as NodeJS.ErrnoException;
    return code === 'EEXIST'
      ? new StartFault(
          'data-in-use',
          `${next} is there already`,
          'Another command is changing the keys; if none is, one was cut off: remove the file.',
        )
      : new StartFault(
          'data-unwritable',
          `${next} cannot be written: ${message}`,
          'Give a directory that you may write with --data.',
        );
  }
  const known = readKeys(directory);
  const changed = known instanceof StartFault ? known : change(known);
  if (changed instanceof StartFault) {
    closeSync(file);
    unlinkSync(next);
    return changed;
  }
  try {
    writeFileSync(file, `${JSON.stringify({ version: 1, keys: changed }, null, 2)}\n`);
    fsyncSync(file);
    renameSync(next, path);
    return undefined;
  } catch (e) {
    unlinkSync(next); // the keys remain unchanged, and the next command finds no lock
    return new StartFault(
      'data-unwritable',
      `${next} cannot be written: ${(e as Error).message}`,
      'Make room on the disk; the keys stay as they were.',
    );
  } finally {
    closeSync(file);
  }
}

/** A text that changes when the file changes; it is made without reading the file. */
export function keysStamp(directory: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(join(directory, KEYS_FILE));
    return `${ino} ${size} ${mtimeMs}`;
  } catch {
    return ''; // reading the file reports the error
  }
}

function badKeys(message: string): StartFault {
  return new StartFault(
    'bad-keys',
    message,
    'Mend it, or remove it and make new keys with "tapedeck keys make".',
  );
}
