/** Texts of the page: typed times, refused orders, books in doubt. */

import { describe, expect, test } from 'bun:test';

import {
  Nanos,
  TapedeckError,
  type Instrument,
  type ResetItem,
  type Tick,
} from '../../src/client/index';
import { doubtOf } from '../../src/gateway/page/book-doubt';
import { epochsOf } from '../../src/gateway/page/live-stream';
import { MarketState } from '../../src/gateway/page/market-state';
import { readTime } from '../../src/gateway/page/time-input';
import { refusalMessage, ticketFault, type Ticket } from '../../src/gateway/page/order-messages';
import { travelMessage } from '../../src/gateway/page/travel-messages';
import { ERRORS } from '../../protocol/codes';

const NOW = Nanos.fromSeconds(Date.UTC(2026, 10, 30, 13, 0, 0) / 1000, 0);

describe('a typed time', () => {
  test.each([
    ['2026-11-30 12:30:15.250', '2026-11-30T12:30:15.250'],
    ['2026-11-30T12:30:15Z', '2026-11-30T12:30:15.000'],
    ['2026-11-30T14:30:15+02:00', '2026-11-30T12:30:15.000'],
    ['2026-11-30 12:30', '2026-11-30T12:30:00.000'],
    ['2026-11-29', '2026-11-29T00:00:00.000'],
    ['12:30:15.5', '2026-11-30T12:30:15.500'],
    [' 1796041800000000000 ', '2026-11-30T12:30:00.000'],
  ])('%s is read', (text, iso) => {
    const read = readTime(text, NOW);
    expect(read).toMatchObject({ remark: '' });
    expect('at' in read && read.at.toISOString().slice(0, 23)).toBe(iso);
  });

  test.each([
    ['1796041800', 'seconds'],
    ['1796041800000', 'milliseconds'],
    ['1796041800000000', 'microseconds'],
  ])('%s is read by its magnitude, and that is said', (text, unit) => {
    const read = readTime(text, NOW);
    expect('at' in read && read.at.toISOString()).toBe('2026-11-30T12:30:00.000000000Z');
    expect('at' in read && read.remark).toBe(
      `Read as ${unit} since 1970: 2026-11-30 12:30:00.000.`,
    );
  });

  test.each([
    'yesterday',
    '2026-02-30 10:00:00',
    '',
    '1970',
    '12',
    '99999999999999999999',
    '25:00',
  ])('%j is refused, with what is expected', (text) => {
    const read = readTime(text, NOW);
    const fault = 'fault' in read ? read.fault : '';
    expect(fault).toContain('Expected UTC such as 2026-11-30 13:00:00.000');
    if (text !== '') expect(fault).toContain(text);
  });

  test('a future time is refused, and the time of the server is given', () => {
    const read = readTime('2026-11-30 13:00:00.001', NOW);
    expect('fault' in read && read.fault).toBe(
      '2026-11-30 13:00:00.001 is in the future. The server’s clock is at 2026-11-30 13:00:00.000.',
    );
  });
});

const ACME: Instrument = {
  type: 'instrument',
  symbol: 'ACME',
  seq: 1,
  market: 'venue',
  priceScale: 2,
  quantityScale: 1,
  priceIncrement: 5,
  quantityIncrement: 5,
  previousClose: null,
  rules: {
    quantityMin: 10,
    quantityMax: 1_000_000,
    priceMin: 5,
    priceMax: 1_000_000,
    ordersPerOwnerMax: 10,
    ordersMax: 10,
    selfTrade: 'cancel-newest',
    referencePrice: null,
    initialState: 'open',
  },
  shard: null,
};
const TICKET: Ticket = { side: 'buy', kind: 'limit', price: '10.00', quantity: '1.5' };

