/** The connection of the SDK: against a real server, and against servers that misbehave. */

import type { Server, ServerWebSocket } from 'bun';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';

import { FrameEncoder } from '../../protocol/codec';
import { CLOSES } from '../../protocol/codes';
import type { Message, SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Connection, TapedeckError, type ConnectionEnd } from '../../src/client/connection';
import { instrument, tape, trade } from '../support/feed';
import { asMessage } from '../support/stream-client';
import { PUBLISH_KEY, ServerProcess } from '../support/tapedeck-process';
import { namedLimits } from '../support/welcome';

async function failure(promise: Promise<unknown>): Promise<TapedeckError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(TapedeckError);
  return error as TapedeckError;
}

const events = (...values: unknown[]): SourceEvent[] => values.map(asMessage) as SourceEvent[];

describe('a real server', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    server = await ServerProcess.start();
    await server.ingest(tape(instrument('ACME')));
  });
  afterAll(() => server.remove());

  test('requests settle with their answers, messages arrive in order', async () => {
    const seen: Message[] = [];
    const connection = await Connection.connect(server.url, {
      key: PUBLISH_KEY,
      client: 'test',
      onMessage: (message) => seen.push(message),
    });
    expect(connection.welcome).toMatchObject({ type: 'welcome', version: 1, seq: 1, shards: null });
    expect(await connection.subscribe(['trade:ACME'])).toBe(1);
    expect(connection.instruments.get('ACME')).toMatchObject({ priceScale: 2, quantityScale: 3 });
    const seqs = await Promise.all(
      ['1.00', '2.00', '3.00'].map((price) =>
        connection.publish(events(trade('ACME', price, '1'))),
      ),
    );
    expect(seqs).toEqual([3, 5, 7]);
    const trades = seen.filter((m) => m.type === 'trade');
    expect(trades.map((m) => [m.price, m.seq, m.prevSeq])).toEqual([
      [100, 2, 0],
      [200, 4, 2],
      [300, 6, 4],
    ]);
    await connection.unsubscribe(['trade:ACME']);
    connection.close();
  });

  test('a refusal rejects its own request only', async () => {
    const connection = await Connection.connect(server.url.replace('http://', ''));
    const [refused, taken] = await Promise.allSettled([
      connection.subscribe(['trade:NOBODY']),
      connection.subscribe(['trade:ACME']),
    ]);
    expect(refused).toMatchObject({
      status: 'rejected',
      reason: { code: 'unknown-symbol', field: 'subscribe.topics[0]', hint: expect.any(String) },
    });
    expect(taken.status).toBe('fulfilled');
    const { code } = await failure(connection.publish(events(trade('ACME', '1', '1'))));
    expect(code).toBe('unauthorized');
    connection.close();
  });

  test('a wrong key: later requests fail with the reason', async () => {
    const ended = Promise.withResolvers<ConnectionEnd>();
    const connection = await Connection.connect(server.url, {
      key: 'wrong-key-wrong-key',
      onClose: ended.resolve,
    });
    expect((await failure(connection.subscribe(['trade:ACME']))).code).toBe('unauthorized');
    expect(await ended.promise).toEqual({
      code: 4001,
      reason: 'unauthorized',
      reconnect: false,
      retryMs: 0,
      url: null,
    });
    expect((await failure(connection.subscribe(['trade:ACME']))).code).toBe('unauthorized');
  });

  test('closing by the client is reported once, and does not reconnect', async () => {
    const ends: ConnectionEnd[] = [];
    const ended = Promise.withResolvers<void>();
    const connection = await Connection.connect(server.url, {
      onClose: (end) => {
        ends.push(end);
        ended.resolve();
      },
    });
    connection.close();
    connection.close();
    await ended.promise;
    expect(ends).toMatchObject([{ code: 1000, reconnect: false }]);
    expect((await failure(connection.subscribe(['status']))).code).toBe('connection-failed');
  });
});

