/** How the SDK handles marks, revised bars, and source numbers that continue or not. */

import { describe, expect, test } from 'bun:test';

import type { Bar, Message, SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { parseTopic } from '../../protocol/topics';
import { Prng } from '../../src/base/prng';
import { ItemQueue } from '../../src/client/item-queue';
import { LocalBook } from '../../src/client/local-book';
import { TopicChain } from '../../src/client/topic-chain';
import { BarReader, BarStream } from '../support/bar-stream';
import { book } from '../support/market-events';
import { readSeed } from '../support/seed';
import { Bench, drain } from './support';
import { settled } from './wires';

describe('[B9] the mark of a book', () => {
  test('is that of its newest message, also of an empty delta; an invalid book has none', () => {
    const local = new LocalBook();
    expect(local.mark).toBeNull();
    local.apply(book('snapshot', 1, 0, [10, 1], [], { mark: 'recovered' }));
    expect(local.mark).toBe('recovered');
    local.apply(book('delta', 2, 1, [10, 2], []));
    expect([local.mark, local.bids]).toEqual([null, [10, 2]]);
    expect(local.apply(book('delta', 3, 2, [], [], { mark: 'stale' }))).toBe('applied');
    expect([local.mark, local.bids]).toEqual(['stale', [10, 2]]);
    local.apply(book('incomplete', 4, 3, [], []));
    expect(local.mark).toBeNull();
  });

  test('is delivered to later subscribers with the levels', async () => {
    const bench = new Bench();
    const { model } = bench;
    model.book('AAA', [10, 1], []);
    const client = await bench.connect();
    await client.subscribe(['book:AAA']).ready;
    model.mark('AAA', 'stale');
    await settled();
    expect(client.book('AAA')!.mark).toBe('stale');
    const later = client.subscribe(['book:AAA']);
    await later.ready;
    expect(await drain(later)).toMatchObject([{ form: 'snapshot', bids: [10, 1], mark: 'stale' }]);
    client.close();
  });
});

describe('[D8] bars that are revised', () => {
  test('the state of a topic is its newest bar, with the head that the next message names', () => {
    const seed = readSeed();
    for (let i = 0; i < 40; i++) {
      const random = new Prng(seed + i);
      const chain = new TopicChain('bar:AAA:1s', parseTopic('bar:AAA:1s')!, 0, undefined);
      const stream: BarStream = new BarStream(random, (m) => {
        expect([seed + i, chain.take(m as Bar)]).toEqual([seed + i, 'taken']);
      });
      for (let n = 0; n < 60; n++) {
        stream.batch();
        const bars = stream.bars();
        const newest = Math.max(...bars.keys());
        const [state] = chain.state();
        expect(state).toMatchObject({ ...bars.get(newest), seq: stream.topic.head, prevSeq: 0 });
        expect((state as Bar).openTime.seconds).toBe(newest);
      }
    }
  });

  test('a slow consumer gets the newest state of each bar, and an unbroken chain', () => {
    const seed = readSeed();
    for (let i = 0; i < 40; i++) {
      const random = new Prng(seed + i);
      const queue = new ItemQueue(80, {
        stateOf: () => [],
        topicCount: () => 1,
        shardOf: () => null,
        restart: () => [],
      });
      const reader = new BarReader();
      const read = (): void => {
        while (queue.length > 0) reader.take(queue.shift() as Bar);
      };
      const stream = new BarStream(random, (m) => queue.push(m as Bar));
      for (let n = 0; n < 400; n++) {
        stream.batch();
        expect(queue.length).toBeLessThanOrEqual(80);
        // Before there are so many bars that the oldest are dropped.
        if (random.chance(0.02) || n % 60 === 59 || queue.length > 60) read();
      }
      read();
      expect([seed + i, reader.naive()]).toEqual([seed + i, stream.bars()]);
      expect(reader.counted).toBe(stream.trades - stream.pastTrades);
    }
  });
});

describe('[P3] the numbers of a source', () => {
  const trade = (symbol: string): SourceEvent => ({
    type: 'trade',
    symbol,
    seq: 1,
    prevSeq: 0,
    eventTime: Nanos.fromSeconds(1_700_000_000, 0),
    receiveTime: Nanos.ZERO,
    price: 1,
    quantity: 1,
    aggressor: 'buy',
    tradeId: 0,
    timing: null,
  });

  test('after a reconnect the client says that its numbers continue, for symbols that it published before', async () => {
    const bench = new Bench();
    const said: (boolean | null)[] = [];
    bench.model.answer = (peer, m: Message) => {
      if (m.type !== 'publish') return false;
      said.push(m.continues);
      peer.wire.send([
        { type: 'ack', id: m.id, seq: 1, repeated: null, waiting: null, shards: null },
      ]);
      return true;
    };
    const client = await bench.connect();
    const away = async (): Promise<void> => {
      bench.model.heartbeat(); // a connection that has lasted
      await settled();
      bench.model.cutAll();
      await bench.comeBack();
    };
    await client.publish([trade('AAA')]);
    await client.publish([trade('AAA')]);
    await away();
    await client.publish([trade('AAA')]);
    await client.publish([trade('BBB')]);
    await client.publish([trade('BBB')], { continues: true });
    await away();
    await client.publish([trade('AAA'), trade('BBB')]);
    await client.publish([trade('AAA')], { continues: false });
    await away();
    await client.publish([trade('AAA'), trade('CCC')]);
    expect(said).toEqual([null, null, true, null, true, true, false, null]);
    client.close();
  });

  test('[P11] events without effect are reported, and only those', async () => {
    const bench = new Bench();
    const counts: [number | null, number | null][] = [
      [null, null],
      [0, 0],
      [3, 0],
      [null, 2],
    ];
    bench.model.answer = (peer, m: Message) => {
      if (m.type !== 'publish') return false;
      const [repeated, waiting] = counts.shift()!;
      peer.wire.send([{ type: 'ack', id: m.id, seq: 7, repeated, waiting, shards: null }]);
      return true;
    };
    const client = await bench.connect();
    const reports: unknown[] = [];
    client.on('intake', (event) => reports.push(event));
    for (let i = 0; i < 4; i++) expect(await client.publish([trade('AAA')])).toBe(7);
    expect(reports).toEqual([
      { seq: 7, repeated: 3, waiting: 0 },
      { seq: 7, repeated: 0, waiting: 2 },
    ]);
    client.close();
  });
});
