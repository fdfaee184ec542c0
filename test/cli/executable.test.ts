/**
 * The single executable, built once and run as it would be elsewhere: copied away from the sources, with an empty
 * environment. Other tests run the sources; this one checks that the executable can do everything too.
 */

import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';

import { TapedeckClient } from '../../src/client/client';
import { THREADS } from '../../src/journal/threads';
import { VERSION } from '../../src/version';
import { PacedSocket } from '../bench/slow-reader-socket';
import { instrument, tape, trade } from '../support/feed';
import { placeExecutable, SOURCES } from '../support/program';
import { FORMS, StreamClient } from '../support/stream-client';
import {
  Scratch,
  ServerProcess,
  spawnTapedeck,
  tapedeck,
  type Finished,
  type RunOptions,
  type ServerOptions,
} from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(60_000);
const NOBODY = 65_534;
/** Enough records that `verify` starts its threads and the WAL is moved by its thread. */
const TRADES = 110_000;

const scratch = new Scratch();
const executable = join(scratch.path, 'bin', 'tapedeck');
const command = [executable];

beforeAll(() => {
  placeExecutable(executable);
  chmodSync(scratch.path, 0o755); // for the other user
});
afterAll(() => scratch.remove());

const run = (args: readonly string[], options: RunOptions = {}): Promise<Finished> =>
  tapedeck(args, { command, cwd: '/', ...options });
const serve = (options: ServerOptions = {}): Promise<ServerProcess> =>
  ServerProcess.start({ command, cwd: '/', ...options });

function trades(count: number): string {
  return tape(
    ...Array.from({ length: count }, (_, i) => trade('ACME', '1.00', '0.001', { seq: i + 1 })),
  );
}

