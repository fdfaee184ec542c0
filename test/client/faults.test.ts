/**
 * Random misbehaviour of a server: in every case the application's data is free of gaps or its gaps are declared,
 * in order, without repetition, and its books equal those of the server at the end.
 */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { topicOf } from '../../protocol/topics';
import type { Item } from '../../src/client/items';
import { LocalBook } from '../../src/client/local-book';
import { ModelServer } from './model-server';
import { Bench, drain } from './support';
import { settled } from './wires';

const SYMBOLS = ['AAA', 'BBB'] as const;
const symbol = fc.constantFrom(...SYMBOLS);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('trade' as const), symbol }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('tick' as const), symbol }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('book' as const), symbol, levels: fc.nat(30) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('heartbeat' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      fault: fc.constantFrom('lose', 'double', 'announce', 'corrupt'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(600) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('guest' as const),
      topic: fc.constantFrom('trade:*', 'trade:AAA', 'book:AAA', 'book:*', 'tick:BBB'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cutResume' as const), after: fc.nat(4) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('resume' as const),
      as: fc.constantFrom('served', 'not-supported', 'too-old'),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** An application that trusts its items: chains, books; it throws at a hole. */
class Application {
  readonly last = new Map<string, number>();
  readonly books = new Map<string, LocalBook>();
  /** Topics that were reset, with `*` or not. */
  readonly reset = new Set<string>();

  take(item: Item): void {
    if (item.type === 'reset') {
      for (const topic of item.topics) {
        this.reset.add(topic);
        for (const known of this.last.keys()) {
          const [channel, name] = topic.split(':');
          const [ofChannel] = known.split(':');
          if (known === topic || (name === '*' && channel === ofChannel)) this.last.delete(known);
        }
      }
      return;
    }
    if (item.type === 'gap') {
      expect(item.to).toBeGreaterThan(this.last.get(item.topic) ?? 0);
      this.last.set(item.topic, item.to);
      if (item.topic.startsWith('book')) this.books.get(item.topic.slice(5))?.clear();
      return;
    }
    const topic = topicOf(item)!;
    const last = this.last.get(topic);
    // It subscribed from the start, so the first message is the first of the topic.
    const again = this.reset.has(topic) || this.reset.has(`${item.type}:*`);
    if (last === undefined && !again) expect([topic, item.prevSeq]).toEqual([topic, 0]);
    if (last !== undefined && !(item.type === 'book' && item.form === 'snapshot')) {
      expect([topic, item.seq, item.prevSeq]).toEqual([topic, item.seq, last]);
    }
    if (last !== undefined) expect(item.seq).toBeGreaterThan(last);
    this.last.set(topic, item.seq);
    if (item.type !== 'book') return;
    let book = this.books.get(item.symbol);
    if (book === undefined) this.books.set(item.symbol, (book = new LocalBook()));
    expect([item.form, book.apply(item)]).toEqual([item.form, 'applied']);
  }
}

function run(model: ModelServer, bench: Bench, s: Step): Promise<void> | void {
  switch (s.do) {
    case 'trade':
      return void model.trade(s.symbol);
    case 'tick':
      return void model.tick(s.symbol);
    case 'book': {
      const bid = 50 + (s.levels % 7);
      return void model.book(s.symbol, [bid, s.levels + 1, 40, 1], [60 + (s.levels % 5), 2]);
    }
    case 'heartbeat':
      return model.heartbeat();
    case 'settle':
      return settled();
    case 'fault':
      for (const peer of model.peers) peer.fault = s.fault;
      return;
    case 'cut':
      return model.cutAll();
    case 'restart':
      return model.restart();
    case 'wait':
      return bench.timers.advance(s.ms);
    case 'guest': {
      // Another consumer subscribes, or leaves if it is there.
      const [client] = bench.clients;
      const guest = bench.guests.get(s.topic);
      if (guest === undefined) bench.guests.set(s.topic, client!.subscribe([s.topic]));
      else guest.close();
      if (guest !== undefined) bench.guests.delete(s.topic);
      return;
    }
    case 'cutResume':
      model.cutResumeAfter = s.after;
      return;
    case 'resume':
      model.resume = s.as;
  }
}

test('gap-free or declared, in order, without repetition, and the books agree at the end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 80 }),
      fc.constantFrom(8, 40, 10_000),
      fc.boolean(),
      async (steps, queueMax, wild) => {
        const bench = new Bench();
        const { model } = bench;
        const client = await bench.connect();
        const topics = wild ? ['trade:*', 'book:*', 'tick:AAA'] : ['trade:AAA', 'book:AAA'];
        const reader = client.subscribe(topics, { queueMax });
        const application = new Application();
        const other = client.subscribe(['book:AAA']);
        await reader.ready;
        for (const [i, s] of steps.entries()) {
          await run(model, bench, s);
          if (i % 9 === 8) for (const item of await drain(reader)) application.take(item);
        }
        // From here on the server behaves, and the client must recover.
        model.cutResumeAfter = Number.POSITIVE_INFINITY;
        for (const peer of model.peers) peer.fault = undefined;
        for (let i = 0; i < 12; i++) {
          model.heartbeat();
          await settled();
          await bench.timers.advance(700);
        }
        for (const name of SYMBOLS) {
          model.trade(name);
          model.book(name, [50, 1], [60, 1]);
        }
        for (let i = 0; i < 4; i++) {
          model.heartbeat();
          await bench.timers.advance(300);
        }
        for (const item of await drain(reader)) application.take(item);
        for (const name of wild ? SYMBOLS : (['AAA'] as const)) {
          expect(client.book(name)).toMatchObject({ bids: [50, 1], asks: [60, 1], trusted: true });
          expect(application.books.get(name)).toMatchObject({ bids: [50, 1], asks: [60, 1] });
          expect(application.last.get(`trade:${name}`)).toBe(model.heads.get(`trade:${name}`));
        }
        expect(other.waiting).toBeGreaterThan(0);
        client.close();
        expect(bench.timers.count).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
}, 60_000);
