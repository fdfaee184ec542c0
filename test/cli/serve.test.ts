/** `tapedeck serve` from its start to its end: settings, refusals to start, signals. */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { instrument, tape, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { Scratch, ServerProcess, spawnTapedeck, tapedeck } from '../support/tapedeck-process';

const scratch = new Scratch();
afterAll(() => scratch.remove());
/** For a server that can be reached from elsewhere, which is refused without keys. */
const OPEN = scratch.write('[server]\ninsecure = "without-keys-and-tls"\n', '.toml');
const ROOT = join(import.meta.dir, '../..');

/** Runs a command that must not start a server. */
async function refused(args: readonly string[], env: Record<string, string> = {}) {
  const all = ['serve', '--port', '0', ...args];
  const result = await tapedeck(
    args.includes('--data') ? all : [...all, '--data', scratch.fresh()],
    { env, timeoutMs: 5_000 },
  );
  expect(result.stdout).toBe('');
  expect(result.stderr).not.toContain('    at ');
  return result;
}

function lastEpoch(data: string): unknown {
  const db = new Database(join(data, 'journal.sqlite'), { readonly: true });
  const row = db
    .query('SELECT clean, last_seq AS seq FROM epochs ORDER BY first_seq DESC LIMIT 1')
    .get();
  db.close();
  return row;
}

describe('signals', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends the server in order', async (signal) => {
    const server = await ServerProcess.start();
    const reader = await StreamClient.open(server.url);
    await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
    const stopped = server.stop(signal);
    expect(await reader.closed).toEqual({ code: 1001, reason: 'going-away' });
    expect(reader.seen.at(-1)).toMatchObject({ type: 'closing', code: 1001, reconnect: true });
    expect(await stopped).toMatchObject({ code: 0, signal: null, stderr: '' });
    expect(lastEpoch(server.data)).toEqual({ clean: 1, seq: 3 });
    await server.remove();
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s reaches it through "bun run tapedeck"',
    async (signal) => {
      const data = scratch.fresh();
      const child = Bun.spawn(
        [process.execPath, 'run', 'tapedeck', 'serve', '--port', '0', '--data', data],
        {
          cwd: ROOT,
          stdin: 'ignore',
          stdout: 'pipe',
          stderr: 'pipe',
          timeout: 20_000,
          killSignal: 'SIGKILL',
        },
      );
      const reader = child.stdout.getReader();
      for (let text = ''; !text.includes('/v1/stream');) {
        const { value, done } = await reader.read();
        if (done) break;
        text += Buffer.from(value).toString();
      }
      child.kill(signal);
      expect(await child.exited).toBe(0);
      expect(lastEpoch(data)).toEqual({ clean: 1, seq: 0 });
    },
  );

  test('after SIGKILL everything acknowledged is there, in a new epoch', async () => {
    const server = await ServerProcess.start();
    await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
    const before = await server.json('/v1/tick/ACME');
    await server.stop('SIGKILL');
    const again = await ServerProcess.start({ data: server.data });
    const after = await again.json('/v1/tick/ACME');
    expect({ ...after, epoch: 0, ageMs: 0, source: '' }).toEqual<Record<string, unknown>>({
      ...before,
      state: 'recovered', // no source feeds it yet
      mark: 'recovered',
      epoch: 0,
      ageMs: 0,
      source: '',
    });
    expect(after['epoch']).not.toBe(before['epoch']);
    await again.remove();
    await server.remove();
  });
});

