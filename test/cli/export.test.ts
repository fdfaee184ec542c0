/** `tapedeck export`: exact lines, ranges that are complete by themselves, and tapes that can be imported. */

import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ManualClock } from '../../src/base/clock';
import { at, book, instrument, trade } from '../support/market-events';
import { Scratch, spawnTapedeck, tapedeck } from '../support/tapedeck-process';
import { record } from '../support/test-recorder';
import { Journaled } from '../orders/journaled';
import { randomScript } from '../orders/script';

const scratch = new Scratch();
const data = scratch.fresh();
const venues = scratch.fresh();
afterAll(() => scratch.remove());

/** An instrument with a book of three states, a quote for each, and two trades. */
beforeAll(() => {
  const { recorder } = record(data, { snapshotEveryMs: 1000 }, { clock: new ManualClock(at(0)) });
  for (const events of [
    [instrument('ACME', { previousClose: 9_900 })],
    [book('snapshot', 1, 0, [9_990, 5_000], [10_010, 7_000], { eventTime: at(1) })],
    [trade({ seq: 1, price: 10_010, quantity: 2_500, tradeId: 41, eventTime: at(2) })],
    [book('delta', 2, 1, [9_980, 1_250], [10_010, 4_500], { eventTime: at(3) })],
    [book('delta', 3, 2, [9_990, 0], [], { eventTime: at(4) })],
    [trade({ seq: 2, price: 9_980, aggressor: 'sell', quantity: 1, eventTime: at(5) })],
  ]) {
    recorder.sequencer.submit(1, events, (r) => expect('seq' in r).toBe(true), {
      receiveTime: at(6),
    });
    recorder.sequencer.drain();
  }
  recorder.close();
  const run = Journaled.create(venues);
  run.execute(randomScript(5, 200, true), 5, 0);
  run.recorder.close();
});

async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tapedeck(['export', ...args]);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

const of = (kind: string, ...more: string[]): Promise<string> =>
  run('--data', data, '--kind', kind, '--symbol', 'ACME', ...more);

const T = '17000000001234';
const DEFINITION = `{"type":"instrument","symbol":"ACME","seq":1,"market":"feed","priceScale":2,"quantityScale":3,"priceIncrement":"0.01","quantityIncrement":"0.001","previousClose":"99.00","rules":null,"shard":null}\n`;

