/** A replay of topics of several shards: one for each journal, merged by receive time. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { MessageOf } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { Item } from '../../src/client/items';
import { TurnMeter } from '../../src/base/turn-meter';
import { planReplay } from '../../src/client/replay-plan';
import { deep } from '../support/tier';
import { ShardedServer } from './sharded-server';
import { Bench, brief } from './support';
import { settled } from './wires';

const at = (second: number): Nanos => Nanos.fromSeconds(1_700_000_000 + second, 0);

/** Two shards with trades at these seconds; the client knows the symbols. */
async function start(times: Readonly<Record<string, readonly number[]>>) {
  const server = new ShardedServer(Object.keys(times));
  const [first] = server.shards.keys();
  const bench = new Bench(server.model(first!), server);
  const { timers } = bench;
  const clock = {
    now: () => Nanos.ZERO,
    monotonicMs: () => timers.nowMs,
    turns: new TurnMeter(() => timers.nowMs),
  };
  const client = await bench.connect({ environment: { clock } });
  const known = client.subscribe(['status']);
  await known.ready;
  known.close();
  await settled();
  for (const [shard, seconds] of Object.entries(times)) {
    const model = server.model(shard);
    for (const second of seconds) {
      model.receiveTime = at(second);
      model.trade(`${shard.toUpperCase()}1`);
    }
  }
  return { server, client, timers };
}

/** Reads in the background. */
function reading(items: AsyncIterable<Item>): { readonly taken: Item[]; over: unknown } {
  const state: { taken: Item[]; over: unknown } = { taken: [], over: undefined };
  void (async () => {
    try {
      for await (const item of items) state.taken.push(item);
      state.over = 'ended';
    } catch (e) {
      state.over = e;
    }
  })();
  return state;
}

const replays = (server: ShardedServer): MessageOf<'replay'>[] =>
  server.requests.filter((m) => m.type === 'replay');

