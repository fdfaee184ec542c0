/** Strangers: how much clients without a key, or without the role, may take from others. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect, type Socket } from 'node:net';

import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { ManualClock } from '../../src/base/clock';
import { Connections, type OpenConnection } from '../../src/gateway/ws/connections';
import { upgradeRequest } from '../bench/ws-frames';
import { StreamClient } from '../support/stream-client';
import { ADMIN_KEY, PUBLISH_KEY, ServerProcess, TRADE_KEY } from '../support/tapedeck-process';

const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
});

async function serverWith(limits: string): Promise<ServerProcess> {
  const server = await ServerProcess.start({ config: `[limits]\n${limits}\n` });
  servers.push(server);
  return server;
}

/** A raw connection: the answer so far, and whether it has ended. */
function raw(server: ServerProcess) {
  const socket: Socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  const seen = { text: '', isOver: false };
  const waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const look of waiting.splice(0)) look();
  };
  socket.on('error', () => {});
  socket.on('data', (data) => {
    seen.text += data.toString();
    wake();
  });
  socket.on('close', () => {
    seen.isOver = true;
    wake();
  });
  const received = async (is: () => boolean): Promise<void> => {
    while (!is()) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { socket, seen, received };
}

describe('a body', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    server = await serverWith('bodyBytesMax = 100000\nbodiesBytesMax = 100000');
  });

  const heads = ['Content-Length: 150000', 'Transfer-Encoding: chunked'];
  const cases = [
    ['/v1/ingest', null, 401],
    ['/v1/ingest', TRADE_KEY, 403],
    ['/v1/ingest', 'tk_000000000000_nothing', 401],
    ['/v1/orders', null, 401],
    ['/v1/orders', PUBLISH_KEY, 403],
    ['/v1/admin/instruments', TRADE_KEY, 403],
    ['/v1/instruments/ACME/state', PUBLISH_KEY, 403],
    ['/nope', null, 404],
    ['/v1/tick/ACME', ADMIN_KEY, 405],
  ] as const;
  test.each(cases.flatMap((c) => heads.map((head) => [c[0], c[1], c[2], head] as const)))(
    'POST %s with %s: %d, decided by its head alone (%s), and the connection ends',
    async (path, key, status, head) => {
      const { socket, seen, received } = raw(server);
      const auth = key === null ? '' : `Authorization: Bearer ${key}\r\n`;
      socket.write(`POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${auth}${head}\r\n\r\n`);
      await received(() => seen.isOver);
      expect(seen.text).toStartWith(`HTTP/1.1 ${status}`);
      expect(seen.text.toLowerCase()).toContain('connection: close');
    },
  );

  test('a short body is discarded, and the connection continues', async () => {
    const { socket, seen, received } = raw(server);
    socket.write(
      `POST /v1/ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n${' '.repeat(1_000)}`,
    );
    await received(() => seen.text.includes('"unauthorized"'));
    socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    await received(() => seen.text.includes('"ok"'));
    socket.destroy();
  });

  test('bodies of clients without the role take no room from those that have it', async () => {
    const held = Array.from({ length: 3 }, () => raw(server));
    for (const { socket } of held) {
      socket.write(
        `POST /v1/ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TRADE_KEY}\r\nContent-Length: 60000\r\n\r\n`,
      );
      socket.write(' '.repeat(50_000));
    }
    for (const { seen, received } of held) await received(() => seen.text.includes('"forbidden"'));
    const response = await server.ingest('\n'.repeat(90_000));
    expect([response.status, await response.json()]).toMatchObject([200, { events: 0 }]);
    for (const { socket } of held) socket.destroy();
  });
});

test('sessions: clients without a key leave some to clients that present one', async () => {
  const server = await serverWith('sessionsMax = 4\nsessionsForKeysPercent = 50');
  const bearer = { authorization: `Bearer ${TRADE_KEY}` };
  const strangers = [await StreamClient.open(server.url), await StreamClient.open(server.url)];
  const headers = {
    'upgrade': 'websocket',
    'connection': 'Upgrade',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
  };
  const refused = await server.get('/v1/stream', { headers });
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await refused.json()).toMatchObject({ error: { code: 'overloaded' } });
  const holder = await StreamClient.open(server.url, undefined, bearer);
  await holder.settle();
  // A client that presents its key is no stranger any more, and makes room for another.
  strangers[0]!.send({ type: 'hello', version: 1, client: 'test', key: TRADE_KEY });
  await strangers[0]!.settle();
  await (await StreamClient.open(server.url)).settle();
});

test('a client that disconnects before the handshake is answered does no harm', async () => {
  const server = await serverWith('sessionsMax = 1000');
  const other = await StreamClient.open(server.url);
  const port = Number(new URL(server.url).port);
  for (let round = 0; round < 40; round++) {
    const gone = Array.from({ length: 25 }, () => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(upgradeRequest('/v1/stream', SUBPROTOCOL_MSGPACK), () =>
          socket.resetAndDestroy(),
        );
      });
      return new Promise<void>((resolve) => {
        socket.on('error', () => {});
        socket.on('close', () => resolve());
      });
    });
    await Promise.all(gone);
  }
  await other.settle();
});

test('sessions are counted by the network of an address, and a mapped IPv4 address as IPv4', () => {
  const connections = new Connections(new ManualClock());
  const add = (name: string, address: string): void =>
    connections.add({ name, address, key: null } as OpenConnection);
  add('s1', '2001:db8:1:2::9');
  add('s2', '2001:db8:1:2:ffff::1');
  add('s3', '2001:db8:1:3::1');
  add('s4', '::ffff:192.0.2.1');
  expect(connections.ofAddress('2001:db8:1:2::7')).toBe(2);
  expect(connections.ofAddress('192.0.2.1')).toBe(1);
  connections.delete('s2');
  expect(connections.ofAddress('2001:db8:1:2::9')).toBe(1);
  // The same holds for a flood: the next one may come from another address of the network.
  connections.noteFlood('2001:db8:1:2::9');
  expect(connections.hasFlooded('2001:db8:1:2:1234::')).toBe(true);
  expect(connections.hasFlooded('2001:db8:1:3::1')).toBe(false);
});
