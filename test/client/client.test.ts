/** The client against a model server in this process: subscribing, recovering, orders. */

import { describe, expect, test } from 'bun:test';

import { Nanos } from '../../protocol/time';
import { TapedeckError } from '../../src/client/errors';
import { Bench, brief, briefs, drain, requests } from './support';
import { settled } from './wires';

describe('subscriptions', () => {
  test('[S4] [S5] state first, then live messages; for `*` and single topics alike', async () => {
    const bench = new Bench();
    const { model } = bench;
    model.tick('AAA');
    model.book('AAA', [10, 1], [11, 1]);
    model.trade('AAA');
    const client = await bench.connect();
    const all = client.subscribe(['tick:*', 'book:AAA', 'trade:*']);
    await all.ready;
    model.tick('BBB');
    model.trade('AAA');
    model.book('AAA', [10, 2], [11, 1]);
    expect(await briefs(all)).toEqual([
      'tick AAA 1',
      'book AAA snapshot 2',
      'tick BBB 4',
      'trade AAA 5',
      'book AAA delta 6',
    ]);
    expect(client.book('AAA')!.bids).toEqual([10, 2]);
    expect(client.instruments.get('AAA')).toMatchObject({ priceScale: 2 });
    client.close();
  });

  test('[S7] a topic is subscribed once, and left when its last consumer closes', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const first = client.subscribe(['trade:AAA', 'tick:AAA']);
    await first.ready;
    model.tick('AAA');
    const second = client.subscribe(['tick:AAA']);
    await second.ready;
    expect(requests(bench, 'subscribe')).toHaveLength(1);
    expect(await briefs(second)).toEqual(['tick AAA 1']);
    first.close();
    await settled();
    expect(requests(bench, 'unsubscribe')).toMatchObject([{ topics: ['trade:AAA'] }]);
    model.tick('AAA');
    expect(await briefs(second)).toEqual(['tick AAA 2']);
    second.close();
    await settled();
    expect([...model.peers][0]!.topics.size).toBe(0);
    client.close();
  });

  test('[S8] leaving a `*` does not end single topics of other consumers', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const all = client.subscribe(['trade:*']);
    const one = client.subscribe(['trade:AAA']);
    await Promise.all([all.ready, one.ready]);
    model.trade('AAA');
    all.close();
    await settled();
    model.trade('AAA');
    model.trade('BBB');
    expect(await briefs(one)).toEqual(['trade AAA 1', 'trade AAA 2']);
    expect(bench.eventNames).not.toContain('chain-break');
    one.close();
    await settled();
    expect([...model.peers][0]!.topics.size).toBe(0);
    client.close();
  });

  test('a refusal fails its own subscription only', async () => {
    const bench = new Bench();
    bench.model.answer = (peer, m) => {
      if (m.type !== 'subscribe' || !m.topics.includes('trade:NONE')) return false;
      const error = { code: 'unknown-symbol', message: 'no', field: null, hint: 'look' };
      peer.wire.send([{ type: 'error', id: m.id, ...error }]);
      return true;
    };
    const client = await bench.connect();
    expect(() => client.subscribe(['nonsense'])).toThrow(TapedeckError);
    const bad = client.subscribe(['trade:NONE', 'tick:AAA']);
    const good = client.subscribe(['tick:AAA']);
    expect(bad.ready).rejects.toMatchObject({ code: 'unknown-symbol', hint: 'look' });
    expect(bad.next()).rejects.toMatchObject({ code: 'unknown-symbol' });
    await good.ready;
    bench.model.tick('AAA');
    expect(await briefs(good)).toEqual(['tick AAA 1']);
    expect((await bad.next()).done).toBe(true);
    client.close();
  });

  test('close ends every iteration; leaving a loop closes its subscription', async () => {
    const bench = new Bench();
    const client = await bench.connect();
    const one = client.subscribe(['trade:AAA']);
    const other = client.subscribe(['trade:AAA']);
    await one.ready;
    bench.model.trade('AAA');
    for await (const item of one) {
      expect(brief(item)).toBe('trade AAA 1');
      break;
    }
    expect(one.closed).toBe(true);
    await other.next();
    const waiting = other.next();
    client.close();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(() => client.subscribe(['trade:AAA'])).toThrow('closed');
    expect(bench.eventNames.at(-1)).toBe('closed');
    expect(bench.timers.count).toBe(0);
  });
});

