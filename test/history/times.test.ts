/**
 * Unusual times and sums, from the source to answers about the past, live and after a restart: volumes of any size,
 * trades dated in the future, late imports, recordings in parts, books with impossible dates.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { join } from 'node:path';
import { Database } from 'bun:sqlite';

import type { Bar, SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { HistoryReader } from '../../src/journal/history/reader';
import type { PastBarsPage, PastBook } from '../../src/base/contracts/past';
import { PlaybackReader } from '../../src/journal/playback/reader';
import type { ReplayChunk } from '../../src/journal/playback/messages';
import { book, feedOf, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { record, type Recording } from '../support/test-recorder';
import { verify } from '../journal/verified';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** Midnight of a day. */
const DAY = 1_717_200_000;
const INT64_END = Nanos.fromBigInt((1n << 63n) - 1n);
const second = (n: number): Nanos => Nanos.fromSeconds(DAY + n, 0);
const MINUTE = 60;

function say(recording: Recording, receiveTime: Nanos, ...events: SourceEvent[]): void {
  const { sequencer } = recording.recorder;
  sequencer.submit(1, events, (result) => expect(result).toHaveProperty('seq'), { receiveTime });
  sequencer.drain();
}

interface PublishedBar {
  readonly openTime: string;
  readonly open: string;
  readonly high: string;
  readonly low: string;
  readonly close: string;
  readonly trades: number;
}

async function bars(
  recording: Recording,
  directory: string,
  interval: Bar['interval'],
): Promise<PublishedBar[]> {
  await recording.recorder.journal.flush();
  const reader = new HistoryReader(join(directory, 'journal.sqlite'));
  const page = reader.answer({
    kind: 'bars',
    symbol: 'ACME',
    interval,
    from: Nanos.ZERO,
    to: null,
    limit: 1_000,
    tradesMax: 1_000_000,
    now: second(0),
  }) as PastBarsPage;
  reader.close();
  return JSON.parse(page.items) as PublishedBar[];
}

/** When each bar begins, in intervals after midnight; its low and high; its number of trades. */
function outline(list: readonly PublishedBar[], seconds: number): unknown[] {
  return list.map(({ openTime, low, high, trades }) => [
    (Number(BigInt(openTime) / 1_000_000_000n) - DAY) / seconds,
    low,
    high,
    trades,
  ]);
}

/** The newest bars that are kept live equal those of history. */
async function expectLiveIsPast(recording: Recording, directory: string): Promise<void> {
  for (const fold of recording.recorder.statistics.of('ACME').bars) {
    const past = await bars(recording, directory, fold.interval);
    for (const bar of [...fold.recent, fold.current!]) {
      const own = past.find(({ openTime }) => openTime === bar.openTime.toString());
      expect(own).toMatchObject({ trades: bar.trades, openTime: bar.openTime.toString() });
      const price = (scaled: number): string => (scaled / 100).toFixed(2);
      expect([own?.open, own?.high, own?.low, own?.close]).toEqual(
        [bar.open, bar.high, bar.low, bar.close].map(price),
      );
    }
  }
}

describe('volume', () => {
  test('may exceed 2^53, is that of the session, and is never refused', async () => {
    const directory = scratch.fresh();
    let recording = record(directory);
    const lot = 250_000 * 1e8;
    say(recording, second(0), instrument('ACME', { quantityScale: 8 }));
    const restart = async (): Promise<void> => {
      recording.recorder.close();
      await recording.recorder.journal.closed;
      recording = record(directory);
    };
    for (let day = 0; day < 2; day++) {
      for (let i = 0; i < 400; i++) {
        const at = second(day * 86_400 + i);
        say(recording, at, trade({ seq: day * 400 + i + 1, eventTime: at, quantity: lot }));
        if (i === 390) await restart();
      }
      const expected = BigInt(lot) * 400n;
      expect(expected > 2n ** 53n).toBeTrue();
      const { market, statistics } = recording.recorder;
      expect(feedOf(market).currentTick()!.volume).toBe(expected);
      expect(
        statistics.of('ACME').session.message(instrument('ACME', { quantityScale: 8 }), 0, 1),
      ).toMatchObject({ volume: expected, trades: 400 });
    }
    await restart();
    recording.recorder.close();
    await recording.recorder.journal.closed;
    expect(await verify(directory, true)).toBeObject();
    const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
    const volumes = db.query<{ volume: string }, []>('SELECT volume FROM ticks ORDER BY id').all();
    db.close();
    expect(volumes.map(({ volume }) => volume)).toEqual(
      Array.from({ length: 800 }, (_, i) => `${((i % 400) + 1) * 250_000}.00000000`),
    );
  });
});

