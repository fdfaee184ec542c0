/** `tapedeck config`, and SIGHUP: settings are checked, printed, and applied to a running server. */

import { afterAll, describe, expect, test } from 'bun:test';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { parse as parseToml } from 'smol-toml';

import { StartFault } from '../../src/base/start-fault';
import { check } from '../../src/config/config';
import { RELOADED_LIMITS } from '../../src/app/reload';
import { StreamClient } from '../support/stream-client';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const VENUE = '[[instruments]]\nsymbol = "ACME"\npriceScale = 2\nquantityScale = 3\n';

describe('config print', () => {
  test('prints every setting with its origin', async () => {
    const file = scratch.write(
      `[server]\nport = 1\nhost = "127.0.0.2"\n[push]\nlagMs = 90\n${VENUE}`,
      '.toml',
    );
    const env = { TAPEDECK_CONFIG: file, TAPEDECK_HOST: '127.0.0.3', TAPEDECK_DATA: 'elsewhere' };
    const { code, stdout } = await tapedeck(['config', 'print', '--json', '--data', 'here'], {
      env,
    });
    expect(code).toBe(0);
    const shown = JSON.parse(stdout) as Record<string, unknown>;
    expect(shown).toMatchObject({
      'server.port': { value: 1, from: 'file of TAPEDECK_CONFIG' },
      'server.host': { value: '127.0.0.3', from: 'TAPEDECK_HOST' },
      'journal.directory': { value: 'here', from: '--data' },
      'push.lagMs': { value: 90, from: 'file of TAPEDECK_CONFIG' },
      'push.staleMs': { value: 500, from: 'default' },
      'instruments[0].symbol': { value: 'ACME', from: 'file of TAPEDECK_CONFIG' },
      'instruments[0].ordersMax': { from: 'default' },
    });
  });

  test('prints a settings file with the same meaning', async () => {
    const text = `[server]\norigins = ["https://a.example"]\n[journal.retention]\nhours = 5\n${VENUE}${VENUE.replace('ACME', 'BETA')}`;
    const file = scratch.write(text, '.toml');
    const { stdout } = await tapedeck(['config', 'print', '--config', file]);
    expect(stdout).toContain('# file of --config');
    expect(stdout).toContain('# default');
    const [printed, given] = [check(parseToml(stdout)), check(parseToml(text))];
    if (printed instanceof StartFault || given instanceof StartFault) throw new Error('unsound');
    expect(printed).toEqual(given);
  });
});

describe('config check', () => {
  test.each([
    ['', 0, ''],
    [
      '[server]\nprot = 1\n',
      78,
      'there is no setting server.prot; the nearest known one is server.port',
    ],
    ['[push]\nlagMs = 60000\n', 78, 'push.lagMs is 60000; expected at most'],
    ['[server\n', 78, 'cannot be read'],
  ])('%j', async (text, code, words) => {
    const file = scratch.write(text, '.toml');
    const done = await tapedeck(['config', 'check', '--config', file]);
    expect([done.code, done.stdout]).toEqual([code, code === 0 ? 'the settings are valid\n' : '']);
    expect(done.stderr).toContain(words);
  });
});

describe('files that the settings name', () => {
  const words = scratch.write('these are words\n', '.pem');
  const absent = scratch.fresh('.pem');
  const tls = (certificate: string, key: string): string =>
    `[server]\ntlsCertificate = "${certificate}"\ntlsKey = "${key}"\n`;
  const token = (file: string): string =>
    `[auth]\ntokenAlgorithm = "HS256"\ntokenKeyFile = "${file}"\n`;

  const { privateKey } = generateKeyPairSync('ed25519');
  const key = scratch.write(privateKey.export({ type: 'pkcs8', format: 'pem' }), '.pem');

  test.each([
    [
      'a certificate that is not there',
      tls(absent, key),
      'server.tlsCertificate cannot be read: ENOENT',
    ],
    ['a key that is not there', tls(words, absent), 'server.tlsKey cannot be read: ENOENT'],
    ['a certificate that is none', tls(words, key), 'do not make TLS'],
    ['a secret that is not there', token(absent), 'auth.tokenKeyFile cannot be read: ENOENT'],
    ['a secret that is too short', token(words), 'auth.tokenKeyFile holds 15 bytes'],
    ['nothing to let in on a public address', '[server]\nhost = "0.0.0.0"\n', '[insecure]'],
  ])('"check" and "serve" refuse %s alike', async (_, text, words) => {
    const args = ['--config', scratch.write(text, '.toml'), '--data', scratch.fresh()];
    const [checked, served] = await Promise.all([
      tapedeck(['config', 'check', ...args]),
      tapedeck(['serve', '--port', '0', ...args]),
    ]);
    expect(checked).toMatchObject({ code: 78, stdout: '' });
    expect(checked.stderr).toContain(words);
    expect(served).toEqual(checked);
  });
});

