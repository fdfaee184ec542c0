/** Ended orders: whose are dropped when more have ended than are kept, compared with a plain model. */

import { describe, expect, test } from 'bun:test';

import { Prng } from '../../src/base/prng';
import { EndedOrders } from '../../src/market/ended-orders';
import { readSeed } from '../support/seed';
import { MarketRun, venue } from './market-run';

interface Ended {
  readonly owner: string;
  readonly name: number;
  endedAs?: number;
}

/** All kept orders, in the order of their ends; computed on each call. */
class NaiveEnded {
  kept: Ended[] = [];
  private readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  push(order: Ended): Ended | undefined {
    this.kept.push(order);
    if (this.kept.length <= this.capacity) return undefined;
    const owners = [...new Set(this.kept.map((o) => o.owner))].sort();
    const most = Math.max(...owners.map((owner) => this.of(owner).length));
    const gone = this.of(owners.find((owner) => this.of(owner).length === most)!)[0]!;
    this.kept = this.kept.filter((o) => o !== gone);
    return gone;
  }

  of(owner: string): Ended[] {
    return this.kept.filter((o) => o.owner === owner);
  }
}

describe('ended orders', () => {
  test('the owner with the most loses the oldest, in any flow; pages equal those of the model', () => {
    const seed = readSeed();
    const random = new Prng(seed);
    for (let round = 0; round < 30; round++) {
      const capacity = random.int(1, 60);
      const naive = new NaiveEnded(capacity);
      let ended = new EndedOrders<Ended>(capacity);
      const owners = random.int(1, 12);
      for (let i = 0; i < 400; i++) {
        // The lower the number the busier, so that some have many and some few.
        const owner = `o${Math.min(random.int(0, owners), random.int(0, owners))}`;
        const order: Ended = { owner, name: i };
        expect([seed, round, i, ended.push(order)]).toEqual([seed, round, i, naive.push(order)]);
        if (random.chance(0.01)) {
          const again = new EndedOrders<Ended>(capacity); // as a start reads it from a checkpoint
          for (const kept of ended) expect(again.push(kept)).toBeUndefined();
          ended = again;
        }
        expect(ended.length).toBe(naive.kept.length);
      }
      for (let o = 0; o <= owners; o++) {
        const expected = naive.of(`o${o}`).toReversed();
        const limit = random.int(1, 7);
        const found: Ended[] = [];
        for (let page = ended.of(`o${o}`, null, limit); page.length > 0;) {
          found.push(...page);
          page = ended.of(`o${o}`, page.at(-1)!.endedAs!, limit);
        }
        expect([seed, found]).toEqual([seed, expected]);
      }
    }
  });

  test('each of n owners keeps its newest capacity ÷ n, however many orders of another end', () => {
    const ended = new EndedOrders<Ended>(100);
    for (let i = 0; i < 25; i++)
      for (const owner of ['a', 'b', 'c']) ended.push({ owner, name: i });
    for (let i = 0; i < 10_000; i++) ended.push({ owner: 'flood', name: i });
    for (const owner of ['a', 'b', 'c', 'flood']) {
      expect(ended.of(owner, null, 1_000)).toHaveLength(25);
    }
  });
});

describe('a repetition', () => {
  test('is answered as the first was, however many orders of another owner have ended since', () => {
    let run = new MarketRun([venue('ACME')], 100);
    const given = { clientOrderId: 'once', price: 50 } as const;
    const first = run.enter('ada', given);
    run.cancel('ada', 'once');
    for (let i = 0; i < 1_000; i++) {
      run.enter('eve', { clientOrderId: `e${i}`, price: 50 });
      run.cancel('eve', `e${i}`);
      if (i === 500) run = run.restored();
    }
    const again = run.submit('ada', given);
    expect(again).toMatchObject({ result: { orderId: first }, events: [] });
    expect(run.market.router.clientOrders.checkpoint().orders).toHaveLength(100);
  });

  test('is still known if a smaller setting dropped its order', () => {
    // The names are used twice: with room for ten, the first ones were dropped in between.
    const small = new MarketRun([venue('ACME')], 10);
    const large = new MarketRun([venue('ACME')], 1_000);
    for (const run of [small, large]) {
      for (let i = 0; i < 20; i++) {
        run.enter('ada', { clientOrderId: `n${i}`, price: 50 });
        run.cancel('ada', `n${i}`);
      }
    }
    small.enter('ada', { clientOrderId: 'n0', price: 51 });
    const command = small.batches.at(-1)!.events.find((e) => e.type === 'command')!;
    large.sequencer.act((out) => {
      const again = { ...command, seq: out.nextSeq() };
      out.push(again);
      large.market.router.replay(again, out);
    });
    large.sequencer.drain();
    for (let i = 20; i < 1_020; i++) {
      large.enter('ada', { clientOrderId: `n${i}`, price: 50 });
      large.cancel('ada', `n${i}`);
    }
    expect(large.market.router.clientOrders.named('ada', 'n0')).toMatchObject({
      status: 'open',
      price: 51,
    });
  });
});