describe('[H6] a replay of topics of two shards', () => {
  test('a message waits until the other journal has a later one, or has ended', async () => {
    const { server, client } = await start({ a: [1, 4, 5], b: [2, 3, 9] });
    const read = reading(client.replay({ topics: ['trade:*', 'trade:B1'] }));
    await settled();
    await settled();
    expect(replays(server).map(({ shard, topics }) => `${shard} ${topics.join(' ')}`)).toEqual([
      'a trade:*',
      'b trade:* trade:B1',
    ]);
    server.play('a', 2);
    await settled();
    expect(read.taken.map(brief)).toEqual([]);
    server.play('b', 1);
    await settled();
    expect(read.taken.map(brief)).toEqual(['trade A1 1', 'trade B1 1']);
    server.play('b', 2);
    await settled();
    expect(read.taken.map(brief).slice(2)).toEqual(['trade B1 2', 'trade A1 2']);
    server.play('a', 9);
    await settled();
    expect(read.taken.map(brief).slice(4)).toEqual(['trade A1 3', 'trade B1 3']);
    expect(read.over).toBe('ended');
    client.close();
  });

  test('pause, continue and seek are about both; a journal that was read to its end is opened again', async () => {
    const { server, client } = await start({ a: [1, 4], b: [2, 3, 9] });
    const replay = client.replay({ topics: ['trade:A1', 'trade:B1'], to: at(99) });
    const read = reading(replay);
    await replay.pause();
    await replay.continue();
    server.play('a', 2);
    server.play('b', 1);
    await settled();
    expect(read.taken.map(brief)).toEqual(['trade A1 1', 'trade B1 1']);
    expect(replay.seek({ fromSeq: 1 })).rejects.toMatchObject({ code: 'several-shards' });
    await replay.seek({ from: at(3) });
    await settled();
    for (const shard of ['a', 'b']) server.play(shard, 9);
    await settled();
    expect(read.taken.map(brief).slice(2)).toEqual(['trade B1 2', 'trade A1 2', 'trade B1 3']);
    expect(read.over).toBe('ended');
    expect(replays(server).map(({ action, shard }) => [action, shard])).toEqual([
      ['start', 'a'],
      ['start', 'b'],
      ['pause', null],
      ['pause', null],
      ['continue', null],
      ['continue', null],
      ['seek', null],
      ['start', 'a'],
    ]);
    expect(replays(server).at(-1)).toMatchObject({ from: at(3), to: at(99) });
    expect(replay.seek({ from: at(1) })).rejects.toMatchObject({ code: 'no-replay' });
    client.close();
  });

  test('stop ends both; so does the end of one connection, with the shard in the hint', async () => {
    const { server, client } = await start({ a: [1, 4], b: [2, 3] });
    const stopped = client.replay({ topics: ['trade:*'] });
    const first = reading(stopped);
    await stopped.pause();
    await stopped.stop();
    await settled();
    expect([first.over, server.fronts.size]).toEqual(['ended', 1]);
    const cut = client.replay({ topics: ['trade:*'] });
    const second = reading(cut);
    await cut.pause();
    server.play('b', 1);
    await settled();
    server.playerOf('b')!.wire.cut();
    server.play('a', 9);
    await settled();
    expect(second.taken.map(brief)).toEqual(['trade A1 1', 'trade B1 1']);
    expect(second.over).toMatchObject({
      code: 'connection-failed',
      hint: expect.stringContaining('of shard b is 1'),
    });
    expect(server.fronts.size).toBe(1);
    client.close();
  });

  test('every call of next is settled in order if one of them fails', async () => {
    const { server, client } = await start({ a: [1, 4], b: [2, 3] });
    const replay = client.replay({ topics: ['trade:*'] });
    await replay.pause();
    const code = (e: unknown): unknown => (e as { code: string }).code;
    const calls = [1, 2, 3].map(() => replay.next().catch(code));
    server.playerOf('b')!.wire.cut();
    const done = { done: true, value: undefined } as const;
    expect(await Promise.all(calls)).toEqual(['connection-failed', done, done]);
    expect(server.fronts.size).toBe(1);
    client.close();
  });

  test('at a speed messages of all journals are due by the time since the first, also when all were sent', async () => {
    const { server, client, timers } = await start({ a: [10, 40, 41], b: [11, 12, 100] });
    const replay = client.replay({ topics: ['trade:*'], speed: 10, from: at(10) });
    const read = reading(replay);
    const news = async (ms: number): Promise<string[]> => {
      const before = read.taken.length;
      await timers.advance(ms);
      return read.taken.slice(before).map(brief);
    };
    await settled();
    await settled();
    expect(replays(server).map(({ speed }) => speed)).toEqual([null, null]);
    for (const shard of ['a', 'b']) server.play(shard, 9);
    expect(await news(0)).toEqual(['trade A1 1']);
    expect(await news(90)).toEqual([]);
    expect(await news(10)).toEqual(['trade B1 1']);
    await replay.pause();
    expect(await news(5_000)).toEqual([]);
    await replay.continue();
    expect(await news(110)).toEqual(['trade B1 2']);
    await replay.seek({ from: at(40) });
    await settled();
    for (const shard of ['a', 'b']) server.play(shard, 9);
    expect(await news(0)).toEqual(['trade A1 2']);
    expect(await news(100)).toEqual(['trade A1 3']);
    expect([await news(5_800), read.over]).toEqual([[], undefined]);
    expect([await news(100), read.over]).toEqual([['trade B1 3'], 'ended']);
    client.close();
    expect(timers.count).toBe(0);
  });

  test('a paced replay ends at once with its client, also when all was sent', async () => {
    const { server, client, timers } = await start({ a: [10, 40], b: [11] });
    const read = reading(client.replay({ topics: ['trade:*'], speed: 1 }));
    await settled();
    await settled();
    for (const shard of ['a', 'b']) server.play(shard, 9);
    await settled();
    expect([read.taken.map(brief), read.over]).toEqual([['trade A1 1'], undefined]);
    client.close();
    await settled();
    expect([read.over, timers.count]).toEqual(['ended', 0]);
  });

  test('numbers are of one shard: of several they are refused, of a named one they are not', async () => {
    const { server, client } = await start({ a: [1], b: [2] });
    for (const range of [{ fromSeq: 1 }, { toSeq: 1 }]) {
      const replay = client.replay({ topics: ['trade:*'], ...range });
      expect(await replay.next().catch((e: unknown) => e)).toMatchObject({
        code: 'several-shards',
      });
      expect((await replay.next()).done).toBe(true);
    }
    expect(replays(server)).toEqual([]);
    const one = reading(client.replay({ topics: ['trade:*'], fromSeq: 1, shard: 'b' }));
    const own = reading(client.replay({ topics: ['trade:A1'], fromSeq: 1 }));
    await settled();
    await settled();
    for (const shard of ['a', 'b']) server.play(shard, 9);
    await settled();
    expect([one, own].map(({ taken }) => taken.map(brief))).toEqual([
      ['trade B1 1'],
      ['trade A1 1'],
    ]);
    client.close();
  });
});

