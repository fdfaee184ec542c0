/**
 * The client with a server whose journal goes back in time, repeatedly, also in the middle of a resume: what its
 * application holds at the end equals the present journal, or the difference was declared.
 */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { topicOf } from '../../protocol/topics';
import type { Item } from '../../src/client/items';
import { ModelServer, type LoggedMessage } from './model-server';
import { RollingServer } from './rolling-server';
import { Bench, drain } from './support';
import { settled } from './wires';

const SYMBOLS = ['AAA', 'BBB'] as const;
const symbol = fc.constantFrom(...SYMBOLS);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('trade' as const), symbol }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('tick' as const), symbol }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('book' as const), symbol, level: fc.nat(30) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('heartbeat' as const) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('copy' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('takeover' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('back' as const),
      back: fc.oneof(fc.constant(0), fc.nat(6), fc.nat(40)),
      shown: fc.constantFrom(0 as const, 0.5 as const, 1 as const),
      copy: fc.nat(3),
      cutAfter: fc.oneof(fc.constant(Infinity), fc.nat(12), fc.integer({ min: 495, max: 530 })),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(600) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('guest' as const),
      topic: fc.constantFrom('trade:*', 'trade:AAA', 'tick:BBB', 'book:BBB'),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Follows the items, and holds the result: the messages of each topic. */
class Application {
  readonly held = new Map<string, Map<number, LoggedMessage>>();
  /** Trades of a topic up to here need not be held; and trades that a gap declared. */
  readonly floors = new Map<string, number>();
  readonly gaps: { readonly topic: string; readonly from: number; readonly to: number }[] = [];

  take(item: Item): void {
    if (item.type === 'reset') {
      for (const topic of item.topics) {
        for (const name of SYMBOLS.map((s) => topic.replace('*', s))) {
          this.held.delete(name);
          this.floors.set(name, item.seq);
        }
      }
    } else if (item.type === 'gap') {
      this.gaps.push(item);
      const held = this.held.get(item.topic);
      for (const seq of held?.keys() ?? []) if (seq >= item.from) held!.delete(seq);
    } else {
      const message = item as LoggedMessage;
      const topic = topicOf(message)!;
      if (!this.held.has(topic)) this.held.set(topic, new Map());
      const held = this.held.get(topic)!;
      // A trade is delivered once.
      if (message.type === 'trade') expect([topic, held.has(message.seq)]).toEqual([topic, false]);
      held.set(message.seq, message);
    }
  }

  /** Every trade that it holds is in the journal, and it lacks none without a declaration. */
  check(log: readonly LoggedMessage[]): void {
    for (const name of SYMBOLS) {
      const topic = `trade:${name}`;
      const held = this.held.get(topic) ?? new Map<number, LoggedMessage>();
      const own = log.filter((m) => topicOf(m) === topic);
      const bySeq = new Map(own.map((m) => [m.seq, m]));
      for (const [seq, m] of held) expect(m).toEqual(bySeq.get(seq)!);
      const isTold = (seq: number): boolean =>
        seq <= (this.floors.get(topic) ?? 0) ||
        this.gaps.some((g) => g.topic === topic && g.from <= seq && seq <= g.to);
      const lacking = own.filter(({ seq }) => !held.has(seq) && !isTold(seq));
      expect([topic, lacking]).toEqual([topic, []]);
    }
  }
}

/** All values differ, so that each message identifies its epoch. */
let values = 0;

async function run(rolling: RollingServer, bench: Bench, s: Step): Promise<void> {
  const { model } = rolling;
  switch (s.do) {
    case 'trade':
      return void model.trade(s.symbol, ++values);
    case 'tick':
      return void model.tick(s.symbol, ++values);
    case 'book':
      return void model.book(s.symbol, [50 + (s.level % 7), ++values], [60 + (s.level % 5), 2]);
    case 'heartbeat':
      return model.heartbeat();
    case 'settle':
      return settled();
    case 'cut':
      return model.cutAll();
    case 'copy':
      return rolling.copy();
    case 'takeover':
      return rolling.takeOver();
    case 'back':
      rolling.goBack(s.back, s.shown, s.copy);
      rolling.cutAfter = s.cutAfter;
      return;
    case 'wait':
      return bench.timers.advance(s.ms);
    case 'guest': {
      const guest = bench.guests.get(s.topic);
      if (guest === undefined) bench.guests.set(s.topic, bench.clients[0]!.subscribe([s.topic]));
      else guest.close();
      if (guest !== undefined) bench.guests.delete(s.topic);
    }
  }
}

async function check(
  topics: readonly string[],
  symbols: readonly string[],
  steps: readonly Step[],
) {
  const model = new ModelServer(symbols);
  const rolling = new RollingServer(model);
  const bench = new Bench(model);
  const client = await bench.connect();
  const reader = client.subscribe(topics, { queueMax: 100_000 });
  const application = new Application();
  await reader.ready;
  for (const s of steps) await run(rolling, bench, s);
  rolling.cutAfter = Infinity;
  for (let i = 0; i < 8; i++) {
    model.heartbeat();
    await settled();
    await bench.timers.advance(700);
  }
  for (const name of SYMBOLS) {
    model.trade(name, ++values);
    model.tick(name, ++values);
    model.book(name, [50, ++values], [60, 1]);
  }
  for (let i = 0; i < 4; i++) {
    model.heartbeat();
    await bench.timers.advance(300);
  }
  for (const item of await drain(reader)) application.take(item);
  application.check(model.log);
  for (const name of SYMBOLS) {
    expect(client.book(name)).toMatchObject({ ...model.levels.get(name)!, trusted: true });
    const topic = `tick:${name}`;
    const newest = model.log.findLast((m) => topicOf(m) === topic);
    expect([...application.held.get(topic)!.values()].at(-1)).toEqual(newest);
  }
  expect(rolling.refused).toBe(0);
  client.close();
  expect(bench.timers.count).toBe(0);
  return { crossings: rolling.crossings, eventNames: bench.eventNames };
}

test('[T8] another server takes over twice: what is held stays, and the next connection resumes it', async () => {
  const model = new ModelServer(SYMBOLS);
  const rolling = new RollingServer(model);
  const bench = new Bench(model);
  const client = await bench.connect();
  const epochs: number[] = [];
  client.on('epoch', ({ epoch }) => epochs.push(epoch));
  const reader = client.subscribe(['trade:*'], { queueMax: 1_000 });
  await reader.ready;
  const application = new Application();
  for (let i = 0; i < 3; i++) {
    if (i > 0) rolling.takeOver();
    for (const name of SYMBOLS) model.trade(name, ++values);
    await settled();
    model.cutAll();
    model.trade('AAA', ++values);
    await bench.timers.advance(2_000);
  }
  for (const item of await drain(reader)) application.take(item);
  application.check(model.log);
  expect(application.held.get('trade:AAA')?.size).toBe(6);
  expect(epochs).toEqual([epochs[0]!, model.epoch]);
  expect(bench.eventNames.filter((what) => what === 'reset')).toEqual([]);
  expect(bench.eventNames.filter((what) => what === 'resumed')).toHaveLength(3);
  client.close();
});

describe('[R8] cut off in the middle of a crossing', () => {
  const IDLE = Array.from({ length: 499 }, (_, i) => `trade:I${i}`);
  const SEVERAL = ['trade:AAA', ...IDLE, 'trade:BBB']; // the last is in a separate request

  /** A reader of topics that has everything, and no connection. */
  async function away(topics: readonly string[], symbols: readonly string[]) {
    const model = new ModelServer(symbols);
    const rolling = new RollingServer(model);
    const bench = new Bench(model);
    const client = await bench.connect();
    const reader = client.subscribe(topics, { queueMax: 100_000 });
    await reader.ready;
    for (let i = 0; i < 45; i++) for (const name of SYMBOLS) model.trade(name, ++values);
    await settled();
    bench.up = false;
    model.cutAll();
    await settled();
    const end = async (): Promise<string[]> => {
      for (let i = 0; i < 6; i++) {
        await bench.timers.advance(700);
        model.heartbeat();
        await settled();
      }
      for (const name of SYMBOLS) model.trade(name, ++values);
      await settled();
      const application = new Application();
      const items = await drain(reader);
      for (const item of items) application.take(item);
      application.check(model.log);
      expect(rolling.refused).toBe(0);
      client.close();
      return items.flatMap((i) =>
        i.type === 'reset'
          ? i.topics.map((t) => `reset ${t}`)
          : i.type === 'gap'
            ? [`gap ${i.topic}`]
            : [],
      );
    };
    return { model, rolling, bench, end };
  }

  /** Instead of answering the resume of a topic, the connection ends, and there is none for now. */
  function cutAt(rolling: RollingServer, bench: Bench, topic: string, before: () => void): void {
    const { model } = rolling;
    const { answer } = model;
    model.answer = (peer, m) => {
      if (m.type !== 'resume' || !m.topics.includes(topic)) return answer(peer, m);
      model.answer = answer;
      before();
      bench.up = false;
      setImmediate(() => peer.wire.cut());
      return true;
    };
  }

  test('after the gaps alone, which reach beyond what it received: it continues from what it received', async () => {
    const { model, rolling, bench, end } = await away(['trade:AAA', 'trade:BBB'], SYMBOLS);
    // The reader does not see these; 95 are in a copy, of 100 a crash leaves 85.
    for (let i = 0; i < 5; i++) model.trade('AAA', ++values);
    rolling.copy();
    for (let i = 0; i < 5; i++) model.trade('BBB', ++values);
    rolling.goBack(15, 1, 0);
    rolling.cutAfter = 2;
    rolling.onCut = () => (bench.up = false);
    bench.up = true;
    await bench.timers.advance(1_000);
    rolling.goBack(0, 0, 1);
    bench.up = true;
    for (let i = 0; i < 20; i++) model.trade('AAA', ++values);
    expect(await end()).toEqual(['gap trade:AAA', 'gap trade:BBB']);
  });

  test('with a part of its requests answered: what it received since is of another epoch than the rest', async () => {
    const symbols = [...SYMBOLS, ...IDLE.map((name) => name.slice('trade:'.length))];
    const { model, rolling, bench, end } = await away(SEVERAL, symbols);
    rolling.copy();
    rolling.goBack(0, 0, 0);
    cutAt(rolling, bench, 'trade:BBB', () => {
      for (let i = 0; i < 10; i++) model.trade('AAA', ++values);
    });
    bench.up = true;
    await bench.timers.advance(1_000);
    // The copy knows the first epoch as long as the reader does, and nothing of the second.
    rolling.goBack(0, 0, 1);
    bench.up = true;
    for (let i = 0; i < 20; i++) model.trade('AAA', ++values);
    expect(await end()).toEqual(['reset trade:AAA']);
  });

  test('with a part of its requests answered: a live message does not answer the others', async () => {
    const symbols = [...SYMBOLS, ...IDLE.map((name) => name.slice('trade:'.length))];
    const { model, rolling, bench, end } = await away(SEVERAL, symbols);
    rolling.goBack(10, 1, 0); // of which it holds what is lost
    cutAt(rolling, bench, 'trade:BBB', () => {
      for (let i = 0; i < 10; i++) model.trade('AAA', ++values);
    });
    bench.up = true;
    await bench.timers.advance(1_000);
    bench.up = true;
    expect(await end()).toContain('gap trade:BBB');
  });
});

const steps = fc.array(step, { minLength: 10, maxLength: 90 });

test('[R2] [R3] [R8] what is held at the end equals the journal, or the difference was declared', async () => {
  let crossings = 0;
  const eventNames = new Set<string>();
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (some, isWild) => {
      const topics = ['trade', 'tick', 'book'].flatMap((channel) =>
        isWild ? [`${channel}:*`] : SYMBOLS.map((s) => `${channel}:${s}`),
      );
      const outcome = await check(topics, SYMBOLS, some);
      crossings += outcome.crossings;
      for (const event of outcome.eventNames) eventNames.add(event);
    }),
    { numRuns: 300 },
  );
  expect(crossings).toBeGreaterThan(100);
  expect([...eventNames]).toEqual(expect.arrayContaining(['resumed', 'reset', 'gap']));
}, 120_000);

test('[R8] with so many topics that several requests resume them', async () => {
  const idle = Array.from({ length: 520 }, (_, i) => `I${i}`);
  const names = [...SYMBOLS, ...idle];
  // One on each side of the border between the requests.
  const topics = ['AAA', ...idle, 'BBB'].map((s) => `trade:${s}`);
  topics.push(...['tick', 'book'].flatMap((channel) => SYMBOLS.map((s) => `${channel}:${s}`)));
  await fc.assert(
    fc.asyncProperty(steps, async (some) => void (await check(topics, names, some))),
    { numRuns: 60 },
  );
}, 120_000);
