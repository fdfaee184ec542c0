/** How iterations and promises of the client end: before they began, in between, and with the client. */

import { afterEach, describe, expect, test } from 'bun:test';

import { encodeTextFrame } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { TapedeckClient } from '../../src/client/client';
import type { SocketConstructor, SocketLike } from '../../src/client/environment';
import { TapedeckError } from '../../src/client/errors';
import { namedLimits } from '../support/welcome';
import { Bench } from './support';
import { ModelServer, type Peer } from './model-server';
import { until } from '../support/until';
import { settled } from './wires';

/** A server that answers a replay only when the test says so. */
class ReplayServer extends ModelServer {
  readonly plays: { readonly peer: Peer; readonly message: Message }[] = [];

  override answer = (peer: Peer, message: Message): boolean => {
    if (message.type !== 'replay') return false;
    this.plays.push({ peer, message });
    return true;
  };
}

const model = (): ReplayServer => new ReplayServer();
let benches: Bench[] = [];
afterEach(() => {
  for (const bench of benches) for (const client of bench.clients) client.close();
  benches = [];
});

function begin(server: ModelServer = model()): Bench {
  const bench = new Bench(server);
  benches.push(bench);
  return bench;
}

const code = (e: unknown): string => (e instanceof TapedeckError ? e.code : String(e));
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
const PLAY = { topics: ['trade:AAA'] };

/** Sockets that never open, and how many of them were not closed. */
function silentWire(): { readonly wire: SocketConstructor; open(): number } {
  const sockets = new Set<SocketLike>();
  const wire = class implements SocketLike {
    binaryType = '';
    readyState = 0;
    readonly protocol = '';
    onopen: SocketLike['onopen'] = null;
    onmessage: SocketLike['onmessage'] = null;
    onclose: SocketLike['onclose'] = null;
    onerror: SocketLike['onerror'] = null;

    constructor() {
      sockets.add(this);
    }

    send(): void {}

    close(): void {
      sockets.delete(this);
    }
  };
  return { wire, open: () => sockets.size };
}

describe('a replay that is not open yet', () => {
  const ENDS = [
    ['return', (r) => r.return()],
    ['throw', (r) => r.throw(new Error('of the application')).catch(() => {})],
    ['stop', (r) => r.stop()],
    ['the client’s close', (_, client) => client.close()],
  ] as readonly [
    string,
    (r: ReturnType<TapedeckClient['replay']>, client: TapedeckClient) => unknown,
  ][];

  test.each(ENDS)('%s leaves nothing behind', async (_, end) => {
    const server = model();
    const bench = begin(server);
    const client = await bench.connect();
    const [peers, timers] = [server.peers.size, bench.timers.count];
    const replay = client.replay(PLAY);
    const next = replay.next();
    await end(replay, client);
    await settled();
    expect(await next).toEqual(DONE);
    expect(await replay.next()).toEqual(DONE);
    expect(server.plays).toHaveLength(0);
    expect(server.peers.size).toBeLessThanOrEqual(peers);
    expect(bench.timers.count).toBeLessThanOrEqual(timers);
  });

  test.each(ENDS)('%s gives up on a server that does not answer', async (_, end) => {
    const silent = silentWire();
    const bench = begin();
    const client = await bench.connect();
    const timers = bench.timers.count;
    (client as unknown as { options: { environment: object } }).options.environment = {
      WebSocket: silent.wire,
      timers: bench.timers,
    };
    const replay = client.replay(PLAY);
    const pausing = replay.pause();
    await settled();
    expect(silent.open()).toBe(1);
    await end(replay, client);
    expect(silent.open()).toBe(0);
    expect(bench.timers.count).toBeLessThanOrEqual(timers);
    await pausing;
    expect(await replay.seek({ fromSeq: 1 }).catch(code)).toBe('no-replay');
  });
});

describe('a running replay', () => {
  test('ends with the client, and so does its connection', async () => {
    const server = model();
    const bench = begin(server);
    const client = await bench.connect();
    const replay = client.replay(PLAY);
    const waiting = [replay.next(), replay.next()];
    await settled();
    expect(server.plays).toHaveLength(1);
    client.close();
    expect(await Promise.all(waiting)).toEqual([DONE, DONE]);
    await settled();
    expect(server.peers.size).toBe(0);
    expect(bench.timers.count).toBe(0);
  });

  test('fails with a client that cannot reconnect', async () => {
    const server = model();
    const bench = begin(server);
    const client = await bench.connect({ reconnect: false });
    const replay = client.replay(PLAY);
    const waiting = replay.next().catch(code);
    await settled();
    [...server.peers][0]!.wire.cut();
    expect(await waiting).toBe('connection-failed');
    expect(await replay.next()).toEqual(DONE);
    expect(server.peers.size).toBe(0);
  });

  test('settles every call of next, in order', async () => {
    const server = model();
    const bench = begin(server);
    const client = await bench.connect();
    const replay = client.replay(PLAY);
    const calls = Array.from({ length: 3 }, () => replay.next().catch(code));
    await settled();
    [...server.peers].at(-1)!.wire.cut();
    expect(await Promise.all(calls)).toEqual(['connection-failed', DONE, DONE]);
  });
});

