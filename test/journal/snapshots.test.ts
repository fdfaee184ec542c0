/** When books are written whole, and what the views of the journal contain. */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { join } from 'node:path';

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { Book } from '../../protocol/messages';
import { formatDecimal } from '../../protocol/units';
import { SnapshotPolicy } from '../../src/journal/write/snapshot-policy';
import { ManualClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { check } from '../../src/config/config';
import { openRecorder } from '../../src/app/recorder';
import { FakeSource } from '../support/fake-source';
import { Prng } from '../../src/base/prng';
import { at, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { eventsOf, record } from '../support/test-recorder';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** A book event as published, after a number of microseconds. */
function pushed(micros: number, form: Book['form'], bids: number[], asks: number[]): Book {
  return {
    type: 'book',
    symbol: 'ACME',
    seq: micros + 1,
    prevSeq: micros,
    eventTime: at(micros),
    receiveTime: at(micros),
    form,
    bids,
    asks,
    crc: null,
    count: 1,
    mark: null,
  };
}

const WHOLE = pushed(0, 'snapshot', [100, 50], [101, 50]);

describe('snapshots', () => {
  test('the first book is written at once, then each second that brings a change', () => {
    const policy = new SnapshotPolicy({ everyMs: 1_000, changeShare: 0.5 });
    const [first] = policy.accept([WHOLE]);
    expect(first).toMatchObject({
      bids: [100, 50],
      asks: [101, 50],
      crc: bookChecksum([100, 50], [101, 50]),
    });
    expect(policy.accept([])).toEqual([]);
    expect(policy.accept([pushed(999_999, 'delta', [100, 51], [])])).toEqual([]);
    expect(policy.accept([pushed(1_000_000, 'delta', [100, 52], [])])).toHaveLength(1);
    expect(policy.accept([pushed(1_000_001, 'delta', [100, 53], [])])).toEqual([]);
  });

  test.each([
    ['5 of 100 is not more than 5 %', [100, 55], [], 0],
    ['6 of 100 is', [100, 56], [], 1],
    ['less counts as more does', [100, 44], [], 1],
    ['both sides count together', [100, 53], [101, 47], 1],
    ['a new level counts whole', [99, 6], [], 1],
    ['a level that goes counts whole', [100, 0], [], 1],
  ])('%s', (_, bids, asks, written) => {
    const policy = new SnapshotPolicy({ everyMs: 1_000, changeShare: 0.05 });
    policy.accept([WHOLE]);
    expect(policy.accept([pushed(1, 'delta', bids, asks)])).toHaveLength(written);
  });

  test('an invalid book is not written until it is valid again', () => {
    const policy = new SnapshotPolicy({ everyMs: 1_000, changeShare: 0.05 });
    policy.accept([WHOLE]);
    expect(policy.accept([pushed(5_000_000, 'incomplete', [], [])])).toEqual([]);
    expect(policy.accept([pushed(6_000_000, 'snapshot', [90, 1], [])])).toMatchObject([
      { bids: [90, 1], asks: [] },
    ]);
  });

  test('after a restart the next change is followed by one; 0 ms means none', () => {
    const after = new SnapshotPolicy({ everyMs: 1_000, changeShare: 0.05 });
    after.hydrate([WHOLE]);
    expect(after.accept([])).toEqual([]);
    expect(after.accept([pushed(1, 'delta', [100, 51], [])])).toMatchObject([{ bids: [100, 51] }]);
    const off = new SnapshotPolicy({ everyMs: 0, changeShare: 0.05 });
    expect(off.accept([WHOLE])).toEqual([]);
  });

  test('an instrument may have its own options', () => {
    const of = (symbol: string, ...[micros, ...rest]: Parameters<typeof pushed>): Book => ({
      ...pushed(micros, ...rest),
      symbol,
    });
    const own = new Map([
      ['OFTEN', { everyMs: 100, changeShare: 9 }],
      ['MOVED', { everyMs: 1_000, changeShare: 0.01 }],
      ['NEVER', { everyMs: 0, changeShare: 0.01 }],
    ]);
    const policy = new SnapshotPolicy({ everyMs: 1_000, changeShare: 9 }, own);
    const symbols = ['ACME', 'OFTEN', 'MOVED', 'NEVER'];
    const due = (make: (symbol: string) => Book) =>
      policy
        .accept(symbols.map(make))
        .map((d) => d.symbol)
        .toSorted();
    expect(due((s) => of(s, 0, 'snapshot', [100, 50], [101, 50]))).toEqual([
      'ACME',
      'MOVED',
      'OFTEN',
    ]);
    expect(due((s) => of(s, 1, 'delta', [100, 52], []))).toEqual(['MOVED']);
    expect(due((s) => of(s, 100_000, 'delta', [99, 1], []))).toEqual(['OFTEN']);
    expect(due((s) => of(s, 1_000_001, 'delta', [98, 1], []))).toEqual(['ACME', 'MOVED', 'OFTEN']);
    const off = new SnapshotPolicy({ everyMs: 0, changeShare: 9 }, own);
    expect(off.accept([WHOLE, of('OFTEN', 0, 'snapshot', [1, 1], [])])).toMatchObject([
      { symbol: 'OFTEN' },
    ]);
  });

  test('only books that have changed are looked at, however many are due in a second', () => {
    let looks = 0;
    const policy = new SnapshotPolicy({
      everyMs: 1_000,
      get changeShare() {
        looks += 1;
        return 9;
      },
    });
    const all = (micros: number, form: Book['form'], bids: number[]): Book[] =>
      Array.from({ length: 100 }, (_, i) => ({
        ...pushed(micros, form, bids, [101, 50]),
        symbol: `S${i}`,
      }));
    expect(policy.accept(all(0, 'snapshot', [100, 50]))).toHaveLength(100);
    expect(policy.accept(all(1, 'delta', [100, 51]))).toEqual([]);
    looks = 0;
    expect(policy.accept([])).toEqual([]);
    expect(policy.accept(all(2, 'delta', [100, 52]).slice(0, 1))).toEqual([]);
    expect(looks).toBe(1);
  });

  test('after `renew` every valid book is written, even if nothing changed', () => {
    const policy = new SnapshotPolicy(
      { everyMs: 1_000, changeShare: 0.5 },
      new Map([['OFF', { everyMs: 0, changeShare: 0.5 }]]),
    );
    policy.hydrate([WHOLE]);
    policy.accept([
      { ...WHOLE, symbol: 'OFF' },
      pushed(1, 'delta', [100, 51], []),
      { ...pushed(2, 'delta', [100, 60], [101, 0]), symbol: 'OFF' },
      { ...pushed(3, 'incomplete', [], []), symbol: 'BROKEN' },
    ]);
    expect(policy.accept([])).toEqual([]);
    policy.renewAll();
    expect(policy.accept([])).toMatchObject([
      { symbol: 'ACME', bids: [100, 51], asks: [101, 50], eventTime: at(1) },
      { symbol: 'OFF', bids: [100, 60], asks: [], eventTime: at(2) },
    ]);
    expect(policy.accept([])).toEqual([]);
    // Time and change count from there on.
    expect(policy.accept([pushed(900_000, 'delta', [100, 52], [])])).toEqual([]);
    expect(policy.accept([pushed(1_000_001, 'delta', [100, 53], [])])).toHaveLength(1);
  });

  test('the settings of an instrument reach the journal', () => {
    const directory = scratch.fresh();
    const instruments = [
      { symbol: 'EACH', snapshotEveryMs: 1 },
      { symbol: 'NONE', snapshotEveryMs: 0 },
      { symbol: 'REST' },
    ].map((own) => Object.assign(own, { market: 'feed', priceScale: 2, quantityScale: 3 }));
    const journal = { directory, durability: 'commit', snapshotChangePercent: 1_000 };
    const config = check({ journal, instruments });
    if (config instanceof StartFault) throw new Error(config.message);
    const clock = new ManualClock(at(0));
    const written: Record<string, number> = { EACH: 0, NONE: 0, REST: 0 };
    const recorder = openRecorder(config, clock);
    if (recorder instanceof StartFault) throw new Error(recorder.message);
    recorder.follow(({ events }) => {
      for (const e of events) if (e.type === 'snapshot') written[e.symbol]! += 1;
    });
    for (const { symbol } of instruments) {
      const source = new FakeSource(new Prng(5), symbol);
      recorder.sequencer.submit(1, [instrument(symbol), source.snapshot(source.seq)], () => {});
      for (let i = 0; i < 10; i++) {
        const from = source.seq;
        clock.advance(10_000_000);
        source.advance(1);
        recorder.sequencer.submit(1, [source.delta(from, source.seq)], () => {});
      }
    }
    recorder.sequencer.drain();
    expect(written['EACH']).toBeGreaterThan(5);
    expect(written).toMatchObject({ NONE: 0, REST: 1 });
    recorder.close();
  });

  test('each has the ten levels that readers hold at its seq', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), (seed) => {
        const recording = record(scratch.fresh(), { snapshotEveryMs: 1_000 });
        const source = new FakeSource(new Prng(seed), 'ACME');
        const { sequencer } = recording.recorder;
        sequencer.submit(1, [instrument('ACME'), source.snapshot(source.seq)], () => {});
        for (let i = 0; i < 60; i++) {
          const from = source.seq;
          source.advance(1);
          sequencer.submit(1, [source.delta(from, source.seq)], () => {});
        }
        sequencer.drain();
        const levels = new TenLevels();
        let snapshots = 0;
        for (const e of eventsOf(recording.batches)) {
          if (e.type === 'book' && e.form === 'delta') levels.apply(e.bids, e.asks);
          else if (e.type === 'book') levels.replace(e.bids, e.asks);
          if (e.type !== 'snapshot') continue;
          snapshots += 1;
          expect([e.bids, e.asks]).toEqual([levels.bids, levels.asks]);
        }
        expect(snapshots).toBeGreaterThan(0);
        recording.recorder.close();
      }),
      { numRuns: 20 },
    );
  });
});

