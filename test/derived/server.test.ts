/** Bars and statistics on a real server, in both forms, over REST, and after a kill. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { Scratch, ServerProcess } from '../support/tapedeck-process';

const scratch = new Scratch();
const data = scratch.fresh();
let server: ServerProcess;
let count = 0;

/** Half past midnight; the session ends at 01:00. */
const NIGHT = 1_699_920_000 + 1_800;
const config = '[market]\nsessionBoundary = 3600';

beforeAll(async () => {
  server = await ServerProcess.start({ config, data });
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  if (!response.ok) throw new Error(await response.text());
}

const tradeAt = (symbol: string, seconds: number, price: string, quantity: string) =>
  trade(symbol, price, quantity, { eventTime: `${NIGHT + seconds}000000000` });

const of = (messages: Seen[], type: string): Seen[] => messages.filter((m) => m.type === type);

describe.each(FORMS)('%s', (form) => {
  test('[S3] [S4] [D5] [D7] [D8] bars and statistics are sent live and as the state for a late reader', async () => {
    const symbol = `S${count++}`;
    await given(instrument(symbol, { previousClose: '9.50' }));
    const client = await StreamClient.open(server.url, form);
    const topics = [`bar:${symbol}:1m`, `stats:${symbol}`, `trade:${symbol}`];
    const answer = await client.subscribe(...topics);
    expect(answer.map((m) => m.type).filter((t) => t !== 'heartbeat')).toEqual([
      'instrument',
      'ack',
    ]);
    await given(tradeAt(symbol, 0, '10.00', '1'), tradeAt(symbol, 1, '10.01', '2'));
    await given(tradeAt(symbol, 60, '9.99', '0.5'));
    await client.find((m) => m.type === 'stats' && m['trades'] === 3);
    await client.settle();
    const seqs = of(client.seen, 'trade').map((m) => m['seq']);
    const common = { symbol, interval: '1m' };
    expect(of(client.seen, 'bar')).toMatchObject([
      {
        ...common,
        seq: seqs[1],
        prevSeq: 0,
        openTime: `${NIGHT}000000000`,
        open: '10.00',
        high: '10.01',
        low: '10.00',
        close: '10.01',
        volume: '3.000',
        trades: 2,
        final: false,
        count: 2,
      },
      { ...common, seq: seqs[1], prevSeq: seqs[1], trades: 2, final: true, count: 0 },
      {
        ...common,
        seq: seqs[2],
        prevSeq: seqs[1],
        openTime: `${NIGHT + 60}000000000`,
        open: '9.99',
        volume: '0.500',
        trades: 1,
        final: false,
        count: 1,
      },
    ]);
    const newest = {
      open: '10.00',
      high: '10.01',
      low: '9.99',
      last: '9.99',
      previousClose: '9.50',
      change: '0.49',
      volume: '3.500',
      turnover: '35.01500',
      vwap: '10.004286',
      trades: 3,
    };
    expect(of(client.seen, 'stats')).toMatchObject([
      { seq: seqs[1], prevSeq: 0, turnover: '30.02000', vwap: '10.006667', count: 2 },
      { seq: seqs[2], prevSeq: seqs[1], ...newest, count: 1 },
    ]);
    const late = await StreamClient.open(server.url, form);
    const state = await late.subscribe(`bar:*:1m`, `stats:${symbol}`);
    expect(state.findLast((m) => m.type === 'stats')).toMatchObject({
      seq: seqs[2],
      prevSeq: 0,
      ...newest,
      count: 1,
    });
    expect(state.find((m) => m.type === 'bar' && m['symbol'] === symbol)).toMatchObject({
      seq: seqs[2],
      trades: 1,
    });
    expect(await server.json(`/v1/stats/${symbol}`)).toMatchObject({
      type: 'stats',
      symbol,
      seq: seqs[2],
      ...newest,
      source: 'live',
    });
    await Promise.all([client.close(), late.close()]);
  });
});

test('[D4] the clock ends a bar of a live source', async () => {
  const symbol = `S${count++}`;
  await given(instrument(symbol));
  const client = await StreamClient.open(server.url);
  await client.subscribe(`bar:${symbol}:1s`);
  const { time } = await client.next('welcome');
  await given(trade(symbol, '1.00', '1', { eventTime: time }));
  const final = await client.find((m) => m.type === 'bar' && m['final'] === true);
  expect(final).toMatchObject({ symbol, trades: 1, count: 0 });
  expect(final['prevSeq']).toBe(final['seq']);
  await client.close();
});

test('REST: before the first trade there are no prices; unknown symbols are refused', async () => {
  const symbol = `S${count++}`;
  await given(instrument(symbol));
  expect(await server.json(`/v1/stats/${symbol}`)).toMatchObject({
    seq: 0,
    open: null,
    last: null,
    previousClose: null,
    change: null,
    volume: '0.000',
    turnover: '0.00000',
    vwap: null,
    trades: 0,
    ageMs: 0,
  });
  expect((await server.get('/v1/stats/NOBODY')).status).toBe(404);
  expect((await server.get('/v1/stats/a%2Fb')).status).toBe(400);
});

test('[D1] [D6] after a kill and a restart the same session and bars continue', async () => {
  const symbol = `S${count++}`;
  await given(instrument(symbol), tradeAt(symbol, 0, '10.00', '1'));
  await given(tradeAt(symbol, 1_800, '11.00', '2'), tradeAt(symbol, 1_801, '12.00', '2'));
  const topics = ['1s', '1m', '5m', '1h', '1d'].map((i) => `bar:${symbol}:${i}`);
  const state = async (): Promise<Seen[]> => {
    const client = await StreamClient.json(server.url);
    const messages = await client.subscribe(...topics, `stats:${symbol}`);
    await client.close();
    return messages.filter((m) => m.type === 'bar' || m.type === 'stats');
  };
  const before = await state();
  expect(before.at(-1)).toMatchObject({
    open: '11.00',
    last: '12.00',
    previousClose: '10.00',
    change: '2.00',
    trades: 2,
  });
  expect(before.map((m) => m['trades'])).toEqual([1, 2, 2, 2, 3, 2]);
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await server.stop(signal);
    server = await ServerProcess.start({ config, data });
    expect(await state()).toEqual(before);
  }
});