describe('a trade that is dated after its receipt', () => {
  test.each([
    ['by a fortnight', second(14 * 86_400)],
    ['by all that there is', INT64_END],
  ])('%s is kept as sent, and counts when it came', async (_, dated) => {
    const directory = scratch.fresh();
    let recording = record(directory);
    say(recording, second(0), instrument());
    for (let minute = 0; minute < 6; minute++) {
      const at = second(minute * MINUTE);
      const eventTime = minute === 2 ? dated : at;
      say(recording, at, trade({ seq: minute + 1, eventTime, price: 1_000 + minute }));
    }
    for (const day of [1, 2]) {
      say(
        recording,
        second(day * 86_400),
        trade({ seq: 10 + day, eventTime: second(day * 86_400), price: 2_000 }),
      );
    }
    for (const isRestarted of [false, true]) {
      if (isRestarted) {
        recording.recorder.close();
        await recording.recorder.journal.closed;
        recording = record(directory);
      }
      const minutes = outline(await bars(recording, directory, '1m'), MINUTE);
      expect(minutes.slice(0, 6)).toEqual(
        [0, 1, 2, 3, 4, 5].map((m) => [m, `10.0${m}`, `10.0${m}`, 1]),
      );
      const days = outline(await bars(recording, directory, '1d'), 86_400);
      expect(days.map((day) => (day as unknown[]).slice(0, 1))).toEqual([[0], [1], [2]]);
      await expectLiveIsPast(recording, directory);
      const { session } = recording.recorder.statistics.of('ACME');
      expect([session.trades, session.last, session.previousClose]).toEqual([1, 2_000, 2_000]);
    }
    const reader = new HistoryReader(join(directory, 'journal.sqlite'));
    const all = reader.answer({ kind: 'trades', symbol: 'ACME', before: 1_000, limit: 100 });
    const kept = (
      JSON.parse((all as { items: string }).items) as { eventTime: string; timing: string | null }[]
    ).filter(({ timing }) => timing !== null);
    expect(kept).toMatchObject([{ eventTime: dated.toString(), timing: 'ahead' }]);
    reader.close();
    recording.recorder.close();
    await recording.recorder.journal.closed;
    expect(await verify(directory, true)).toBeObject();
  });

  test('of a source whose clock is minutes ahead: one bar a minute, by the time of receipt', async () => {
    const directory = scratch.fresh();
    const recording = record(directory);
    say(recording, second(0), instrument());
    for (let minute = 0; minute < 8; minute++) {
      const ahead = minute < 4 ? 7 * MINUTE : 0;
      const eventTime = second(minute * MINUTE + ahead);
      say(recording, second(minute * MINUTE), trade({ seq: minute + 1, eventTime, price: 1_000 }));
    }
    const minutes = outline(await bars(recording, directory, '1m'), MINUTE);
    expect(minutes.map((bar) => [(bar as unknown[])[0], (bar as unknown[])[3]])).toEqual(
      [0, 1, 2, 3, 4, 5, 6, 7].map((m) => [m, 1]),
    );
    await expectLiveIsPast(recording, directory);
    recording.recorder.close();
  });

  test('delays no replay', async () => {
    const directory = scratch.fresh();
    const recording = record(directory);
    say(recording, second(0), instrument());
    for (let n = 0; n < 5; n++) {
      const at = second(n);
      const eventTime = n === 1 ? INT64_END : at;
      say(
        recording,
        at,
        trade({ seq: n + 1, eventTime }),
        book(n === 0 ? 'snapshot' : 'delta', n + 1, n, [100 + n, 1], [], { eventTime }),
      );
    }
    await recording.recorder.journal.flush();
    const reader = new PlaybackReader(join(directory, 'journal.sqlite'));
    const topics = ['tick', 'trade', 'bbo', 'book'].map((channel) => `${channel}:ACME`);
    reader.answer({
      kind: 'replay-open',
      replay: 1,
      topics,
      from: null,
      to: null,
      fromSeq: 1,
      toSeq: recording.recorder.sequencer.lastSeq,
      hasOpening: true,
      isText: true,
      speed: 100,
    });
    const chunk = reader.answer({ kind: 'replay-next', replay: 1 }) as ReplayChunk;
    expect(chunk.isLast).toBeTrue();
    expect(Math.max(...chunk.atMs)).toBeLessThanOrEqual(4_000);
    reader.close();
    recording.recorder.close();
  });
});

