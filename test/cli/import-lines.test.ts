/** What `import` does with every line: nothing is lost, doubled or changed silently. */

import { afterAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { balanceOf, exported, importInto } from '../support/imported';
import { book, instrument, tape, trade } from '../support/feed';
import { Scratch } from '../support/tapedeck-process';
import { deep } from '../support/tier';

const scratch = new Scratch();
afterAll(() => scratch.remove());

type Json = Record<string, unknown>;

const BASE = 1_700_000_000_000_000_000n;
const at = (ms: number): { eventTime: string; receiveTime: string } => {
  const time = String(BASE + BigInt(ms) * 1_000_000n);
  return { eventTime: time, receiveTime: time };
};
const numbered = (symbol: string, n: number, price = '1.00', ms = n): Json =>
  trade(symbol, price, '1.000', { seq: n, prevSeq: n - 1, tradeId: n, ...at(ms) });
const write = (...events: Json[]): string => scratch.write(tape(...events), '.ndjson');
const pricesOf = (data: string, symbol: string): unknown[] =>
  exported(data, 'trade', symbol)
    .filter((e) => e['type'] === 'trade')
    .map((e) => e['price']);
const tradesOf = (data: string, symbol: string): unknown[] =>
  exported(data, 'trade', symbol)
    .filter((e) => e['type'] === 'trade')
    .map((e) => [e['tradeId'], e['price'], e['eventTime']]);

describe('a fault that stops the import', () => {
  test('imports nothing after it, and the corrected file brings everything once', async () => {
    const lines = Array.from({ length: 20 }, (_, i) => numbered('STOP', i + 1, `${i + 1}.00`));
    const whole = tape(instrument('STOP', { priceIncrement: '0.25' }), ...lines);
    const bad = whole.replace('"5.00"', '"5.01"');
    for (const text of [bad, whole.replace('"5.00"', '"5.00')]) {
      const data = scratch.fresh();
      const stopped = await importInto(data, [scratch.write(text)]);
      expect(stopped.fault).toMatchObject({ line: 6 });
      expect(stopped.summary).toMatchObject({ lines: 6, taken: 5, refused: 1, repeated: 0 });
      expect(pricesOf(data, 'STOP')).toEqual(['1.00', '2.00', '3.00', '4.00']);
      const mended = await importInto(data, [scratch.write(whole)]);
      expect(mended.fault).toBeUndefined();
      expect(mended.summary).toMatchObject({ lines: 21, taken: 17, repeated: 4, refused: 0 });
      expect(pricesOf(data, 'STOP')).toEqual(lines.map((one) => one['price']));
      expect(exported(data, 'status', 'STOP').map((e) => e['reason'])).not.toContain(
        'trades-missed',
      );
    }
  });

  test('at any line, with several symbols: the corrected file gives the same result as it does alone', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('ONE', 'TWO'), fc.integer({ min: 1, max: 3 })), {
          minLength: 2,
          maxLength: 40,
        }),
        fc.nat(),
        fc.boolean(),
        async (moves, index, isSkipped) => {
          const newest: Record<string, number> = { ONE: 100, TWO: 7 };
          const trades = moves.map(([symbol, step], i) => {
            newest[symbol]! += step;
            return numbered(symbol, newest[symbol]!, `${(i % 90) + 1}.50`, i * 10);
          });
          const head = [instrument('ONE'), instrument('TWO')];
          const lines = tape(...head, ...trades)
            .split('\n')
            .slice(0, -1);
          const damaged = [...lines];
          damaged[2 + (index % trades.length)] = '{"type":"trade","symbol":"ONE"}';
          const [alone, twice] = [scratch.fresh(), scratch.fresh()];
          const file = scratch.write(`${lines.join('\n')}\n`);
          const first = scratch.write(`${damaged.join('\n')}\n`);
          await importInto(alone, [file]);
          const policy = isSkipped ? 'skip' : 'stop';
          const before = await importInto(twice, [first], { onFault: policy });
          expect(balanceOf(before.summary)).toBe(0);
          const mended = await importInto(twice, [file]);
          expect(balanceOf(mended.summary)).toBe(0);
          expect(mended.summary.lines).toBe(lines.length);
          const again = await importInto(twice, [file]);
          expect(again.summary).toMatchObject({ repeated: trades.length, refused: 0 });
          const sorted = (data: string, symbol: string): unknown[] =>
            tradesOf(data, symbol)
              .map((t) => JSON.stringify(t))
              .sort();
          for (const symbol of ['ONE', 'TWO']) {
            expect(sorted(twice, symbol)).toEqual(sorted(alone, symbol));
            if (!isSkipped) expect(tradesOf(twice, symbol)).toEqual(tradesOf(alone, symbol));
          }
        },
      ),
      { numRuns: deep(12, 5) },
    );
  }, 120_000);
});

