/** The events of each command and their order; and what owners are sent. */

import { describe, expect, test } from 'bun:test';

import { Prng } from '../../src/base/prng';
import { readSeed } from '../support/seed';
import { ReaderOf, statusOf } from './check-outcome';
import { MarketRun, venue, type Outcome } from './market-run';

function types({ events }: Outcome): string {
  return events.map((e) => e.type).join(' ');
}

/** Executions in short form: owner, event, open, and what was traded. */
function executions({ executions }: Outcome): string[] {
  return executions.map(({ owner, message: m }) =>
    [
      owner,
      m.event,
      m.open,
      ...(m.tradePrice === null ? [] : [m.tradeQuantity, m.tradePrice]),
    ].join(' '),
  );
}

describe('the events of a command', () => {
  test('the command is recorded first; then trade and tick of each fill, one book, one bbo', () => {
    const run = new MarketRun([venue('ACME')]);
    const reader = new ReaderOf(run);
    reader.take(run.submit('ada', { clientOrderId: 'a1', side: 'sell', price: 101, quantity: 5 }));
    reader.take(run.submit('bob', { clientOrderId: 'b1', side: 'sell', price: 102, quantity: 5 }));
    reader.take(run.submit('bob', { side: 'sell', price: 102, quantity: 5 }));
    const sweep = run.submit('cyd', { clientOrderId: 'c1', price: 102, quantity: 12 });
    reader.take(sweep);

    expect(types(sweep)).toBe('command trade tick trade tick trade tick book bbo');
    const [command] = sweep.events;
    expect(sweep.result).toMatchObject({ seq: command!.seq, orderId: 4 * 65_536 });
    expect(command).toMatchObject({ owner: 'cyd', clientOrderId: 'c1', orderId: 4 * 65_536 });
    expect(executions(sweep)).toEqual([
      'cyd accepted 12',
      'cyd traded 7 5 101',
      'ada traded 0 5 101',
      'cyd traded 2 5 102',
      'bob traded 0 5 102',
      'cyd traded 0 2 102', // against an order without a name, whose owner is not notified
    ]);
    const trades = sweep.events.filter((e) => e.type === 'trade');
    const [first, second, third] = trades.map((trade) => trade.seq);
    expect(sweep.executions.map(({ message }) => message.seq)).toEqual(
      [command!.seq, first, first, second, second, third].map((seq) => seq!),
    );
    for (const { message } of sweep.executions)
      expect([message.prevSeq, message.id]).toEqual([0, null]);
  });

  test('beyond the tenth level and within a queue nothing is published but the command', () => {
    const run = new MarketRun([venue('ACME')]);
    for (let i = 0; i < 12; i++) run.enter('ada', { price: 100 - i });
    const deep = run.submit('bob', { clientOrderId: 'b', price: 50 });
    expect([types(deep), executions(deep)]).toEqual(['command', ['bob accepted 10']]);
    expect(types(run.cancel('bob', 'b'))).toBe('command');
    expect(types(run.submit('bob', { price: 95 }))).toBe('command book');
    expect(types(run.submit('bob', { price: 100 }))).toBe('command book bbo');
  });

  test('an order that has ended has nothing open: ioc, fok, market, cancel, self-trade', () => {
    const run = new MarketRun([venue('ACME')]);
    run.enter('ada', { clientOrderId: 'a', side: 'sell', price: 101, quantity: 4 });
    expect(
      executions(run.submit('bob', { clientOrderId: 'f', price: 101, timeInForce: 'fok' })),
    ).toEqual(['bob accepted 10', 'bob expired 0']);
    expect(executions(run.submit('ada', { clientOrderId: 's', price: 101 }))).toEqual([
      'ada accepted 10',
      'ada cancelled 0',
    ]);
    const ioc = run.submit('bob', { clientOrderId: 'i', price: 101, timeInForce: 'ioc' });
    expect(executions(ioc)).toEqual([
      'bob accepted 10',
      'bob traded 6 4 101',
      'ada traded 0 4 101',
      'bob expired 0',
    ]);
    expect(run.market.router.clientOrders.named('bob', 'i')).toMatchObject({
      status: 'expired',
      open: 0,
      traded: 4,
      answer: { status: 'expired', open: 0, traded: 4 },
    });
    const market = { kind: 'market', timeInForce: 'ioc', price: null } as const;
    expect(executions(run.submit('bob', { clientOrderId: 'm', ...market }))).toEqual([
      'bob accepted 10',
      'bob expired 0',
    ]);
    run.enter('bob', { clientOrderId: 'r', price: 90 });
    expect(executions(run.cancel('bob', 'r'))).toEqual(['bob cancelled 0']);
  });

  test('an amendment is reported with the open quantity, and may trade', () => {
    const run = new MarketRun([venue('ACME')]);
    run.enter('ada', { clientOrderId: 'a', price: 99, quantity: 10 });
    run.enter('bob', { side: 'sell', price: 101, quantity: 4 });
    expect(executions(run.amend('ada', 'a', null, 6))).toEqual(['ada amended 6']);
    const over = run.amend('ada', 'a', 101, null);
    expect(types(over)).toBe('command trade tick book bbo');
    expect(executions(over)).toEqual(['ada amended 6', 'ada traded 2 4 101']);
    expect(run.market.router.clientOrders.named('ada', 'a')).toMatchObject({ price: 101, open: 2 });
  });

  test('the opening auction: every fill, then the state, then one book and one bbo', () => {
    const run = new MarketRun([venue('ACME', { initialState: 'pre-open' })]);
    const reader = new ReaderOf(run);
    reader.take(run.submit('ada', { clientOrderId: 'a', price: 103, quantity: 6 }));
    reader.take(run.submit('ada', { price: 102, quantity: 4 }));
    reader.take(run.submit('bob', { clientOrderId: 'b', side: 'sell', price: 100, quantity: 8 }));
    const opening = run.state('open');
    reader.take(opening);
    expect(types(opening)).toBe('command trade tick trade tick status book bbo');
    expect(statusOf(opening.events)).toMatchObject({ state: 'live', reason: 'state-changed' });
    expect(executions(opening)).toEqual([
      'ada traded 0 6 102',
      'bob traded 2 6 102',
      'bob traded 0 2 102',
    ]);
    for (const e of opening.events) if (e.type === 'trade') expect(e.aggressor).toBe('none');
    expect(types(run.state('halted'))).toBe('command status');
  });

  test('over random commands, every batch keeps its order and every reader its book', () => {
    const seed = readSeed();
    const random = new Prng(seed);
    const run = new MarketRun([venue('ACME', { priceMin: 80, priceMax: 120 })], 1_000);
    const reader = new ReaderOf(run);
    const open = new Map<string, number>();
    for (let i = 0; i < 4_000; i++) {
      const outcome = randomCommand(run, random, i);
      reader.take(outcome);
      follow(outcome, open);
    }
    for (const [name, quantity] of open) {
      const [owner, clientOrderId] = name.split('/') as [string, string];
      const kept = run.market.router.clientOrders.named(owner, clientOrderId);
      if (kept === undefined) continue; // it ended long ago
      expect([seed, name, kept.open]).toEqual([seed, name, quantity]);
      const rests = run.venue().restingOrder(kept.orderId)?.open ?? 0;
      expect([seed, name, rests]).toEqual([seed, name, quantity]);
    }
  });
});

