/** TLS: which versions and cipher suites a real handshake agrees on, and which header an answer over it has. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { connect, type ConnectionOptions } from 'node:tls';

import { Scratch, ServerProcess, testKey } from '../support/tapedeck-process';

const scratch = new Scratch();
const [key, cert] = [scratch.fresh('.key'), scratch.fresh('.crt')];
const openssl = Bun.which('openssl');
const ARGS = [
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
const isReady = openssl !== null && Bun.spawnSync([openssl, ...ARGS], { stderr: 'ignore' }).success;
if (!isReady) console.warn('skipped: TLS, since there is no openssl to make a certificate');

let server: ServerProcess;
let port: number;

beforeAll(async () => {
  if (!isReady) return;
  const config = `[server]\nhost = "0.0.0.0"\ntlsCertificate = "${cert}"\ntlsKey = "${key}"\n`;
  server = await ServerProcess.start({ config });
  port = Number(new URL(server.url).port);
});
afterAll(async () => {
  if (isReady) await server.remove();
  scratch.remove();
});

/** What openssl reports of a handshake: the agreed suite, or the alert that ended it. */
async function handshake(...args: string[]): Promise<string> {
  const child = Bun.spawn(
    [openssl!, 's_client', '-connect', `127.0.0.1:${port}`, '-brief', ...args],
    { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' },
  );
  const [, said] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  return (
    /Ciphersuite: \S+|alert [a-z ]+|no ciphers available|Cipher is \(NONE\)/.exec(said)?.[0] ?? said
  );
}

describe.skipIf(!isReady)('a handshake', () => {
  test.each([
    [['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'], 'ECDHE-RSA-AES128-GCM-SHA256'],
    [['-tls1_2', '-cipher', 'ECDHE-RSA-AES256-GCM-SHA384'], 'ECDHE-RSA-AES256-GCM-SHA384'],
    [['-tls1_2', '-cipher', 'ECDHE-RSA-CHACHA20-POLY1305'], 'ECDHE-RSA-CHACHA20-POLY1305'],
    [['-tls1_3'], 'TLS_'],
  ])('%j comes about', async (args, suite) => {
    expect(await handshake(...args)).toContain(`Ciphersuite: ${suite}`);
  });

  test.each([
    // With these suites the key of the server decrypts recorded traffic.
    [['-tls1_2', '-cipher', 'AES128-GCM-SHA256']],
    [['-tls1_2', '-cipher', 'AES256-GCM-SHA384']],
    [['-tls1_2', '-cipher', 'AES128-SHA']],
    [['-tls1_2', '-cipher', 'AES256-SHA']],
    [['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-SHA']],
    [['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']],
  ])('%j does not', async (args) => {
    expect(await handshake(...args)).not.toContain('Ciphersuite');
  });

  test('with the TLS of a program: the suite is of 1.3, or has ECDHE', async () => {
    for (const options of [{}, { maxVersion: 'TLSv1.2' }] as ConnectionOptions[]) {
      const socket = connect({
        port,
        host: '127.0.0.1',
        ca: readFileSync(cert),
        servername: 'localhost',
        ...options,
      });
      await new Promise((resolve, reject) => {
        socket.once('secureConnect', resolve).once('error', reject);
      });
      expect(socket.getCipher().name).toMatch(/^TLS_|^ECDHE-/);
      socket.destroy();
    }
  });
});

test.skipIf(!isReady)('every answer over TLS tells browsers to use TLS from now on', async () => {
  const authorization = `Bearer ${testKey('operator')}`;
  for (const path of [
    '/',
    '/healthz',
    '/v1/no',
    '/v1/tick/NONE',
    '/v1/admin/sessions',
    '/v1/stream',
  ]) {
    for (const headers of [{}, { authorization }]) {
      const response = await fetch(`https://localhost:${port}${path}`, {
        headers,
        tls: { rejectUnauthorized: false },
      });
      expect([path, response.headers.get('strict-transport-security')]).toEqual([
        path,
        'max-age=31536000',
      ]);
      expect([path, response.headers.get('x-content-type-options')]).toEqual([path, 'nosniff']);
    }
  }
});
