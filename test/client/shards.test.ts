/**
 * The client with a server of several shards: numbers of one shard say nothing of another, and every message of a topic
 * arrives or is declared, whatever happens to connections, epochs, journals and the set of shards.
 */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Instrument, MessageOf, Trade } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import { TapedeckClient } from '../../src/client/client';
import type { Item } from '../../src/client/items';
import { deep, isDeep } from '../support/tier';
import type { LoggedMessage } from './model-server';
import { shardOf, ShardedServer } from './sharded-server';
import { Bench, brief, briefs, drain } from './support';
import { RealWire, settled } from './wires';

async function start(names: readonly string[]) {
  const server = new ShardedServer(names);
  const bench = new Bench(server.model(names[0]!), server);
  const client = await bench.connect();
  return { server, bench, client };
}

const resumes = (server: ShardedServer): MessageOf<'resume'>[] =>
  server.requests.filter((m) => m.type === 'resume');

/** `a 3/7`: shard, seq and newest of each position, in order. */
const positions = (server: ShardedServer): string[] =>
  resumes(server).map(({ positions: all, topics }) =>
    [...all!.map((p) => `${p.shard} ${p.epoch}: ${p.seq}/${p.newest}`), ...topics].join(' '),
  );

describe('[H3] [H4] two shards with the same numbers', () => {
  test('a status or a message of one is no hole in the other, and none is a repetition', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const all = client.subscribe(['trade:*', 'status', 'tick:B1']);
    await all.ready;
    const [a, b] = [server.model('a'), server.model('b')];
    for (let i = 0; i < 2; i++) {
      a.status('A1');
      b.status('B1');
      b.trade('B1');
      a.trade('A1');
    }
    b.tick('B1');
    server.heartbeat();
    expect(await briefs(all)).toEqual([
      'status A1 1',
      'status B1 1',
      'trade B1 2',
      'trade A1 2',
      'status A1 3',
      'status B1 3',
      'trade B1 4',
      'trade A1 4',
      'tick B1 5',
    ]);
    expect(bench.eventNames).toEqual([]);
    client.close();
  });

  test('each is resumed from its own position, which heartbeats of the other do not raise', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const all = client.subscribe(['trade:*', 'trade:B1', 'tick:A2']);
    await all.ready;
    const [a, b] = [server.model('a'), server.model('b')];
    b.trade('B1');
    for (let i = 0; i < 9; i++) a.trade('A1');
    await settled();
    server.heartbeat('a');
    await settled();
    for (const peer of b.peers) peer.fault = 'lose';
    b.trade('B1');
    await settled();
    server.cutAll();
    await bench.comeBack();
    expect(positions(server)).toEqual(['a 1: 9/9 trade:* tick:A2', 'b 1: 0/1 trade:* trade:B1']);
    const trades = await briefs(all);
    expect(trades.filter((text) => text.includes('B1'))).toEqual(['trade B1 1', 'trade B1 2']);
    expect(trades).toHaveLength(11);
    expect(bench.eventNames).toEqual(['disconnected', 'connected', 'resumed', 'resumed']);
    client.close();
  });

  test('a hole in the statuses of one is repaired there only', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const all = client.subscribe(['status']);
    await all.ready;
    const [a, b] = [server.model('a'), server.model('b')];
    a.status('A1');
    b.status('B1');
    for (const peer of b.peers) peer.fault = 'lose';
    b.status('B1');
    b.status('B2');
    await settled();
    await settled();
    expect(positions(server)).toEqual(['b 1: 1/3 status']);
    // The server does not have the next one any more: this part is requested from its state on.
    for (const peer of b.peers) peer.fault = 'lose';
    b.status('B1');
    b.log.pop();
    b.status('B2');
    await bench.timers.advance(600);
    a.status('A2');
    expect(await briefs(all)).toEqual([
      'status A1 1',
      'status B1 1',
      'status B1 2',
      'status B2 3',
      'reset other-epoch status',
      'status B1 2',
      'status B2 5',
      'status A2 2',
    ]);
    expect(positions(server).slice(-1)).toEqual(['b 0: 0/0 status']);
    client.close();
  });

  test('a request of one part that is cut off is sent again, once', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const all = client.subscribe(['status']);
    await all.ready;
    const { model } = server.shards.get('b')!;
    model.status('B1');
    await settled();
    for (const peer of model.peers) peer.fault = 'lose';
    model.status('B1');
    model.log.pop();
    model.status('B2');
    server.answer = (front, m) => {
      if (m.type !== 'resume' || m.positions![0]!.epoch !== 0) return false;
      server.answer = () => false;
      front.wire.cut();
      return true;
    };
    await bench.timers.advance(2_000);
    expect(await briefs(all)).toEqual([
      'status B1 1',
      'reset other-epoch status',
      'status B1 1',
      'status B2 3',
    ]);
    expect(positions(server)).toEqual([
      'b 1: 1/3 status',
      'b 0: 0/0 status',
      'a 1: 0/0 status',
      'b 0: 0/0 status',
    ]);
    client.close();
  });

  test('behind a change of epochs, too, only the topic that broke is reset', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const all = client.subscribe(['status', 'trade:*']);
    await all.ready;
    const { model } = server.shards.get('b')!;
    model.trade('B1');
    await settled();
    server.cutAll();
    server.shards.get('b')!.takeOver(); // while the client is away: it crosses over
    await bench.comeBack();
    for (const peer of model.peers) peer.fault = 'lose';
    model.status('B1');
    model.log.pop();
    model.status('B2');
    model.trade('B1');
    await bench.timers.advance(1_500);
    expect(await briefs(all)).toEqual([
      'trade B1 1',
      'trade B1 4',
      'reset other-epoch status',
      'status B2 3',
    ]);
    client.close();
  });

  test('[R9] a resume into another epoch that is refused: that shard is requested as new, the other resumed', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const all = client.subscribe(['trade:*', 'tick:B1']);
    await all.ready;
    server.model('a').trade('A1');
    server.model('b').tick('B1');
    await settled();
    server.answer = (front, m) => {
      if (m.type !== 'resume' || m.positions![0]!.shard !== 'b') return false;
      server.answer = () => false;
      server.refuse(front, m.id, 'internal');
      return true;
    };
    server.cutAll();
    server.shards.get('b')!.takeOver();
    const { epoch } = server.model('b');
    await bench.timers.advance(2_000);
    server.model('b').trade('B1');
    server.model('a').trade('A1');
    expect(await briefs(all)).toEqual([
      'trade A1 1',
      'tick B1 1',
      'reset other-epoch tick:B1',
      'tick B1 1',
      'reset other-epoch trade:*',
      'trade B1 2',
      'trade A1 2',
    ]);
    expect(positions(server)).toEqual([
      'a 1: 0/1 trade:*',
      'b 1: 0/1 trade:* tick:B1',
      'a 1: 1/1 trade:*',
      'b 0: 0/0 trade:*',
    ]);
    expect(client.welcome!.shards![1]).toMatchObject({ shard: 'b', epoch });
    client.close();
  });

  test('`received` names no shard, so it is not sent', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const all = client.subscribe(['trade:*']);
    await all.ready;
    for (let i = 0; i < 3; i++) {
      server.model('a').trade('A1');
      await drain(all);
      await bench.timers.advance(1_100);
      server.heartbeat();
    }
    expect(server.requests.map(({ type }) => type)).toEqual(['subscribe']);
    client.close();
  });

  test('[T8] another epoch of one: its event names it, and it alone is resumed in it', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const epochs: unknown[] = [];
    client.on('epoch', (event) => epochs.push(event));
    const all = client.subscribe(['trade:*']);
    await all.ready;
    server.model('a').trade('A1');
    server.shards.get('b')!.takeOver();
    await settled();
    const { epoch } = server.model('b');
    expect(epochs).toEqual([{ epoch, seq: 0, shard: 'b' }]);
    server.cutAll();
    await bench.comeBack();
    expect(positions(server)).toEqual(['a 1: 0/1 trade:*', `b ${epoch}: 0/0 trade:*`]);
    expect(client.welcome).toMatchObject({ epoch: 0, seq: 0, shards: [{ epoch: 1 }, { epoch }] });
    client.close();
  });
});

