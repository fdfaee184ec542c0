/** Impossible times, late trades, increments that change: rules [T1] [D3] [N5] [P7]. */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import type { MarketEvent, SourceEvent, Tick, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { TIME_LIMITS } from '../../src/market/market';
import {
  at,
  bbo,
  book,
  Collected,
  feedOf,
  instrument,
  newMarket,
  trade,
} from '../support/market-events';

const SECOND = 1e9;
const NOW = Nanos.fromSeconds(1_700_000_000, 0);

function scene(events: readonly SourceEvent[] = [instrument()]) {
  const market = newMarket();
  const out = new Collected();
  out.receiveTime = NOW;
  const publish = (...list: SourceEvent[]): MarketEvent[] => {
    expect(market.check(1, list)).toBeUndefined();
    for (const event of list) market.apply(1, event, out);
    market.seal();
    return out.take();
  };
  publish(...events);
  return { market, out, publish, feed: feedOf(market) };
}

const typed = <T extends MarketEvent['type']>(events: readonly MarketEvent[], type: T) =>
  events.filter((e): e is Extract<MarketEvent, { type: T }> => e.type === type);

test('a time in another unit is refused with the name of the unit', () => {
  const { market } = scene();
  for (const [digits, unit] of [
    ['1700000000', 'seconds'],
    ['1700000000000', 'milliseconds'],
    ['1700000000000000', 'microseconds'],
    ['1', 'seconds'],
  ] as const) {
    for (const event of [
      trade({ eventTime: Nanos.parse(digits)! }),
      bbo(1, [1, 1], null, { eventTime: Nanos.parse(digits)! }),
      book('snapshot', 1, 0, [1, 1], [], { eventTime: Nanos.parse(digits)! }),
    ]) {
      const refused = market.check(1, [event])!.fault;
      expect(refused).toMatchObject({ code: 'invalid-field', field: 'eventTime' });
      expect(refused.message).toContain(digits);
      expect(refused.message).toContain(unit);
    }
  }
});

test('[D3] a trade ahead of its receipt is recorded as sent, and its own time affects nothing', () => {
  const { publish, feed } = scene();
  const ahead = trade({ eventTime: NOW.plus(13 * 86_400e9), price: 7 });
  const events = publish(trade({ eventTime: NOW }), ahead, trade({ eventTime: NOW.plus(SECOND) }));
  expect(typed(events, 'trade').map((t) => t.timing)).toEqual([null, 'ahead', null]);
  expect(typed(events, 'trade')[1]!.eventTime).toEqual(ahead.eventTime);
  expect(typed(events, 'tick')).toHaveLength(3);
  expect(typed(events, 'status').map((s) => [s.reason, s.events])).toEqual([['times-ahead', 1]]);
  expect(feed.intake.ahead).toBe(1);
});

test('[D3] a late trade changes no last price and no volume', () => {
  const { publish, feed, out } = scene();
  publish(trade({ eventTime: NOW, price: 100, quantity: 5 }));
  const old = NOW.plus(-30 * 86_400e9);
  const events = publish(...[1, 2, 3].map((i) => trade({ eventTime: old.plus(i), price: i })));
  expect(events.map((e) => e.type)).toEqual(['trade', 'status', 'trade', 'trade']);
  expect(typed(events, 'trade').every((t) => t.timing === 'late')).toBe(true);
  expect(feed.currentTick()).toMatchObject({ last: 100, volume: 5 });
  // A minute later, what was not reported yet is reported.
  out.receiveTime = NOW.plus(61 * SECOND);
  const later = publish(trade({ eventTime: out.receiveTime, price: 101, quantity: 1 }));
  expect(typed(later, 'status').map((s) => [s.reason, s.events])).toEqual([['trades-late', 2]]);
  expect(feed.intake.late).toBe(3);
});

test('[D3] compared with the literal rule, for random times', () => {
  const day = 86_400;
  const offset = fc.oneof(
    fc.integer({ min: -90, max: 20 }),
    fc.integer({ min: -3 * day, max: 3 * day }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(offset, fc.integer({ min: 0, max: 40_000 })), { maxLength: 60 }),
      (list) => {
        const { publish, out, feed } = scene();
        const limits = { ahead: TIME_LIMITS.timeAheadMs / 1e3, late: TIME_LIMITS.latenessMs / 1e3 };
        let received = 1_700_000_000;
        let present: number | undefined;
        let volume = 0n;
        let last: number | undefined;
        for (const [i, [by, pause]] of list.entries()) {
          received += pause;
          const event = received + by;
          const marketTime = by > limits.ahead ? received : event;
          const isLate =
            present !== undefined &&
            (present - marketTime > limits.late ||
              Math.floor(marketTime / day) < Math.floor(present / day));
          if (!isLate) {
            if (present === undefined || Math.floor(marketTime / day) > Math.floor(present / day)) {
              volume = 0n;
            }
            volume += BigInt(i + 1);
            present = Math.max(present ?? marketTime, marketTime);
            last = i + 1;
          }
          out.receiveTime = Nanos.fromSeconds(received, 0);
          const made = trade({
            eventTime: Nanos.fromSeconds(event, 0),
            price: i + 1,
            quantity: i + 1,
          });
          const events = publish(made);
          const timing = [isLate ? 'late' : '', by > limits.ahead ? 'ahead' : ''].filter(Boolean);
          const recorded: Trade = typed(events, 'trade')[0]!;
          const tick: Tick | undefined = typed(events, 'tick')[0];
          expect(recorded.timing ?? '').toBe(timing.join('-and-') as 'late');
          expect(tick === undefined).toBe(isLate);
          expect(feed.currentTick()?.last).toBe(last);
          expect(BigInt(feed.currentTick()!.volume)).toBe(volume);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('book events are ordered by a time that only rises, whatever their own times', () => {
  const { publish } = scene();
  const time = (seconds: number) => ({ eventTime: NOW.plus(seconds * SECOND) });
  const events = publish(
    book('snapshot', 1, 0, [99, 1], [101, 1], time(0)),
    book('delta', 2, 1, [98, 1], [], time(-5)),
    book('delta', 3, 2, [97, 1], [], time(500_000)),
    book('delta', 4, 3, [96, 1], [], time(1)),
  );
  const orders = typed(events, 'book').map((b) => ('asOf' in b ? (b.asOf as Nanos) : b.eventTime));
  expect(orders).toEqual([0, 0, 0, 1].map((seconds) => NOW.plus(seconds * SECOND)));
});

test('[N5] [P7] after a coarser tick size the old levels can be changed, traded and deleted', () => {
  const fine = { priceIncrement: 1, quantityIncrement: 1 };
  const { publish, market, feed } = scene([instrument('ACME', fine)]);
  const time = { eventTime: NOW };
  publish(book('snapshot', 1, 0, [1001, 3, 1000, 1], [1010, 1], time));
  publish(instrument('ACME', { ...fine, priceIncrement: 5 }));
  publish(book('delta', 2, 1, [1001, 2], [], time), trade({ eventTime: NOW, price: 1001 }));
  publish(book('delta', 3, 2, [1001, 0], [], time));
  expect(feed.levels(10).bids).toEqual([1000, 1]);
  // What never was a multiple of any increment is refused, in decimals.
  const coarse = scene([instrument('ACME', { ...fine, priceIncrement: 5 })]);
  const off = book('snapshot', 1, 0, [1001, 1], [], time);
  expect(coarse.market.check(1, [off])!.fault).toMatchObject({
    code: 'off-increment',
    field: 'bids[0][0]',
  });
  expect(coarse.market.check(1, [off])!.fault.message).toContain('10.01');
  expect(coarse.market.check(1, [book('delta', 1, 0, [1001, 0], [], time)])).toBeUndefined();
  expect(market.check(1, [trade({ eventTime: NOW, price: 1003 })])).toBeUndefined();
});

test('a refused definition also refuses the events that depend on it', () => {
  const { market, publish } = scene();
  const other = instrument('ACME', { priceScale: 3 });
  const one = trade({ eventTime: NOW });
  expect(market.check(1, [other, one])).toMatchObject({
    index: 0,
    fault: { code: 'definition-conflict' },
  });
  expect(market.check(1, [one])).toMatchObject({
    fault: { code: 'definition-conflict', field: 'symbol' },
  });
  expect(market.check(2, [one])).toBeUndefined();
  publish(instrument());
  expect(market.check(1, [one])).toBeUndefined();
});

test('a wrong book has no top; the data of a source that is gone are marked', () => {
  const { publish, market, out, feed } = scene();
  const time = { eventTime: NOW };
  publish(book('snapshot', 1, 0, [99, 1], [101, 1], time));
  const lost = publish(book('delta', 9, 8, [98, 1], [], time), trade({ eventTime: NOW }));
  expect(typed(lost, 'bbo').at(-1)).toMatchObject({ bid: null, bidQuantity: 0, ask: null });
  expect(typed(lost, 'tick')[0]).toMatchObject({ bid: null, ask: null });
  publish(book('snapshot', 10, 0, [90, 1], [110, 1], time));
  market.release(1, out);
  const gone = out.take();
  expect(typed(gone, 'bbo')[0]).toMatchObject({ bid: 90, mark: 'stale' });
  expect(typed(gone, 'book')[0]).toMatchObject({ form: 'delta', bids: [], mark: 'stale' });
  expect([...feed.newest()].map((e) => ('mark' in e ? e.mark : ''))).toContain('stale');
  // Trades alone do not make the top current.
  expect(
    typed(publish(trade({ eventTime: at(0).plus(SECOND) })), 'tick')[0]?.bid ?? null,
  ).toBeNull();
  const back = publish(book('delta', 11, 10, [], [], time));
  expect(typed(back, 'book')[0]).toMatchObject({ bids: [], asks: [], mark: null });
  expect(typed(back, 'bbo')[0]).toMatchObject({ bid: 90, ask: 110, mark: null });
});

test('after a restart the last known values are marked until the source sends something', () => {
  const { publish, market } = scene();
  publish(book('snapshot', 1, 0, [99, 1], [101, 1], { eventTime: NOW }));
  const again = newMarket();
  again.restore(market.checkpoint(), []);
  const marks = [...feedOf(again).newest()].flatMap((e) => ('mark' in e ? [e.mark] : []));
  expect(marks).toEqual(['recovered', 'recovered']);
  const out = new Collected();
  out.receiveTime = NOW;
  again.apply(2, trade({ eventTime: NOW }), out);
  expect(typed(out.take(), 'tick')[0]).toMatchObject({ bid: null, ask: null });
  again.apply(2, book('delta', 2, 1, [], [], { eventTime: NOW }), out);
  expect(typed(out.take(), 'bbo')[0]).toMatchObject({ bid: 99, mark: null });
});