describe('a subscription', () => {
  test.each(['return', 'close of the client'])('%s before it is served', async (how) => {
    const server = model();
    const bench = begin(server);
    const client = await bench.connect();
    server.answer = (_, message) => message.type === 'subscribe';
    const subscription = client.subscribe(['trade:AAA']);
    const ready = subscription.ready.catch(code);
    const next = subscription.next();
    if (how === 'return') await subscription.return();
    else client.close();
    expect(await ready).toBe('closed');
    expect(await next).toEqual(DONE);
  });

  test('return while disconnected: the topic is not requested on the next connection', async () => {
    const server = model();
    const bench = begin(server);
    const client = await bench.connect();
    const subscription = client.subscribe(['trade:AAA']);
    await settled();
    server.cutAll();
    await settled();
    await subscription.return();
    await bench.comeBack();
    expect(client.state).toBe('connected');
    expect([...server.peers][0]!.requests.filter(({ type }) => type !== 'received')).toEqual([]);
  });

  test('throw closes it', async () => {
    const client = await begin().connect();
    const subscription = client.subscribe(['trade:AAA']);
    const error = new Error('of the application');
    expect(await subscription.throw(error).catch((e: unknown) => e)).toBe(error);
    expect(subscription.closed).toBe(true);
  });
});

describe('a closed client', () => {
  test('rejects open and waiting requests, each with a code', async () => {
    const server = model();
    const bench = begin(server);
    const client = await bench.connect();
    server.answer = (_, { type }) => type === 'publish' || type === 'ping' || type === 'cancel';
    const asked = [
      ...Array.from({ length: 18 }, () => client.publish([])),
      client.ping(),
      client.cancel({ symbol: 'AAA', orderId: 1 }),
    ].map((promise) => promise.then(() => 'done', code));
    await settled();
    client.close();
    const codes = await Promise.all(asked);
    expect(new Set(codes)).toEqual(new Set(['connection-failed', 'closed']));
    expect(await client.publish([]).catch(code)).toBe('closed');
    expect(await client.ping().catch(code)).toBe('closed');
    expect(() => client.replay(PLAY)).toThrow('closed');
    expect(bench.timers.count).toBe(0);
  });

  test('that is reconnecting gives that up at once', async () => {
    const silent = silentWire();
    const server = model();
    const bench = begin(server);
    const client = await bench.connect();
    (client as unknown as { options: { environment: object } }).options.environment = {
      WebSocket: silent.wire,
      timers: bench.timers,
    };
    server.cutAll();
    await bench.comeBack();
    expect([client.state, silent.open()]).toEqual(['reconnecting', 1]);
    client.close();
    await settled();
    expect([silent.open(), bench.timers.count]).toEqual([0, 0]);
  });

  test('does not wait for decimals that it requested', async () => {
    let requests = 0;
    const waits = Bun.serve({
      port: 0,
      fetch: () => {
        requests += 1;
        return new Promise<Response>(() => {});
      },
    });
    try {
      const bench = begin();
      bench.urls = [waits.url.href];
      const client = await bench.connect();
      const order = client.order({ symbol: 'AAA', side: 'buy', quantity: '1' }).catch(code);
      await until(() => requests > 0);
      client.close();
      expect(await order).toBe('closed');
    } finally {
      await waits.stop(true);
    }
  });
});

test('a program ends by itself after close, whatever is open', async () => {
  // It accepts the requests, and answers nothing.
  const welcome = encodeTextFrame(
    [
      {
        type: 'welcome',
        version: 1,
        server: 'mute',
        session: 's',
        epoch: 1,
        seq: 0,
        time: Nanos.ZERO,
        limits: namedLimits(),
        shards: null,
      },
    ],
    () => undefined,
  );
  let asked = 0;
  const mute = Bun.serve({
    port: 0,
    fetch: (request, server) =>
      server.upgrade(request, { headers: { 'sec-websocket-protocol': 'tapedeck.v1.json' } })
        ? undefined
        : new Promise<Response>(() => {}),
    websocket: {
      open: (ws) => void ws.send(welcome),
      message: () => void (asked += 1),
    },
  });
  const program = `
    const { TapedeckClient } = await import(${JSON.stringify(`${import.meta.dir}/../../src/client/client.ts`)});
    const client = await TapedeckClient.connect(${JSON.stringify(mute.url.href)}, { form: 'json' });
    const told = (promise) => promise.then((r) => console.log(r.done), (e) => console.log(e.code));
    const asked = [
      client.ping(),
      client.publish([]),
      client.order({ symbol: 'AAA', side: 'buy', quantity: '1' }),
      client.subscribe(['trade:AAA']).ready,
      client.subscribe(['trade:BBB']).next(),
      client.replay({ topics: ['trade:AAA'] }).next(),
    ].map(told);
    await Bun.sleep(100);
    const opening = told(client.replay({ topics: ['trade:AAA'] }).next());
    client.close();
    await Promise.all([...asked, opening]);`;
  try {
    const child = Bun.spawn([process.execPath, '-e', program], { stdout: 'pipe', stderr: 'pipe' });
    const [status, words, faults] = await Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    expect([status, faults]).toEqual([0, '']);
    const sorted = words.trim().split('\n').toSorted();
    expect(sorted).toEqual([
      'closed',
      'closed',
      'connection-failed',
      'connection-failed',
      'true',
      'true',
      'true',
    ]);
    expect(asked).toBeGreaterThan(0);
  } finally {
    await mute.stop(true);
  }
});
