/**
 * Bounds of trading: how many open orders one owner may have, and how much one command may do. The limits are
 * recorded with the commands, so other settings after a restart change nothing of the past.
 */

import { afterAll, describe, expect, spyOn, test } from 'bun:test';

import { ManualClock } from '../../src/base/clock';
import { InstrumentSettingsSchema } from '../../protocol/instrument-settings';
import { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import { check, type Config } from '../../src/config/config';
import { finishAuctions } from '../../src/app/order-stage';
import { definitionOf } from '../../src/app/instruments';
import type { VenueInstrument } from '../../src/market/venue-instrument';
import { auctionPrice } from '../../src/market/venue/auction';
import { Ladder } from '../../src/market/venue/ladder';
import { OrderBook } from '../../src/market/venue/order-book';
import { BUY, SELL } from '../../src/market/venue/constants';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import { filled } from '../../src/config/settings-check';
import { verifyBoth } from '../journal/verified';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { MarketRun, order, venue, type Outcome } from './market-run';

/** Enters a number of bids and asks, each at its own price, that all cross. */
function crossed(run: MarketRun, each: number): void {
  for (let i = 0; i < each; i++) {
    run.enter('ada', { price: 1_000 + i, quantity: 1 + (i % 3), clientOrderId: `a${i}` });
    run.enter('bob', {
      side: 'sell',
      price: 1_000 + each - i,
      quantity: 2,
      clientOrderId: `b${i}`,
    });
  }
}

function tradesOf(outcomes: readonly Outcome[]): unknown[] {
  return outcomes.flatMap(({ events }) =>
    events
      .filter((e) => e.type === 'trade')
      .map(({ price, quantity, tradeId, aggressor }) => [price, quantity, tradeId, aggressor]),
  );
}

describe('an auction', () => {
  const early = [venue('ACME', { initialState: 'pre-open' })];

  test('of many orders is executed in bounded parts, with the same outcome as at once', () => {
    const whole = new MarketRun(early, 10_000);
    let parted = new MarketRun(early, 10_000, undefined, { fillsMax: 7 });
    for (const run of [whole, parted]) crossed(run, 100);
    const expected = [whole.state('open')];
    const parts: Outcome[] = [];
    do {
      parts.push(parted.state('open'));
      if (parts.length === 3) parted = parted.restored(); // as a start finds it
    } while (parted.venue().isInAuction);
    expect(parts.length).toBeGreaterThan(5);
    for (const part of parts) expect(tradesOf([part]).length).toBeLessThanOrEqual(7);
    expect(tradesOf(parts)).toEqual(tradesOf(expected));
    expect(parted.venue().stateHash()).toBe(whole.venue().stateHash());
    const states = parts.flatMap(({ events }) => events.filter((e) => e.type === 'status'));
    expect(states).toMatchObject([{ state: 'live', reason: 'state-changed' }]);
  });

  test('in progress refuses every other command, and records none', () => {
    const run = new MarketRun(early, 10_000, undefined, { fillsMax: 7 });
    crossed(run, 20);
    run.state('open');
    expect(run.venue().isInAuction).toBe(true);
    const before = run.standing();
    const refused = [
      run.submit('cyd', { price: 10, clientOrderId: 'c' }),
      run.cancel('ada', 'a0'),
      run.amend('ada', 'a0', 900, null),
      run.state('halted'),
    ];
    for (const { result, events } of refused) {
      expect(result).toMatchObject({ code: 'auction-under-way' });
      expect(events).toEqual([]);
    }
    expect(run.standing()).toEqual(before);
    while (run.venue().isInAuction) run.state('open');
    expect(run.submit('cyd', { price: 10, clientOrderId: 'c' }).result).not.toHaveProperty('code');
  });

  test('finds its price in one pass over the levels', () => {
    const book = new OrderBook();
    const levels = 2_000;
    for (let i = 0; i < levels; i++) {
      book.add(2 * i + 1, 1, BUY, 1_000 + i, 1, false);
      book.add(2 * i + 2, 2, SELL, 1_000 + levels - i, 1, false);
    }
    const read = spyOn(Ladder.prototype, 'priceAt');
    const sums = spyOn(Ladder.prototype, 'sumDownTo');
    try {
      expect(auctionPrice(book, 0, 1)).toBe(2_000);
      expect(read.mock.calls.length).toBeLessThanOrEqual(6 * levels);
      expect(sums).toHaveBeenCalledTimes(1);
    } finally {
      read.mockRestore();
      sums.mockRestore();
    }
  });
});

describe('one order', () => {
  function manyAsks(limits: object): MarketRun {
    const run = new MarketRun([venue('ACME')], 10_000, undefined, limits);
    for (let i = 0; i < 30; i++) run.enter('bob', { side: 'sell', price: 100 + i, quantity: 1 });
    return run;
  }

  test.each([
    ['market', { kind: 'market', timeInForce: 'ioc', price: null }],
    ['limit', { price: 1_000 }],
    ['ioc', { price: 1_000, timeInForce: 'ioc' }],
  ] as const)(
    'of kind %s meets no more orders than it may; the rest of it leaves',
    (_kind, given) => {
      const run = manyAsks({ fillsMax: 8 });
      const taken = run.submit('ada', { ...given, quantity: 20, clientOrderId: 'x' });
      expect(tradesOf([taken])).toHaveLength(8);
      expect(taken.result).toMatchObject({ order: { status: 'cancelled', traded: 8, open: 0 } });
      expect(taken.executions.findLast((one) => one.owner === 'ada')!.message.event).toBe(
        'cancelled',
      );
      expect(run.restored().venue().stateHash()).toBe(run.venue().stateHash());
      // As many fills as allowed, and nothing is left: it is filled.
      const exact = run.submit('ada', { ...given, quantity: 8, clientOrderId: 'y' });
      expect(exact.result).toMatchObject({ order: { status: 'filled' } });
    },
  );

  test('that must be filled whole or not at all does not begin if it would exceed the limit', () => {
    const run = manyAsks({ fillsMax: 8 });
    const fok = { price: 1_000, timeInForce: 'fok' } as const;
    const before = run.venue().restingOrders();
    const refused = run.submit('ada', { ...fok, quantity: 9, clientOrderId: 'x' });
    expect(refused.result).toMatchObject({ order: { status: 'expired', traded: 0 } });
    expect(run.venue().restingOrders()).toEqual(before);
    const filled = run.submit('ada', { ...fok, quantity: 8, clientOrderId: 'y' });
    expect(filled.result).toMatchObject({ order: { status: 'filled' } });
  });

  test('that an amendment moves across the spread meets no more either', () => {
    const run = manyAsks({ fillsMax: 8 });
    run.enter('ada', { price: 50, quantity: 20, clientOrderId: 'x' });
    expect(tradesOf([run.amend('ada', 'x', 1_000, null)])).toHaveLength(8);
    expect(run.market.router.clientOrders.named('ada', 'x')).toMatchObject({ status: 'cancelled' });
  });
});

describe('quotas of an owner', () => {
  test('compared with a plain model: open orders stay within them, and nobody is refused because of another owner', () => {
    const limits = { openOrdersPerOwnerMax: 6, openQuantityPerOwnerMax: 50 };
    const random = new Prng(readSeed());
    const rules = { quantityMax: 40 };
    const run = new MarketRun([venue('ACME', rules), venue('ELSE', rules)], 100, undefined, limits);
    const { clientOrders } = run.market.router;
    const owners = ['ada', 'bob', 'cyd'];
    const seen = new Map<string, number>();
    for (let i = 0; i < 4_000; i++) {
      const owner = owners[random.int(0, 2)]!;
      const symbol = random.chance(0.5) ? 'ACME' : 'ELSE';
      const side = random.chance(0.5) ? 'buy' : 'sell';
      const open = clientOrders.openOf(owner, 0, 100);
      const quantity = random.int(1, 40);
      // Far enough apart that nothing trades, so the open orders follow from those entered.
      const price = side === 'buy' ? random.int(1, 50) : random.int(100, 150);
      const on = (like: { symbol: string; side: string }): number =>
        open
          .filter((o) => o.symbol === like.symbol && o.side === like.side)
          .reduce((sum, o) => sum + o.open, 0);
      let expected: string | undefined;
      let result: Outcome['result'];
      if (open.length > 0 && random.chance(0.4)) {
        const target = open[random.int(0, open.length - 1)]!;
        if (random.chance(0.5)) {
          result = run.cancel(owner, target.orderId, null).result;
        } else {
          const more = quantity > target.open;
          if (more && on(target) - target.open + quantity > 50) expected = 'resting-overflow';
          result = run.amend(owner, target.orderId, null, quantity, null).result;
        }
      } else {
        if (open.length >= 6) expected = 'too-many-orders';
        else if (on({ symbol, side }) + quantity > 50) expected = 'resting-overflow';
        const given = { symbol, side, quantity, price, clientOrderId: `n${i}` } as const;
        result = run.submit(owner, given).result;
      }
      const code = 'code' in result ? result.code : undefined;
      expect([i, code]).toEqual([i, expected as typeof code]);
      seen.set(String(code), (seen.get(String(code)) ?? 0) + 1);
    }
    for (const code of ['undefined', 'too-many-orders', 'resting-overflow']) {
      expect(seen.get(code) ?? 0).toBeGreaterThan(50);
    }
  });

  test('an order refused for a quota is not recorded, and its name is free', () => {
    const run = new MarketRun([venue('ACME')], 100, undefined, { openOrdersPerOwnerMax: 1 });
    run.enter('ada', { price: 10, clientOrderId: 'first' });
    const refused = run.submit('ada', { price: 10, clientOrderId: 'second' });
    expect(refused).toMatchObject({
      result: { code: 'too-many-orders' },
      events: [],
      executions: [],
    });
    run.cancel('ada', 'first');
    expect(run.submit('ada', { price: 10, clientOrderId: 'second' }).result).not.toHaveProperty(
      'code',
    );
    // An order that may not rest takes no room.
    const ioc = order({ price: 10, timeInForce: 'ioc', clientOrderId: 'third' });
    expect(run.submit('ada', ioc).result).toMatchObject({ order: { status: 'expired' } });
  });
});

test('the default largest order is far below what a side holds; a venue keeps its own', () => {
  const given = { symbol: 'ACME', priceScale: 2, quantityScale: 3 };
  const setting = filled(InstrumentSettingsSchema, given);
  if ('code' in setting) throw new Error(setting.message);
  const rules = { quantityMax: 2 ** 48 };
  expect(definitionOf(setting)).toMatchObject({ rules });
  // As an earlier version defined it: the same settings must still fit the journal.
  const known = venue('ACME', { quantityMax: 2 ** 50 });
  expect(definitionOf(setting, known)).toMatchObject({ rules: { quantityMax: 2 ** 50 } });
  const named = { ...setting, quantityMax: '5.000' };
  expect(definitionOf(named, known)).toMatchObject({ rules: { quantityMax: 5_000 } });
});

describe('other settings after a restart', () => {
  const scratch = new ScratchDirectory();
  afterAll(() => scratch.remove());

  function open(directory: string, fillsMax: number): Recorder {
    const config = check({}) as Config;
    const { journal, limits } = config;
    const opened = openRecorder(
      {
        ...config,
        journal: { ...journal, directory, durability: 'commit' },
        limits: { ...limits, fillsMax, openQuantityPerOwnerMax: 1_000 * fillsMax },
      },
      new ManualClock(),
    );
    if (opened instanceof StartFault) throw new Error(opened.message);
    return opened;
  }

  test('change nothing of the recorded commands; an auction continues where it was', async () => {
    const directory = scratch.fresh();
    const first = open(directory, 3);
    const { market, sequencer } = first;
    sequencer.act((out) => market.define(venue('ACME', { initialState: 'pre-open' }), out));
    for (let i = 0; i < 40; i++) {
      const side = i % 2 === 0 ? 'buy' : 'sell';
      sequencer.act((out) =>
        market.router.submit(side, order({ side, clientOrderId: `${i}` }), out),
      );
    }
    sequencer.act((out) => market.router.setState('boss', 'ACME', 'open', out));
    sequencer.drain();
    const at = (recorder: Recorder): VenueInstrument =>
      recorder.market.get('ACME') as VenueInstrument;
    expect(at(first).isInAuction).toBe(true);
    const hash = at(first).stateHash();
    first.close();
    await first.journal.closed;

    const second = open(directory, 4);
    expect(at(second).stateHash()).toBe(hash);
    finishAuctions(second);
    second.sequencer.drain();
    expect(at(second)).toMatchObject({ isInAuction: false, state: 'live' });
    expect(at(second).restingOrders()).toEqual([]);
    second.close();
    await second.journal.closed;

    const third = open(directory, 1_000);
    expect(at(third).stateHash()).toBe(at(second).stateHash());
    third.close();
    await third.journal.closed;
    expect(await verifyBoth(directory)).toBeObject();
  });
});