describe('[H1] the shards of another server', () => {
  test('one that is gone is declared, and refused topics end as ever; when it is back, so is its state', async () => {
    const { server, bench, client } = await start(['a', 'b']);
    const all = client.subscribe(['tick:*', 'trade:*']);
    const one = client.subscribe(['tick:B1']);
    await Promise.all([all.ready, one.ready]);
    server.model('a').tick('A1');
    server.model('b').tick('B1');
    await settled();
    server.serve(['a']);
    await bench.comeBack();
    server.model('a').trade('A1');
    expect(await briefs(all)).toEqual([
      'tick A1 1',
      'tick B1 1',
      'reset other-epoch tick:* trade:* tick:B1',
      'trade A1 2',
    ]);
    expect((await drain(one)).map(brief)).toEqual([
      'tick B1 1',
      'reset other-epoch tick:* tick:B1',
    ]);
    expect(bench.last('reset')).toMatchObject({ shard: 'b', epoch: 0, seq: 0, local: true });
    expect(one.next()).rejects.toMatchObject({ code: 'unknown-symbol' });
    server.model('b').trade('B1');
    server.serve(['a', 'b']);
    await settled();
    await bench.timers.advance(1_000);
    server.model('b').trade('B1');
    expect(await briefs(all)).toEqual([
      'reset other-epoch tick:* trade:*',
      'tick B1 1',
      'trade B1 3',
    ]);
    expect(bench.last('reset')).toMatchObject({ shard: 'b', epoch: 1, seq: 2, local: false });
    expect(positions(server).slice(-1)).toEqual(['b 0: 0/0 tick:* trade:*']);
    client.close();
  });

  test('a server without names, and back: what was held is reset, never continued', async () => {
    const { server, bench, client } = await start(['a']);
    const trades = client.subscribe(['trade:A1', 'trade:*']);
    await trades.ready;
    server.model('a').trade('A1');
    await settled();
    for (const isNamed of [false, true]) {
      server.serve(['a'], isNamed);
      await settled();
      await bench.timers.advance(1_000);
      server.model('a').trade('A1');
      await settled();
    }
    expect(resumes(server)).toEqual([]);
    const items = await drain(trades);
    expect(items.map(brief)).toEqual([
      'trade A1 1',
      'reset other-epoch trade:A1 trade:*',
      'reset other-epoch trade:A1 trade:*',
      'trade A1 2',
      'reset other-epoch trade:A1 trade:*',
      'reset other-epoch trade:A1 trade:*',
      'trade A1 3',
    ]);
    expect(items.flatMap((m) => (m.type === 'reset' ? [[m.shard, m.seq]] : []))).toEqual([
      ['a', 0],
      [null, 1],
      [null, 0],
      ['a', 2],
    ]);
    client.close();
  });
});

