/** Requests over REST: how many a client may send in a second and have waiting; others are not delayed. */

import { afterAll, describe, expect, test } from 'bun:test';
import { connect, type Socket } from 'node:net';

import { ManualClock } from '../../src/base/clock';
import { networkOf } from '../../src/gateway/auth/addresses';
import { Requests } from '../../src/gateway/rest/requests';
import { Shares, type ShareLimits } from '../../src/gateway/auth/shares';
import { book, instrument, tape, trade } from '../support/feed';
import { PUBLISH_KEY, ServerProcess, testKey, TRADE_KEY } from '../support/tapedeck-process';
import type { RequestLimits } from '../../src/gateway/auth/limits';
import { until } from '../support/until';

const LIMITS: RequestLimits & ShareLimits = {
  workPerSecond: 150_000,
  publishWorkPerSecond: 500_000,
  requestsPerSecond: 10,
  localRequestsPerSecond: 10,
  waitingRequestsMax: 3,
  waitingRequestsPerClientMax: 2,
  pastQueriesPerClientMax: 2,
};

/** Requests that come from the address in their header. */
function make(limits: Partial<RequestLimits> = {}) {
  const clock = new ManualClock();
  const requests = new Requests(
    { ...LIMITS, ...limits },
    new Shares(LIMITS, clock),
    clock,
    ({ headers }) => headers.get('from') ?? '',
  );
  const from = (address: string): Request =>
    new Request('http://x/', { headers: { from: address } });
  const admitted = (address: string, count: number): number =>
    Array.from({ length: count }, () => requests.admit(from(address))).filter(
      (r) => r === undefined,
    ).length;
  return { clock, requests, from, admitted };
}

describe('by address', () => {
  test('a bounded number in a second; more are refused, those of another address are not', async () => {
    const { clock, requests, from, admitted } = make();
    expect(admitted('192.0.2.1', 10)).toBe(10);
    const refused = await requests.admit(from('192.0.2.1'));
    expect([refused!.status, refused!.headers.get('retry-after')]).toEqual([429, '1']);
    const message = '192.0.2.1 sends more than 10 requests a second';
    expect(await refused!.json()).toMatchObject({ error: { code: 'limit-reached', message } });
    expect(admitted('192.0.2.2', 10)).toBe(10);
    clock.advance(500_000_000);
    expect(admitted('192.0.2.1', 10)).toBe(5);
  });

  test('this machine has its own limit', () => {
    const { admitted } = make({ localRequestsPerSecond: 30 });
    expect(admitted('127.0.0.1', 50)).toBe(30);
    expect(admitted('::1', 50)).toBe(30);
    expect(admitted('192.0.2.1', 50)).toBe(10);
  });

  test('with a high limit not every request is checked, and it holds approximately', () => {
    const { clock, admitted } = make({ requestsPerSecond: 10_000, localRequestsPerSecond: 1e6 });
    let passed = 0;
    for (let ms = 0; ms < 5_000; ms += 10) {
      passed += admitted('192.0.2.1', 1_000); // 100,000 a second
      clock.advance(10_000_000);
    }
    expect(passed).toBeGreaterThan(59_000); // five seconds, and one burst
    expect(passed).toBeLessThan(61_500);
    // The others do not pay for it.
    expect(admitted('192.0.2.2', 5_000)).toBe(5_000);
  });

  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::1', '::1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ])('%s counts as %s', (address, network) => {
    expect(address.includes(':') ? networkOf(address) : address).toBe(network);
  });
});