describe('SIGHUP', () => {
  const LOUD = '[log]\nlevel = "info"\n';

  test('limits and instruments are applied, and no session is closed', async () => {
    const file = scratch.write(`${LOUD}[limits]\nsessionsMax = 2\n${VENUE}`, '.toml');
    const server = await ServerProcess.start({ args: ['--config', file] });
    const reader = await StreamClient.open(server.url);
    await reader.subscribe('trade:*');
    const welcome = reader.seen[0]!;
    writeFileSync(
      file,
      `${LOUD}[limits]\nsessionsMax = 3\ntopicsMax = 7\nbatchEventsMax = 5\n${VENUE}${VENUE.replace('ACME', 'BETA')}`,
    );
    process.kill(server.pid, 'SIGHUP');
    expect(
      await reader.find((m) => m.type === 'instrument' && m['symbol'] === 'BETA'),
    ).toBeDefined();
    // There is room for two more now, which are sent the new limits.
    const [second, third] = [
      await StreamClient.open(server.url),
      await StreamClient.json(server.url),
    ];
    expect(welcome['limits']).toMatchObject({ topicsMax: 10_000 });
    expect(third.seen[0]!['limits']).toMatchObject({ topicsMax: 7 });
    expect((await fetch(`${server.url}/v1/instruments/BETA`)).status).toBe(200);
    for (const client of [reader, second, third]) await client.settle();
    const { stderr } = await server.stop();
    expect(stderr).toContain('"restart":["limits.batchEventsMax"]');
    await server.remove();
  });

  test.each([
    ['that do not read', '[limits\n', 'cannot be read'],
    ['of an unknown name', '[limits]\nsessionMax = 1\n', 'there is no setting limits.sessionMax'],
    [
      'that contradict what runs',
      '[limits]\ntopicsMax = 20000\n[push]\ncontrolMessagesMax = 90000\n',
      'push.controlMessagesMax is 60000',
    ],
    [
      'with another definition of a venue',
      `[limits]\nsessionsMax = 1\n${VENUE.replace('priceScale = 2', 'priceScale = 4')}`,
      'definition-conflict',
    ],
  ])('settings %s change nothing', async (_, text, words) => {
    const file = scratch.write(`[log]\nlevel = "warn"\n${VENUE}`, '.toml');
    const server = await ServerProcess.start({ args: ['--config', file] });
    const reader = await StreamClient.open(server.url);
    writeFileSync(file, `[log]\nlevel = "warn"\n${text}`);
    process.kill(server.pid, 'SIGHUP');
    await Bun.sleep(300);
    const other = await StreamClient.open(server.url);
    expect(other.seen[0]!['limits']).toMatchObject({ topicsMax: 10_000 });
    await reader.settle();
    const { code, stderr } = await server.stop();
    expect(code).toBe(0);
    expect(stderr).toContain('settings are unchanged');
    if (words !== 'definition-conflict') expect(stderr).toContain(words);
    await server.remove();
  });
});

test('the table of limits in the documents equals the settings', async () => {
  const config = check({});
  if (config instanceof StartFault) throw new Error(config.message);
  const readme = await Bun.file(`${import.meta.dir}/../../src/docs/reference/settings.md`).text();
  const part = readme.slice(
    readme.indexOf('<!-- limits:begin -->'),
    readme.indexOf('<!-- limits:end -->'),
  );
  const rows = [...part.matchAll(/^\| `(\w+)` +\| ([0-9,]+) +\| (.*?) +\| (yes|) +\|$/gm)];
  const reported = Object.fromEntries(rows.map(([, name, value, , now]) => [name, [value, now]]));
  const own = Object.fromEntries(
    Object.entries(config.limits).map(([name, value]) => [
      name,
      [
        value.toLocaleString('en-US'),
        (RELOADED_LIMITS as readonly string[]).includes(name) ? 'yes' : '',
      ],
    ]),
  );
  expect(reported).toEqual(own);
});
