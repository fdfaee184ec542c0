/** The client over real sockets: a model server in both forms, the real server, and Node. */

import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { join } from 'node:path';

import type { MessageOf } from '../../protocol/messages';
import { TapedeckClient } from '../../src/client/client';
import { TapedeckError } from '../../src/client/errors';
import type { Item } from '../../src/client/items';
import type { Subscription } from '../../src/client/subscription';
import { instrument, tape, trade } from '../support/feed';
import { freePort } from '../support/ports';
import { asMessage } from '../support/stream-client';
import { PUBLISH_KEY, Scratch, ServerProcess, TRADE_KEY } from '../support/tapedeck-process';
import { until } from '../support/until';
import { ModelServer, type Peer } from './model-server';
import { brief } from './support';
import { RealWire } from './wires';

const scratch = new Scratch();
afterAll(() => scratch.remove());

async function take(source: AsyncIterator<Item, undefined>, count: number): Promise<Item[]> {
  const items: Item[] = [];
  while (items.length < count) {
    const { value, done } = await source.next();
    if (done === true) break;
    items.push(value);
  }
  return items;
}

describe('a model server on a real port', () => {
  let wire: RealWire | undefined;
  afterEach(() => wire?.stop());

  test.each(['msgpack', 'json'] as const)('%s: read, cut, resume', async (form) => {
    const model = new ModelServer();
    model.book('AAA', [10, 1], [11, 2]);
    wire = new RealWire(model);
    const client = await TapedeckClient.connect(wire.url, { form, reconnect: { baseMs: 10 } });
    const all = client.subscribe(['book:AAA', 'trade:*']);
    await all.ready;
    model.trade('AAA');
    expect((await take(all, 2)).map(brief)).toEqual(['book AAA snapshot 1', 'trade AAA 2']);
    model.cutAll();
    model.trade('BBB');
    model.book('AAA', [10, 5], [11, 2]);
    expect((await take(all, 2)).map(brief)).toEqual(['trade BBB 3', 'book AAA delta 4']);
    expect(client.book('AAA')!.bids).toEqual([10, 5]);
    client.close();
    expect(await all.next()).toEqual({ done: true, value: undefined });
  });

  test('[R6] a replay: pause, seek and stop; its end ends the iteration', async () => {
    const model = new ModelServer();
    for (let i = 0; i < 10; i++) model.trade('AAA');
    const actions: MessageOf<'replay'>[] = [];
    let start = 0;
    model.answer = (peer: Peer, m) => {
      if (m.type !== 'replay') return false;
      actions.push(m);
      const { log } = model;
      if (m.action === 'start') {
        start = m.id;
        peer.wire.send([model.definition('AAA'), ...log.slice(0, 3)]);
        return true;
      }
      peer.wire.send([
        { type: 'ack', id: m.id, seq: 0, repeated: null, waiting: null, shards: null },
      ]);
      if (m.action === 'seek') {
        const from = log.filter(({ seq }) => seq >= m.fromSeq!);
        peer.wire.send([
          ...from,
          { type: 'ack', id: start, seq: 10, repeated: null, waiting: null, shards: null },
        ]);
      }
      return true;
    };
    wire = new RealWire(model);
    const client = await TapedeckClient.connect(wire.url);
    const replay = client.replay({ topics: ['trade:AAA'], fromSeq: 1, speed: 2.5 });
    expect((await take(replay, 3)).map(brief)).toEqual([
      'trade AAA 1',
      'trade AAA 2',
      'trade AAA 3',
    ]);
    expect(replay.instruments.get('AAA')).toMatchObject({ priceScale: 2 });
    await replay.pause();
    await replay.continue();
    await replay.seek({ fromSeq: 9 });
    expect((await take(replay, 9)).map(brief)).toEqual(['trade AAA 9', 'trade AAA 10']);
    expect(actions.map(({ action }) => action)).toEqual(['start', 'pause', 'continue', 'seek']);
    expect(actions[0]).toMatchObject({ speed: 250, fromSeq: 1, toSeq: null });
    const stopped = client.replay({ topics: ['trade:AAA'] });
    await take(stopped, 1);
    await stopped.stop();
    expect((await stopped.next()).done).toBe(true);
    client.close();
  });

  test('[R6] a replay that is faster than its reader is paused, and continues; nothing is lost', async () => {
    const model = new ModelServer();
    for (let i = 0; i < 50_000; i++) model.trade('AAA');
    const actions: string[] = [];
    let at = 0;
    let start = 0;
    const play = (peer: Peer, to: number) => {
      for (; at < to; at += 1_000) peer.wire.send(model.log.slice(at, at + 1_000));
      if (at >= 50_000)
        peer.wire.send([
          { type: 'ack', id: start, seq: at, repeated: null, waiting: null, shards: null },
        ]);
    };
    model.answer = (peer, m) => {
      if (m.type !== 'replay') return false;
      actions.push(m.action);
      if (m.action === 'start') {
        start = m.id;
        play(peer, 25_000);
      } else {
        peer.wire.send([
          { type: 'ack', id: m.id, seq: 0, repeated: null, waiting: null, shards: null },
        ]);
        if (m.action === 'continue') play(peer, 50_000);
      }
      return true;
    };
    wire = new RealWire(model);
    const client = await TapedeckClient.connect(wire.url);
    const replay = client.replay({ topics: ['trade:AAA'] });
    await until(() => actions.length === 2);
    let last = 0;
    for await (const item of replay) {
      if (item.type === 'trade') expect(item.seq).toBe((last += 1));
    }
    expect(last).toBe(50_000);
    expect(actions.slice(0, 3)).toEqual(['start', 'pause', 'continue']);
    client.close();
  });

  test('[R6] a replay that is refused, and one whose connection ends, throw', async () => {
    const model = new ModelServer();
    model.answer = (peer, m) => {
      if (m.type !== 'replay') return false;
      const text = { message: 'no', field: null, hint: null };
      if (m.toSeq === 1) peer.wire.cut();
      else peer.wire.send([{ type: 'error', id: m.id, code: 'not-supported', ...text }]);
      return true;
    };
    wire = new RealWire(model);
    const client = await TapedeckClient.connect(wire.url);
    const refused = client.replay({ topics: ['trade:AAA'] });
    expect(refused.next()).rejects.toMatchObject({ code: 'not-supported' });
    const cut = client.replay({ topics: ['trade:AAA'], toSeq: 1 });
    expect(cut.next()).rejects.toMatchObject({ code: 'connection-failed' });
    await cut.next().catch(() => undefined);
    client.close();
  });
});

