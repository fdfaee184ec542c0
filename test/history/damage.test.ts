/**
 * Altered records: no reader gives out an altered row; its whole block is missing for all readers. Each case alters
 * one value by SQL in an otherwise intact file.
 */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';

import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import type { MissingRange, PastBarsPage, PastPage } from '../../src/base/contracts/past';
import { HistoryReader } from '../../src/journal/history/reader';
import { extract, type Extracted } from '../../src/journal/export/extract';
import { PlaybackReader } from '../../src/journal/playback/reader';
import { DAMAGED } from '../../src/journal/proofs';
import { openReading, type JournalReading } from '../../src/journal/recover/reading';
import { idOf, KIND } from '../../src/journal/schema';
import { replay } from '../journal/replays';
import { ScratchDirectory } from '../support/scratch-directory';
import { deep } from '../support/tier';
import { without } from './naive-answers';
import { alter, bordersOf, takeOut, Written, type Hole, type Profile } from './written';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const PROFILES: readonly Profile[] = [
  { symbol: 'BUSY', weight: 300 },
  { symbol: 'QUIET', weight: 5 },
];
const END = Number.MAX_SAFE_INTEGER;
const NOW = Nanos.fromSeconds(2_000_000_000, 0);

async function written(seed: number, count: number): Promise<Written> {
  const all = new Written(scratch.fresh(), new Prng(seed), PROFILES);
  await all.write(count);
  return all;
}

/** A seq in the third block that has an event of a type. */
function inThirdBlock(all: Written, type: BatchEvent['type'], symbol = 'BUSY'): number {
  const [first, last] = bordersOf(all.path).slice(4, 6) as [number, number];
  const found = all.events.find(
    (e) => e.type === type && e.symbol === symbol && e.seq >= first && e.seq <= last,
  );
  return found!.seq;
}

function run(path: string, sql: string): void {
  const db = new Database(path);
  db.run(sql);
  db.close();
}

function seqsOf(events: readonly BatchEvent[], type: BatchEvent['type']): number[] {
  return events.filter((e) => e.type === type && e.symbol === 'BUSY').map(({ seq }) => seq);
}

/** The missing ranges that a reader of everything gets, and the sequence numbers that it gets. */
function readAll(reader: HistoryReader, symbol: string) {
  const trades = reader.answer({ kind: 'trades', symbol, before: END, limit: END }) as PastPage;
  const ticks = reader.answer({
    kind: 'ticks',
    symbol,
    from: null,
    to: null,
    after: 0,
    limit: END,
  }) as PastPage;
  const bars = reader.answer({
    kind: 'bars',
    symbol,
    interval: '1s',
    from: null,
    to: null,
    limit: 1_000,
    tradesMax: END,
    now: NOW,
  }) as PastBarsPage;
  const seqs = (items: string): number[] =>
    (JSON.parse(items) as { seq: number }[]).map(({ seq }) => seq);
  return {
    trades,
    ticks,
    bars,
    tradeSeqs: seqs(trades.items).reverse(),
    tickSeqs: seqs(ticks.items),
  };
}

const COLUMNS = [
  'price',
  'quantity',
  'event_time',
  'receive_time',
  'prev_seq',
  'side',
  'ref',
  'instrument',
  'flags',
  'as_of',
  'kind',
] as const;