test('symbols of which no definition has come are asked for; what is still unknown goes to one journal', async () => {
  const shards = ['a', 'b'].map((shard) => ({ shard, epoch: 1, seq: 1 }));
  const known = new Map([
    ['A1', 'a'],
    ['OLD', 'gone'],
  ]);
  let asked = 0;
  const symbols = {
    shardOf: (symbol: string): string | null => known.get(symbol) ?? null,
    learn: (): Promise<void> => {
      asked += 1;
      known.set('B1', 'b').set('OLD', 'b');
      return Promise.resolve();
    },
  };
  const plan = async (...topics: string[]): Promise<string[]> => {
    const { requests } = await planReplay(shards, { topics }, symbols);
    return requests.map((journal) => `${journal.shard} ${journal.topics.join(' ')}`);
  };
  expect([await plan('trade:A1', 'book:A1'), asked]).toEqual([['a trade:A1 book:A1'], 0]);
  expect(await plan('trade:B1', 'trade:A1', 'tick:OLD')).toEqual([
    'a trade:A1',
    'b trade:B1 tick:OLD',
  ]);
  expect(asked).toBe(1);
  expect(await plan('status', 'trade:NONE')).toEqual(['a status trade:NONE', 'b status']);
});

test('whatever arrives first: in the order of receive times, and of each journal, nothing is missing', async () => {
  const seconds = fc.array(fc.nat(20), { maxLength: 12 }).map((all) => all.sort((x, y) => x - y));
  const steps = fc.array(fc.record({ shard: fc.constantFrom('a', 'b', 'c'), count: fc.nat(3) }));
  await fc.assert(
    fc.asyncProperty(seconds, seconds, seconds, steps, async (a, b, c, all) => {
      const { server, client } = await start({ a, b, c });
      const read = reading(client.replay({ topics: ['trade:*'] }));
      await settled();
      await settled();
      for (const { shard, count } of [
        ...all,
        ...['c', 'a', 'b'].map((shard) => ({ shard, count: 99 })),
      ]) {
        server.play(shard, count);
        await settled();
      }
      expect(read.over).toBe('ended');
      const trades = read.taken.flatMap((m) => (m.type === 'trade' ? [m] : []));
      const times = trades.map(({ receiveTime }) => receiveTime.seconds);
      expect(times).toEqual(times.toSorted((x, y) => x - y));
      for (const [shard, own] of Object.entries({ a, b, c })) {
        const mine = trades.filter(({ symbol }) => symbol === `${shard.toUpperCase()}1`);
        expect(mine.map(({ seq }) => seq)).toEqual(own.map((_, i) => i + 1));
      }
      client.close();
    }),
    { numRuns: deep(1_000, 50) },
  );
});
