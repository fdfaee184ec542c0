/** Past bars that late trades change: readers get them again, equal to what history has. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { Nanos } from '../../protocol/time';
import { SystemClock } from '../../src/base/clock';
import { BarRevisions, REVISIONS_WAITING_MAX } from '../../src/app/bar-revisions';
import { instrument, tape, trade } from '../support/feed';
import { parseMetrics } from '../support/metrics-text';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { Scratch, ServerProcess } from '../support/tapedeck-process';

const scratch = new Scratch();
let server: ServerProcess;
let count = 0;

/** A whole hour. */
const HOUR = 1_699_920_000;

beforeAll(async () => {
  server = await ServerProcess.start({ data: scratch.fresh() });
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  if (!response.ok) throw new Error(await response.text());
}

const tradeAt = (symbol: string, seconds: number, price: string, quantity = '1') =>
  trade(symbol, price, quantity, { eventTime: `${HOUR + seconds}000000000` });

const FIELDS = ['openTime', 'open', 'high', 'low', 'close', 'volume', 'trades', 'final'] as const;

function published(bar: Seen | Record<string, unknown>): unknown[] {
  return FIELDS.map((field) => bar[field]);
}

describe.each(FORMS)('%s', (form) => {
  test('[D4] [D8] a bar that is no longer kept is sent again, as history has it', async () => {
    const symbol = `R${count++}`;
    await given(instrument(symbol));
    const client = await StreamClient.open(server.url, form);
    await client.subscribe(`bar:${symbol}:1m`, `tick:${symbol}`, `trade:${symbol}`);
    for (let minute = 0; minute < 6; minute++) {
      await given(tradeAt(symbol, minute * 60, `${10 + minute}.00`));
    }
    await given(tradeAt(symbol, 30, '3.00', '2'), tradeAt(symbol, 20, '30.00', '4'));
    const isFirst = (m: Seen): boolean =>
      m.type === 'bar' && m['openTime'] === `${HOUR}000000000` && m['trades'] === 3;
    const revised = await client.find(isFirst);
    expect(revised).toMatchObject({
      open: '10.00',
      high: '30.00',
      low: '3.00',
      close: '3.00',
      volume: '7.000',
      final: true,
      count: 0,
    });
    // Its seq is that of its newest trade, which is after the newest message.
    expect(Number(revised['seq'])).toBeGreaterThan(Number(revised['prevSeq']));
    const answer = await server.json(
      `/v1/bars/${symbol}?interval=1m&from=${HOUR}000000000&limit=1`,
    );
    expect((answer['bars'] as Record<string, unknown>[]).map(published)).toEqual([
      published(revised),
    ]);
    // The trades arrived, but changed no newest bar.
    await client.settle();
    const late = client.seen.filter((m) => m.type === 'trade' && m['timing'] === 'late');
    expect(late.map((m) => m['price'])).toEqual(['3.00', '30.00']);
    expect(client.seen.filter((m) => m.type === 'tick').length).toBe(6);
    expect(await server.json(`/v1/tick/${symbol}`)).toMatchObject({ last: '15.00' });
    await client.close();
  });
});

test('an interval that had no bar gets one', async () => {
  const symbol = `R${count++}`;
  await given(instrument(symbol));
  const client = await StreamClient.open(server.url);
  await client.subscribe(`bar:${symbol}:1m`);
  await given(...[0, 1, 2, 5, 6, 7, 8].map((minute) => tradeAt(symbol, minute * 60, '10.00')));
  await given(tradeAt(symbol, 180, '12.00'));
  const bar = await client.find(
    (m) => m.type === 'bar' && m['openTime'] === `${HOUR + 180}000000000`,
  );
  expect(bar).toMatchObject({ open: '12.00', trades: 1, final: true });
  await client.close();
});

test('a late import of hours: every bar that readers had is sent again, and equals history', async () => {
  const symbol = `R${count++}`;
  await given(instrument(symbol));
  const client = await StreamClient.open(server.url);
  await client.subscribe(`bar:${symbol}:1m`);
  const minutes = Array.from({ length: 120 }, (_, minute) => minute);
  await given(...minutes.map((minute) => tradeAt(symbol, minute * 60, '10.00')));
  await given(
    ...minutes
      .slice(0, 110)
      .flatMap((minute) =>
        [11, 9].map((price, i) => tradeAt(symbol, minute * 60 + 10 + i, `${price}.00`)),
      ),
  );
  const newest = new Map<unknown, Seen>();
  await client.find((m) => {
    if (m.type === 'bar') newest.set(m['openTime'], m);
    return [...newest.values()].filter((bar) => bar['trades'] === 3).length === 110;
  });
  const answer = await server.json(
    `/v1/bars/${symbol}?interval=1m&from=${HOUR}000000000&limit=110`,
  );
  const bars = answer['bars'] as Record<string, unknown>[];
  expect(bars.map(published)).toEqual([...newest.values()].slice(0, 110).map(published));
  const metrics = parseMetrics(await (await server.get('/metrics')).text());
  expect(metrics.get('tapedeck_bar_revisions_total')).toBeGreaterThanOrEqual(107);
  expect(metrics.get('tapedeck_bar_revisions_dropped_total')).toBe(0);
  await client.close();
});

describe('bars that wait for history', () => {
  const minute = (n: number): Nanos => Nanos.fromSeconds(HOUR + n * 60, 0);

  test('are requested once, one at a time; beyond a limit the oldest are dropped and counted', async () => {
    const asked: string[] = [];
    const lost: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const revisions = new BarRevisions({
      turns: new SystemClock().turns,
      read: (bar) => {
        asked.push(bar.openTime.toString());
        if (asked.length === REVISIONS_WAITING_MAX) resolve();
        return Promise.resolve({ items: '[]' });
      },
      publish: () => {},
      scalesOf: () => undefined,
      failed: (e) => {
        throw e;
      },
      lost: (reason, bar) => lost.push(`${reason} ${bar.openTime.toString()}`),
    });
    for (let n = 0; n < REVISIONS_WAITING_MAX + 3; n++) {
      for (let again = 0; again < 3; again++) revisions.add('A', '1m', minute(n));
    }
    await promise;
    expect(lost).toEqual([0, 1, 2].map((n) => `too many wait ${minute(n).toString()}`));
    expect(revisions.counts.dropped).toBe(3);
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked[0]).toBe(minute(3).toString());
    revisions.stop();
  });

  test('are requested again when history is overloaded, and given up when it refuses', async () => {
    const answers = [
      { code: 'overloaded', message: 'busy' },
      { items: '[]' },
      { code: 'invalid-field', message: 'too many trades' },
    ] as const;
    let asked = 0;
    const { promise, resolve } = Promise.withResolvers<string>();
    const revisions = new BarRevisions({
      turns: new SystemClock().turns,
      read: () => Promise.resolve(answers[asked++] as never),
      publish: () => revisions.add('A', '1m', minute(2)),
      scalesOf: () => undefined,
      failed: (e) => {
        throw e;
      },
      lost: (reason) => resolve(reason),
    });
    revisions.add('A', '1m', minute(1));
    expect(await promise).toBe('too many trades');
    expect(asked).toBe(3);
    revisions.stop();
  });
});