describe('a server that misbehaves', () => {
  type Socket = ServerWebSocket;
  const encoder = new FrameEncoder();
  const WELCOME: Message = {
    type: 'welcome',
    version: 1,
    server: 'fake',
    session: 's1',
    epoch: 1,
    seq: 0,
    time: Nanos.ZERO,
    limits: namedLimits({ frameBytesMax: 65_536, topicsMax: 10, heartbeatMs: 1000 }),
    shards: null,
  };
  let fake: Server<undefined> | undefined;
  afterEach(async () => {
    await fake?.stop(true);
    fake = undefined;
  });

  function serve(open: (socket: Socket) => void, message: (socket: Socket) => void = () => {}) {
    fake = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch(request, server) {
        const headers = { 'sec-websocket-protocol': 'tapedeck.v1.msgpack' };
        return server.upgrade(request, { headers, data: undefined })
          ? undefined
          : new Response('no');
      },
      websocket: { open, message },
    });
    return fake.url.href;
  }

  const welcome = (socket: Socket): void => void socket.send(encoder.encode([WELCOME]));

  /** Connects and waits for the end. @returns the end, and the error of an open request */
  async function ending(url: string): Promise<{ end: ConnectionEnd; error: TapedeckError }> {
    const ended = Promise.withResolvers<ConnectionEnd>();
    const connection = await Connection.connect(url, { onClose: ended.resolve });
    const error = await failure(connection.subscribe(['status']));
    return { end: await ended.promise, error };
  }

  test.each([
    ['nobody there', () => 'http://127.0.0.1:1'],
    ['no URL', () => 'http://[nonsense'],
    ['a first message that is none', () => serve((socket) => void socket.send(new Uint8Array(9)))],
    ['a text first', () => serve((socket) => void socket.send('hello'))],
    [
      'another message first',
      () =>
        serve(
          (s) =>
            void s.send(
              encoder.encode([
                { type: 'ack', id: 1, seq: 1, repeated: null, waiting: null, shards: null },
              ]),
            ),
        ),
    ],
    ['closed at once', () => serve((socket) => socket.close(1013, 'not today'))],
  ])('%s: no connection, reported as such', async (_name, start) => {
    const error = await failure(Connection.connect(start()));
    expect(error.code).toBe('connection-failed');
    expect(error.message).toStartWith('no Tapedeck answers at ');
  });

  test.each([
    ['bytes that are no frame', Uint8Array.of(0x91, 0xc1), 'malformed-msgpack'],
    ['a frame cut short', Uint8Array.of(0x92, 0x93, 0x21), 'malformed-msgpack'],
    ['a field out of range', Uint8Array.of(0x91, 0x93, 0x21, 0xff, 0x00), 'invalid-field'],
    ['a text', '[]', 'wrong-frame'],
  ])('%s later: the connection is given up with its reason', async (_name, data, code) => {
    const { end, error } = await ending(serve(welcome, (socket) => void socket.send(data)));
    expect(error.code).toBe(code);
    expect(end.code).toBe(4000);
  });

  test('[W8] a message of a later version is ignored', async () => {
    const url = serve(welcome, (socket) => {
      socket.send(Uint8Array.of(0x92, 0x92, 0x7e, 0x01, 0x93, 0x21, 0x01, 0x05));
    });
    const connection = await Connection.connect(url);
    expect(await connection.subscribe(['status'])).toBe(5);
    connection.close();
  });

  test.each(Object.entries(CLOSES))(
    '[E6] %s without closing is treated by its code',
    async (reason, { code, reconnect }) => {
      const { end } = await ending(serve(welcome, (socket) => socket.close(code, reason)));
      expect(end).toEqual({ code, reason, reconnect, retryMs: 0, url: null });
    },
  );

  test('[E6] after any other end it reconnects, and a closing message takes precedence over the code', async () => {
    const cut = await ending(serve(welcome, (socket) => socket.terminate()));
    expect(cut.end.reconnect).toBe(true);
    expect(cut.error.code).toBe('connection-failed');
    await fake!.stop(true);
    const ended = await ending(
      serve(welcome, (socket) => {
        const closing = {
          code: 4011,
          reason: 'unresponsive',
          reconnect: false,
          retryMs: 0,
          url: 'http://b',
        };
        socket.send(encoder.encode([{ type: 'closing', ...closing }]));
        socket.close(4011, 'unresponsive');
      }),
    );
    expect(ended.end).toEqual({
      code: 4011,
      reason: 'unresponsive',
      reconnect: false,
      retryMs: 0,
      url: 'http://b',
    });
  });

  test('messages in the frame of the welcome are not lost', async () => {
    const definition = asMessage(instrument('EARLY'));
    const url = serve((socket) => void socket.send(encoder.encode([WELCOME, definition])));
    const seen: Message[] = [];
    const connection = await Connection.connect(url, { onMessage: (m) => seen.push(m) });
    expect(seen.map((m) => m.type)).toEqual(['instrument']);
    expect(connection.instruments.has('EARLY')).toBe(true);
    connection.close();
  });
});
