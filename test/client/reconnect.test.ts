/** The client when its connection ends: back-off, resume, reset, dead connections. */

import { describe, expect, test } from 'bun:test';

import { CLOSES } from '../../protocol/codes';
import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import { TapedeckClient, type ClientOptions } from '../../src/client/client';
import type { SocketConstructor } from '../../src/client/environment';
import { Bench, briefs, drain, requests } from './support';
import { localWire, settled } from './wires';

describe('what a page asks for', () => {
  test('the clock of the server: the offset of the local clock, whatever it shows', async () => {
    const bench = new Bench();
    const clock = new ManualClock(Nanos.fromSeconds(1_700_000_000, 0));
    const client = await bench.connect({ environment: { clock } });
    bench.model.serverTime = Nanos.fromSeconds(1_700_010_800, 0);
    const asked = client.ping();
    clock.advance(4_000_000);
    expect(await asked).toEqual({ roundTripMs: 4, offsetMs: 10_800_000 - 2 });
    client.close();
    expect(client.ping()).rejects.toMatchObject({ code: 'closed' });
  });

  test('reconnectNow does not wait for the next attempt, and makes only one', async () => {
    const bench = new Bench();
    const client = await bench.connect({ reconnect: { baseMs: 1_000, maxMs: 1_000 } });
    client.reconnectNow(); // it is connected: nothing to do
    bench.model.cutAll();
    await settled();
    expect(client.state).toBe('reconnecting');
    client.reconnectNow();
    client.reconnectNow();
    await settled();
    expect([client.state, bench.model.connections]).toEqual(['connected', 2]);
    await bench.timers.advance(1_000);
    expect(bench.model.connections).toBe(2);
    client.close();
  });
});

describe('a client with several addresses', () => {
  const ADDRESSES = ['http://a', 'http://b:7070', 'http://c'];

  /** Counts attempts by address; those of `down` fail. */
  async function several(options: ClientOptions = {}, down: ReadonlySet<string> = new Set()) {
    const bench = new Bench();
    const used: string[] = [];
    const Local = localWire(bench.model, () => true);
    const Gone = localWire(bench.model, () => false);
    const WebSocket = function (url: string, protocols: string[]) {
      used.push(new URL(url).host);
      return new (down.has(new URL(url).host) ? Gone : Local)(url, protocols);
    } as unknown as SocketConstructor;
    bench.urls = ADDRESSES;
    const client = await bench.connect({ ...options, environment: { WebSocket } });
    return { bench, client, used };
  }
  const lose = async (bench: Bench): Promise<void> => {
    bench.model.cutAll();
    await settled();
    await bench.timers.advance(1_000);
  };

  test('uses the first that answers, and the next when it is lost', async () => {
    const down = new Set(['a']);
    const { bench, client, used } = await several({}, down);
    expect(used).toEqual(['a', 'b:7070']);
    down.add('c');
    await lose(bench);
    await bench.timers.advance(1_000);
    expect([used, client.state]).toEqual([['a', 'b:7070', 'c', 'a', 'b:7070'], 'connected']);
    client.close();
  });

  test('fails if none answers', async () => {
    const all = several({}, new Set(['a', 'b:7070', 'c']));
    expect(all).rejects.toMatchObject({
      code: 'connection-failed',
      message: expect.stringContaining('http://c'),
    });
    expect(TapedeckClient.connect([])).rejects.toMatchObject({ code: 'connection-failed' });
  });

  test.each([
    ['http://c/', 'c'],
    ['ftp://elsewhere', 'b:7070'],
    ['http://evil.example', 'b:7070'],
    ['nonsense', 'b:7070'],
    [null, 'b:7070'],
  ])('[E6] a server names %s: it goes to %s', async (url, host) => {
    const { bench, client, used } = await several();
    const [peer] = bench.model.peers;
    const closing = { code: 1001, reason: 'going-away', reconnect: true, retryMs: 60_000, url };
    peer!.wire.send([{ type: 'closing', ...closing }]);
    peer!.wire.close(1001, 'going-away');
    await settled();
    expect(bench.last('disconnected')).toMatchObject({ url });
    await bench.timers.advance(1_000); // another one need not wait until this one is there again
    expect([used, client.state]).toEqual([['a', host], 'connected']);
    client.close();
  });
});