describe('numbers', () => {
  const day = (from: number, count: number, startMs: number, price: string): string =>
    write(
      instrument('DAYS'),
      ...Array.from({ length: count }, (_, i) => numbered('DAYS', from + i, price, startMs + i)),
    );
  const DAY_MS = 86_400_000;

  test('days in another order, numbers that begin again, repeated files: each trade once', async () => {
    const first = day(1_000, 50, 0, '10.00');
    const second = day(2_000, 50, DAY_MS, '20.00');
    const third = day(1, 50, 2 * DAY_MS, '30.00');
    const data = scratch.fresh();
    for (const file of [second, first, third]) {
      const { summary } = await importInto(data, [file]);
      expect(summary).toMatchObject({ lines: 51, taken: 51, repeated: 0 });
    }
    for (const file of [first, second, third]) {
      const { summary } = await importInto(data, [file]);
      expect(summary).toMatchObject({ lines: 51, taken: 1, repeated: 50, events: 1 });
    }
    const all = await importInto(data, [third, first, second]);
    expect(all.summary).toMatchObject({ taken: 3, repeated: 150 });
    const prices = pricesOf(data, 'DAYS');
    for (const price of ['10.00', '20.00', '30.00']) {
      expect(prices.filter((one) => one === price)).toHaveLength(50);
    }
  });

  test('a recording in parts: the next part continues, and what is missing is reported', async () => {
    const data = scratch.fresh();
    const parts = [day(1, 30, 0, '1.00'), day(31, 30, 30, '2.00'), day(71, 30, 70, '3.00')];
    expect((await importInto(data, parts)).summary).toMatchObject({ taken: 93, repeated: 0 });
    const status = exported(data, 'status', 'DAYS').filter((e) => e['reason'] === 'trades-missed');
    expect(status).toMatchObject([{ missed: 10 }]);
    // The previous part again, with one more day.
    const longer = day(71, 60, 70, '3.00');
    expect((await importInto(data, [longer])).summary).toMatchObject({ taken: 31, repeated: 30 });
    expect(pricesOf(data, 'DAYS')).toHaveLength(120);
  });

  test('with --continue only the numbers decide', async () => {
    const data = scratch.fresh();
    await importInto(data, [day(100, 40, 0, '1.00')]);
    const { summary } = await importInto(data, [day(120, 40, 0, '9.00')], { continue: true });
    expect(summary.taken + summary.repeated).toBe(41);
    expect(exported(data, 'status', 'DAYS').map((e) => e['reason'])).not.toContain(
      'book-renumbered',
    );
  });
});

describe('other decimals', () => {
  test('are converted exactly or refused, never recorded as another value', async () => {
    const data = scratch.fresh();
    await importInto(data, [write(instrument('DEC'), trade('DEC', '10.05', '1', at(0)))]);
    const file = write(
      instrument('DEC', {
        priceScale: 3,
        quantityScale: 0,
        priceIncrement: '0.001',
        quantityIncrement: '1',
      }),
      trade('DEC', '1.005', '2', at(1)),
      trade('DEC', '1.010', '3', at(2)),
    );
    const { summary, reports } = await importInto(data, [file], { onFault: 'skip' });
    expect(summary).toMatchObject({ lines: 3, taken: 2, refused: 1 });
    expect(reports).toEqual([
      `${file}:2: price is "1.005"; expected no more than 2 decimals, which DEC has where it goes to [off-increment]`,
    ]);
    expect(pricesOf(data, 'DEC')).toEqual(['10.05', '1.01']);
    expect((await importInto(data, [file])).fault).toMatchObject({
      line: 2,
      code: 'off-increment',
    });
  });

  test('a Binance capture is read with those of the symbol', async () => {
    const data = scratch.fresh();
    await importInto(data, [write(instrument('ETHUSDT'), trade('ETHUSDT', '1.00', '1', at(0)))]);
    const file = scratch.write(
      `1700000001000000000 {"e":"trade","s":"ETHUSDT","t":5,"p":"2683.80000000","q":"0.10000000","T":1700000001000,"m":true}\n`,
    );
    expect((await importInto(data, [file])).fault).toBeUndefined();
    expect(pricesOf(data, 'ETHUSDT')).toEqual(['1.00', '2683.80']);
  });
});