describe('one value of a closed block', () => {
  for (const column of COLUMNS) {
    test(`${column}: lists omit its block and declare that`, async () => {
      const all = await written(7, 6_000);
      await all.close();
      const seq = inThirdBlock(all, 'trade');
      const [from, to] = bordersOf(all.path).slice(4, 6) as [number, number];
      run(
        all.path,
        `UPDATE record SET ${column} = ifnull(${column}, 0) + 1 WHERE id = ${idOf(seq)}`,
      );
      const reported: MissingRange[] = [];
      const reader = new HistoryReader(all.path, { onDamage: (range) => reported.push(range) });
      const hole = { from, to, reason: DAMAGED };
      const left = without(all.events, [hole]);
      for (let i = 0; i < 2; i++) {
        const { trades, ticks, bars, tradeSeqs, tickSeqs } = readAll(reader, 'BUSY');
        for (const { gaps } of [trades, ticks, bars]) expect(gaps).toEqual([hole]);
        expect(tradeSeqs).toEqual(seqsOf(left, 'trade'));
        expect(tickSeqs).toEqual(seqsOf(left, 'tick'));
      }
      expect(reported).toEqual([hole]); // once, however often it is read
      reader.close();
    });
  }

  test('a book of a time in it is records-missing, one before it is not', async () => {
    const all = await written(8, 6_000);
    await all.close();
    const hole = alter(all.path, inThirdBlock(all, 'book'));
    const reader = new HistoryReader(all.path);
    const bookAt = (seq: number): unknown => {
      const event = all.events[seq - 1] as { eventTime: Nanos };
      return reader.answer({ kind: 'book', symbol: 'BUSY', at: event.eventTime });
    };
    expect(bookAt(hole.from - 10)).toMatchObject({ seq: expect.any(Number) });
    const answer = bookAt(hole.from + 500);
    expect(answer).toMatchObject({ code: 'records-missing' });
    expect((answer as { message: string }).message).toContain(
      `records ${hole.from} to ${hole.to} are missing (damaged)`,
    );
    reader.close();
  });

  test('a replay declares it in order and continues after it; a reader that resumes is refused', async () => {
    const all = await written(9, 6_000);
    await all.close();
    const hole = alter(all.path, inThirdBlock(all, 'trade'));
    const reader = new PlaybackReader(all.path);
    for (const topics of [['trade:BUSY'], ['trade:*', 'book:*', 'tick:*', 'bbo:*']]) {
      for (let i = 0; i < 2; i++) {
        const { messages } = replay(reader, topics);
        const gap = messages.findIndex((m) => m.type === 'gap' && m.topic === 'trade:BUSY');
        expect(messages[gap]).toMatchObject({ reason: 'damaged', from: hole.from });
        const behind = messages.slice(gap).find((m) => m.type === 'trade' && m.symbol === 'BUSY');
        const kept = seqsOf(without(all.events, [hole]), 'trade');
        const seqs = messages.flatMap((m) =>
          m.type === 'trade' && m.symbol === 'BUSY' ? m.seq : [],
        );
        expect(seqs).toEqual(kept);
        expect(behind).toMatchObject({ seq: kept.find((seq) => seq > hole.to) });
      }
    }
    // If it is already known, the opening reports it, and such a reader stops.
    expect(replay(reader, ['trade:*'], { hasOpening: false }).opened.gaps).toEqual([hole]);
    const fresh = new PlaybackReader(all.path);
    expect(() => replay(fresh, ['trade:*'], { hasOpening: false })).toThrow('records-missing');
    fresh.close();
    const behind = replay(reader, ['trade:BUSY'], { hasOpening: false, fromSeq: hole.to + 1 });
    expect(behind.messages.some(({ type }) => type === 'gap')).toBe(false);
    reader.close();
  });

  test('a gap noted inside its block keeps its own reason, also for a reader that asks from after it', async () => {
    const all = await written(14, 3_000);
    await all.close();
    const disk = { from: 200, to: 220, reason: 'disk' };
    takeOut(all.path, [disk]);
    const block = alter(all.path, 300);
    expect(block).toMatchObject({ from: 1 });
    const missing = [{ ...block, to: 199 }, disk, { ...block, from: 221 }];
    const history = new HistoryReader(all.path);
    const ticks = { kind: 'ticks', symbol: 'BUSY', from: null, to: null, limit: END } as const;
    expect(history.answer({ ...ticks, after: 0 })).toMatchObject({ gaps: missing });
    expect(history.answer({ ...ticks, after: 250 })).toMatchObject({ gaps: missing.slice(2) });
    history.close();
    const playback = new PlaybackReader(all.path);
    expect(replay(playback, ['tick:BUSY']).opened.gaps).toEqual([disk]);
    expect(replay(playback, ['tick:BUSY']).opened.gaps).toEqual(missing);
    expect(replay(playback, ['tick:BUSY'], { fromSeq: 250 }).opened.gaps).toEqual(missing.slice(2));
    playback.close();
  });

  test('an export declares it in order and continues', async () => {
    const all = await written(10, 6_000);
    await all.close();
    const hole = alter(all.path, inThirdBlock(all, 'trade'));
    const reading = openReading(all.directory) as JournalReading;
    for (const kind of ['trade', 'tick', 'bbo'] as const) {
      const instrument = reading.instruments.find(({ symbol }) => symbol === 'BUSY')!;
      const given: Extracted[] = [
        ...extract(reading, { kind, instrument, from: null, to: null }),
      ].flat();
      const left = without(all.events, [hole]).filter(
        (e) => e.type === kind && e.symbol === 'BUSY',
      );
      const seqs = given.flatMap((e) => (e.type === kind ? e.seq : []));
      expect(seqs).toEqual(left.map(({ seq }) => seq));
      const at = given.findIndex(({ type }) => type === 'gap');
      expect(given[at]).toMatchObject({ from: hole.from, to: hole.to, reason: DAMAGED });
      expect((given[at + 1] as BatchEvent).seq).toBeGreaterThan(hole.to);
      expect(given.filter(({ type }) => type === 'gap')).toHaveLength(1);
    }
    reading.close();
  });
});