describe('the ticket', () => {
  test.each([
    [{}, undefined],
    [{ quantity: '' }, 'Quantity: no number is given. Enter one such as 0.5.'],
    [{ quantity: 'ten' }, 'Quantity: “ten” is not a number. Enter one such as 0.5.'],
    [
      { price: '10,50' },
      'Price: “10,50” is not a number. Enter one such as 0.05. Use a point for decimals, and no commas.',
    ],
    [
      { price: '10.001' },
      'Price: 10.001 has too many decimals; ACME accepts at most 2. The smallest step is 0.05.',
    ],
    [{ price: '10.01' }, 'Price: 10.01 is not a multiple of 0.05, the step of ACME.'],
    [{ quantity: '0' }, 'Quantity: 0 is not above zero.'],
    [{ quantity: '-1' }, 'Quantity: -1 is not above zero.'],
    [
      { quantity: '9007199254740993' },
      'Quantity: 9007199254740993 is too large. ACME can hold at most 900719925474099.1.',
    ],
    [{ kind: 'market', price: 'whatever' }, undefined],
  ] as const)('%j', (change, fault) => {
    expect(ticketFault({ ...TICKET, ...change }, ACME)).toBe(fault);
  });

  test('a refusal by the server is put in the terms of the ticket, whatever its code', () => {
    const orderCodes = [
      'invalid-quantity',
      'quantity-off-increment',
      'quantity-below-minimum',
      'quantity-above-maximum',
      'invalid-price',
      'price-off-increment',
      'price-outside-band',
      'out-of-range',
      'off-increment',
      'resting-overflow',
      'would-cross',
      'market-closed',
      'market-halted',
      'not-in-pre-open',
      'invalid-combination',
      'wrong-market',
      'unknown-symbol',
      'too-many-orders',
      'limit-reached',
      'book-full',
      'overloaded',
      'journal-failing',
      'shutting-down',
      'unauthorized',
      'forbidden',
      'unknown-order',
      'auction-under-way',
    ] as const;
    for (const code of orderCodes) {
      const { hint } = ERRORS[code];
      const message = 'order.quantity is 9e99; expected a value within 2^53 - 1 when scaled';
      const said = refusalMessage(new TapedeckError(code, message, hint), TICKET, ACME);
      expect(said).not.toMatch(/order\.|2\^53|scaled|rules\.|Increment|hello|GET |\/v1/);
      expect(said).toMatch(/^[A-Z].*[.]$/);
    }
    const tooMuch = new TapedeckError('quantity-above-maximum', 'x');
    expect(refusalMessage(tooMuch, { ...TICKET, quantity: '999999' }, ACME)).toBe(
      'Quantity: 999999 is more than 100000.0, the largest order of ACME.',
    );
  });
});

test('before the first record: the first time that exists is given', () => {
  const message =
    'at is 17; books of ACME exist since 1796041800000000000 (2026-11-30T12:30:00.000000000Z)';
  const error = new TapedeckError(
    'before-first-record',
    message,
    'Ask for the time that is named.',
  );
  expect(travelMessage(error)).toBe(
    'This is before the first record. They begin at 2026-11-30 12:30:00.000.',
  );
});

test('why a book is in doubt', () => {
  const row = {
    definition: ACME,
    last: null,
    bid: null,
    ask: null,
    receiveTime: undefined,
    turn: '',
    changed: false,
    state: 'live',
    reason: '',
    mark: null,
  } as const;
  expect(doubtOf(row)).toBe('');
  expect(doubtOf({ ...row, state: 'halted' })).toBe('');
  expect(doubtOf({ ...row, state: 'incomplete', reason: 'gap' })).toContain('missing');
  expect(doubtOf({ ...row, state: 'incomplete', reason: 'new-word' })).toContain('incomplete');
  expect(doubtOf({ ...row, state: 'stale' })).toContain('disconnected');
  // A trade brings the source back; its book is still the last known one.
  expect(doubtOf({ ...row, mark: 'stale' })).toContain('disconnected');
  expect(doubtOf({ ...row, mark: 'recovered' })).toContain('before the server restarted');
});

describe('a server of several shards', () => {
  const of = (symbol: string, shard: string): Instrument =>
    ({ type: 'instrument', symbol, shard }) as Instrument;
  const tick = (symbol: string): Tick => ({ type: 'tick', symbol, last: 7 }) as Tick;
  const reset = (shard: string | null): ResetItem => ({
    type: 'reset',
    topics: ['tick:*'],
    epoch: 1,
    seq: 0,
    reason: 'other-epoch',
    local: false,
    shard,
  });

  test('a reset of one clears its instruments only; those of one that is gone go', () => {
    const market = new MarketState();
    market.define(of('A1', 'a'));
    market.define(of('B1', 'b'));
    for (const symbol of ['A1', 'B1']) market.takeOverview(tick(symbol));
    market.takeOverview(reset('a'));
    expect([...market.rows.values()].map(({ last }) => last)).toEqual([null, 7]);
    market.connected();
    market.takeOverview(reset('b'));
    expect([...market.rows.keys()]).toEqual(['A1']);
    market.takeOverview(reset(null));
    expect(market.rows.size).toBe(0);
  });

  test('its epochs are displayed', () => {
    const position = (shard: string | null, epoch: number) => ({ shard, epoch, seq: 1 });
    expect(epochsOf([position(null, 4)])).toBe('4');
    expect(epochsOf([position('eu', 4)])).toBe('4');
    expect(epochsOf([position('eu', 4), position('us', 12)])).toBe('eu 4, us 12');
  });
});