describe('the summary', () => {
  const good = (i: number): Json => numbered('ACC', i + 1, '1.25', i);
  const kinds: readonly ((i: number) => string)[] = [
    (i) => JSON.stringify(good(i)),
    (i) => JSON.stringify(numbered('ACC', Math.max(1, i - 3), '1.25', Math.max(0, i - 4))),
    (i) =>
      JSON.stringify(
        book('ACC', 'delta', [['1.00', '1']], [], { seq: i + 2, prevSeq: i + 1, ...at(i) }),
      ),
    (i) =>
      JSON.stringify(
        book('ACC', 'snapshot', [['1.00', '2']], [['1.50', '1']], { seq: i + 1, ...at(i) }),
      ),
    (i) => JSON.stringify(trade('ACC', '1.2', '1', at(i))),
    (i) => JSON.stringify(trade('ACC', '1.234', '1', at(i))),
    (i) => JSON.stringify(trade('ACC', '1.01', '1', at(i))),
    (i) => JSON.stringify(instrument('ACC', { priceScale: (i % 2) + 2, priceIncrement: '0.05' })),
    (i) => JSON.stringify(trade('A B', '1.25', '1', at(i))),
    (i) => JSON.stringify({ ...good(i), eventTime: '1700000000000' }),
    () => '{"type":"tick"}',
    () => '{"type":"weather"}',
    () => '{"type":',
    () => '',
    () => '\u0000\uFFFD',
  ];

  test('every line has one outcome, whatever it contains', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(kinds.length - 1), { minLength: 1, maxLength: 60 }),
        fc.boolean(),
        async (picks, isTwice) => {
          const lines = [
            JSON.stringify(instrument('ACC', { priceIncrement: '0.05' })),
            ...picks.map((kind, i) => kinds[kind]!(i)),
          ];
          const file = scratch.write(`${lines.join('\n')}\n`);
          const data = scratch.fresh();
          const files = isTwice ? [file, file] : [file];
          const { summary } = await importInto(data, files, { onFault: 'skip' });
          expect(summary.lines).toBe(lines.length * files.length);
          expect(balanceOf(summary)).toBe(0);
          expect(summary.taken).toBeGreaterThanOrEqual(0);
          const refused = [...summary.refusedBy.values()].reduce((a, b) => a + b, 0);
          const skipped = [...summary.skippedBy.values()].reduce((a, b) => a + b, 0);
          expect([refused, skipped]).toEqual([summary.refused, summary.skipped]);
          const json = JSON.parse(summary.toJson(1)) as Record<string, number>;
          expect(json['lines']).toBe(summary.lines);
        },
      ),
      { numRuns: deep(25, 8) },
    );
  }, 120_000);

  test('a book that never became complete is reported clearly', async () => {
    const delta = (seq: number): Json =>
      book('LOST', 'delta', [['1.00', '1']], [], { seq, prevSeq: seq - 1, ...at(seq) });
    const file = write(instrument('LOST'), delta(5), delta(6));
    const never = await importInto(scratch.fresh(), [file]);
    expect(never.summary).toMatchObject({
      taken: 1,
      waiting: 2,
      books: [{ symbol: 'LOST', book: 'never' }],
    });
    expect(never.summary.toText(1)).toContain('WARNING: the book of LOST never became complete');
    const snapshot = book('LOST', 'snapshot', [['1.00', '1']], [['2.00', '1']], {
      seq: 4,
      ...at(4),
    });
    const lost = await importInto(scratch.fresh(), [
      write(instrument('LOST'), snapshot, delta(5), delta(9)),
    ]);
    expect(lost.summary.books).toEqual([{ symbol: 'LOST', book: 'lost' }]);
    const whole = await importInto(scratch.fresh(), [
      write(instrument('LOST'), delta(5), snapshot),
    ]);
    expect(whole.summary.books).toEqual([]);
  });

  test.each<[string, string, string]>([
    [
      'of candles',
      '1700000000000000000 {"stream":"x@kline_1m","data":{"e":"kline","s":"X"}}\n',
      '1 kline',
    ],
    [
      'of partial books',
      '1700000000000000000 {"stream":"x@depth5","data":{"lastUpdateId":1,"bids":[],"asks":[]}}\n',
      '1 partial-depth',
    ],
    ['of ticks', '{"type":"tick"}\n{"type":"bar"}\n', '1 tick, 1 bar'],
    ['of names that are none', '{"type":"trade","symbol":"A B"}\n', '1 unusable-symbol'],
  ])('a capture %s alone is not taken for one', async (_, text, what) => {
    const { fault, summary } = await importInto(scratch.fresh(), [scratch.write(text)]);
    expect(fault).toMatchObject({ code: 'nothing-taken', line: 0 });
    expect(fault!.message).toContain(`(${what})`);
    expect(summary.taken).toBe(0);
  });
});

