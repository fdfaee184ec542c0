/** Wrong keys: few guesses of a client are checked, and other clients at its address still get in. */

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { SignJWT } from 'jose';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { StreamClient } from '../support/stream-client';
import { keyOf, Target } from './target';

setDefaultTimeout(120_000);

const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123456789';
const directory = mkdtempSync(join(tmpdir(), 'tapedeck-wrong-keys-'));
const ATTEMPTS = 600;
/** At one check a second, a test that takes a minute and a half has about ninety. */
const CHECKED_MAX = 150;
let target: Target;

beforeAll(async () => {
  const file = join(directory, 'token.key');
  writeFileSync(file, SECRET);
  const auth = `requireKey = true\ntokenAlgorithm = "HS256"\ntokenKeyFile = "${file}"`;
  target = await Target.start({ config: `[auth]\n${auth}\n[limits]\nwrongKeysPerSecond = 1` });
});
afterAll(async () => {
  await target.remove();
  rmSync(directory, { recursive: true });
});

const tokenBy = (secret: string, sub = 'ann'): Promise<string> =>
  new SignJWT({ sub, roles: ['read'] })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(secret));

const ask = (secret: string): Promise<Response> =>
  fetch(`${target.url}/v1/instruments`, { headers: { authorization: `Bearer ${secret}` } });

async function codesOf(secrets: readonly string[]): Promise<Record<string, number>> {
  const codes: Record<string, number> = {};
  for (const secret of secrets) {
    const response = await ask(secret);
    const { error } = (await response.json()) as { error: { code: string } };
    expect(response.status).toBe(error.code === 'limit-reached' ? 429 : 401);
    codes[error.code] = (codes[error.code] ?? 0) + 1;
  }
  return codes;
}

test('most wrong tokens and keys are refused unchecked; valid ones from the same address are accepted', async () => {
  const good = await tokenBy(SECRET);
  expect((await ask(good)).status).toBe(200);
  const wrong = await Promise.all(
    Array.from({ length: ATTEMPTS }, (_, i) => tokenBy(`another${SECRET}`, `guess${i}`)),
  );
  const unknown = Array.from(
    { length: ATTEMPTS },
    (_, i) => `tk_${String(i).padStart(12, '0')}_${'A'.repeat(43)}`,
  );
  for (const secrets of [wrong, unknown]) {
    const codes = await codesOf(secrets);
    expect(codes['unauthorized'] ?? 0).toBeLessThan(CHECKED_MAX);
    expect(codes['limit-reached']).toBeGreaterThan(ATTEMPTS - CHECKED_MAX);
    for (const secret of [good, keyOf('read')]) expect((await ask(secret)).status).toBe(200);
  }
});

test('the same holds for WebSocket: the connection is closed with 4020', async () => {
  const closes = new Set<number>();
  for (let i = 0; i < 20; i++) {
    const client = await StreamClient.json(target.url);
    client.send({
      type: 'hello',
      version: 1,
      client: 'guess',
      key: await tokenBy(`another${SECRET}`),
    });
    closes.add((await client.closed).code);
  }
  expect(closes).toContain(4020);
  const client = await StreamClient.json(target.url);
  client.send({ type: 'hello', version: 1, client: 'holder', key: keyOf('read') });
  await client.settle();
});
