/**
 * iceoryx2: the official Python package, an independent implementation of the subscriber, receives what
 * a server publishes. If iceoryx2 is unavailable, the server logs the reason and runs without it.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { ICEORYX2_VERSION, Iceoryx2Publisher, loadIceoryx2 } from '../../src/ipc/iceoryx2';
import { ringItems, type RingItem } from '../../src/ipc/ring-follow';
import { SOURCES } from '../support/program';
import { PUBLISH_KEY, Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { batchOf, definition, openRing, RingDirectory, checkableTick } from './made-ring';

setDefaultTimeout(60_000);
const rings = new RingDirectory();
const scratch = new Scratch();
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  rings.remove();
  scratch.remove();
});

const TAPES = join(import.meta.dir, '../../fixtures/tapes');
const library = loadIceoryx2('');
const isBuilt = !('reason' in library);
if (!isBuilt) console.log(`skipped: iceoryx2: ${library.reason}; ${library.hint}`);

/** A Python that has the package in exactly this version, or the reason why there is none. */
function pythonWithPackage(): { path: string } | { reason: string } {
  const own = join(import.meta.dir, '../../build/iceoryx2/python/bin/python');
  const path = existsSync(own) ? own : Bun.which('python3');
  if (path === null) return { reason: 'there is no python3' };
  const code = 'from importlib.metadata import version; print(version("iceoryx2"))';
  const { stdout } = Bun.spawnSync([path, '-c', code]);
  const version = stdout.toString().trim();
  if (version === ICEORYX2_VERSION) return { path };
  return {
    reason: `the Python package iceoryx2 is ${version === '' ? 'absent' : version}; expected ${ICEORYX2_VERSION}`,
  };
}

const python = pythonWithPackage();
if ('reason' in python) console.log(`skipped: the Python subscriber of iceoryx2: ${python.reason}`);

const name = (what: string): string => `tapedeck-test/${process.pid}/${what}`;
const settings = (service: string) => ({
  library: '',
  service,
  subscribersMax: 4,
  bufferRecords: 4_096,
  entries: 8,
});

async function start(config: string, args: string[] = []): Promise<ServerProcess> {
  const server = await ServerProcess.start({ command: SOURCES, config, args });
  servers.push(server);
  return server;
}

interface Sample {
  type: string;
  seq: number;
  [field: string]: unknown;
}