describe('events that arrive later than they happened', () => {
  test('a late import makes the bars of its own day, and does not change the present ones', async () => {
    const directory = scratch.fresh();
    const recording = record(directory);
    say(recording, second(40 * 86_400), instrument());
    const today = second(40 * 86_400);
    say(recording, today, trade({ eventTime: today, price: 900 }));
    say(recording, today.plus(1e9), trade({ eventTime: today.plus(1e9), price: 910 }));
    const old = [100, 200, 300].map((price, i) => trade({ eventTime: second(i * MINUTE), price }));
    say(recording, today.plus(2e9), ...old);
    const days = outline(await bars(recording, directory, '1d'), 86_400);
    expect(days).toEqual([
      [0, '1.00', '3.00', 3],
      [40, '9.00', '9.10', 2],
    ]);
    expect(feedOf(recording.recorder.market).currentTick()).toMatchObject({
      last: 910,
      volume: 10,
    });
    const { session } = recording.recorder.statistics.of('ACME');
    expect([session.low, session.high, session.last, session.trades]).toEqual([900, 910, 910, 2]);
    await expectLiveIsPast(recording, directory);
    recording.recorder.close();
    await recording.recorder.journal.closed;
    expect(await verify(directory, true)).toBeObject();
  });

  test('a recording in two parts makes the same bars as in one, whenever they are received', async () => {
    const parts = [0, 5].map((hour) =>
      [0, 1, 2].map((minute) =>
        trade({
          eventTime: second(hour * 3_600 + minute * MINUTE),
          price: 500 + hour * 10 + minute,
        }),
      ),
    );
    const whole = scratch.fresh();
    const one = record(whole);
    say(one, second(0), instrument());
    for (const t of parts.flat()) say(one, t.eventTime.plus(1e6), t);
    const split = scratch.fresh();
    let two = record(split);
    say(two, second(0), instrument());
    for (const t of parts[0]!) say(two, t.eventTime.plus(1e6), t);
    two.recorder.close();
    await two.recorder.journal.closed;
    two = record(split);
    say(two, second(900 * 86_400), ...parts[1]!); // years later
    for (const interval of ['1m', '5m', '1h', '1d'] as const) {
      const [a, b] = [await bars(one, whole, interval), await bars(two, split, interval)];
      expect(outline(b, 1)).toEqual(outline(a, 1));
    }
    expect(outline(await bars(two, split, '1d'), 86_400)).toEqual([[0, '5.00', '5.52', 6]]);
    await expectLiveIsPast(two, split);
    for (const { recorder } of [one, two]) recorder.close();
  });
});

describe('a book with an impossible date', () => {
  test.each([
    ['long past', Nanos.fromSeconds(200_000_000, 0)],
    ['far ahead', INT64_END],
  ])('%s: answers for the time from when it came, and no other', async (_, dated) => {
    const directory = scratch.fresh();
    const recording = record(directory, { snapshotEveryMs: 1 });
    say(recording, second(0), instrument());
    say(
      recording,
      second(10),
      book('snapshot', 1, 0, [100, 1], [200, 1], { eventTime: second(10) }),
    );
    say(recording, second(20), book('delta', 2, 1, [101, 1], [], { eventTime: dated }));
    say(recording, second(30), book('delta', 3, 2, [102, 1], [], { eventTime: second(30) }));
    await recording.recorder.journal.flush();
    const reader = new HistoryReader(join(directory, 'journal.sqlite'));
    const best = (at: Nanos): unknown => {
      const answer = reader.answer({ kind: 'book', symbol: 'ACME', at });
      return 'code' in answer ? answer.code : (answer as PastBook).bids[0]![0];
    };
    expect(best(dated.compare(second(5)) < 0 ? dated : second(5))).toBe('before-first-record');
    expect(best(second(9))).toBe('before-first-record');
    const second20 = best(second(20));
    // A trade that is dated before its predecessors counts from the newest of them.
    expect([best(second(15)), second20]).toEqual(
      dated.compare(second(5)) < 0 ? ['1.01', '1.01'] : ['1.00', '1.01'],
    );
    expect(best(second(30))).toBe('1.02');
    expect(best(second(900))).toBe('1.02');
    reader.close();
    recording.recorder.close();
    await recording.recorder.journal.closed;
    expect(await verify(directory, true)).toBeObject();
  });
});