describe('exports merged by seq', () => {
  /** Without seqs, which another journal has others of, and without checksums of batches. */
  const withoutSeqs = (line: Json): Json => ({ ...line, seq: 0, prevSeq: 0, crc: null });

  async function comesBack(file: string, symbol: string): Promise<void> {
    const [from, into] = [scratch.fresh(), scratch.fresh()];
    await importInto(from, [file]);
    const kinds = ['trade', 'bbo', 'book'] as const;
    const merged = kinds
      .flatMap((kind) => exported(from, kind, symbol))
      .sort((a, b) => (a['seq'] as number) - (b['seq'] as number));
    const { summary, fault } = await importInto(into, [write(...merged)]);
    expect(fault).toBeUndefined();
    expect(summary).toMatchObject({ lines: merged.length, taken: merged.length });
    for (const kind of kinds) {
      expect(exported(into, kind, symbol).map(withoutSeqs)).toEqual(
        exported(from, kind, symbol).map(withoutSeqs),
      );
    }
  }

  test('are imported as they were exported: a quote that is ahead of the levels', async () => {
    const quote = {
      type: 'bbo',
      symbol: 'QUO',
      seq: 12,
      ...at(2),
      bid: '1.01',
      bidQuantity: '5',
      ask: '1.02',
      askQuantity: '5',
    };
    const file = write(
      instrument('QUO'),
      book('QUO', 'snapshot', [['1.00', '5']], [['1.02', '5']], { seq: 10, ...at(1) }),
      quote,
      book('QUO', 'delta', [['0.99', '5']], [], { seq: 11, prevSeq: 10, ...at(3) }),
      numbered('QUO', 4, '1.01', 4),
    );
    await comesBack(file, 'QUO');
  });

  test('and so is any market: quotes, levels and trades in their order', async () => {
    const price = fc.integer({ min: 90, max: 110 }).map((n) => (n / 100).toFixed(2));
    const move = fc.record({
      kind: fc.constantFrom('quote', 'delta', 'delta', 'trade', 'snapshot', 'incomplete', 'gap'),
      bid: price,
      ask: price,
      size: fc.nat(3),
      ahead: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 3, maxLength: 40 }), async (moves) => {
        let seq = 10;
        let trades = 0;
        const events = moves.flatMap(({ kind, bid, ask, size, ahead }, i): Json[] => {
          const before = seq;
          const q = `${size}.000`;
          switch (kind) {
            case 'trade':
              return [numbered('ANY', ++trades, bid, i)];
            case 'quote':
              return [
                {
                  type: 'bbo',
                  symbol: 'ANY',
                  seq: seq + ahead,
                  ...at(i),
                  bid,
                  bidQuantity: '1',
                  ask,
                  askQuantity: '2',
                },
              ];
            case 'incomplete':
              return [book('ANY', 'incomplete', [], [], at(i))];
            case 'gap':
              seq += 5;
              return [];
            default:
              seq += 1;
              return [
                book('ANY', kind, [[bid, q]], [[ask, q]], {
                  seq,
                  prevSeq: kind === 'delta' ? before : 0,
                  ...at(i),
                }),
              ];
          }
        });
        const first = book('ANY', 'snapshot', [['0.90', '1']], [['1.10', '1']], {
          seq: 10,
          ...at(0),
        });
        await comesBack(write(instrument('ANY'), first, ...events), 'ANY');
      }),
      { numRuns: deep(25, 8) },
    );
  }, 120_000);
});
