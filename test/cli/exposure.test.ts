/** A server that others can reach: without keys, or without TLS, it starts only if that is set explicitly. */

import { afterAll, describe, expect, test } from 'bun:test';

import { instrument, tape } from '../support/feed';
import {
  ADMIN_KEY,
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  tapedeck,
  testKey,
  writeTestKeys,
} from '../support/tapedeck-process';

const scratch = new Scratch();
afterAll(() => scratch.remove());

/** A certificate made with an installed tool; undefined where there is none. */
function certificate(): string | undefined {
  const openssl = Bun.which('openssl');
  if (openssl === null) return undefined;
  const [key, cert] = [scratch.fresh('.key'), scratch.fresh('.crt')];
  const args = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
    '-keyout',
    key,
    '-out',
    cert,
  ];
  if (!Bun.spawnSync([openssl, ...args], { stderr: 'ignore' }).success) return undefined;
  return `tlsCertificate = "${cert}"\ntlsKey = "${key}"\n`;
}

const TLS = certificate();
if (TLS === undefined)
  console.warn('skipped: TLS, since there is no openssl to make a certificate');

function dataWith(hasKeys: boolean): string {
  const data = scratch.fresh();
  if (hasKeys) writeTestKeys(data, [{ name: 'reader', roles: ['read'] }]);
  return data;
}

const LACKS = ['without-tls', 'without-keys', 'without-keys-and-tls'] as const;

describe.each([
  [true, false, 'without-tls', 'keys and data would travel in clear'],
  [false, false, 'without-keys-and-tls', 'anybody who reaches it could read, and keys'],
  [false, true, 'without-keys', 'anybody who reaches it could read'],
] as const)('with keys: %p, with TLS: %p', (hasKeys, hasTls, lack, words) => {
  const tls = hasTls ? (TLS ?? '') : '';
  const isSkipped = hasTls && TLS === undefined;

  test.skipIf(isSkipped)('is refused, and says what to do', async () => {
    for (const insecure of ['never', ...LACKS]) {
      if (insecure === lack || insecure === 'without-keys-and-tls') continue;
      const config = scratch.write(`[server]\ninsecure = "${insecure}"\n${tls}`, '.toml');
      const args = ['serve', '--host', '0.0.0.0', '--port', '0', '--config', config];
      const { code, stdout, stderr } = await tapedeck([...args, '--data', dataWith(hasKeys)]);
      expect([code, stdout]).toEqual([78, '']);
      expect(stderr).toContain(`0.0.0.0 is reached from other machines, and ${words}`);
      expect(stderr).toContain(`server.insecure = "${lack}"`);
    }
  });

  test.skipIf(isSkipped)('starts if it is set explicitly', async () => {
    const server = await ServerProcess.start({
      config: `[server]\ninsecure = "${lack}"\n${tls}`,
      data: dataWith(hasKeys),
      keys: hasKeys ? [] : null,
      args: ['--host', '0.0.0.0'],
    });
    const init = { tls: { rejectUnauthorized: false } } as RequestInit;
    const { port, protocol } = new URL(server.url);
    expect(protocol).toBe(hasTls ? 'https:' : 'http:');
    const url = `${protocol}//127.0.0.1:${port}`;
    expect((await fetch(`${url}/v1/instruments`, init)).status).toBe(hasKeys ? 401 : 200);
    // Others may at most read.
    const order = await fetch(`${url}/v1/orders`, { ...init, method: 'POST', body: '{}' });
    expect(order.status).toBe(401);
    await server.remove();
  });
});

test.skipIf(TLS === undefined)(
  'with keys and TLS it starts, and requires a key of everyone',
  async () => {
    const server = await ServerProcess.start({
      config: `[server]\n${TLS}`,
      keys: [{ name: 'reader', roles: ['read'] }],
      args: ['--host', '0.0.0.0'],
    });
    const url = `https://127.0.0.1:${new URL(server.url).port}`;
    const ask = async (key: string | null): Promise<number> => {
      const headers: Record<string, string> =
        key === null ? {} : { authorization: `Bearer ${key}` };
      const init = { headers, tls: { rejectUnauthorized: false } } as RequestInit;
      return (await fetch(`${url}/v1/instruments`, init)).status;
    };
    expect(await ask(null)).toBe(401);
    expect(await ask(PUBLISH_KEY)).toBe(403);
    expect(await ask(testKey('reader'))).toBe(200);
    await server.remove();
  },
);

test('the demo lets nobody else trade: its roles are for this machine', async () => {
  const server = await ServerProcess.start({
    config: '[server]\ninsecure = "without-tls"',
    args: ['--demo', '--host', '0.0.0.0'],
  });
  const url = `http://127.0.0.1:${new URL(server.url).port}`;
  const order = '{"symbol":"ACME","side":"buy","price":"100.00","quantity":"1"}';
  const { status } = await fetch(`${url}/v1/orders`, { method: 'POST', body: order });
  expect(status).toBe(401);
  await server.remove();
});

test('auth.requireKey makes readers on this machine need a key, also on the command line', async () => {
  const server = await ServerProcess.start({
    config: '[auth]\nrequireKey = true',
    keys: [{ name: 'reader', roles: ['read'] }],
  });
  await server.ingest(tape(instrument('ACME')));
  const book = (...key: string[]) => tapedeck(['book', 'ACME', '--url', server.url, ...key]);
  expect(await book()).toMatchObject({ code: 77, stderr: expect.stringContaining('unauthorized') });
  expect(await book('--key', ADMIN_KEY)).toMatchObject({
    stderr: expect.stringContaining('forbidden'),
  });
  // It has no book yet, which is reported to a reader with a key.
  expect(await book('--key', testKey('reader'))).toMatchObject({
    stderr: expect.stringContaining('no-data'),
  });
  const tail = (...key: string[]) => tapedeck(['tail', 'trade:ACME', '--url', server.url, ...key]);
  expect(await tail()).toMatchObject({ code: 77, stderr: expect.stringContaining('unauthorized') });
  await server.remove();
});