test.each(['msgpack', 'json'] as const)(
  'over a real socket, as %s: resumed in both',
  async (form) => {
    const server = new ShardedServer(['a', 'b']);
    const wire = new RealWire(server);
    try {
      const client = await TapedeckClient.connect(wire.url, { form, reconnect: { baseMs: 5 } });
      const all = client.subscribe(['trade:*', 'status']);
      await all.ready;
      const items = all[Symbol.asyncIterator]();
      const next = async (count: number): Promise<string[]> => {
        const taken: string[] = [];
        while (taken.length < count) taken.push(brief((await items.next()).value!));
        return taken.toSorted();
      };
      const [a, b] = [server.model('a'), server.model('b')];
      a.status('A1');
      b.status('B1');
      expect(await next(2)).toEqual(['status A1 1', 'status B1 1']);
      server.cutAll();
      a.trade('A1');
      b.trade('B1');
      expect(await next(2)).toEqual(['trade A1 2', 'trade B1 2']);
      a.status('A1');
      b.status('B1');
      expect(await next(2)).toEqual(['status A1 3', 'status B1 3']);
      client.close();
    } finally {
      await wire.stop();
    }
  },
);

describe('[H7] a publish', () => {
  const trade = (symbol: string): Trade => ({
    ...server.model('a').trade('A1'),
    symbol,
    seq: 0,
    prevSeq: 0,
  });
  let server: ShardedServer;

  test('of symbols of two shards is refused before it is sent, and names the event', async () => {
    const started = await start(['a', 'b']);
    ({ server } = started);
    const { client } = started;
    await client.subscribe(['status']).ready;
    const sent = (): number => server.requests.filter((m) => m.type === 'publish').length;
    expect(client.publish([trade('A1'), trade('A2'), trade('B1')])).rejects.toMatchObject({
      code: 'several-shards',
      field: 'publish.events[2].symbol',
      message: expect.stringContaining('B1 is of shard b, and A1 of shard a'),
    });
    const definition = server.model('a').definition('N1') as Instrument;
    expect(
      client.publish([trade('A1'), { ...definition, shard: 'b' }, trade('N1')]),
    ).rejects.toMatchObject({ code: 'several-shards', field: 'publish.events[1].symbol' });
    await settled();
    expect(sent()).toBe(0);
    // The server decides about symbols that the client does not know.
    for (const events of [
      [trade('B1'), trade('B2')],
      [trade('A1'), trade('N1')],
    ]) {
      client.publish(events).catch(() => {});
    }
    await settled();
    expect(sent()).toBe(2);
    client.close();
  });
});

