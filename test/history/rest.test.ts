/** The routes for history against a real server: answers, and faulty or hostile callers. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { book, instrument, tape, trade } from '../support/feed';
import { ServerProcess } from '../support/tapedeck-process';

const SECOND = 1_000_000_000n;
const START = 1_700_000_000n * SECOND;
/** A number of seconds after the first record. */
const after = (seconds: number): string => (START + BigInt(seconds * 1000) * 1_000_000n).toString();

let server: ServerProcess;
let next: string;

beforeAll(async () => {
  server = await ServerProcess.start();
  const answer = await server.ingest(
    tape(
      instrument('ACME'),
      instrument('BARE'),
      book('ACME', 'snapshot', [['9.99', '5']], [['10.01', '7']], { eventTime: after(0) }),
      book('ACME', 'delta', [['9.99', '6']], [], { eventTime: after(1) }),
      trade('ACME', '1.00', '1', { eventTime: after(0.5) }),
      trade('ACME', '2.00', '1', { eventTime: after(61) }),
      book('ACME', 'incomplete', [], [], { eventTime: after(70) }),
    ),
  );
  expect(answer.status).toBe(200);
  next = (await server.json('/v1/ticks/ACME?limit=1'))['next'] as string;
});
afterAll(() => server.remove());

describe('history over REST', () => {
  test('a book as of a time, in digits and as a calendar date', async () => {
    const { epoch } = await server.json('/v1/instruments');
    const first = {
      symbol: 'ACME',
      epoch,
      eventTime: after(0),
      bids: [['9.99', '5.000']],
      asks: [['10.01', '7.000']],
      source: 'l3',
    };
    expect(await server.json(`/v1/orderbook/ACME?at=${after(0)}`)).toMatchObject(first);
    expect(await server.json('/v1/orderbook/ACME?at=2023-11-14T22:13:20.999999999Z')).toMatchObject(
      first,
    );
    expect(await server.json(`/v1/orderbook/ACME?at=${after(1)}&depth=1`)).toMatchObject({
      eventTime: after(1),
      bids: [['9.99', '6.000']],
    });
  });

  test('ticks and bars of a range', async () => {
    const ticks = await server.json(`/v1/ticks/ACME?from=${after(1)}&to=${after(100)}`);
    expect(ticks).toMatchObject({
      symbol: 'ACME',
      ticks: [{ type: 'tick', last: '2.00', volume: '2.000', eventTime: after(61) }],
      next: null,
      source: 'l2',
    });
    const rest = await server.json(`/v1/ticks/ACME?next=${next}`);
    expect(rest['ticks']).toEqual(ticks['ticks']);
    const bars = await server.json('/v1/bars/ACME?interval=1m&limit=10');
    expect(bars).toMatchObject({
      symbol: 'ACME',
      interval: '1m',
      bars: [
        { open: '1.00', close: '1.00', trades: 1, final: true },
        { open: '2.00', close: '2.00', trades: 1 },
      ],
      next: null,
      source: 'l3',
    });
    expect(await server.json('/v1/ticks/BARE')).toMatchObject({ ticks: [], next: null });
    expect(await server.json('/v1/bars/BARE?interval=1d')).toMatchObject({ bars: [], next: null });
  });

  const time = 'expected nanoseconds since 1970, or a time such as 2024-08-09T00:35:00.5Z';
  test.each([
    [
      `orderbook/ACME?at=${after(-1)}`,
      404,
      'before-first-record',
      'at',
      `exist since ${after(0)} (2023-11-14T22:13:20.000000000Z)`,
    ],
    [
      `orderbook/ACME?at=${after(71)}`,
      503,
      'book-incomplete',
      'at',
      `incomplete since ${after(70)}`,
    ],
    [`orderbook/BARE?at=${after(0)}`, 404, 'no-data', 'at', 'no book of BARE is known yet'],
    ['orderbook/ACME?at=yesterday', 400, 'invalid-field', 'at', `at is "yesterday"; ${time}`],
    ['orderbook/ACME?at=', 400, 'invalid-field', 'at', `at is ""; ${time}`],
    ['orderbook/ACME?at=-1', 400, 'invalid-field', 'at', time],
    ['orderbook/ACME?at=9223372036854775808', 400, 'invalid-field', 'at', time],
    ['orderbook/ACME?at=2024-02-30T00:00:00Z', 400, 'invalid-field', 'at', time],
    [
      'orderbook/ACME?at=0&depth=11',
      400,
      'invalid-field',
      'depth',
      'expected an integer from 1 to 10',
    ],
    ['orderbook/ACME?at=0&depth=0', 400, 'invalid-field', 'depth', 'depth is "0"'],
    ['orderbook/NOBODY?at=0', 404, 'unknown-symbol', 'symbol', 'no instrument is named NOBODY'],
    [
      `ticks/ACME?from=${after(2)}&to=${after(1)}`,
      400,
      'invalid-field',
      'to',
      `to is "${after(1)}"; expected a time after from (${after(2)})`,
    ],
    [
      `ticks/ACME?from=${after(2)}&to=${after(2)}`,
      400,
      'invalid-field',
      'to',
      'expected a time after from',
    ],
    ['ticks/ACME?from=1e9', 400, 'invalid-field', 'from', `from is "1e9"; ${time}`],
    ['ticks/ACME?to=1;DROP TABLE record', 400, 'invalid-field', 'to', time],
    [
      'ticks/ACME?limit=0',
      400,
      'invalid-field',
      'limit',
      'limit is "0"; expected an integer from 1 to 1000',
    ],
    ['ticks/ACME?limit=1000000000', 400, 'invalid-field', 'limit', 'an integer from 1 to 1000'],
    ['ticks/ACME?limit=-5', 400, 'invalid-field', 'limit', 'an integer from 1 to 1000'],
    [
      'ticks/ACME?next=nonsense',
      400,
      'invalid-field',
      'next',
      'next is "nonsense"; expected the next of an answer',
    ],
    ['ticks/ACME?next=', 400, 'invalid-field', 'next', 'next is ""'],
    ['ticks/ACME?next=W10', 400, 'invalid-field', 'next', 'expected the next of an answer'],
    [
      'ticks/BARE?next=THE_NEXT',
      400,
      'invalid-field',
      'next',
      'another query (ticks of ACME from the first to the newest); expected one of this query',
    ],
    ['ticks/ACME?from=0&next=THE_NEXT', 400, 'invalid-field', 'next', 'of another query'],
    ['ticks/NOBODY', 404, 'unknown-symbol', 'symbol', 'no instrument is named NOBODY'],
    ["ticks/'%20OR%201=1--", 400, 'invalid-field', 'symbol', 'expected 1 to 16 letters'],
    ['bars/..%2f..%2fetc?interval=1m', 400, 'invalid-field', 'symbol', 'expected 1 to 16 letters'],
    [
      'bars/ACME',
      400,
      'invalid-field',
      'interval',
      'interval is missing; expected one of 1s, 1m, 5m, 1h, 1d',
    ],
    [
      'bars/ACME?interval=2m',
      400,
      'invalid-field',
      'interval',
      'interval is "2m"; expected one of',
    ],
    ['bars/ACME?interval=__proto__', 400, 'invalid-field', 'interval', 'expected one of'],
    [
      'bars/ACME?interval=1m&limit=1001',
      400,
      'invalid-field',
      'limit',
      'an integer from 1 to 1000',
    ],
    [
      'bars/ACME?interval=1m&from=2024-01-02T00:00:00Z&to=2024-01-01T00:00:00Z',
      400,
      'invalid-field',
      'to',
      'a time after from',
    ],
  ])('%s is %i %s', async (path, status, code, field, words) => {
    const response = await server.get(`/v1/${path.replace('THE_NEXT', next)}`);
    const { error } = (await response.json()) as { error: Record<string, string> };
    expect({ status: response.status, ...error }).toMatchObject({ status, code, field });
    expect(error['message']).toContain(words);
    expect(error['message']!.length).toBeLessThan(300);
    expect(server.alive).toBe(true);
  });
});
