/**
 * History as the page requests it, compared with all trades: pages of bars over empty stretches, and the statistics
 * and the candle at any time. The server is a naive one that answers from a list.
 */

import { afterAll, beforeAll, expect, test } from 'bun:test';
import fc from 'fast-check';

import { BAR_SECONDS, type BarInterval } from '../../protocol/bars';
import { Nanos, type Instrument } from '../../src/client/index';
import { PastBars } from '../../src/gateway/page/past-bars';
import { PastFigures } from '../../src/gateway/page/past-figures';
import { TabKey } from '../../src/gateway/page/tab-key';

const SCALE = 2;
const ACME: Instrument = {
  type: 'instrument',
  symbol: 'ACME',
  seq: 1,
  market: 'feed',
  priceScale: SCALE,
  quantityScale: SCALE,
  priceIncrement: 1,
  quantityIncrement: 1,
  previousClose: null,
  rules: null,
  shard: null,
};
const START_S = 1_796_000_000;
const BOUNDARY_S = 61_200;

interface Made {
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly ms: number;
  readonly price: number;
  readonly quantity: number;
}

let trades: readonly Made[] = [];
let questions = 0;
let server: ReturnType<typeof Bun.serve>;

beforeAll(() => {
  server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: answer });
});
afterAll(() => server.stop(true));

function answer(request: Request): Response {
  questions += 1;
  const { pathname, searchParams } = new URL(request.url);
  const limit = Number(searchParams.get('limit'));
  if (pathname.startsWith('/v1/trades/')) {
    const below = Number(searchParams.get('next') ?? Infinity);
    const page = trades
      .filter(({ seq }) => seq < below)
      .toReversed()
      .slice(0, limit);
    const next = page.length === limit ? String(page.at(-1)!.seq) : null;
    return Response.json({ trades: page.map(asTrade), next });
  }
  const seconds = (name: string): number | undefined => {
    const text = searchParams.get(name);
    return text === null ? undefined : Number(BigInt(text) / 1_000_000_000n);
  };
  const interval = searchParams.get('interval') as BarInterval;
  const step = BAR_SECONDS[interval];
  const to = seconds('to') ?? Infinity;
  const newest = Math.min(to - 1, Math.floor((trades.at(-1)?.ms ?? 0) / 1000));
  const from = seconds('next') ?? seconds('from') ?? newest - (newest % step) - (limit - 1) * step;
  const bars = barsOf(trades, step).filter(({ time }) => time >= from && time < to);
  const next = bars.length > limit ? `${bars[limit]!.time}000000000` : null;
  return Response.json({ bars: bars.slice(0, limit).map(asBar), next });
}

function asTrade({ seq, ms, price, quantity }: Made) {
  const eventTime = `${ms}000000`;
  const rest = { aggressor: 'none', timing: null };
  return {
    seq,
    eventTime,
    receiveTime: eventTime,
    price: text(price),
    quantity: text(quantity),
    ...rest,
  };
}

function asBar({ time, ...bar }: ReturnType<typeof barsOf>[number]) {
  const { open, high, low, close, volume } = bar;
  const prices = { open: text(open), high: text(high), low: text(low), close: text(close) };
  return { ...bar, ...prices, openTime: `${time}000000000`, volume: text(volume) };
}

const text = (scaled: number): string => (scaled / 10 ** SCALE).toFixed(SCALE);

function barsOf(list: readonly Made[], step: number) {
  const byTime = Map.groupBy(list, ({ ms }) => Math.floor(ms / 1000 / step) * step);
  return [...byTime]
    .map(([time, of]) => Object.assign({ time }, figuresOf(of)))
    .sort((a, b) => a.time - b.time);
}