describe('a slow consumer', () => {
  test('what is dropped of `status` is a gap in each shard, and a reset of one leaves the other', async () => {
    const { server, client } = await start(['a', 'b']);
    const slow = client.subscribe(['status', 'tick:*'], { queueMax: 8 });
    await slow.ready;
    const [a, b] = [server.model('a'), server.model('b')];
    a.tick('A1');
    b.tick('B1', 7);
    for (let i = 0; i < 40; i++) {
      a.status('A1', i);
      b.status('B1', i);
      if (i === 20) {
        const [peer] = b.peers;
        const head = { type: 'reset', epoch: 1, reason: 'too-slow', shard: null } as const;
        peer!.wire.send([{ ...head, topics: ['tick:*'], seq: b.seq }]);
      }
    }
    const items = await drain(slow);
    expect(slow.waiting).toBe(0);
    for (const shard of ['a', 'b']) {
      const own = items.filter((m) => 'shard' in m && m.shard === shard);
      const told = own.flatMap((m) => (m.type === 'gap' ? [m] : []));
      expect(told.every(({ topic }) => topic === 'status')).toBe(true);
      const kept = items.flatMap((m) =>
        m.type === 'status' && shardOf(m.symbol) === shard ? [m.seq] : [],
      );
      const seqs = server.model(shard).log.flatMap((m) => (m.type === 'status' ? [m.seq] : []));
      const missing = seqs.filter((seq) => !kept.includes(seq));
      expect(missing.length).toBeGreaterThan(0);
      expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(missing.length);
      for (const seq of missing) {
        expect(told.some(({ from, to }) => from <= seq && seq <= to)).toBe(true);
      }
      for (const seq of kept) expect(told.every(({ to }) => to < seq)).toBe(true);
    }
    // The tick of a is not what the reset of b is about.
    expect(items.filter((m) => m.type === 'tick').map(brief)).toEqual(['tick A1 1']);
    client.close();
  });
});

// ── properties ────────────────────────────────────────────────────────────────────────────────

const SHARDS = ['a', 'b', 'c'] as const;
const shard = fc.constantFrom(...SHARDS);
const one = fc.constantFrom(1, 2);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('trade' as const), shard, one }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('tick' as const), shard, one }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('status' as const), shard, one }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('book' as const), shard, one, level: fc.nat(30) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('heartbeat' as const), shard }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('copy' as const), shard }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('takeover' as const), shard }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('back' as const),
      shard,
      back: fc.oneof(fc.constant(0), fc.nat(6), fc.nat(40)),
      shown: fc.constantFrom(0 as const, 0.5 as const, 1 as const),
      copy: fc.nat(3),
      cutAfter: fc.oneof(fc.constant(Infinity), fc.nat(12)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('serve' as const),
      shards: fc.subarray([...SHARDS], { minLength: 1 }),
      isNamed: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), shard }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(600) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('guest' as const),
      topic: fc.constantFrom('trade:*', 'trade:A1', 'tick:B2', 'book:C1', 'status', 'book:*'),
      intervalMs: fc.constantFrom(0, 500),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Follows the items as an application does that knows the shard of each symbol. */
class Application {
  /** By topic and symbol, which differ for `status`. */
  private readonly held = new Map<string, Map<number, LoggedMessage>>();
  private readonly floors = new Map<string, number>();
  private readonly gaps: { key: string; from: number; to: number }[] = [];
  private readonly symbols: readonly string[];
  private readonly isLate: boolean;