describe('exact output', () => {
  test('trades in ndjson and csv', async () => {
    const lines = (await of('trade')).split('\n');
    expect(`${lines[0]}\n`).toBe(DEFINITION);
    const trades = lines.slice(1, -1).map((line) => JSON.parse(line) as { seq: number });
    expect(trades).toMatchObject([
      {
        type: 'trade',
        prevSeq: 0,
        eventTime: at(2).toString(),
        price: '100.10',
        quantity: '2.500',
        aggressor: 'buy',
        tradeId: 41,
        timing: null,
      },
      {
        type: 'trade',
        prevSeq: trades[0]!.seq,
        price: '99.80',
        quantity: '0.001',
        aggressor: 'sell',
        tradeId: 0,
        timing: null,
      },
    ]);
    const [a, b] = trades.map(({ seq }) => seq);
    expect(await of('trade', '--format', 'csv')).toBe(
      [
        'symbol,seq,prevSeq,eventTime,receiveTime,price,quantity,aggressor,tradeId,timing',
        `ACME,${a},0,${at(2).toString()},${at(6).toString()},100.10,2.500,buy,41,`,
        `ACME,${b},${a},${at(5).toString()},${at(6).toString()},99.80,0.001,sell,0,`,
        '',
      ].join('\r\n'),
    );
    expect(at(2).toString()).toStartWith(T);
  });

  test('ticks, quotes, statuses: every record of the kind', async () => {
    const db = new Database(join(data, 'journal.sqlite'), { readonly: true });
    for (const [kind, code] of [
      ['tick', 2],
      ['bbo', 4],
      ['status', 6],
      ['snapshot', 8],
    ] as const) {
      const { n } = db.query('SELECT count(*) AS n FROM record WHERE kind = ?').get(code) as {
        n: number;
      };
      const lines = (await of(kind)).split('\n').slice(1, -1);
      expect([kind, lines.length]).toEqual([kind, n]);
    }
    db.close();
    expect(await of('tick')).toContain(
      '"last":"99.80","bid":"99.80","ask":"100.10","quantity":"0.001","volume":"2.501","count":1}\n',
    );
  });

  test('a book in csv has a row for each level', async () => {
    const rows = (await of('book', '--format', 'csv')).split('\r\n');
    expect(rows[0]).toBe(
      'symbol,seq,prevSeq,eventTime,receiveTime,form,crc,mark,side,price,quantity',
    );
    expect(
      rows.slice(1, -1).map((row) => row.split(',').filter((_, i) => i === 5 || i > 7)),
    ).toEqual([
      ['snapshot', 'bid', '99.90', '5.000'],
      ['snapshot', 'ask', '100.10', '7.000'],
      ['delta', 'bid', '99.80', '1.250'],
      ['delta', 'ask', '100.10', '4.500'],
      ['delta', 'bid', '99.90', '0.000'],
    ]);
  });

  test('orders: all their fields, and nothing else', async () => {
    const symbol = 'ACME';
    const csv = await run(
      '--data',
      venues,
      '--kind',
      'order',
      '--symbol',
      symbol,
      '--format',
      'csv',
    );
    const ndjson = await run('--data', venues, '--kind', 'order', '--symbol', symbol);
    const lines = ndjson
      .split('\n')
      .slice(1, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(csv.split('\r\n').length).toBe(lines.length + 2);
    expect(new Set(lines.map(({ action }) => action))).toContain('submit');
    for (const { action, price, quantity, state } of lines) {
      if (action === 'state')
        expect([price, quantity, typeof state]).toEqual([null, null, 'string']);
      if (action === 'submit') expect([typeof quantity, state]).toEqual(['string', null]);
    }
  });
});

describe('a range', () => {
  test('begins with its first time and ends before its last', async () => {
    const times = async (...range: string[]): Promise<unknown[]> =>
      (await of('trade', ...range))
        .split('\n')
        .slice(1, -1)
        .map((line) => (JSON.parse(line) as { eventTime: string }).eventTime);
    const [first, second] = [at(2).toString(), at(5).toString()];
    expect(await times('--from', first)).toEqual([first, second]);
    expect(await times('--from', at(2).plus(1).toISOString())).toEqual([second]);
    expect(await times('--to', second)).toEqual([first]);
    expect(await times('--from', at(3).toString(), '--to', at(4).toString())).toEqual([]);
  });

  test('of a book begins with the whole book', async () => {
    const lines = (await of('book', '--from', at(4).toString())).split('\n').slice(1, -1);
    const [whole, change] = lines.map((line) => JSON.parse(line) as { seq: number });
    expect(lines.length).toBe(2);
    expect(whole).toMatchObject({
      form: 'snapshot',
      prevSeq: 0,
      eventTime: at(3).toString(),
      bids: [
        ['99.90', '5.000'],
        ['99.80', '1.250'],
      ],
      asks: [['100.10', '4.500']],
    });
    expect(change).toMatchObject({
      form: 'delta',
      prevSeq: whole!.seq,
      bids: [['99.90', '0.000']],
    });
  });
});

describe('exported files can be imported', () => {
  /** The newest book and all trades of a journal, without seqs. */
  async function stateOf(directory: string, symbol: string): Promise<unknown> {
    const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
    const trades = db
      .query(
        'SELECT event_time, price, quantity, aggressor, trade_id FROM trades WHERE symbol = ? ORDER BY seq',
      )
      .values(symbol);
    const books = db
      .query('SELECT form, event_time, crc, hex(levels) FROM deltas WHERE symbol = ? ORDER BY seq')
      .values(symbol);
    db.close();
    return { trades, books: books.map(([form, time, , levels]) => [form, time, levels]) };
  }

  test.each([
    ['a feed', () => data, 'ACME'],
    ['a venue', () => venues, 'ACME'],
  ])('of %s: equal trades and books', async (_, from, symbol) => {
    const expected = (await stateOf(from(), symbol)) as { trades: unknown[]; books: unknown[] };
    for (const kind of ['trade', 'book', 'bbo'] as const) {
      const tape = scratch.fresh('.ndjson');
      expect(
        await run('--data', from(), '--kind', kind, '--symbol', symbol, '--output', tape),
      ).toBe('');
      const into = scratch.fresh();
      const replayed = await tapedeck(['replay', tape, '--data', into]);
      expect([replayed.code, replayed.stderr]).toEqual([0, '']);
      expect(replayed.stdout).toContain('0 skipped, 0 refused');
      const found = (await stateOf(into, symbol)) as typeof expected;
      if (kind === 'trade') expect(found.trades).toEqual(expected.trades);
      if (kind === 'book') expect(found.books).toEqual(expected.books);
      expect((await tapedeck(['verify', '--data', into])).code).toBe(0);
    }
  });
});

describe('refusals', () => {
  test.each([
    [['--kind', 'bars'], '--kind is "bars"; expected one of tick, trade, bbo, book'],
    [['--kind', 'constructor'], '--kind is "constructor"; expected one of'],
    [['--format', 'xml'], '--format is "xml"; expected ndjson or csv'],
    [['--symbol', "'; DROP"], `--symbol is "'; DROP"; expected one of ACME`],
    [['--from', 'yesterday'], '--from is "yesterday"; expected ns since 1970'],
    [['--to', '2024-02-30T00:00:00Z'], '--to is "2024-02-30T00:00:00Z"; expected ns'],
    [['--from', '5', '--to', '5'], '--to is "5"; expected a time after --from'],
  ])('%p', async (args, message) => {
    const usual = ['--data', data, '--kind', 'trade', '--symbol', 'ACME'];
    const { code, stdout, stderr } = await tapedeck(['export', ...usual, ...args]);
    expect([code, stdout]).toEqual([64, '']);
    expect(stderr).toContain(message);
    expect(stderr).toContain('[bad-usage]');
  });

  test('a file that exists, and a directory that does not', async () => {
    const journal = join(data, 'journal.sqlite');
    const before = Bun.hash(readFileSync(journal));
    const usual = ['export', '--data', data, '--kind', 'trade', '--symbol', 'ACME', '--output'];
    for (const [path, why] of [
      [journal, 'which exists'],
      [join(data, 'no/such'), 'cannot be written'],
    ] as const) {
      const { code, stderr } = await tapedeck([...usual, path]);
      expect(code).toBe(73);
      expect(stderr).toContain(why);
    }
    expect(Bun.hash(readFileSync(journal))).toBe(before);
  });

  test('no journal; a damaged block: nothing of it is exported, and the damage is reported', async () => {
    const none = await tapedeck([
      'export',
      '--data',
      scratch.fresh(),
      '--kind',
      'trade',
      '--symbol',
      'A',
    ]);
    expect([none.code, none.stdout]).toEqual([66, '']);
    const copy = scratch.fresh();
    const { recorder } = record(copy);
    recorder.sequencer.submit(1, [instrument('ACME'), trade()], () => {});
    recorder.close();
    const db = new Database(join(copy, 'journal.sqlite'));
    db.run('UPDATE record SET side = 9 WHERE kind = 3');
    db.close();
    const file = scratch.fresh('.csv');
    const bad = await tapedeck([
      'export',
      '--data',
      copy,
      '--kind',
      'trade',
      '--symbol',
      'ACME',
      '--format',
      'csv',
      '--output',
      file,
    ]);
    expect([bad.code, bad.stdout]).toEqual([0, '']);
    expect(bad.stderr).toMatch(
      /sequence numbers 1 to \d+ are missing in this range of the journal \(damaged\)/,
    );
    expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(1); // the header alone
  });
});

describe('where records are missing', () => {
  const holed = scratch.fresh();
  let gap: { from: number; to: number };

  /** Thirty times, of which the middle is not in the journal. */
  beforeAll(async () => {
    const { recorder } = record(
      holed,
      { durability: 'async', commitEveryMs: 60_000, queueBytesMax: 16_384, snapshotEveryMs: 1 },
      { clock: new ManualClock(at(0)) },
    );
    const publish = (from: number, to: number): void => {
      for (let n = from; n < to; n++) {
        const eventTime = at(n);
        const events = [
          trade({ seq: n, prevSeq: n - 1, quantity: n, eventTime }),
          book('delta', n, n - 1, [9_000 - (n % 7), n], [10_000 + (n % 5), n], { eventTime }),
        ];
        recorder.sequencer.submit(1, events, (r) => expect('seq' in r).toBe(true), {
          receiveTime: eventTime,
        });
        recorder.sequencer.drain();
      }
    };
    const first = [
      instrument('ACME'),
      book('snapshot', 1, 0, [9_000, 1], [10_000, 1], { eventTime: at(1) }),
    ];
    recorder.sequencer.submit(1, first, () => {}, { receiveTime: at(1) });
    recorder.sequencer.drain();
    publish(2, 10);
    await recorder.journal.flush();
    publish(10, 100);
    await recorder.journal.flush();
    publish(100, 110);
    recorder.close();
    const db = new Database(join(holed, 'journal.sqlite'), { readonly: true });
    gap = db.query('SELECT from_seq AS "from", to_seq AS "to" FROM gaps').get() as typeof gap;
    db.close();
  });

  const lines = async (...args: string[]): Promise<Record<string, unknown>[]> =>
    (await run('--data', holed, '--symbol', 'ACME', ...args))
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test('ndjson has a line for them, followed by the whole book', async () => {
    const { from, to } = gap;
    const reported = {
      type: 'gap',
      from,
      to,
      count: to - from + 1,
      reason: 'not-journaled',
      shard: null,
    };
    for (const kind of ['trade', 'tick', 'bbo', 'book', 'snapshot', 'status'] as const) {
      const all = await lines('--kind', kind);
      const found = all.findIndex(({ type }) => type === 'gap');
      const topic = kind === 'status' ? 'status' : `${kind}:ACME`;
      expect([kind, all[found]]).toEqual([kind, { ...reported, topic }]);
      const seqs = all.slice(1).map(({ type, seq }) => (type === 'gap' ? to : (seq as number)));
      expect([kind, seqs]).toEqual([kind, seqs.toSorted((a, b) => a - b)]);
      if (kind === 'book') expect(all[found + 1]).toMatchObject({ form: 'snapshot', prevSeq: 0 });
    }
  });

  test('the file is still a valid tape', async () => {
    for (const kind of ['trade', 'book']) {
      const tape = scratch.fresh('.ndjson');
      await run('--data', holed, '--kind', kind, '--symbol', 'ACME', '--output', tape);
      const into = scratch.fresh();
      const replayed = await tapedeck(['replay', tape, '--data', into]);
      expect([replayed.code, replayed.stderr]).toEqual([0, '']);
      expect(replayed.stdout).toContain('1 skipped, 0 refused');
      expect((await tapedeck(['verify', '--replay', '--data', into])).code).toBe(0);
      // The book at the end is the one that was recorded.
      const books = async (data: string): Promise<unknown> => {
        const whole = (await run('--data', data, '--kind', 'snapshot', '--symbol', 'ACME'))
          .split('\n')
          .at(-2)!;
        const { bids, asks, crc } = JSON.parse(whole) as Record<string, unknown>;
        return { bids, asks, crc };
      };
      if (kind === 'book') expect(await books(into)).toEqual(await books(holed));
    }
  });

  test('with csv, a warning names the sequence numbers', async () => {
    const args = [
      'export',
      '--data',
      holed,
      '--kind',
      'trade',
      '--symbol',
      'ACME',
      '--format',
      'csv',
    ];
    const { code, stdout, stderr } = await tapedeck(args);
    expect([code, stderr]).toEqual([
      0,
      `tapedeck: sequence numbers ${gap.from} to ${gap.to} are missing in this range of the journal (disk)\n`,
    ]);
    expect(stdout).not.toContain('gap');
  });

  test('gaps outside the range are not reported', async () => {
    const types = async (...range: string[]): Promise<Set<unknown>> =>
      new Set((await lines('--kind', 'trade', ...range)).map(({ type }) => type));
    expect(await types('--to', at(5).toString())).toEqual(new Set(['instrument', 'trade']));
    expect(await types('--from', at(105).toString())).toEqual(new Set(['instrument', 'trade']));
    expect(await types('--from', at(50).toString())).toEqual(
      new Set(['instrument', 'gap', 'trade']),
    );
  });
});

describe('a range of many blocks', () => {
  const long = scratch.fresh();
  const N = 6_000;

  /** Two instruments alternate, so that every block has both; the first is redefined in the middle. */
  beforeAll(() => {
    const { recorder } = record(long, { snapshotEveryMs: 1 }, { clock: new ManualClock(at(0)) });
    const submit = (events: Parameters<typeof recorder.sequencer.submit>[1], n: number): void => {
      recorder.sequencer.submit(1, events, (r) => expect('seq' in r).toBe(true), {
        receiveTime: at(n),
      });
      if (n % 50 === 0) recorder.sequencer.drain();
    };
    for (const symbol of ['ACME', 'OTHER']) {
      submit(
        [
          instrument(symbol),
          book('snapshot', 1, 0, [9_000, 1], [10_000, 1], { symbol, eventTime: at(1) }),
        ],
        1,
      );
    }
    for (let n = 2; n < N; n++) {
      const symbol = n % 2 === 0 ? 'ACME' : 'OTHER';
      const eventTime = at(n);
      if (n === N / 2) submit([instrument(symbol, { previousClose: 77 })], n);
      submit(
        [
          trade({ symbol, quantity: n, eventTime }),
          book('delta', 0, 0, [9_000 - (n % 9), n], [10_000 + (n % 11), n], { symbol, eventTime }),
        ],
        n,
      );
    }
    recorder.sequencer.drain();
    recorder.close();
  });

  const lines = async (...args: string[]): Promise<Record<string, unknown>[]> =>
    (await run('--data', long, '--symbol', 'ACME', ...args))
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test.each(['trade', 'tick', 'bbo', 'book', 'snapshot'])(
    'of %s equals that part of the whole export',
    async (kind) => {
      const all = await lines('--kind', kind);
      const time = (e: Record<string, unknown>): bigint => BigInt((e['eventTime'] as string) ?? 0);
      for (const [from, to] of [
        [1_000, 1_200],
        [2_900, 3_100],
        [5_900, N],
        [1, 4],
      ] as const) {
        const part = await lines(
          '--kind',
          kind,
          '--from',
          at(from).toString(),
          '--to',
          at(to).toString(),
        );
        const isIn = (e: Record<string, unknown>): boolean =>
          time(e) >= BigInt(at(from).toString()) && time(e) < BigInt(at(to).toString());
        const events = part.filter(({ type }) => type !== 'instrument');
        const expected = all.filter((e) => e['type'] !== 'instrument' && isIn(e));
        if (kind === 'book' && from > 1) {
          const [whole, first] = [events.shift()!, events[0]!];
          expect(whole).toMatchObject({ form: 'snapshot', prevSeq: 0, seq: first['prevSeq'] });
        }
        expect([from, events]).toEqual([from, expected]);
        const definitions = part.filter(({ type }) => type === 'instrument');
        const closes = definitions.map((d) => d['previousClose']);
        expect([from, closes]).toEqual([
          from,
          from < 2_000 ? [null] : from < 3_000 ? [null, '0.77'] : ['0.77'],
        ]);
      }
    },
  );
});

test('closing the output ends it quietly', async () => {
  const child = spawnTapedeck(['export', '--data', venues, '--kind', 'order', '--symbol', 'ACME']);
  await child.stdout.cancel();
  expect([await child.exited, await new Response(child.stderr).text()]).toEqual([0, '']);
});