async function subscribe(path: string, service: string) {
  const child = Bun.spawn([path, join(import.meta.dir, 'iceoryx2_reader.py'), service], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const [first, rest] = child.stdout.tee();
  const ready = first.getReader();
  expect((await ready.read()).done).toBe(false);
  void ready.cancel();
  return async (): Promise<Sample[]> => {
    await child.stdin.end();
    const lines = (await new Response(rest).text()).trim().split('\n').slice(1);
    expect(await child.exited).toBe(0);
    return lines.map((line) => JSON.parse(line) as Sample);
  };
}

describe.skipIf(!isBuilt)('the library', () => {
  test.skipIf('reason' in python)(
    'a Python subscriber receives the same records as the ring has',
    async () => {
      const path = rings.fresh();
      const service = name('market');
      const config = `[ipc.iceoryx2]\nenabled = true\nservice = "${service}"\nbufferRecords = 4096\n`;
      const server = await start(config, ['--ring', path]);
      const inRing = Array.fromAsync(ringItems(openRing(path)));
      const received = await subscribe((python as { path: string }).path, service);
      for (const tape of ['two-instruments.ndjson', 'binance-mini.txt']) {
        const args = [
          'replay',
          join(TAPES, tape),
          '--to',
          server.url,
          '--key',
          PUBLISH_KEY,
          '--speed',
          'max',
        ];
        expect((await tapedeck(args)).code).toBe(0);
      }
      const rest = await server.json('/v1/orderbook/ACMEUSDT?depth=10');
      // SIGINT: the library leaves the signal to the server, which shuts down cleanly.
      expect(await server.stop('SIGINT')).toMatchObject({ code: 0, signal: null, stderr: '' });
      const samples = await received();
      const ringed = await inRing;
      for (const kind of ['tick', 'trade', 'bbo', 'status']) {
        const sent = plain(ringed.filter(({ type }) => type === kind));
        const got = samples.filter(({ type }) => type === kind);
        expect(got.length).toBeGreaterThan(0);
        expect(got.map(({ seq }) => seq)).toEqual(sent.map(({ seq }) => seq as number));
        for (const [i, sample] of got.entries()) {
          const { priceScale, ...fields } = sample;
          expect(priceScale).toBeGreaterThanOrEqual(0);
          expect(sent[i]!).toMatchObject(fields);
        }
      }
      const book = samples.findLast(
        ({ type, symbol }) => type === 'book' && symbol === 'ACMEUSDT',
      )!;
      expect(book.seq).toBe(rest['seq'] as number);
      expect((book['bids'] as number[]).length).toBe((rest['bids'] as unknown[]).length * 2);
    },
  );

  test('a service accepts one publisher; after a kill it accepts the next one', async () => {
    const service = name('twice');
    const sizes = 'subscribersMax = 4\nbufferRecords = 4096';
    const first = await start(`[ipc.iceoryx2]\nenabled = true\nservice = "${service}"\n${sizes}\n`);
    const second = Iceoryx2Publisher.open(settings(service));
    expect(second).toMatchObject({
      reason: expect.stringContaining('ExceedsMaxSupportedPublishers'),
    });
    await first.stop('SIGKILL');
    const third = Iceoryx2Publisher.open(settings(service));
    if ('reason' in third) throw new Error(third.reason);
    third.accept(batchOf([definition('ACME', 1), checkableTick('ACME', 2)]));
    third.close();
    third.close(); // a second close has no effect
  });

  test('a service that exists with other settings is refused', () => {
    const service = name('other');
    const first = Iceoryx2Publisher.open(settings(service));
    if ('reason' in first) throw new Error(first.reason);
    const second = Iceoryx2Publisher.open({ ...settings(service), subscribersMax: 1_000 });
    expect(second).toMatchObject({ reason: expect.stringContaining('DoesNotSupportRequested') });
    first.close();
  });
});

/** The items as their JSON form; times become strings of digits. */
function plain(items: readonly RingItem[]): Record<string, unknown>[] {
  return JSON.parse(JSON.stringify(items)) as Record<string, unknown>[];
}

describe('without the library', () => {
  test('the server logs the reason and runs', async () => {
    const path = scratch.fresh('.so');
    const server = await start(`[ipc.iceoryx2]\nenabled = true\nlibrary = "${path}"\n`);
    expect((await server.get('/healthz')).status).toBe(200);
    const { code, stderr } = await server.stop();
    expect(code).toBe(0);
    expect(stderr).toContain(`there is no library ${path}; the server runs without iceoryx2`);
    expect(stderr).toContain('bun run build:iceoryx2');
  });

  test('a file that is not a library is refused', () => {
    const path = scratch.write('not a library', '.so');
    expect(loadIceoryx2(path)).toMatchObject({
      reason: expect.stringContaining(`the library ${path} cannot be loaded`),
    });
  });

  test('a library of another version is refused', () => {
    const cc = Bun.which('cc');
    if (cc === null) return console.log('skipped: there is no cc to build another library');
    const rest = ['open', 'publish', 'close', 'subscribe', 'receive', 'unsubscribe'];
    const source = scratch.write(
      [
        'unsigned tapedeck_iceoryx2_interface(void) { return 1; }',
        'const char *tapedeck_iceoryx2_version(void) { return "0.9.3"; }',
        ...rest.map((f) => `void *tapedeck_iceoryx2_${f}(void) { return 0; }`),
      ].join('\n'),
      '.c',
    );
    const path = scratch.fresh('.so');
    expect(Bun.spawnSync([cc, '-shared', '-fPIC', '-o', path, source]).exitCode).toBe(0);
    expect(loadIceoryx2(path)).toEqual({
      reason: `the library ${path} has iceoryx2 0.9.3, interface 1; expected 0.10.0, interface 2`,
      hint: expect.stringContaining('bun run build:iceoryx2'),
    });
  });
});