  /** @param isLate whether it began behind the first messages */
  constructor(symbols: readonly string[], isLate: boolean) {
    this.symbols = symbols;
    this.isLate = isLate;
  }

  take(item: Item): void {
    if (item.type === 'reset') {
      for (const key of this.keysOf(item.topics, item.shard)) {
        this.held.delete(key);
        this.floors.set(key, item.seq);
      }
    } else if (item.type === 'gap') {
      for (const key of this.keysOf([item.topic], item.shard)) {
        this.gaps.push({ key, from: item.from, to: item.to });
        const held = this.held.get(key);
        for (const seq of held?.keys() ?? []) if (seq >= item.from) held!.delete(seq);
      }
    } else {
      const message = item as LoggedMessage;
      const key = keyOf(message);
      if (this.isLate && !this.floors.has(key)) this.floors.set(key, message.seq - 1);
      if (!this.held.has(key)) this.held.set(key, new Map());
      const held = this.held.get(key)!;
      if (message.type === 'trade') expect([key, held.has(message.seq)]).toEqual([key, false]);
      held.set(message.seq, message);
    }
  }

  /** Every trade and status that it holds is in the journal, and it lacks none without a declaration. */
  check(log: readonly LoggedMessage[], channels: readonly string[]): void {
    for (const symbol of this.symbols) {
      for (const channel of channels) {
        const key = `${channel}:${symbol}`;
        const held = this.held.get(key) ?? new Map<number, LoggedMessage>();
        const own = log.filter((m) => keyOf(m) === key);
        const bySeq = new Map(own.map((m) => [m.seq, m]));
        for (const [seq, m] of held) expect([key, m]).toEqual([key, bySeq.get(seq)!]);
        const isTold = (seq: number): boolean =>
          seq <= (this.floors.get(key) ?? 0) ||
          this.gaps.some((g) => g.key === key && g.from <= seq && seq <= g.to);
        const lacking = own.filter(({ seq }) => !held.has(seq) && !isTold(seq));
        expect([key, lacking]).toEqual([key, []]);
      }
      const tick = log.findLast((m) => keyOf(m) === `tick:${symbol}`);
      if (channels.includes('tick') && tick !== undefined) {
        const seqs = [...this.held.get(keyOf(tick))!.keys()];
        expect([symbol, Math.max(...seqs)]).toEqual([symbol, tick.seq]);
      }
    }
  }

  private keysOf(topics: readonly string[], of: string | null): string[] {
    const own = this.symbols.filter((symbol) => of === null || of === shardOf(symbol));
    return topics.flatMap((topic) => {
      const [channel, symbol = '*'] = topic.split(':');
      return own.filter((s) => symbol === '*' || s === symbol).map((s) => `${channel}:${s}`);
    });
  }
}

function keyOf(m: LoggedMessage): string {
  return m.type === 'status' ? `status:${m.symbol}` : topicOf(m)!;
}

/** All values differ, so that each message identifies its epoch. */
let values = 0;

async function run(server: ShardedServer, bench: Bench, s: Step): Promise<void> {
  switch (s.do) {
    case 'settle':
      return settled();
    case 'wait':
      return bench.timers.advance(s.ms);
    case 'cut':
      return server.cutAll();
    case 'serve': {
      const names = s.shards.filter((name) => server.shards.has(name));
      return names.length > 0 ? server.serve(names, s.isNamed) : server.cutAll();
    }
    case 'guest': {
      const [client] = bench.clients;
      const guest = bench.guests.get(s.topic);
      if (guest === undefined) bench.guests.set(s.topic, client!.subscribe([s.topic], s));
      else guest.close();
      if (guest !== undefined) bench.guests.delete(s.topic);
      return;
    }
    default:
  }
  const rolling = server.shards.get(s.shard);
  if (rolling === undefined) return;
  const { model } = rolling;
  switch (s.do) {
    case 'trade':
      return void model.trade(symbolOf(s), ++values);
    case 'tick':
      return void model.tick(symbolOf(s), ++values);
    case 'status':
      return void model.status(symbolOf(s), ++values);
    case 'book':
      return void model.book(symbolOf(s), [50 + (s.level % 7), ++values], [60 + (s.level % 5), 2]);
    case 'heartbeat':
      return model.heartbeat();
    case 'copy':
      return rolling.copy();
    case 'takeover':
      return rolling.takeOver();
    case 'lose':
      for (const peer of model.peers) peer.fault = 'lose';
      return;
    case 'back':
      server.cutAll();
      rolling.goBack(s.back, s.shown, s.copy);
      rolling.cutAfter = s.cutAfter;
  }
}

