/** Tiers of a real server: pages continue over memory and disk, and a start fills what it may. */

import { afterAll, beforeAll, expect, test } from 'bun:test';

import { instrument, tape, trade } from '../support/feed';
import { Scratch, ServerProcess } from '../support/tapedeck-process';

const START = 1_700_000_000;
const TRADES = 1_500;
const scratch = new Scratch();
const config = '[cache]\nmemtableEventsMax = 1000\nttlMs = 3600000\n';
const data = scratch.fresh();
let server: ServerProcess;

const timeOf = (i: number): string => `${START + i}000000000`;

async function given(...events: Record<string, unknown>[]): Promise<void> {
  expect((await server.ingest(tape(...events))).status).toBe(200);
}

beforeAll(async () => {
  server = await ServerProcess.start({ config, data });
  await given(instrument('PAGES'), instrument('BARE', { previousClose: '1.00' }));
  for (let i = 0; i < TRADES; i += 100) {
    const times = Array.from({ length: 100 }, (_, j) => i + j);
    await given(...times.map((t) => trade('PAGES', `${t}.00`, '1', { eventTime: timeOf(t) })));
  }
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

/** All pages of a query, and the tiers that answered them. */
async function ticks(query: string): Promise<{ last: number[]; sources: Set<unknown> }> {
  const last: number[] = [];
  const sources = new Set<unknown>();
  for (let next: string | null = ''; next !== null;) {
    const on = next === '' ? query : `next=${next}&limit=300`;
    const page = await server.json(`/v1/ticks/PAGES?${on}`);
    last.push(...(page['ticks'] as { last: string }[]).map((t) => Number(t.last)));
    sources.add(page['source']);
    next = page['next'] as string | null;
  }
  return { last, sources };
}

const from = (first: number): number[] =>
  Array.from({ length: TRADES - first }, (_, i) => first + i);

test('ticks: pages continue without gap or repetition, from the disk into memory', async () => {
  const { last, sources } = await ticks('limit=300');
  expect(last).toEqual(from(0));
  expect([...sources]).toEqual(['l3', 'l2']);
});

test('ticks: a range after everything that has left needs no disk, one before it does', async () => {
  const recent = await ticks(`from=${timeOf(1_400)}&limit=300`);
  expect(recent).toEqual({ last: from(1_400), sources: new Set(['l2']) });
  const past = await ticks(`from=${timeOf(10)}&to=${timeOf(20)}&limit=300`);
  expect(past).toEqual({ last: from(10).slice(0, 10), sources: new Set(['l3']) });
});

test('the newest tick is in L2 and then in L1; before the first trade the market has it', async () => {
  const source = async (symbol: string) => (await server.json(`/v1/tick/${symbol}`))['source'];
  expect([await source('PAGES'), await source('PAGES')]).toEqual(['l2', 'l1']);
  expect([await source('BARE'), await source('BARE')]).toEqual(['live', 'live']);
  expect(await server.json('/v1/ticks/BARE')).toMatchObject({ ticks: [], source: 'l2' });
});

test('after a crash a start knows the events of its tail, otherwise those that it reads', async () => {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await server.stop(signal);
    server = await ServerProcess.start({ config, data });
    expect(await server.json('/v1/tick/PAGES')).toMatchObject({ last: '1499.00', source: 'l2' });
    const trades = await server.json('/v1/trades/PAGES?limit=1000');
    expect(trades['source']).toBe('l2');
    expect((trades['trades'] as { price: string }[]).map((t) => Number(t.price))).toEqual(
      from(500).toReversed(),
    );
    const { sources } = await ticks(`from=${timeOf(1_400)}&limit=300`);
    // After an orderly end a checkpoint is at the end, so there is no tail.
    expect([...sources]).toEqual([signal === 'SIGKILL' ? 'l2' : 'l3']);
  }
});

test('a start reads a bounded number of trades over all instruments; earlier ones are in L3', async () => {
  const [symbols, each, share] = [25, 900, 800]; // 20,000 in all
  const names = Array.from({ length: symbols }, (_, i) => `MANY${i}`);
  const many = await ServerProcess.start({ config });
  const lines = names.flatMap((name) => [
    instrument(name),
    ...Array.from({ length: each }, (_, i) => trade(name, `${i}.00`, '1')),
  ]);
  expect((await many.ingest(tape(...lines))).status).toBe(200);
  expect(await many.stop()).toMatchObject({ code: 0 });
  const again = await ServerProcess.start({ config, data: many.data });
  for (const name of [names[0]!, names.at(-1)!]) {
    const held = await again.json(`/v1/trades/${name}?limit=${share}`);
    expect([held['source'], held['trades']]).toEqual([
      'l2',
      expect.objectContaining({ length: share }),
    ]);
    const all = await again.json(`/v1/trades/${name}?limit=1000`);
    expect([all['source'], all['trades']]).toEqual([
      'l3',
      expect.objectContaining({ length: each }),
    ]);
  }
  await again.remove();
  await many.remove();
});