describe('recovering', () => {
  test('[T5] an undeclared break: resumed, and the consumer sees no gap', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const trades = client.subscribe(['trade:AAA']);
    await trades.ready;
    model.trade('AAA');
    [...model.peers][0]!.fault = 'lose';
    model.trade('AAA');
    model.trade('AAA');
    expect(await briefs(trades)).toEqual(['trade AAA 1', 'trade AAA 2', 'trade AAA 3']);
    expect(bench.last('chain-break')).toEqual({ topic: 'trade:AAA', last: 1, seq: 3 });
    expect(requests(bench, 'resume')).toMatchObject([{ seq: 1, epoch: 1, topics: ['trade:AAA'] }]);
    client.close();
  });

  test.each(['not-supported', 'too-old'] as const)(
    '[R3] a break where resume is answered %s: a reset declares what was not sent',
    async (answer) => {
      const bench = new Bench();
      const { model } = bench;
      model.resume = answer;
      const client = await bench.connect();
      const all = client.subscribe(['trade:*', 'tick:AAA']);
      await all.ready;
      model.trade('AAA');
      model.trade('BBB');
      [...model.peers][0]!.fault = 'lose';
      model.trade('AAA');
      model.trade('AAA');
      expect(await briefs(all)).toEqual([
        'trade AAA 1',
        'trade BBB 2',
        `reset ${answer} trade:AAA`,
      ]);
      model.trade('AAA');
      expect(await briefs(all)).toEqual(['trade AAA 5']);
      expect(bench.last('reset')).toMatchObject({ seq: 4, reason: answer });
      client.close();
    },
  );

  test('[T7] a head in a heartbeat reveals what a quiet topic lost', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const trades = client.subscribe(['trade:*']);
    await trades.ready;
    [...model.peers][0]!.fault = 'lose';
    model.trade('AAA');
    model.heartbeat();
    expect(await briefs(trades)).toEqual(['trade AAA 1']);
    expect(bench.eventNames).toContain('chain-break');
    client.close();
  });

  test('[B7] a book whose checksum fails is subscribed again, at most once in a while', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const books = client.subscribe(['book:AAA']);
    await books.ready;
    model.book('AAA', [10, 1], []);
    [...model.peers][0]!.fault = 'corrupt';
    model.book('AAA', [10, 2], []);
    await settled();
    expect(bench.last('book-mismatch')).toMatchObject({ topic: 'book:AAA', seq: 2 });
    model.book('AAA', [10, 3], []);
    expect(await briefs(books)).toEqual([
      'book AAA snapshot 1',
      'reset book-mismatch book:AAA',
      'book AAA snapshot 2',
      'book AAA delta 3',
    ]);
    expect(client.book('AAA')!.bids).toEqual([10, 3]);
    [...model.peers][0]!.fault = 'corrupt';
    model.book('AAA', [10, 4], []);
    await settled();
    expect(requests(bench, 'subscribe')).toHaveLength(2);
    expect(client.book('AAA')!.trusted).toBe(false);
    await bench.timers.advance(250);
    expect(requests(bench, 'subscribe')).toHaveLength(3);
    expect(client.book('AAA')!.bids).toEqual([10, 4]);
    client.close();
  });

  test('[R5] a declared gap is an item; a book after one is requested again', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const all = client.subscribe(['trade:AAA', 'book:AAA']);
    await all.ready;
    const [peer] = model.peers;
    model.book('AAA', [10, 1], []);
    peer!.fault = 'announce';
    model.trade('AAA');
    model.trade('AAA');
    peer!.fault = 'announce';
    model.book('AAA', [10, 2], []);
    await settled();
    expect(client.book('AAA')!.trusted).toBe(false);
    model.book('AAA', [10, 3], []);
    await settled();
    expect(await briefs(all)).toEqual([
      'book AAA snapshot 1',
      'gap trade:AAA 2-2 (1)',
      'trade AAA 3',
      'gap book:AAA 4-4 (1)',
      'reset chain-break book:AAA',
      'book AAA snapshot 5',
    ]);
    expect(client.book('AAA')!.bids).toEqual([10, 3]);
    client.close();
  });

  test('[R4] an unrequested reset is delivered, then the state, and the chain continues', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const ticks = client.subscribe(['tick:*']);
    await ticks.ready;
    model.tick('AAA');
    const [peer] = model.peers;
    peer!.topics.clear();
    const lost = model.tick('AAA');
    peer!.topics.add('tick:*');
    const head = { type: 'reset', epoch: 1, reason: 'too-slow', shard: null } as const;
    peer!.wire.send([{ ...head, topics: ['tick:*'], seq: model.seq }, lost]);
    model.tick('AAA');
    model.tick('BBB');
    expect(await briefs(ticks)).toEqual([
      'tick AAA 1',
      'reset too-slow tick:*',
      'tick AAA 2',
      'tick AAA 3',
      'tick BBB 4',
    ]);
    expect(bench.eventNames).not.toContain('chain-break');
    client.close();
  });
});

