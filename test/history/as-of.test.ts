/**
 * The book at any past time, compared with naive rebuilds: of sources whose messages are lost or
 * dated wrongly, and of a real market.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { formatLevels } from '../../protocol/json';
import type { Book } from '../../protocol/messages';
import { orderTime } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { openRecording } from '../../src/ingest/recording/recording';
import { FakeSource } from '../support/fake-source';
import { at, feedOf, instrument } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { deep } from '../support/tier';
import { naivePast, plain } from './naive-past';
import { good, recordPast, stateAt, statesOf, type Past, type State } from './past';

const PATH = join(import.meta.dir, '../../../shared/data/btcusdt_20240808.gz');
setDefaultTimeout(30_000);
const present = existsSync(PATH);
if (!present) console.log(`NOT TESTED against a real market: ${PATH} is not there`);

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

async function expectState(
  past: Past,
  symbol: string,
  pastTime: Nanos,
  states: readonly State[],
): Promise<void> {
  const expected = stateAt(states, pastTime.toBigInt());
  const answer = await past.history.ask({ kind: 'book', symbol, at: pastTime });
  if (expected === undefined) {
    const since = orderTime(states[0]!.event);
    expect(answer).toMatchObject({ code: 'before-first-record', field: 'at' });
    expect((answer as { message: string }).message).toContain(`since ${since.toString()} (`);
  } else if (expected.levels === null) {
    expect(answer).toMatchObject({ code: 'book-incomplete' });
  } else {
    const { definition } = past.recorder.market.get(symbol)!;
    const { seq, eventTime, receiveTime } = expected.event;
    const { blocks, ...book } = good(answer); // how much of the journal was read
    void blocks;
    expect(book).toEqual({
      seq,
      eventTime: { hi: eventTime.hi, lo: eventTime.lo },
      receiveTime: { hi: receiveTime.hi, lo: receiveTime.lo },
      bids: formatLevels(expected.levels.bids, definition),
      asks: formatLevels(expected.levels.asks, definition),
    });
  }
}

describe('as-of book', () => {
  test('equals a naive rebuild: losses, times that step back, twins, any snapshot policy', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1_000_000 }), async (seed) => {
        const prng = new Prng(seed);
        const past = recordPast(scratch.fresh(), {
          durability: prng.chance(0.5) ? 'async' : 'commit',
          snapshotEveryMs: prng.chance(0.3) ? 0 : 1_000,
          snapshotChangePercent: prng.chance(0.5) ? 20 : 1_000,
        });
        const { sequencer } = past.recorder;
        const sources = ['ACME', 'OTHER'].map((symbol) => new FakeSource(prng, symbol));
        const last = sources.map((source) => source.seq);
        sequencer.submit(1, [instrument('ACME'), instrument('OTHER')], () => {});
        let micros = 1_000;
        const submit = (which: number, event: Book): void => {
          // Some times occur twice, and some occur again after later ones.
          if (!prng.chance(0.2)) micros += prng.chance(0.1) ? -prng.int(1, 300) : prng.int(0, 50);
          const eventTime = at(micros);
          sequencer.submit(which + 1, [{ ...event, eventTime }], () => {});
          last[which] = sources[which]!.seq;
        };
        for (let i = 0; i < 120; i++) {
          const which = i < 2 ? i : prng.int(0, 1);
          const source = sources[which]!;
          if (i < 2 || prng.chance(0.05)) submit(which, source.snapshot(source.seq));
          else if (prng.chance(0.02)) submit(which, source.incomplete());
          else {
            if (prng.chance(0.02)) source.advance(1); // a lost message
            const from = prng.chance(0.02) ? source.seq : last[which]!;
            source.advance(prng.int(1, 3));
            submit(which, source.delta(from, source.seq));
          }
          if (prng.chance(0.3)) sequencer.drain();
        }
        sequencer.drain();
        for (const symbol of ['ACME', 'OTHER']) {
          const states = statesOf(past, symbol);
          expect(states.length).toBeGreaterThan(0);
          for (let i = 0; i < 40; i++) {
            const pastTime = at(prng.int(800, micros + 100)).plus(prng.int(-1, 1));
            await expectState(past, symbol, pastTime, states);
          }
        }
        await past.close();
      }),
      { numRuns: deep(12, 3) },
    );
  });

  test('it includes what is pushed but not committed yet', async () => {
    const past = recordPast(scratch.fresh(), { durability: 'async', commitEveryMs: 10_000 });
    const source = new FakeSource(new Prng(1));
    past.recorder.sequencer.submit(1, [instrument('ACME'), source.snapshot(source.seq)], () => {});
    past.recorder.sequencer.drain();
    await expectState(past, 'ACME', at(1_000), statesOf(past, 'ACME'));
    await past.close();
  });

  test('a symbol without a book, and one that the journal does not know', async () => {
    const past = recordPast(scratch.fresh());
    past.recorder.sequencer.submit(1, [instrument('ACME')], () => {});
    past.recorder.sequencer.drain();
    for (const symbol of ['ACME', 'NOBODY']) {
      const answer = await past.history.ask({ kind: 'book', symbol, at: at(0) });
      expect(answer).toMatchObject({ code: 'no-data' });
    }
    await past.close();
  });

  test('it continues across a restart', async () => {
    const directory = scratch.fresh();
    const source = new FakeSource(new Prng(5));
    const first = recordPast(directory, { snapshotEveryMs: 1_000 });
    first.recorder.sequencer.submit(1, [instrument('ACME'), source.snapshot(source.seq)], () => {});
    for (let i = 0; i < 5; i++) {
      const from = source.seq;
      source.advance(1);
      first.recorder.sequencer.submit(1, [source.delta(from, source.seq)], () => {});
    }
    first.recorder.sequencer.drain();
    await first.close();
    const second = recordPast(directory, { snapshotEveryMs: 0 });
    const from = source.seq;
    source.advance(2);
    second.recorder.sequencer.submit(1, [source.delta(from, source.seq)], () => {});
    second.recorder.sequencer.drain();
    const batches = [...first.batches, ...second.batches];
    const states = statesOf({ ...second, batches }, 'ACME');
    for (let i = 0; i < source.seq + 2; i++) await expectState(second, 'ACME', at(i), states);
    await second.close();
  });
});

test.skipIf(!present)(
  `random instants of a real market equal a rebuild${present ? '' : ` (skipped: ${PATH} is not there)`}`,
  async () => {
    const past = recordPast(scratch.fresh(), {
      durability: 'async',
      snapshotEveryMs: 1_000,
      snapshotChangePercent: 5,
    });
    const { sequencer, market } = past.recorder;
    const tape = await openRecording(PATH);
    if ('code' in tape) throw new Error(tape.message);
    for await (const { records } of tape) {
      for (const { events, receiveTime } of records) {
        sequencer.submit(1, events, () => {}, { receiveTime });
      }
      sequencer.drain();
    }
    const states = statesOf(past, 'BTCUSDT');
    expect(states.length).toBeGreaterThan(3_000);
    const times = states.map((s) => s.event.eventTime).sort((a, b) => a.compare(b));
    const naive = naivePast(PATH);
    const begin = Nanos.fromBigInt(naive.begin);
    const lengthMs = Math.floor(times.at(-1)!.since(begin) / 1e6);
    const prng = new Prng(1_000);
    const count = deep(1_000, 100);
    // Half of them at a change to the nanosecond, or one nanosecond beside it.
    const pastTimes = Array.from({ length: count }, () =>
      prng.chance(0.5)
        ? begin.plus(prng.int(0, lengthMs + 100) * 1e6 + prng.int(0, 999_999))
        : times[prng.int(0, times.length - 1)]!.plus(prng.int(-1, 1)),
    )
      .map((pastTime) => (pastTime.compare(begin) < 0 ? begin : pastTime))
      .sort((a, b) => a.compare(b));
    const expected = naive.at(pastTimes.map((pastTime) => pastTime.toBigInt()));
    const took: number[] = [];
    const exact = (levels: readonly [string, string][]): string[][] =>
      levels.map((level) => level.map(plain));
    for (const [i, pastTime] of pastTimes.entries()) {
      const started = performance.now();
      const answer = await past.history.ask({ kind: 'book', symbol: 'BTCUSDT', at: pastTime });
      took.push(performance.now() - started);
      const { bids, asks } = good(answer);
      expect({ bids: exact(bids), asks: exact(asks) }).toEqual(expected[i]!);
      if (i % 10 === 0) await expectState(past, 'BTCUSDT', pastTime, states);
    }
    for (let ms = -500; ms <= 500; ms += 25) {
      await expectState(past, 'BTCUSDT', begin.plus(ms * 1e6), states); // around the snapshot
    }
    took.sort((a, b) => a - b);
    const [p50, p99] = [0.5, 0.99].map((part) => took[Math.floor(count * part)]!.toFixed(2));
    console.log(`as-of book of the recorded market: p50 ${p50} ms, p99 ${p99} ms`);
    const newest = feedOf(market, 'BTCUSDT').bookView()!;
    const answer = await past.history.ask({
      kind: 'book',
      symbol: 'BTCUSDT',
      at: newest.eventTime,
    });
    expect(good(answer).seq).toBe(newest.seq);
    await past.close();
  },
);