describe('waiting requests', () => {
  const never = (): Promise<string> => new Promise(() => {});

  test('of one client, and in total', async () => {
    const { requests, from } = make();
    const [one, other] = [from('192.0.2.1'), from('192.0.2.2')];
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = requests.wait(one, null, () => promise);
    void requests.wait(one, null, never);
    expect(await requests.wait(one, null, () => 'x')).toMatchObject({ code: 'limit-reached' });
    // A key counts for itself, from any address.
    expect(await requests.wait(one, 'desk', () => 'y')).toBe('y');
    void requests.wait(other, null, never);
    expect(await requests.wait(other, null, () => 'x')).toMatchObject({ code: 'overloaded' });
    resolve('z');
    expect(await first).toBe('z');
    expect(await requests.wait(one, null, () => 'x')).toBe('x');
    const failed = requests.wait(one, null, () => Promise.reject(new Error('no')));
    expect(await failed.catch((e: Error) => e.message)).toBe('no');
    expect(await requests.wait(one, null, () => 'x')).toBe('x');
  });

  test('requests for history have their own limit', async () => {
    const { requests, from } = make();
    const one = from('192.0.2.1');
    for (let i = 0; i < 2; i++) void requests.waitForPast(one, never);
    expect(await requests.waitForPast(one, () => 'x')).toMatchObject({ code: 'limit-reached' });
    expect(await requests.waitForPast(from('192.0.2.2'), () => 'x')).toBe('x');
    expect(await requests.wait(one, null, () => 'x')).toBe('x');
  });
});

describe('on a server', () => {
  const servers: ServerProcess[] = [];
  afterAll(async () => {
    for (const server of servers) await server.remove();
  });
  const serverWith = async (limits: string, auth = ''): Promise<ServerProcess> => {
    const keys = ['reader', 'rival'].map((name) => ({ name, roles: ['read' as const] }));
    const server = await ServerProcess.start({ config: `${auth}[limits]\n${limits}\n`, keys });
    servers.push(server);
    await server.ingest(
      tape(instrument('ACME'), trade('ACME', '1.00', '1'), book('ACME', 'snapshot', [], [])),
    );
    return server;
  };
  const all = async (count: number, ask: () => Promise<Response>): Promise<number[]> =>
    (await Promise.all(Array.from({ length: count }, ask))).map(({ status }) => status);

  test('on every route, also an unknown one', async () => {
    const server = await serverWith('localRequestsPerSecond = 20');
    for (const path of ['/v1/tick/ACME', '/v1/bars/ACME?interval=1m', '/nope', '/']) {
      const statuses = await all(60, () => server.get(path));
      expect([path, statuses.includes(429)]).toEqual([path, true]);
      await until(async () => (await server.get(path)).status !== 429);
    }
  });

  test('by key; another key continues', async () => {
    const server = await serverWith('requestsPerSecond = 20', '[auth]\nrequireKey = true\n');
    const ask = (name: string) => () =>
      server.get('/v1/tick/ACME', { headers: { authorization: `Bearer ${testKey(name)}` } });
    const statuses = await all(60, ask('reader'));
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    expect((await ask('rival')()).status).toBe(200);
  });

  test('bodies that do not arrive take the slots of their own key only', async () => {
    const server = await serverWith('waitingRequestsPerClientMax = 3');
    const sockets: Socket[] = [];
    const hang = (): void => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
      socket.on('error', () => {});
      socket.write(
        `POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${PUBLISH_KEY}\r\nContent-Length: 999\r\n\r\n{`,
      );
      sockets.push(socket);
    };
    const lines = tape(trade('ACME', '1.00', '1'));
    let refused: Response;
    do {
      hang(); // one of our own requests may use that slot at this time
      refused = await server.ingest(lines);
    } while (refused.status === 200);
    expect(await refused.json()).toMatchObject({
      error: { code: 'limit-reached', message: 'feed has 3 requests waiting already' },
    });
    const orders = await server.get('/v1/orders', {
      headers: { authorization: `Bearer ${TRADE_KEY}` },
    });
    expect(orders.status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await until(async () => (await server.ingest(lines)).status === 200);
  });

  test('more requests for history than one client may have at once', async () => {
    const server = await serverWith('pastQueriesPerClientMax = 1');
    const ask = () => server.get('/v1/orderbook/ACME?at=1700000001000000000');
    const statuses = await all(40, ask); // the first one starts the thread
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    expect((await ask()).status).toBe(200);
  });
});