describe('serve', () => {
  test('answers over REST and both forms of the stream', async () => {
    const server = await serve({ args: ['--demo'] });
    expect(await server.json('/readyz')).toEqual({ ready: true });
    for (const form of FORMS) {
      const reader = await StreamClient.open(server.url, form);
      await reader.subscribe('trade:*', 'book:BTC-USD');
      await reader.find((m) => m.type === 'book' && m['form'] === 'snapshot');
      await reader.find((m) => m.type === 'trade');
      await reader.close();
    }
    const { seq } = await server.json('/v1/tick/BTC-USD');
    expect(seq).toBeGreaterThan(0);
    expect(await server.stop()).toMatchObject({ code: 0, stderr: '' });
    await server.remove();
  });

  test('has the pages with all their files, compressed and small, and the document of the API', async () => {
    const server = await serve();
    const headers = { 'accept-encoding': 'br' };
    for (const path of ['/', '/docs', '/docs/guide/getting-started']) {
      const page = await server.get(path);
      expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
      const names = [...(await page.text()).matchAll(/"(\/assets\/[^"]+)"/g)].map((m) => m[1]!);
      const types = names.map((name) => name.slice(name.lastIndexOf('.')));
      expect(new Set(types)).toEqual(new Set(['.svg', '.css', '.js']));
      for (const name of names) {
        const plain = await (await server.get(name)).bytes();
        const small = await server.get(name, { headers, decompress: false } as RequestInit);
        expect([small.status, small.headers.get('content-encoding')]).toEqual([200, 'br']);
        const bytes = await small.bytes();
        expect(bytes.length).toBeLessThan(150_000);
        expect(brotliDecompressSync(bytes).equals(plain)).toBe(true);
      }
    }
    const { openapi, info } = await server.json('/openapi.json');
    expect([openapi, (info as { version: string }).version]).toEqual(['3.1.0', VERSION]);
    await server.remove();
  });

  /** The sources as well, whose threads are files: elsewhere the tests start the executable. */
  const PROGRAMS = [
    ['the executable', command],
    ['the sources', SOURCES],
  ] as const;
  test.each(PROGRAMS)(
    '%s is killed and restarts with everything; it answers history and replays; it stops in order',
    async (_, command) => {
      const killed = await serve({ command });
      await killed.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
      await killed.stop('SIGKILL');
      const server = await serve({ command, data: killed.data });
      // By the threads `history` and `playback`.
      const { ticks } = await server.json('/v1/ticks/ACME?from=0');
      expect(ticks).toMatchObject([{ last: '1.00' }]);
      const client = await TapedeckClient.connect(server.url);
      const replayed: string[] = [];
      for await (const { type } of client.replay({ topics: ['trade:ACME'], fromSeq: 1 })) {
        replayed.push(type);
      }
      expect(replayed).toContain('trade');
      client.close();
      expect(await server.stop('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
      const db = new Database(join(server.data, 'journal.sqlite'), { readonly: true });
      expect(db.query('SELECT clean FROM epochs ORDER BY first_seq').all()).toEqual([
        { clean: 0 },
        { clean: 1 },
      ]);
      db.close();
      await server.remove();
      await killed.remove();
    },
  );

  test('a second signal ends it at once with 130', async () => {
    const server = await serve({ config: '[server]\ndrainMs = 600000' });
    await server.ingest(tape(instrument('ACME')));
    const deaf = new PacedSocket(server.url, 0, () => {});
    deaf.subscribe(['trade:ACME']);
    const metric = async (): Promise<string> => (await server.get('/metrics')).text();
    await until(async () => /^tapedeck_sessions 1$/m.test(await metric()));
    process.kill(server.pid, 'SIGINT');
    const isOpen = (): Promise<boolean> =>
      fetch(server.url, { keepalive: false }).then(
        () => true,
        () => false,
      );
    await until(async () => !(await isOpen()));
    expect(await server.stop('SIGINT')).toMatchObject({ code: 130 });
    deaf.end();
    await server.remove();
  });

  test('without iceoryx2 it says where the library would be, and continues', async () => {
    const server = await serve({ config: '[ipc.iceoryx2]\nenabled = true' });
    const { code, stderr } = await server.stop();
    expect(code).toBe(0);
    const path = join(dirname(executable), 'libtapedeck_iceoryx2.so');
    expect(stderr).toContain(`there is no library ${path}`);
    await server.remove();
  });
});

describe('the other commands', () => {
  test('replay, verify with its threads, export', async () => {
    const data = scratch.fresh();
    const file = scratch.write(tape(instrument('ACME')) + trades(TRADES), '.ndjson');
    expect(await run(['replay', file, '--data', data])).toMatchObject({ code: 0, stderr: '' });
    const verified = await run(['verify', '--data', data]);
    expect(verified).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(verified.stdout)).toMatchObject({ records: 2 * TRADES + 1, epochs: 1 });
    const flags = ['--kind', 'trade', '--symbol', 'ACME', '--format', 'csv'];
    const { code, stdout } = await run(['export', '--data', data, ...flags]);
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(TRADES + 1);
  });

  test('every thread is in it', () => {
    const bytes = readFileSync(executable);
    const missing = THREADS.filter((name) => !bytes.includes(`/$bunfs/root/${name}-thread.js`));
    expect(missing).toEqual([]);
  });

  test('tail and book read a server, with a key made by the executable', async () => {
    const data = scratch.fresh();
    const make = ['keys', 'make', 'desk', '--role', 'read', 'publish', '--data', data];
    const key = (await run(make)).stdout.trim();
    expect((await run(['keys', 'list', '--data', data])).stdout).toContain('desk');
    const server = await serve({ data, keys: null, config: '[auth]\nrequireKey = true' });
    const lines = tape(instrument('ACME'), trade('ACME', '1.00', '1'));
    expect((await server.ingest(lines, key)).status).toBe(200);
    const at = ['--url', server.url, '--key', key];
    const child = spawnTapedeck(['tail', '--json', 'trade:*', ...at], { command, cwd: '/' });
    const { value } = await child.stdout.getReader().read();
    expect(Buffer.from(value!).toString()).toContain('"symbol":"ACME"');
    child.kill('SIGINT');
    expect(await child.exited).toBe(0);
    expect((await run(['book', 'ACME', '--url', server.url])).code).toBe(77);
    expect((await run(['book', 'NONE', ...at])).code).toBe(77);
    await server.remove();
  });

  test.each([
    [['--version'], 0, `${VERSION}\n`],
    [['config', 'check'], 0, 'the settings are valid\n'],
    [['completion', 'bash'], 0, '_tapedeck() {'],
    [['serve', '--prot', '1'], 64, ''],
    [['verify', '--data', '/nowhere'], 66, ''],
    [['tail', 'status', '--url', 'http://127.0.0.1:1'], 69, ''],
    [['serve', '--data', '/proc/nowhere'], 73, ''],
    [['serve', '--port', '65536'], 78, ''],
  ])('%j ends with %d', async (args, code, words) => {
    const done = await run(args);
    expect(done).toMatchObject({ code });
    expect(done.stdout).toStartWith(words);
    expect(done.stderr).not.toContain('    at ');
  });
});

describe('in any folder', () => {
  test('it reads nothing from the folder in which it is started', async () => {
    const cwd = scratch.fresh();
    mkdirSync(cwd);
    writeFileSync(join(cwd, '.env'), 'TAPEDECK_PORT=1\n');
    writeFileSync(join(cwd, 'bunfig.toml'), 'preload = ["./gone.ts"]\n');
    const { code, stdout } = await run(['config', 'print', '--json'], { cwd });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ 'server.port': { value: 7070, from: 'default' } });
  });

  const setpriv = Bun.which('setpriv');
  const cannot = setpriv === null || process.getuid?.() !== 0;
  if (cannot) console.warn('skipped: as another user, which takes root and setpriv');

  test.skipIf(cannot)('another user without a home directory can run it', async () => {
    const data = scratch.fresh();
    mkdirSync(data);
    chownSync(data, NOBODY, NOBODY);
    const user = [setpriv!, `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
    const args = ['--port', '0', '--data', data];
    const child = spawnTapedeck(['serve', ...args], { command: [...user, executable], cwd: '/' });
    const { value } = await child.stdout.getReader().read();
    const url = /http:\S+/.exec(Buffer.from(value!).toString())![0];
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect((await fetch(url)).status).toBe(200);
    child.kill('SIGTERM');
    expect(await child.exited).toBe(0);
  });
});