function randomCommand(run: MarketRun, random: Prng, i: number): Outcome {
  const owner = ['ada', 'bob', 'cyd'][random.int(0, 2)]!;
  const draw = random.unit();
  if (draw < 0.01) return run.state(random.chance(0.5) ? 'halted' : 'pre-open');
  if (draw < 0.03) return run.state('open');
  const resting = run.venue().restingOrders();
  const any = resting[random.int(0, Math.max(0, resting.length - 1))]?.orderId ?? 7;
  const whose = run.market.router.clientOrders.get(any)?.owner ?? owner;
  if (draw < 0.25) return run.cancel(whose, any);
  if (draw < 0.4) return run.amend(whose, any, random.int(90, 110), random.int(1, 12));
  return run.submit(owner, {
    clientOrderId: random.chance(0.9) ? `n${i}` : '',
    side: random.chance(0.5) ? 'buy' : 'sell',
    price: random.int(90, 110),
    quantity: random.int(1, 20),
    timeInForce: random.chance(0.8) ? 'gtc' : 'ioc',
  });
}

/** Tracks the open quantity of each order from the executions of its owner alone. */
function follow({ executions, events }: Outcome, open: Map<string, number>): void {
  const trades = new Map(events.filter((e) => e.type === 'trade').map((t) => [t.seq, t]));
  for (const { owner, message: m } of executions) {
    const name = `${owner}/${m.clientOrderId}`;
    const before = open.get(name) ?? 0;
    if (m.event === 'traded') {
      const trade = trades.get(m.seq)!;
      expect([m.tradePrice, m.tradeQuantity]).toEqual([trade.price, trade.quantity]);
      expect(m.open).toBe(before - trade.quantity);
    } else if (m.event !== 'accepted' && m.event !== 'amended') {
      expect(m.open).toBe(0);
    }
    open.set(name, m.open);
  }
}
