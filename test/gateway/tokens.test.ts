/** JSON Web Tokens: which are accepted, which are not, and what happens to a connection whose token expires. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { CompactSign, SignJWT } from 'jose';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';

import { instrument, tape } from '../support/feed';
import { FORMS, StreamClient } from '../support/stream-client';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';

const scratch = new Scratch();
const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const PUBLIC_PEM = publicKey.export({ type: 'spki', format: 'pem' });
const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123456789';
/** One server for each algorithm. */
const servers = new Map<string, ServerProcess>();

const auth = (algorithm: string, key: string): string => `
[auth]
requireKey = true
tokenAlgorithm = "${algorithm}"
tokenKeyFile = "${scratch.write(key, '.key')}"
tokenIssuer = "login"
tokenAudience = "tapedeck"
`;

beforeAll(async () => {
  for (const [algorithm, key] of [
    ['EdDSA', PUBLIC_PEM],
    ['HS256', `${SECRET}\n`],
  ] as const) {
    const server = await ServerProcess.start({ config: auth(algorithm, key) });
    await server.ingest(tape(instrument('ACME')));
    servers.set(algorithm, server);
  }
});
afterAll(async () => {
  for (const server of servers.values()) await server.remove();
  scratch.remove();
});

interface Wish {
  readonly algorithm?: string;
  readonly key?: KeyObject | Uint8Array;
  readonly claims?: Record<string, unknown>;
  /** Lifetime in seconds from now; null: unlimited. */
  readonly seconds?: number | null;
  readonly issuer?: string;
  readonly audience?: string | string[];
  readonly header?: Record<string, unknown>;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function sign(algorithm: string, wish: Wish = {}): Promise<string> {
  const { seconds = 600, issuer = 'login', audience = 'tapedeck', claims } = wish;
  const now = Math.floor(Date.now() / 1000);
  const own = algorithm === 'EdDSA' ? privateKey : bytes(SECRET);
  const token = new SignJWT({ sub: 'ann', roles: ['read'], ...claims })
    .setProtectedHeader({ alg: wish.algorithm ?? algorithm, ...wish.header })
    .setIssuer(issuer)
    .setAudience(audience);
  if (seconds !== null) token.setExpirationTime(now + seconds);
  return token.sign(wish.key ?? own);
}

/** Signs claims given as text, which may contain what JSON.stringify does not write. */
async function signText(algorithm: string, claims: string): Promise<string> {
  return new CompactSign(bytes(claims))
    .setProtectedHeader({ alg: algorithm })
    .sign(algorithm === 'EdDSA' ? privateKey : bytes(SECRET));
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

describe.each(['EdDSA', 'HS256'])('%s', (algorithm) => {
  const instruments = (token: string): Promise<Response> =>
    servers.get(algorithm)!.get('/v1/instruments', { headers: bearer(token) });

  test('a valid one has the rights of its roles', async () => {
    const token = await sign(algorithm);
    expect((await instruments(token)).status).toBe(200);
    const trading = await servers.get(algorithm)!.get('/v1/orders', { headers: bearer(token) });
    expect(trading.status).toBe(403);
    expect(await trading.json()).toMatchObject({
      error: { message: 'the key jwt:ann does not have the role trade' },
    });
  });

  const other = generateKeyPairSync('ed25519').privateKey;
  const WRONG: readonly [what: string, wish: Wish, words: string][] = [
    ['expired', { seconds: -60 }, 'exp'],
    ['without an end', { seconds: null }, 'exp'],
    ['without a subject', { claims: { sub: undefined } }, 'sub'],
    ['of an odd subject', { claims: { sub: 'a b' } }, 'sub'],
    ['without roles', { claims: { roles: undefined } }, 'roles'],
    ['of unknown roles', { claims: { roles: ['root'] } }, 'roles'],
    ['of odd symbols', { claims: { symbols: ['(a+)+$'] } }, 'symbols'],
    ['of another issuer', { issuer: 'else' }, 'iss'],
    ['for another audience', { audience: 'else' }, 'aud'],
    ['not yet good', { claims: { nbf: 9_999_999_999 } }, 'nbf'],
    ['whose end is a word', { claims: { exp: 'tomorrow' }, seconds: null }, 'exp'],
    ['whose end is no number of seconds', { claims: { exp: -1 }, seconds: null }, 'exp'],
    ['of many subjects', { claims: { sub: ['ann', 'bob'] } }, ''],
    ['of one subject in a list', { claims: { sub: ['ann'] } }, 'sub'],
    ['of a subject that is no text', { claims: { sub: 1 } }, 'sub'],
    ['of an empty subject', { claims: { sub: '' } }, 'sub'],
    ['that ends beyond all years', { claims: { exp: 1e300 }, seconds: null }, 'exp'],
    [
      'of too many symbols',
      { claims: { symbols: Array.from({ length: 201 }, () => 'A') } },
      'symbols',
    ],
    ['of a beginning beyond all years', { claims: { iat: -1e300 } }, 'iat'],
    ['of roles that are a word', { claims: { roles: 'admin' } }, 'roles'],
    ['for many audiences, none of them this', { audience: ['a', 'b'] }, 'aud'],
    [
      'that brings its own key',
      {
        key: algorithm === 'EdDSA' ? other : bytes(`${SECRET}!`),
        header: {
          jwk:
            algorithm === 'EdDSA' ? other.export({ format: 'jwk' }) : { kty: 'oct', k: 'c2VjcmV0' },
          kid: '../../dev/null',
          jku: 'http://127.0.0.1:1/',
        },
      },
      'signature',
    ],
    [
      'signed with another key',
      { key: algorithm === 'EdDSA' ? other : bytes(`${SECRET}!`) },
      'signature',
    ],
    algorithm === 'EdDSA'
      ? // The public key is known to all, and must not be accepted as a secret.
        ['of another algorithm', { algorithm: 'HS256', key: bytes(PUBLIC_PEM) }, 'alg']
      : ['of another algorithm', { algorithm: 'HS512', key: bytes(SECRET.repeat(2)) }, 'alg'],
  ];

  test.each(WRONG)('one %s is refused', async (_, wish, words) => {
    const token = await sign(algorithm, wish);
    const response = await instruments(token);
    expect(response.status).toBe(401);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect([error.code, error.message]).toEqual(['unauthorized', expect.stringContaining(words)]);
    const client = await StreamClient.json(servers.get(algorithm)!.url);
    client.send({ type: 'hello', version: 1, client: 'test', key: token });
    expect(await client.next('error')).toMatchObject({ code: 'unauthorized', field: 'hello.key' });
    expect(await client.closed).toEqual({ code: 4001, reason: 'unauthorized' });
  });

  test('one that was tampered with, or is unsigned, is refused', async () => {
    const [header, claims, signature] = (await sign(algorithm)).split('.') as [
      string,
      string,
      string,
    ];
    const encode = (value: unknown): string =>
      Buffer.from(JSON.stringify(value)).toString('base64url');
    const more = {
      ...(JSON.parse(Buffer.from(claims, 'base64url').toString()) as object),
      roles: ['admin'],
    };
    for (const token of [
      `${header}.${encode(more)}.${signature}`,
      `${encode({ alg: 'none' })}.${claims}.`,
      `${encode({ alg: 'none' })}.${claims}.${signature}`,
      `${encode({ alg: 'None' })}.${claims}.`,
      `${encode({ alg: [algorithm] })}.${claims}.${signature}`,
      `${encode({})}.${claims}.${signature}`,
      `${encode({ alg: algorithm, typ: 'JWT' })}.${claims}.${signature}`,
      `${header}.${claims}.${signature}${signature}`,
      `${claims}.${header}.${signature}`,
      `${header}.${claims}.`,
      `${header}.${claims}.${signature.slice(0, -4)}`,
      `${header}..${signature}`,
      'a.b.c',
    ]) {
      expect((await instruments(token)).status).toBe(401);
    }
  });

  test('an infinite number as exp or nbf is refused', async () => {
    for (const claim of [
      '"exp":1e999',
      '"exp":9999999999,"nbf":-1e999',
      '"exp":9999999999,"iat":-1e999',
    ]) {
      const token = await signText(
        algorithm,
        `{"sub":"ann","roles":["read"],"iss":"login","aud":"tapedeck",${claim}}`,
      );
      const response = await instruments(token);
      expect([claim, response.status]).toEqual([claim, 401]);
    }
    const good = await signText(
      algorithm,
      '{"sub":"ann","roles":["read"],"iss":"login","aud":"tapedeck","exp":9999999999}',
    );
    expect((await instruments(good)).status).toBe(200);
  });

  test('a huge one is refused, by the server or before it; other clients are not affected', async () => {
    const huge = (length: number): Promise<string> =>
      sign(algorithm, { claims: { more: 'x'.repeat(length), roles: ['root'] } });
    expect((await instruments(await huge(5_000))).status).toBe(401);
    expect([400, 431]).toContain((await instruments(await huge(1_000_000))).status);
    const client = await StreamClient.json(servers.get(algorithm)!.url);
    client.send({ type: 'hello', version: 1, client: 'test', key: await huge(100_000) });
    expect(await client.next('error')).toMatchObject({ field: 'hello.key' });
    expect((await instruments(await sign(algorithm))).status).toBe(200);
  });

  test.each(FORMS)('messages after hello wait for its check: %s', async (form) => {
    const token = await sign(algorithm);
    const client = await StreamClient.open(servers.get(algorithm)!.url, form);
    client.send(
      { type: 'hello', version: 1, client: 'test', key: token },
      { type: 'subscribe', id: 1, topics: ['trade:ACME'], intervalMs: null },
    );
    client.send({ type: 'ping', id: 2, time: '1' });
    await client.find((m) => m.type === 'pong');
    expect(client.seen.map(({ type }) => type).filter((t) => t !== 'heartbeat')).toEqual([
      'welcome',
      'instrument',
      'ack',
      'pong',
    ]);
    await client.close();
  });
});

test('a connection ends with its token', async () => {
  const server = servers.get('EdDSA')!;
  const long = await StreamClient.open(server.url, undefined, bearer(await sign('EdDSA')));
  const short = await StreamClient.open(
    server.url,
    undefined,
    bearer(await sign('EdDSA', { seconds: 2 })),
  );
  await short.subscribe('trade:ACME');
  expect(await short.closed).toEqual({ code: 4005, reason: 'key-expired' });
  expect(short.seen.at(-1)).toMatchObject({ type: 'closing', code: 4005, reconnect: false });
  await long.settle();
  await long.close();
});

test.each([
  ['EdDSA', 'no key', 'no Ed25519 public key'],
  [
    'EdDSA',
    generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({
      type: 'spki',
      format: 'pem',
    }),
    'its type is rsa',
  ],
  ['HS256', 'short', 'holds 5 bytes'],
])('a %s key file that cannot do keeps the server from starting', async (algorithm, key, words) => {
  const config = scratch.write(auth(algorithm, key), '.toml');
  const args = ['serve', '--port', '0', '--data', scratch.fresh(), '--config', config];
  const { code, stderr } = await tapedeck(args);
  expect([code, stderr]).toEqual([78, expect.stringContaining(words)]);
});