describe('the real server', () => {
  test('publishing and reading, in both forms; refusals have code, field and hint', async () => {
    const server = await ServerProcess.start();
    try {
      await server.ingest(tape(instrument('ACME')));
      for (const form of ['msgpack', 'json'] as const) {
        const source = await TapedeckClient.connect(server.url, { key: PUBLISH_KEY, form });
        const client = await TapedeckClient.connect(server.url, { form });
        const trades = client.subscribe(['trade:ACME', 'tick:ACME']);
        await trades.ready;
        const event = asMessage(trade('ACME', '2.50', '3')) as MessageOf<'trade'>;
        await source.publish([event]);
        const seen = await take(trades, form === 'msgpack' ? 2 : 3);
        expect(seen.map(({ type }) => type)).toContain('trade');
        expect(seen.find((m) => m.type === 'trade')).toMatchObject({ price: 250 });
        const bad = client.subscribe(['trade:NOBODY']);
        expect(bad.next()).rejects.toMatchObject({ code: 'unknown-symbol' });
        await bad.ready.catch(() => undefined);
        expect(client.publish([event])).rejects.toMatchObject({ code: 'unauthorized' });
        source.close();
        client.close();
      }
      const wrong = TapedeckClient.connect(server.url, { key: 'wrong-key-wrong-key' });
      expect(await wrong.catch((e: unknown) => e)).toBeInstanceOf(TapedeckError);
    } finally {
      await server.remove();
    }
  });

  test('an order: its executions, its cancel, and refusals', async () => {
    const server = await ServerProcess.start({ args: ['--demo'] });
    try {
      const { instruments } = (await server.json('/v1/instruments')) as {
        instruments: { symbol: string; priceIncrement: string; quantityIncrement: string }[];
      };
      const { symbol, priceIncrement, quantityIncrement } = instruments[0]!;
      const client = await TapedeckClient.connect(server.url, { key: TRADE_KEY });
      const order = { symbol, side: 'buy', price: priceIncrement, quantity: quantityIncrement };
      const answer = await client.order({ ...order, side: 'buy' });
      expect(answer.orderId).toBeGreaterThan(0);
      expect(answer.executions).toMatchObject([{ event: 'accepted', side: 'buy' }]);
      const { orderId } = answer;
      const gone = await client.cancel({ symbol, orderId: orderId! });
      expect(gone.executions).toMatchObject([{ event: 'cancelled', orderId }]);
      expect(await client.cancel({ symbol, orderId: 1 }).catch((e: unknown) => e)).toMatchObject({
        code: 'unknown-order',
      });
      client.close();
    } finally {
      await server.remove();
    }
  });

  test('killed and started again: the subscription continues, and declares what it lost', async () => {
    const data = scratch.fresh();
    const port = await freePort();
    const args = ['--demo', '--port', String(port)];
    let server = await ServerProcess.start({ data, args });
    const client = await TapedeckClient.connect(server.url, {
      reconnect: { baseMs: 50, maxMs: 200 },
    });
    const items: Item[] = [];
    const all = client.subscribe(['book:*', 'trade:*', 'tick:*', 'status']);
    const reading = collect(all, items);
    const resumed = Promise.withResolvers<void>();
    client.on('resumed', () => resumed.resolve());
    client.on('reset', () => resumed.resolve());
    await until(() => items.length > 500);
    await server.stop('SIGKILL');
    await until(() => client.state === 'reconnecting');
    server = await ServerProcess.start({ data, args });
    await resumed.promise;
    const before = items.length;
    await until(() => items.length > before + 500);
    client.close();
    await reading;
    await server.remove();
    checkChains(items);
  }, 60_000);
});