test('[W18] received: at most once a second, up to what every consumer has read', async () => {
  const bench = new Bench();
  const { model } = bench;
  const client = await bench.connect();
  const slow = client.subscribe(['trade:AAA']);
  const quick = client.subscribe(['trade:AAA']);
  await slow.ready;
  for (let i = 0; i < 5; i++) model.trade('AAA');
  await drain(quick);
  await slow.next();
  await bench.timers.advance(1_000);
  expect(requests(bench, 'received')).toMatchObject([{ seq: 1 }]);
  await drain(slow);
  model.heartbeat();
  await bench.timers.advance(900);
  expect(requests(bench, 'received')).toHaveLength(1);
  await bench.timers.advance(100);
  expect(requests(bench, 'received')).toMatchObject([{ seq: 1 }, { seq: 5 }]);
  client.close();
});

test('orders: promises with their executions, refusals as errors; publish waits its turn', async () => {
  const bench = new Bench();
  const { model } = bench;
  const held: (() => void)[] = [];
  model.answer = (peer, m) => {
    if (m.type === 'publish') {
      held.push(() =>
        peer.wire.send([
          { type: 'ack', id: m.id, seq: 1, repeated: null, waiting: null, shards: null },
        ]),
      );
    } else if (m.type === 'order') {
      const { symbol, clientOrderId, side, quantity: open, price } = m;
      const head = { seq: 4, prevSeq: 0, eventTime: Nanos.ZERO, receiveTime: Nanos.ZERO, id: null };
      const tail = { tradePrice: null, tradeQuantity: null, code: null, orderId: 9 };
      const own = { symbol, clientOrderId, side, open, price, event: 'accepted' } as const;
      peer.wire.send([{ type: 'execution', ...head, ...own, ...tail }]);
      peer.wire.send([
        { type: 'ack', id: m.id, seq: 4, repeated: null, waiting: null, shards: null },
      ]);
    } else if (m.type === 'cancel') {
      const text = { message: 'no such order', field: null, hint: null };
      peer.wire.send([{ type: 'error', id: m.id, code: 'unknown-order', ...text }]);
    } else return false;
    return true;
  };
  const client = await bench.connect();
  await client.subscribe(['tick:AAA']).ready;
  const order = { symbol: 'AAA', side: 'buy', price: '1.50', quantity: '2' } as const;
  const answer = await client.order(order);
  expect(answer).toMatchObject({ seq: 4, orderId: 9, clientOrderId: 'test-1' });
  expect(answer.executions).toMatchObject([{ event: 'accepted', price: 150, open: 2_000 }]);
  expect(bench.eventNames).toContain('execution');
  expect(client.order({ ...order, price: '1.505' })).rejects.toMatchObject({
    code: 'off-increment',
    field: 'price',
  });
  expect(client.cancel({ symbol: 'AAA', orderId: 9 })).rejects.toMatchObject({
    code: 'unknown-order',
  });
  const published = Promise.all(Array.from({ length: 20 }, () => client.publish([])));
  await settled();
  expect(held).toHaveLength(16);
  held.splice(0, 4).forEach((answer) => answer());
  await settled();
  expect(held).toHaveLength(16);
  held.splice(0).forEach((answer) => answer());
  expect(await published).toHaveLength(20);
  const lost = client.publish([]);
  model.cutAll();
  expect(lost).rejects.toMatchObject({ code: 'connection-failed' });
  await settled();
  client.close();
});
