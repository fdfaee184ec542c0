/** `tapedeck keys`, and what a running server does with its changes. */

import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { instrument, tape } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { Scratch, ServerProcess, tapedeck, TRADE_KEY } from '../support/tapedeck-process';
import { until } from '../support/until';

const scratch = new Scratch();
afterAll(() => scratch.remove());

async function keys(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return tapedeck(['keys', ...args]);
}

describe('the file', () => {
  test('has no key in it, and nobody else may read it', async () => {
    const data = scratch.fresh();
    const made = await keys('make', 'desk', '--role', 'read', 'trade', '--data', data);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const key = made.stdout.trim();
    expect(key).toMatch(/^tk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/);
    const path = join(data, 'keys.json');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain(key.slice(16));
    expect(existsSync(`${path}.new`)).toBe(false);
    // The same options give another key, and another salt.
    await keys('make', 'desk-2', '--role', 'read', 'trade', '--data', data);
    const [a, b] = (JSON.parse(readFileSync(path, 'utf8')) as { keys: Record<string, string>[] })
      .keys;
    expect(a!['salt']).not.toBe(b!['salt']);
    expect(a!['hash']).not.toBe(b!['hash']);
  });

  test('is listed without anything secret', async () => {
    const data = scratch.fresh();
    const made = await keys(
      'make',
      'feed',
      '--role',
      'publish',
      '--symbols',
      'BTC*',
      'X',
      '--days',
      '30',
      '--data',
      data,
    );
    const { stdout } = await keys('list', '--data', data);
    expect(stdout).toMatch(
      /^feed {2}publish {2}tk_[0-9a-f]{12}_… {2}since 2\S+ {2}until 2\S+ {2}publishes BTC\* X\n$/,
    );
    const json = await keys('list', '--json', '--data', data);
    expect(JSON.parse(json.stdout)).toMatchObject([
      { name: 'feed', roles: ['publish'], symbols: ['BTC*', 'X'] },
    ]);
    for (const text of [stdout, json.stdout]) {
      expect(text).not.toContain(made.stdout.trim().slice(16));
      expect(text).not.toMatch(/[0-9a-f]{32}/);
    }
    expect(await keys('list', '--data', scratch.fresh())).toMatchObject({ code: 0, stdout: '' });
  });

  test.each([
    [['make', 'two words'], 64, 'the name is "two words"'],
    [['make', 'anonymous'], 64, 'the name is "anonymous"'],
    [['make', 'sim-1'], 64, 'the name is "sim-1"'],
    [['make', '../x'], 64, 'the name is "../x"'],
    [['make', 'a', '--role', 'root'], 64, '--role is "root"'],
    [['make', 'a', '--symbols', 'a b'], 64, '--symbols is "a b"'],
    [['make', 'a', '--days', '0'], 64, '--days is "0"'],
    [['revoke', 'nobody'], 64, 'there is no key nobody'],
    [['make', '--nothing'], 64, 'unknown option'],
  ])('%j is refused and changes nothing', async (args, code, words) => {
    const data = scratch.fresh();
    const done = await keys(...args, '--data', data);
    expect([done.code, done.stdout]).toEqual([code, '']);
    expect(done.stderr).toContain(words);
    expect(done.stderr).not.toContain('    at ');
    expect((await keys('list', '--data', data)).stdout).toBe('');
  });

  test('has each name once', async () => {
    const data = scratch.fresh();
    await keys('make', 'a', '--data', data);
    expect(await keys('make', 'a', '--data', data)).toMatchObject({ code: 64 });
    expect(JSON.parse((await keys('list', '--json', '--data', data)).stdout)).toHaveLength(1);
  });

  test('is not changed if it is damaged, or another command is changing it', async () => {
    const data = scratch.fresh();
    await keys('make', 'a', '--data', data);
    const path = join(data, 'keys.json');
    for (const text of [
      'not JSON',
      '{}',
      '{"version":2,"keys":[]}',
      '{"version":1,"keys":[{"id":"x"}]}',
    ]) {
      writeFileSync(path, text);
      for (const args of [['make', 'b'], ['list'], ['revoke', 'a']]) {
        const done = await keys(...args, '--data', data);
        expect(done).toMatchObject({ code: 78, stderr: expect.stringContaining('[bad-keys]') });
      }
      expect(readFileSync(path, 'utf8')).toBe(text);
    }
    const served = await tapedeck(['serve', '--port', '0', '--data', data]);
    expect(served).toMatchObject({ code: 78, stderr: expect.stringContaining('[bad-keys]') });
    writeFileSync(`${path}.new`, '');
    expect(await keys('make', 'c', '--data', data)).toMatchObject({ code: 75 });
  });
});

describe('a running server', () => {
  test('accepts a new key, and closes the sessions of a revoked one', async () => {
    const server = await ServerProcess.start({ config: '[auth]\nrequireKey = true' });
    await server.ingest(tape(instrument('ACME')));
    const { data } = server;
    const made = (await keys('make', 'mine', '--data', data)).stdout.trim();
    const status = async (key: string): Promise<number> =>
      (await server.get('/v1/instruments', { headers: { authorization: `Bearer ${key}` } })).status;
    await until(async () => (await status(made)) === 200);
    const byHeader = await StreamClient.open(server.url, undefined, {
      authorization: `Bearer ${made}`,
    });
    const byHello = await StreamClient.json(server.url);
    byHello.send({ type: 'hello', version: 1, client: 'test', key: made });
    await byHello.subscribe('trade:ACME');
    const trader = await StreamClient.open(server.url, undefined, {
      authorization: `Bearer ${TRADE_KEY}`,
    });
    expect(await keys('revoke', 'mine', '--data', data)).toMatchObject({ code: 0 });
    for (const client of [byHeader, byHello]) {
      expect(await client.closed).toEqual({ code: 4002, reason: 'key-revoked' });
      expect(client.seen.at(-1)).toMatchObject({ type: 'closing', code: 4002, reconnect: false });
    }
    expect(await status(made)).toBe(401);
    await trader.settle();
    // A file that cannot be read changes nothing.
    writeFileSync(join(data, 'keys.json'), 'not JSON');
    await Bun.sleep(1_500);
    await trader.settle();
    await trader.close();
    const { stderr } = await server.stop();
    expect(stderr).toContain('keys are unchanged');
    expect(stderr).not.toContain(made);
    await server.remove();
  });
});