describe('what makes a record findable', () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      'a part with another time',
      'UPDATE part SET time_max = time_max + 1 WHERE last_id = LAST AND instrument = 1',
    ],
    [
      'a part with another newest trade',
      'UPDATE part SET trade_seq = trade_seq - 1 WHERE last_id = LAST AND instrument = 1',
    ],
    ['a block with another checksum', 'UPDATE block SET crc = crc + 1 WHERE last_id = LAST'],
    [
      'a block with another beginning',
      'UPDATE block SET first_id = first_id + 8 WHERE last_id = LAST',
    ],
    ['a block that is gone', 'DELETE FROM block WHERE last_id = LAST'],
    ['a record that is gone', 'DELETE FROM record WHERE id = LAST'],
  ];
  for (const [name, sql] of cases) {
    test(`${name}: its block is missing`, async () => {
      const all = await written(11, 6_000);
      await all.close();
      const [from, to] = bordersOf(all.path).slice(4, 6) as [number, number];
      run(all.path, sql.replaceAll('LAST', `${idOf(to)}`));
      const history = new HistoryReader(all.path);
      const left = without(all.events, [{ from, to, reason: DAMAGED }]);
      const { trades, ticks, tradeSeqs } = readAll(history, 'BUSY');
      const isIn = ({ gaps }: PastPage): boolean =>
        gaps.some((gap) => gap.reason === DAMAGED && gap.from <= from + 1 && gap.to === to);
      expect([isIn(trades), isIn(ticks)]).toEqual([true, true]);
      expect(tradeSeqs).toEqual(seqsOf(left, 'trade'));
      history.close();
      const playback = new PlaybackReader(all.path);
      const { messages } = replay(playback, ['trade:*', 'tick:*']);
      const seqs = messages.flatMap((m) =>
        m.type === 'trade' && m.symbol === 'BUSY' ? m.seq : [],
      );
      expect(seqs).toEqual(seqsOf(left, 'trade'));
      expect(
        messages.some(
          (m) => m.type === 'gap' && m.topic === 'trade:BUSY' && m.reason === 'damaged',
        ),
      ).toBe(true);
      playback.close();
    });
  }
});

describe('records that are in no block yet', () => {
  test('are checked at each commit, once; everything after an altered one is missing until it is sealed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1_000_000 }), async (seed) => {
        const prng = new Prng(seed);
        const all = await written(seed, 2_500);
        const reader = new HistoryReader(all.path);
        const whole = (): number[] => seqsOf(all.events, 'trade');
        expect(readAll(reader, 'BUSY').tradeSeqs).toEqual(whole());
        await all.write(prng.int(1, 60));
        expect(readAll(reader, 'BUSY').tradeSeqs).toEqual(whole());
        const end = (bordersOf(all.path).at(-1) ?? 0) + 1;
        if (end > all.lastSeq - 30) return all.close();
        const seq = prng.int(end, all.lastSeq);
        run(all.path, `UPDATE record SET receive_time = receive_time + 1 WHERE id = ${idOf(seq)}`);
        const fresh = new HistoryReader(all.path);
        const { trades, tradeSeqs } = readAll(fresh, 'BUSY');
        const lost = trades.gaps.at(-1)!;
        expect(lost).toMatchObject({ reason: DAMAGED, to: all.lastSeq });
        expect(lost.from).toBeLessThanOrEqual(seq);
        expect(tradeSeqs).toEqual(whole().filter((each) => each < lost.from));
        reader.close();
        fresh.close();
        await all.close();
      }),
      { numRuns: deep(6, 3) },
    );
  });

  test('a row inserted after the last commit is given to nobody', async () => {
    const all = await written(13, 1_500);
    const last = seqsOf(all.events, 'trade').at(-1)!;
    const id = idOf(all.lastSeq + 1);
    run(
      all.path,
      `INSERT INTO record (id, kind, instrument, prev_seq, event_time, receive_time, price, quantity, side, ref) VALUES (${id}, ${KIND.trade}, 1, ${last}, 1, 1, 1, 1, 0, 0)`,
    );
    const reader = new HistoryReader(all.path);
    expect(readAll(reader, 'BUSY').tradeSeqs.at(-1)).toBe(last);
    reader.close();
    all.abandon(); // it would notice, and end
  });
});

test('a proof is valid for a limited time, and later damage is found afterwards', async () => {
  const all = await written(14, 6_000);
  await all.close();
  let nowMs = 0;
  const holes: Hole[] = [];
  const reader = new HistoryReader(all.path, {
    clock: { monotonicMs: () => nowMs },
    onDamage: (p) => holes.push(p),
  });
  const trades = (): PastPage =>
    reader.answer({ kind: 'trades', symbol: 'BUSY', before: END, limit: 2_000 }) as PastPage;
  expect(trades().gaps).toEqual([]);
  const hole = alter(all.path, inThirdBlock(all, 'trade'));
  nowMs = 59_999;
  expect(trades().gaps).toEqual([]);
  nowMs = 60_001;
  expect(trades().gaps).toEqual([hole]);
  expect(holes).toEqual([hole]);
  reader.close();
});