describe('reconnecting', () => {
  test('[R2] resume accepted: nothing is missing or repeated', async () => {
    const bench = new Bench();
    const { model } = bench;
    model.book('AAA', [10, 1], []);
    const client = await bench.connect();
    const all = client.subscribe(['trade:*', 'book:AAA', 'tick:BBB']);
    await all.ready;
    model.trade('AAA');
    model.tick('BBB');
    await settled();
    model.heartbeat();
    model.trade('AAA');
    await settled();
    model.cutAll();
    model.trade('AAA');
    model.book('AAA', [10, 2], []);
    model.trade('BBB');
    await bench.comeBack();
    model.trade('BBB');
    expect(await briefs(all)).toEqual([
      'book AAA snapshot 1',
      'trade AAA 2',
      'tick BBB 3',
      'trade AAA 4',
      'trade AAA 5',
      'book AAA delta 6',
      'trade BBB 7',
      'trade BBB 8',
    ]);
    // The seq of the heartbeat, not the last of the quiet tick or of the busy trades.
    expect(requests(bench, 'resume')).toMatchObject([{ seq: 3, epoch: 1 }]);
    expect(bench.eventNames).toEqual(['disconnected', 'connected', 'resumed']);
    expect(client.book('AAA')!.bids).toEqual([10, 2]);
    client.close();
  });

  test('[R10] a resume that waits for its turn: the application is notified, and it is no answer', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const all = client.subscribe(['trade:*']);
    await all.ready;
    model.trade('AAA');
    await settled();
    model.answer = (peer, message) => {
      if (message.type === 'resume') {
        for (const ahead of [17, 3]) peer.wire.send([{ type: 'queued', id: message.id, ahead }]);
      }
      return false;
    };
    model.cutAll();
    model.trade('AAA');
    await bench.comeBack();
    model.trade('AAA');
    expect(await briefs(all)).toEqual(['trade AAA 1', 'trade AAA 2', 'trade AAA 3']);
    expect(bench.eventNames).toEqual(['disconnected', 'connected', 'queued', 'queued', 'resumed']);
    expect(bench.last('queued')).toEqual({ ahead: 3 });
    client.close();
  });

  test.each(['not-supported', 'too-old', 'from-the-future', 'not-kept'] as const)(
    '[R3] resume answered with %s: a reset with the reason, and the state',
    async (answer) => {
      const bench = new Bench();
      const { model } = bench;
      const client = await bench.connect();
      const all = client.subscribe(['trade:AAA', 'tick:*']);
      await all.ready;
      model.tick('AAA');
      model.trade('AAA');
      await settled();
      model.resume = answer;
      model.cutAll();
      model.tick('AAA');
      model.trade('AAA');
      await bench.comeBack();
      model.trade('AAA');
      expect(await briefs(all)).toEqual([
        'tick AAA 1',
        'trade AAA 2',
        `reset ${answer} trade:AAA tick:*`,
        'tick AAA 3',
        'trade AAA 5',
      ]);
      expect(bench.eventNames).not.toContain('chain-break');
      client.close();
    },
  );

  test('[T6] another epoch: positions and copies are invalid, which is reported', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const all = client.subscribe(['trade:AAA', 'book:*']);
    await all.ready;
    for (let i = 0; i < 5; i++) model.trade('AAA');
    model.book('AAA', [10, 1], []);
    await drain(all);
    model.restart();
    model.book('BBB', [5, 1], []);
    await bench.comeBack();
    model.trade('AAA');
    expect(await briefs(all)).toEqual([
      'reset other-epoch trade:AAA book:*',
      'book BBB snapshot 1',
      'trade AAA 2',
    ]);
    expect(client.book('AAA')!.trusted).toBe(false);
    expect(requests(bench, 'resume').length).toBe(1);
    client.close();
  });

  test('a resume that is cut off continues where it was', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const all = client.subscribe(['trade:*']);
    await all.ready;
    model.cutAll();
    for (let i = 0; i < 10; i++) model.trade(i % 2 === 0 ? 'AAA' : 'BBB');
    model.answer = (peer, m) => {
      if (m.type !== 'resume') return false;
      peer.wire.send(model.log.filter(({ seq }) => seq > m.seq).slice(0, 4));
      setImmediate(() => peer.wire.cut());
      model.answer = () => false;
      return true;
    };
    await bench.comeBack();
    await bench.timers.advance(1_000);
    expect((await drain(all)).map((m) => m.type !== 'gap' && m.seq)).toEqual(
      Array.from({ length: 10 }, (_, i) => i + 1),
    );
    expect(requests(bench, 'resume')).toMatchObject([{ seq: 3 }]);
    client.close();
  });

  test('[T7] a heartbeat in the middle of a resume does not cover what is still to come', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const all = client.subscribe(['trade:*']);
    await all.ready;
    model.cutAll();
    for (let i = 0; i < 6; i++) model.trade(i % 2 === 0 ? 'AAA' : 'BBB');
    model.answer = (peer, m) => {
      if (m.type !== 'resume') return false;
      peer.wire.send(model.log.slice(0, 2));
      const heads = [...model.heads].map(([topic, seq]) => ({ topic, seq }));
      peer.wire.send([{ type: 'heartbeat', time: Nanos.ZERO, seq: model.seq, heads, shard: null }]);
      setImmediate(() => peer.wire.cut());
      model.answer = () => false;
      return true;
    };
    await bench.comeBack();
    await bench.timers.advance(1_000);
    expect((await drain(all)).map((m) => m.type !== 'gap' && m.seq)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(requests(bench, 'resume')).toMatchObject([{ seq: 1 }]);
    expect(bench.eventNames).not.toContain('chain-break');
    client.close();
  });

  test('a reset that is cut off before its state: it is reported again, and the state follows', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const ticks = client.subscribe(['tick:AAA']);
    await ticks.ready;
    model.tick('AAA');
    await settled();
    model.cutAll();
    model.tick('AAA');
    model.answer = (peer, m) => {
      if (m.type !== 'resume') return false;
      const head = { type: 'reset', epoch: 1, reason: 'too-old', shard: null } as const;
      peer.wire.send([{ ...head, topics: m.topics, seq: model.seq }]);
      setImmediate(() => peer.wire.cut());
      model.answer = () => false;
      return true;
    };
    await bench.comeBack();
    await bench.timers.advance(1_000);
    model.heartbeat();
    await bench.timers.advance(300);
    model.tick('AAA');
    expect(await briefs(ticks)).toEqual([
      'tick AAA 1',
      'reset too-old tick:AAA',
      'reset connection-failed tick:AAA',
      'tick AAA 2',
      'tick AAA 3',
    ]);
    client.close();
  });

  test('a reset of a * that is cut off: the state of a topic that was not known follows too', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const ticks = client.subscribe(['tick:*']);
    await ticks.ready;
    model.cutAll();
    model.tick('AAA');
    model.answer = (peer, m) => {
      if (m.type !== 'resume') return false;
      const head = { type: 'reset', epoch: 1, reason: 'too-old', shard: null } as const;
      peer.wire.send([{ ...head, topics: m.topics, seq: model.seq }]);
      setImmediate(() => peer.wire.cut());
      model.answer = () => false;
      return true;
    };
    await bench.comeBack();
    await bench.timers.advance(1_000);
    model.heartbeat();
    model.tick('BBB');
    expect(await briefs(ticks)).toEqual([
      'reset too-old tick:*',
      'reset connection-failed tick:*',
      'tick AAA 1',
      'tick BBB 2',
    ]);
    client.close();
  });

  test('a heartbeat between a reset and its state: the state is taken', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const ticks = client.subscribe(['tick:AAA', 'tick:*']);
    await ticks.ready;
    model.tick('AAA');
    await settled();
    model.cutAll();
    const newest = model.tick('AAA');
    model.answer = (peer, m) => {
      if (m.type !== 'resume') return false;
      const head = { type: 'reset', epoch: 1, reason: 'too-old', shard: null } as const;
      peer.wire.send([{ ...head, topics: m.topics, seq: model.seq }]);
      const beat = { time: Nanos.ZERO, seq: model.seq, heads: [], shard: null };
      peer.wire.send([{ type: 'heartbeat', ...beat }]);
      const ack = { id: m.id, seq: model.seq, repeated: null, waiting: null, shards: null };
      peer.wire.send([newest, { type: 'ack', ...ack }]);
      return true;
    };
    await bench.comeBack();
    expect(await briefs(ticks)).toEqual([
      'tick AAA 1',
      'reset too-old tick:AAA tick:*',
      'tick AAA 2',
    ]);
    client.close();
  });

  test('a subscription made while disconnected is requested on the next connection', async () => {
    const bench = new Bench();
    const client = await bench.connect();
    bench.up = false;
    bench.model.cutAll();
    await settled();
    expect(client.state).toBe('reconnecting');
    const ticks = client.subscribe(['tick:AAA']);
    expect(client.publish([])).rejects.toMatchObject({ code: 'connection-failed' });
    bench.up = true;
    await bench.comeBack();
    await ticks.ready;
    expect(client.state).toBe('connected');
    client.close();
  });

  test.each(Object.entries(CLOSES))('[E6] closed with %s', async (reason, { code, reconnect }) => {
    const bench = new Bench();
    const client = await bench.connect();
    const ticks = client.subscribe(['tick:AAA']);
    await ticks.ready;
    [...bench.model.peers][0]!.wire.close(code, reason);
    await bench.comeBack();
    expect(client.state).toBe(reconnect ? 'connected' : 'closed');
    expect(bench.model.connections).toBe(reconnect ? 2 : 1);
    if (!reconnect) expect(ticks.next()).rejects.toMatchObject({ code: 'connection-failed' });
    client.close();
  });

  test('[E6] closing says how long to wait, and takes precedence over the code', async () => {
    const bench = new Bench();
    const client = await bench.connect();
    const close = (reconnect: boolean) => {
      const [peer] = bench.model.peers;
      const closing = { code: 4010, reason: 'too-slow', reconnect, retryMs: 5_000, url: null };
      peer!.wire.send([{ type: 'closing', ...closing }]);
      peer!.wire.close(4010, 'too-slow');
    };
    close(true);
    await settled();
    const { retryInMs } = bench.last('disconnected') as { retryInMs: number };
    expect(retryInMs).toBeGreaterThanOrEqual(5_000);
    expect(retryInMs).toBeLessThan(5_250);
    await bench.timers.advance(4_999);
    expect(client.state).toBe('reconnecting');
    await bench.timers.advance(300);
    expect(client.state).toBe('connected');
    close(false);
    await settled();
    expect(client.state).toBe('closed');
  });

  test('many reconnects: waits double, with full jitter, until a connection lasts', async () => {
    const bench = new Bench();
    const client = await bench.connect({ reconnect: { baseMs: 100, maxMs: 2_000 } });
    const waits: number[] = [];
    client.on('disconnected', ({ retryInMs }) => waits.push(retryInMs!));
    bench.model.greet = (peer) => {
      peer.wire.close(1013, 'full');
      return true;
    };
    bench.model.cutAll();
    await bench.timers.advance(20_000);
    expect(waits.length).toBeGreaterThan(10);
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeLessThan(Math.min(2_000, 100 * 2 ** i));
      expect(wait).toBeGreaterThan(0);
    }
    expect(Math.max(...waits.slice(5)) - Math.min(...waits.slice(5))).toBeGreaterThan(500);
    // A connection that is accepted and cut at once is no success; a heartbeat is one.
    bench.model.greet = () => false;
    await bench.timers.advance(2_000);
    expect(client.state).toBe('connected');
    bench.model.cutAll();
    await bench.timers.advance(2_000);
    bench.model.heartbeat();
    await settled();
    bench.model.cutAll();
    await settled();
    expect(waits.at(-1)).toBeLessThan(100);
    client.close();
  });

  test('it gives up after a number of attempts, or at once where it must not reconnect', async () => {
    for (const reconnect of [{ attemptsMax: 2 }, false] as const) {
      const bench = new Bench();
      const client = await bench.connect({ reconnect });
      const ticks = client.subscribe(['tick:AAA']);
      await ticks.ready;
      bench.up = false;
      bench.model.cutAll();
      await bench.timers.advance(60_000);
      expect(client.state).toBe('closed');
      expect(ticks.next()).rejects.toMatchObject({ code: 'connection-failed' });
      expect(bench.timers.count).toBe(0);
    }
  });

  test('[T7] silent for 2.5 heartbeats: considered dead, and opened again', async () => {
    const bench = new Bench();
    const client = await bench.connect();
    await bench.timers.advance(2_000);
    bench.model.heartbeat();
    await settled();
    await bench.timers.advance(2_500);
    expect(bench.eventNames).toEqual([]);
    await bench.timers.advance(600);
    expect(bench.eventNames).toEqual(['disconnected', 'connected']);
    expect(bench.last('disconnected')).toMatchObject({ code: 1006, reconnect: true });
    client.close();
  });

  test('[W15] a wrong key is reported by connect and not tried again', async () => {
    const bench = new Bench();
    bench.model.answer = (peer, m) => {
      if (m.type !== 'hello') return false;
      const text = { message: 'hello.key is not a key', field: 'hello.key', hint: null };
      peer.wire.send([{ type: 'error', id: null, code: 'unauthorized', ...text }]);
      peer.wire.close(4001, 'unauthorized');
      return true;
    };
    const error = await bench.connect({ key: 'wrong' }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'unauthorized', field: 'hello.key' });
    await bench.timers.advance(60_000);
    expect(bench.model.connections).toBe(1);
    expect(bench.timers.count).toBe(0);
  });
});