describe('what prevents a start', () => {
  test('a port in use, also by another address', async () => {
    const server = await ServerProcess.start();
    const { port } = new URL(server.url);
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const { code, stderr } = await refused(['--port', port, '--host', host, '--config', OPEN]);
      expect(code).toBe(69);
      expect(stderr).toContain(
        `port ${port} on ${host} is in use [port-in-use]\n  Stop what uses it`,
      );
    }
    expect(await server.json('/healthz')).toEqual({ status: 'ok' });
    await server.remove();
  });

  test('a data directory that another server uses, also for an offline replay', async () => {
    const server = await ServerProcess.start();
    const { code, stderr } = await refused(['--data', server.data]);
    expect(code).toBe(75);
    expect(stderr).toContain('is in use by another Tapedeck process [data-in-use]');
    const file = scratch.write(tape(instrument('ACME')), '.ndjson');
    expect((await tapedeck(['replay', file, '--data', server.data])).code).toBe(75);
    await server.remove();
  });

  test('an invalid data directory', async () => {
    const file = scratch.write('a file');
    for (const path of [file, join(file, 'below'), '/proc/tapedeck', '/dev/null/x']) {
      const { code, stderr } = await refused(['--data', path]);
      expect(code).toBe(73);
      expect(stderr).toContain('[data-unwritable]');
    }
  });

  test('a file that is no journal, or belongs to another program', async () => {
    const garbage = scratch.fresh();
    mkdirSync(garbage);
    await Bun.write(join(garbage, 'journal.sqlite'), 'this is no database at all, not even nearly');
    expect(await refused(['--data', garbage])).toMatchObject({
      code: 65,
      stderr: expect.stringContaining('[journal-damaged]'),
    });
    const foreign = scratch.fresh();
    mkdirSync(foreign);
    const db = new Database(join(foreign, 'journal.sqlite'));
    db.run('CREATE TABLE notes (text TEXT)');
    db.close();
    expect(await refused(['--data', foreign])).toMatchObject({
      code: 65,
      stderr: expect.stringContaining('[journal-foreign]'),
    });
  });

  test('an address that is not of this machine', async () => {
    for (const host of ['203.0.113.7', 'no-such-host.invalid']) {
      const { code, stderr } = await refused(['--host', host, '--config', OPEN]);
      expect(code).toBe(69);
      expect(stderr).toContain('[address-unavailable]');
    }
  });

  test('invalid settings, from any source', async () => {
    const file = scratch.write('[server]\nprot = 1\n', '.toml');
    for (const [args, env, words] of [
      [
        ['--config', file],
        {},
        'there is no setting server.prot; the nearest known one is server.port',
      ],
      [[], { TAPEDECK_CONFIG: file }, 'there is no setting server.prot'],
      [['--config', '/nowhere.toml'], {}, 'the config file /nowhere.toml cannot be read'],
      [['--port', '65536'], {}, 'server.port is 65536; expected an integer from 0 to 65535'],
      [['--durability', 'maybe'], {}, 'expected one of async, commit, fsync'],
    ] as const) {
      const { code, stderr } = await refused([...args], { ...env });
      expect(code).toBe(78);
      expect(stderr).toContain(words);
    }
  });
});

test('if one instrument is invalid, none is defined', async () => {
  const good = '[[instruments]]\nsymbol = "GOOD"\npriceScale = 2\nquantityScale = 0\n';
  const bad = good.replace('GOOD', 'BAD').concat('priceMin = "2.00"\npriceMax = "1.00"\n');
  const data = scratch.fresh();
  const { code, stderr } = await refused(['--data', data, '--config', scratch.write(good + bad)]);
  expect(code).toBe(78);
  expect(stderr).toContain('the instrument BAD: priceMin is "2.00"; expected at most priceMax');
  expect(lastEpoch(data)).toEqual({ clean: 1, seq: 0 });
});

test('--rate without the demo has no effect, and is refused', async () => {
  const { code, stderr } = await refused(['--rate', '100']);
  expect(code).toBe(64);
  expect(stderr).toContain('--rate is a setting of the demo');
});

test('a demo over settings that define its symbols differently', async () => {
  const named = (symbol: string, market: string): string =>
    `[[instruments]]\nsymbol = "${symbol}"\nmarket = "${market}"\npriceScale = 2\nquantityScale = 0\n`;
  const config = named('BTC-USD', 'feed') + named('ACME', 'venue');
  const server = await ServerProcess.start({ config, args: ['--demo'] });
  expect(await server.json('/v1/instruments/BTC-USD')).toMatchObject({ market: 'feed' });
  const { asks } = (await server.json('/v1/orderbook/ACME')) as { asks: string[][] };
  expect(Number(asks[0]![0])).toBeGreaterThan(50);
  expect(await server.stop('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
  await server.remove();
});

test('settings: flags take precedence over the environment, and that over the file', async () => {
  const [fromFile, fromEnv, fromFlag] = [scratch.fresh(), scratch.fresh(), scratch.fresh()];
  const file = scratch.write(`[server]\nport = 1\n[journal]\ndirectory = "${fromFile}"\n`, '.toml');
  const env = {
    TAPEDECK_CONFIG: file,
    TAPEDECK_PORT: '0',
    TAPEDECK_DATA: fromEnv,
    TAPEDECK_HOST: '127.0.0.2',
  };
  for (const [args, expected] of [
    [[], `Tapedeck http://127.0.0.2:`],
    [['--host', '127.0.0.3', '--data', fromFlag], `Tapedeck http://127.0.0.3:`],
  ] as const) {
    const child = spawnTapedeck(['serve', ...args], { env, timeoutMs: 10_000 });
    const { value } = await child.stdout.getReader().read();
    const line = Buffer.from(value as Uint8Array).toString();
    expect(line).toContain(expected);
    expect(line).toContain(args.length === 0 ? fromEnv : fromFlag);
    child.kill('SIGTERM');
    expect(await child.exited).toBe(0);
  }
});