function figuresOf(of: readonly Made[]) {
  const prices = of.map(({ price }) => price);
  return {
    seq: of.at(-1)?.seq ?? 0,
    open: prices[0] ?? 0,
    high: Math.max(...prices),
    low: Math.min(...prices),
    close: prices.at(-1) ?? 0,
    volume: of.reduce((sum, { quantity }) => sum + quantity, 0),
    trades: of.length,
  };
}

/** Trades in order of time, with gaps from none to half a year. */
const gapMs = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 3_000 }) },
  { weight: 3, arbitrary: fc.integer({ min: 3_000, max: 7_200_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 7_200_000, max: 180 * 86_400_000 }) },
);
const market = fc
  .array(fc.tuple(gapMs, fc.integer({ min: 1, max: 9_999 }), fc.integer({ min: 1, max: 999 })), {
    maxLength: 120,
  })
  .map((steps) => {
    let ms = START_S * 1000;
    return steps.map(([gap, price, quantity], i): Made => {
      ms += gap;
      return { seq: i * 3 + 2, ms, price, quantity };
    });
  });

test('pages of bars have every bar once, the newest first, with few requests', async () => {
  const interval = fc.constantFrom<BarInterval>('1s', '1m', '1h', '1d');
  await fc.assert(
    fc.asyncProperty(market, interval, async (made, length) => {
      trades = made;
      questions = 0;
      const bars = new PastBars(server.url.href, new TabKey('test'));
      const seen: string[] = [];
      for await (const page of bars.pages('ACME', length)) {
        expect(page.length).toBeGreaterThan(0);
        seen.unshift(...page.map(({ openTime }) => openTime));
      }
      const step = BAR_SECONDS[length];
      expect(seen).toEqual(barsOf(made, step).map(({ time }) => `${time}000000000`));
      // A stretch without trades costs two requests for each bit of its length.
      expect(questions).toBeLessThan(8 + seen.length * 60);
    }),
    { numRuns: 150 },
  );
});

test('statistics, candle and trades at a time are those of the trades up to it', async () => {
  const share = fc.double({ min: 0, max: 1.05, noNaN: true });
  const interval = fc.constantFrom<BarInterval>('1s', '1m', '1h', '1d');
  await fc.assert(
    fc.asyncProperty(market, share, interval, async (made, part, length) => {
      trades = made;
      const bars = new PastBars(server.url.href, new TabKey('test'));
      const figures = new PastFigures(server.url.href, new TabKey('test'), bars, BOUNDARY_S);
      const spanMs = (made.at(-1)?.ms ?? START_S * 1000) - START_S * 1000;
      const ms = START_S * 1000 + Math.floor(spanMs * part);
      const at = Nanos.fromMillis(ms);
      const until = made.filter((trade) => trade.ms <= ms);

      const stats = await figures.stats(ACME, at);
      const startMs = stats.start * 1000;
      expect([ms - startMs >= 0, ms - startMs < 86_400_000]).toEqual([true, true]);
      expect(stats.start % 86_400).toBe(BOUNDARY_S);
      expectFold(
        stats.fold,
        until.filter((trade) => trade.ms >= startMs),
      );
      const before = made.findLast((trade) => trade.ms < startMs);
      expect(stats.previousClose).toBe(before?.price ?? null);

      const candle = await figures.candle(ACME, length, at);
      expect(candle.start % BAR_SECONDS[length]).toBe(0);
      expectFold(
        candle.fold,
        until.filter((trade) => trade.ms >= candle.start * 1000),
      );

      const newest = await figures.trades(ACME, at, 20);
      expect(newest.map(({ seq }) => seq)).toEqual(
        until
          .toReversed()
          .slice(0, 20)
          .map(({ seq }) => seq),
      );
    }),
    { numRuns: 150 },
  );
});

function expectFold(fold: object, of: readonly Made[]): void {
  const { seq: _, ...figures } = figuresOf(of);
  const none = { open: null, high: null, low: null, close: null, volume: 0, trades: 0 };
  expect({ ...fold }).toEqual(of.length === 0 ? none : figures);
}