test.skipIf(Bun.which('node') === null)(
  'the bundle runs under Node, without anything of Bun',
  async () => {
    const entry = join(import.meta.dir, '../../src/client/index.ts');
    const built = await Bun.build({ entrypoints: [entry], target: 'browser', format: 'esm' });
    expect(built.success).toBe(true);
    const bundle = scratch.write(await built.outputs[0]!.text(), '.mjs');
    const text = await Bun.file(bundle).text();
    expect(text).not.toMatch(/\bBun\.|from "(node|bun):/);
    const model = new ModelServer();
    model.book('AAA', [10, 1], [11, 2]);
    const wire = new RealWire(model);
    const program = scratch.write(
      `import { TapedeckClient } from ${JSON.stringify(bundle)};
     const client = await TapedeckClient.connect(${JSON.stringify(wire.url)}, { reconnect: { baseMs: 10 } });
     const seen = [];
     for await (const item of client.subscribe(['book:AAA', 'trade:*'])) {
       seen.push(item.type + ' ' + item.seq);
       console.log(seen.at(-1));
       if (seen.length === 3) break;
     }
     console.log(client.instruments.get('AAA').priceScale);
     client.close();`,
      '.mjs',
    );
    // Node 22 and later have a WebSocket; 20 and 21 have it behind a flag.
    const version = Number(
      Bun.spawnSync(['node', '-p', 'process.versions.node']).stdout.toString().split('.')[0],
    );
    const flags = version < 22 ? ['--experimental-websocket', '--no-warnings'] : [];
    const node = Bun.spawn(['node', ...flags, program], {
      stdout: 'pipe',
      stderr: 'pipe',
      timeout: 20_000,
    });
    await until(() => [...model.peers].some((peer) => peer.topics.size === 2));
    model.trade('AAA');
    await until(() => model.connections === 1);
    await Bun.sleep(200);
    model.cutAll();
    model.trade('BBB');
    const [out, err] = await Promise.all([
      new Response(node.stdout).text(),
      new Response(node.stderr).text(),
    ]);
    await node.exited;
    await wire.stop();
    expect(err).toBe('');
    expect(out.trim().split('\n')).toEqual(['book 1', 'trade 2', 'trade 3', '2']);
  },
);

async function collect(source: Subscription, items: Item[]): Promise<void> {
  for await (const item of source) items.push(item);
}

/** Every message continues its topic, or a reset is between them. */
function checkChains(items: readonly Item[]): void {
  const last = new Map<string, number>();
  const statusOf = (item: Item) => item.type === 'status';
  let resets = 0;
  for (const item of items.filter((i) => !statusOf(i))) {
    if (item.type === 'reset') {
      resets += 1;
      last.clear();
      continue;
    }
    if (item.type === 'gap') {
      last.set(item.topic, item.to);
      continue;
    }
    const topic = `${item.type}:${item.symbol}`;
    const before = last.get(topic);
    if (before !== undefined) expect([topic, item.prevSeq]).toEqual([topic, before]);
    last.set(topic, item.seq);
  }
  expect(resets).toBeLessThanOrEqual(2);
}