function symbolOf(s: { readonly shard: string; readonly one: number }): string {
  return `${s.shard.toUpperCase()}${s.one}`;
}

/** A consumer of two topics of one symbol. If the server does not know the symbol, it begins again. */
class Reader {
  application: Application;
  private failure: unknown;
  private readonly client: TapedeckClient;
  private readonly symbol: string;

  constructor(client: TapedeckClient, symbol: string) {
    this.client = client;
    this.symbol = symbol;
    this.application = new Application([symbol], false);
    void this.follow();
  }

  again(): void {
    if (this.failure === undefined) return;
    expect(this.failure).toMatchObject({ code: 'unknown-symbol' });
    this.failure = undefined;
    this.application = new Application([this.symbol], true);
    void this.follow();
  }

  private async follow(): Promise<void> {
    const { application, symbol } = this;
    try {
      const items = this.client.subscribe([`trade:${symbol}`, `tick:${symbol}`]);
      for await (const item of items) application.take(item);
    } catch (e) {
      this.failure = e;
    }
  }
}

describe.each([1, 2, 3])('%d shards', (count) => {
  test('every message of a topic arrives or is declared', async () => {
    const names = SHARDS.slice(0, count);
    const symbols = names.flatMap((name) => [1, 2].map((i) => symbolOf({ shard: name, one: i })));
    const told = new Set<string>();
    const steps = fc.array(step, { minLength: 5, maxLength: 70 });
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(10, 60, 10_000), async (all, queueMax) => {
        const { server, bench, client } = await start(names);
        const wild = client.subscribe(['trade:*', 'status', 'tick:*', 'book:*'], { queueMax });
        const held = new Application(symbols, false);
        const single = symbols.filter((s) => s.endsWith('1')).map((s) => new Reader(client, s));
        await wild.ready;
        const read = async (): Promise<void> => {
          for (const item of await drain(wild)) held.take(item);
          for (const reader of single) reader.again();
        };
        for (const [i, s] of all.entries()) {
          await run(server, bench, s);
          if (i % 9 === 8) await read();
        }
        // From here on every shard is served, and the client must recover.
        server.serve(names);
        for (const rolling of server.shards.values()) rolling.cutAfter = Infinity;
        for (let i = 0; i < 8; i++) {
          await bench.timers.advance(700);
          server.heartbeat();
          await read();
        }
        for (const symbol of symbols) {
          const model = server.model(shardOf(symbol));
          model.trade(symbol, ++values);
          model.tick(symbol, ++values);
          model.status(symbol, ++values);
          model.book(symbol, [50, ++values], [60, 1]);
        }
        await settled();
        server.heartbeat();
        await bench.timers.advance(600);
        await read();
        const log = names.flatMap((name) => server.model(name).log);
        held.check(log, ['trade', 'status', 'tick']);
        for (const { application } of single) application.check(log, ['trade', 'tick']);
        for (const symbol of symbols) {
          const levels = server.model(shardOf(symbol)).levels.get(symbol)!;
          expect(client.book(symbol)).toMatchObject({ ...levels, trusted: true });
        }
        const wasLost = all.some((s) => s.do === 'lose');
        if (!wasLost) expect(bench.eventNames).not.toContain('chain-break');
        expect(bench.eventNames).not.toContain('book-mismatch');
        expect(server.refusals).not.toContain('invalid-field');
        for (const name of bench.eventNames) told.add(name);
        client.close();
      }),
      { numRuns: deep(2_000, 100) },
    );
    // Some of a hundred runs without a crash of a shard that lost messages: then no gap is declared.
    const expected = ['resumed', 'reset', ...(isDeep ? ['gap'] : [])];
    expect([...told]).toEqual(expect.arrayContaining(expected));
  }, 120_000);
});