test('the views give decimals and times, for any SQL tool while the server runs', () => {
  const directory = scratch.fresh();
  const { recorder } = record(directory, { snapshotEveryMs: 1_000 });
  const source = new FakeSource(new Prng(3), 'ACME');
  recorder.sequencer.submit(
    1,
    [
      instrument('ACME'),
      source.snapshot(source.seq),
      trade({
        symbol: 'ACME',
        price: -5,
        quantity: 7,
        eventTime: at(1_500_000),
        aggressor: 'sell',
      }),
    ],
    () => {},
  );
  recorder.sequencer.drain();
  const { priceScale, quantityScale } = recorder.market.get('ACME')!.definition;
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  const price = formatDecimal(-5, priceScale);
  const quantity = formatDecimal(7, quantityScale);
  const time = at(1_500_000).toISOString().replace('T', ' ').replace('Z', '');
  expect(db.query('SELECT * FROM trades').all()).toMatchObject([
    { symbol: 'ACME', price, quantity, aggressor: 'sell', time },
  ]);
  expect(db.query('SELECT * FROM ticks').all()).toMatchObject([{ last: price, volume: quantity }]);
  expect(db.query('SELECT * FROM deltas').all()).toMatchObject([{ form: 'snapshot' }]);
  expect(db.query('SELECT * FROM orders').all()).toEqual([]);
  const { bids, asks } = recorder.market.get('ACME')!.bookView()!;
  const rows = (side: string, levels: readonly number[]): object[] =>
    Array.from({ length: levels.length / 2 }, (_, rank) => ({
      side,
      rank,
      price: formatDecimal(levels[rank * 2]!, priceScale),
      quantity: formatDecimal(levels[rank * 2 + 1]!, quantityScale),
    }));
  const [snapshot] = db.query('SELECT seq FROM snapshots').all() as { seq: number }[];
  expect(
    db
      .query(
        'SELECT side, rank, price, quantity FROM levels WHERE seq = ? ORDER BY side DESC, rank',
      )
      .all(snapshot!.seq),
  ).toEqual([...rows('bid', bids), ...rows('ask', asks)]);
  db.close();
  recorder.close();
});
