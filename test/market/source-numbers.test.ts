/**
 * Source numbers that begin again, jump or repeat: rules [P8] to [P10]. The oracle knows what the source really
 * sent, so each event is recorded, or is a true repetition and counted as such.
 */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { MarketEvent, SourceEvent, Trade } from '../../protocol/messages';
import { writeCheckpoint } from '../../src/market/checkpoint';
import type { IntakeOutcome } from '../../src/market/intake';
import {
  at,
  bbo,
  book,
  Collected,
  feedOf,
  instrument,
  newMarket,
  trade,
} from '../support/market-events';
import { readCheckpoint } from '../../src/market/checkpoint-reading';

const ABSURD = Number.MAX_SAFE_INTEGER;
const DAY = 86_400e9;

class Scene {
  readonly market = newMarket();
  readonly out = new Collected();

  constructor() {
    this.publish(1, instrument());
  }

  get feed() {
    return feedOf(this.market);
  }

  /** @returns what was recorded */
  publish(source: number, ...events: SourceEvent[]): MarketEvent[] {
    this.sendTrade(source, events);
    return this.out.take();
  }

  sendTrade(source: number, events: readonly SourceEvent[], continues = false): IntakeOutcome[] {
    expect(this.market.check(source, events)).toBeUndefined();
    const outcomes = events.map((event) => {
      if (event.type !== 'instrument') this.out.receiveTime = event.eventTime;
      return this.market.apply(source, event, this.out, continues);
    });
    this.market.seal();
    return outcomes;
  }

  reasons(events: readonly MarketEvent[]): string[] {
    return events.flatMap((e) => (e.type === 'status' ? [e.reason] : []));
  }
}

const numbered = (seq: number, time: number, more: Partial<Trade> = {}): Trade =>
  trade({ seq, prevSeq: seq - 1, eventTime: at(0).plus(time), price: 10_000 + seq, ...more });

const tradesOf = (events: readonly MarketEvent[]) => events.filter((e) => e.type === 'trade');

describe('trades', () => {
  test('numbers of the next day begin again: all are recorded, and the change is reported once', () => {
    const scene = new Scene();
    scene.publish(1, numbered(1, 1), numbered(2, 2), numbered(3, 3));
    const events = scene.publish(1, numbered(1, DAY), numbered(2, DAY + 1), numbered(3, DAY + 2));
    expect(tradesOf(events)).toHaveLength(3);
    expect(scene.reasons(events)).toEqual(['trades-renumbered']);
    expect(scene.feed.intake).toMatchObject({ repeated: 0, renumbered: 1 });
  });

  test('one absurd number is recorded, and so are those that follow', () => {
    for (const step of [1, 0]) {
      const scene = new Scene();
      scene.publish(1, numbered(100, 1), numbered(101, 2));
      const wrong = { prevSeq: ABSURD - 1, price: 7 };
      expect(scene.reasons(scene.publish(1, numbered(ABSURD, 3, wrong)))).toEqual([
        'trades-jumped',
      ]);
      const events = scene.publish(1, numbered(102, 3 + step), numbered(103, 4), numbered(104, 5));
      expect(tradesOf(events)).toHaveLength(3);
      expect(scene.reasons(events)).toEqual(['trades-renumbered']);
      expect(scene.feed.intake.repeated).toBe(0);
      expect(scene.feed.intake.missed).toBe(0);
    }
  });

  test('an announcement resets trades alone, and does not affect the book', () => {
    const scene = new Scene();
    scene.publish(1, numbered(50, 1), book('snapshot', 10, 0, [99, 1], [101, 1]));
    const renumbering: SourceEvent = {
      type: 'renumber',
      symbol: 'ACME',
      seq: 0,
      prevSeq: 0,
      eventTime: at(5),
      receiveTime: at(0),
      numbers: 'trades',
    };
    const events = scene.publish(1, renumbering, numbered(1, 1), numbered(2, 1));
    expect(tradesOf(events)).toHaveLength(2);
    expect(scene.reasons(events)).toEqual(['trades-renumbered']);
    expect(scene.feed.state).toBe('live');
  });

  test('a number that was left out is no repetition', () => {
    const scene = new Scene();
    const events = scene.publish(1, numbered(1, 1), numbered(4, 4), numbered(2, 2), numbered(3, 3));
    expect(tradesOf(events)).toHaveLength(4);
    expect(scene.sendTrade(1, [numbered(3, 3), numbered(5, 5)])).toEqual(['repeated', 'taken']);
  });

  test('another session repeats the end of the previous one, or brings an older day', () => {
    const day1 = Array.from({ length: 50 }, (_, i) => numbered(i + 1, DAY + i));
    const scene = new Scene();
    scene.sendTrade(1, day1);
    scene.market.release(1, scene.out);
    expect(new Set(scene.sendTrade(2, day1))).toEqual(new Set(['repeated']));
    scene.market.release(2, scene.out);
    const day0 = Array.from({ length: 50 }, (_, i) => numbered(i + 1, i, { price: 20_000 }));
    expect(new Set(scene.sendTrade(3, day0))).toEqual(new Set(['taken']));
    scene.market.release(3, scene.out);
    expect(new Set(scene.sendTrade(4, day1.slice(0, 5), true))).toEqual(new Set(['taken']));
  });

  const step = fc.record({
    what: fc.constantFrom('next', 'next', 'next', 'repeat', 'skip', 'restart', 'absurd', 'leave'),
    size: fc.integer({ min: 1, max: 8 }),
  });

  test('whatever a source does, each trade is recorded once, or counted as the repetition that it is', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const scene = new Scene();
        const sent: Trade[] = [];
        const expected: Trade[] = [];
        let [source, number, time, repeated] = [1, 0, 0, 0];
        let isAbsurd = false;
        const send = (seq: number): void => {
          time += 1_000;
          const one = numbered(seq, time, { price: 10_000 + time, tradeId: time });
          // What was sent before the wrong number belongs to another numbering now.
          if (isAbsurd) sent.length = 0;
          isAbsurd = seq > ABSURD / 2;
          sent.push(one);
          expected.push(one);
          expect(scene.sendTrade(source, [one])).toEqual(['taken']);
        };
        for (const { what, size } of steps) {
          if (what === 'leave') {
            scene.market.release(source, scene.out);
            source += 1;
          } else if (what === 'repeat') {
            // Those that a source may still hold: the newest of the present numbering.
            for (const again of sent.slice(-size)) {
              expect(scene.sendTrade(source, [again])).toEqual(['repeated']);
              repeated += 1;
            }
          } else if (what === 'absurd') {
            send(ABSURD - time);
          } else {
            if (what === 'restart') [number] = [0];
            if (what === 'restart') sent.length = 0;
            if (what === 'skip') number += size;
            number += 1;
            send(number);
          }
        }
        const recorded = tradesOf(scene.out.take());
        expect(recorded.map((t) => t.tradeId)).toEqual(expected.map((t) => t.tradeId));
        expect(scene.feed.intake.repeated).toBe(repeated);
      }),
      { numRuns: 500 },
    );
  });
});

describe('books', () => {
  test('deltas of another numbering make the book wait, and a snapshot completes it', () => {
    const scene = new Scene();
    scene.publish(1, book('snapshot', 500, 0, [99, 1], [101, 1]), book('delta', 501, 500, [98, 1]));
    const later = { eventTime: at(10_000) };
    const events = scene.publish(1, book('delta', 3, 2, [97, 1], [], later));
    expect(scene.reasons(events)).toEqual(['book-renumbered']);
    expect(scene.feed.bbo).toMatchObject({ bid: null, ask: null });
    scene.publish(1, book('snapshot', 2, 0, [50, 1], [51, 1], later));
    expect(scene.feed.levels(10)).toEqual({ bids: [97, 1, 50, 1], asks: [51, 1] });
  });

  test('a snapshot of another numbering waits for a delta or a second snapshot that confirms it', () => {
    for (const second of [
      book('delta', 4, 3, [40, 1], [], { eventTime: at(10_001) }),
      book('snapshot', 4, 0, [40, 1, 50, 1], [51, 1], { eventTime: at(10_001) }),
    ]) {
      const scene = new Scene();
      scene.publish(
        1,
        book('snapshot', 500, 0, [99, 1], [101, 1]),
        book('delta', 501, 500, [98, 1]),
      );
      scene.publish(1, book('snapshot', 3, 0, [50, 1], [51, 1], { eventTime: at(10_000) }));
      expect(scene.feed.intake.repeated).toBe(1);
      expect(scene.reasons(scene.publish(1, second))).toContain('book-renumbered');
      expect(scene.feed.levels(10)).toEqual({ bids: [50, 1, 40, 1], asks: [51, 1] });
    }
  });

  test('also where the previous numbering had no delta', () => {
    const scene = new Scene();
    scene.publish(1, book('snapshot', 500, 0, [99, 1], [101, 1]));
    const later = { eventTime: at(10_000) };
    const renumbering = [
      book('snapshot', 1, 0, [50, 1], [51, 1], later),
      book('delta', 2, 1, [49, 1], [], { eventTime: at(10_001) }),
    ];
    expect(scene.reasons(scene.publish(1, ...renumbering))).toContain('book-renumbered');
    expect(scene.feed.levels(10)).toEqual({ bids: [50, 1, 49, 1], asks: [51, 1] });
  });

  test('an old snapshot after its deltas changes nothing', () => {
    const scene = new Scene();
    scene.publish(1, book('snapshot', 10, 0, [99, 1], [101, 1]), book('delta', 12, 10, [98, 1]));
    const late = book('snapshot', 11, 0, [5, 1], [6, 1], { eventTime: at(50_000) });
    expect(scene.publish(1, late)).toEqual([]);
    scene.publish(1, book('delta', 13, 12, [97, 1], [], { eventTime: at(13) }));
    expect(scene.feed.levels(10).bids).toEqual([99, 1, 98, 1, 97, 1]);
  });

  test('one absurd number of a snapshot, a delta or a quote costs no more than the next snapshot', () => {
    const wrong: SourceEvent[] = [
      book('snapshot', ABSURD, 0, [99, 1], [101, 1], { eventTime: at(20) }),
      book('delta', ABSURD, ABSURD - 1, [1, 1], [], { eventTime: at(20) }),
      bbo(ABSURD, [95, 1], [105, 1], { eventTime: at(20) }),
    ];
    for (const one of wrong) {
      const scene = new Scene();
      scene.publish(1, book('snapshot', 10, 0, [99, 1], [101, 1]), book('delta', 11, 10, [98, 1]));
      scene.publish(1, one);
      scene.publish(1, book('delta', 12, 11, [97, 1], [], { eventTime: at(21) }));
      scene.publish(1, book('snapshot', 13, 0, [90, 1], [110, 1], { eventTime: at(22) }));
      scene.publish(1, book('delta', 14, 13, [91, 1], [], { eventTime: at(23) }));
      scene.publish(1, book('delta', 15, 14, [92, 1], [], { eventTime: at(60_000_000) }));
      expect([scene.feed.state, scene.feed.bookView()?.bids[0]]).toEqual(['live', 92]);
      expect(scene.feed.bbo).toMatchObject({ bid: 92, ask: 110 });
    }
  });

  test('quotes whose numbers begin again are accepted', () => {
    const scene = new Scene();
    scene.publish(1, bbo(900, [99, 1], [101, 1], { eventTime: at(1) }));
    const events = scene.publish(1, bbo(3, [95, 1], [105, 1], { eventTime: at(2) }));
    expect(scene.reasons(events)).toEqual(['quotes-renumbered']);
    expect(scene.feed.bbo).toMatchObject({ bid: 95, ask: 105 });
  });
});

test('an operator resets the numbering of an instrument', () => {
  const scene = new Scene();
  scene.publish(1, numbered(500, 1), book('snapshot', 10, 0, [99, 1], [101, 1]));
  expect(scene.market.renumber('ACME', scene.out)).toBeUndefined();
  expect(scene.reasons(scene.out.take())).toEqual(['trades-renumbered', 'book-renumbered']);
  expect(scene.sendTrade(1, [numbered(1, 1), book('snapshot', 2, 0, [50, 1], [51, 1])])).toEqual([
    'taken',
    'taken',
  ]);
  expect(scene.market.renumber('NONE', scene.out)).toMatchObject({ code: 'unknown-symbol' });
});

test('repetitions do not count as new data', () => {
  const scene = new Scene();
  scene.publish(1, numbered(1, 1));
  const { heardAt } = scene.feed;
  scene.out.receiveTime = at(90_000_000);
  scene.market.apply(1, numbered(1, 1), scene.out);
  expect(scene.feed.heardAt).toEqual(heardAt);
});

describe('two sessions, two numberings', () => {
  test('a delta of another session cannot overlap the book of the previous one', () => {
    const scene = new Scene();
    scene.publish(1, book('snapshot', 10, 0, [100, 1], [110, 1]));
    scene.market.release(1, scene.out);
    scene.out.take();
    const events = scene.publish(2, book('delta', 20, 5, [50, 1], [60, 1], { eventTime: at(30) }));
    expect(scene.reasons(events)).toEqual(['overlap']);
    expect(scene.feed.intake.missed).toBe(0);
  });

  test('quotes of another session, or that begin again, continue below the numbers of the book', () => {
    for (const leaves of [true, false]) {
      const scene = new Scene();
      scene.publish(
        1,
        book('snapshot', 1_000, 0, [100, 1], [110, 1]),
        bbo(1_001, [100, 2], [110, 1]),
      );
      if (leaves) scene.market.release(1, scene.out);
      for (const i of [1, 2, 3]) {
        const quote = bbo(i, [100 - i, 1], [110, 1], { eventTime: at(5_000 + i) });
        expect(scene.sendTrade(leaves ? 2 : 1, [quote])).toEqual(['taken']);
      }
      expect(scene.feed.bbo).toMatchObject({ bid: 97, mark: null });
    }
  });

  test('a quote of the previous numbering is no top of a book that began again', () => {
    const scene = new Scene();
    scene.publish(
      1,
      book('snapshot', 1_000, 0, [100, 1], [110, 1]),
      bbo(1_005, [102, 1], [109, 1]),
    );
    scene.publish(1, book('snapshot', 5, 0, [50, 1], [61, 1], { eventTime: at(9_000) }));
    scene.publish(1, book('snapshot', 6, 0, [51, 1], [61, 1], { eventTime: at(9_001) }));
    expect(scene.feed.bbo).toMatchObject({ bid: 51, ask: 61 });
  });

  test('a source that disconnects while its book is incomplete leaves its quote marked', () => {
    const scene = new Scene();
    scene.publish(1, book('snapshot', 10, 0, [100, 1], [110, 1]), book('delta', 16, 14, [1, 1]));
    scene.publish(1, bbo(16, [102, 1], [109, 1]));
    scene.market.release(1, scene.out);
    expect(scene.feed.bbo).toMatchObject({ bid: 102, mark: 'stale' });
  });
});

test('recovery restores the numbers: out of order, and after a jump', () => {
  const scene = new Scene();
  scene.sendTrade(
    1,
    [10, 11, 12, 13, 15, 16].map((seq) => numbered(seq, seq * 1e9)),
  );
  const text = writeCheckpoint(scene.market.checkpoint());
  scene.out.take();
  scene.sendTrade(1, [numbered(14, 14e9)]);
  const again = newMarket();
  again.restore(readCheckpoint(text), scene.out.take());
  const outcomes = [15, 16].map((seq) => again.apply(1, numbered(seq, seq * 1e9), scene.out, true));
  expect(outcomes).toEqual(['repeated', 'repeated']);
});

test('a book from before a restart does not begin again because of a delta that it has', () => {
  const scene = new Scene();
  scene.publish(1, book('snapshot', 1_000, 0, [100, 1], [110, 1]));
  const again = newMarket();
  again.restore(readCheckpoint(writeCheckpoint(scene.market.checkpoint())), []);
  expect(again.apply(1, book('delta', 999, 998, [99, 1]), scene.out, true)).toBe('repeated');
  expect(again.apply(1, book('delta', 1_001, 1_000, [98, 1]), scene.out, true)).toBe('taken');
});

test('a jump is still recognised after a restart', () => {
  const scene = new Scene();
  scene.sendTrade(1, [numbered(100, 1), numbered(ABSURD, 5_000_000, { prevSeq: ABSURD - 1 })]);
  const again = newMarket();
  again.restore(readCheckpoint(writeCheckpoint(scene.market.checkpoint())), []);
  scene.out.receiveTime = at(10_000);
  expect(again.apply(2, numbered(101, 5_000_000), scene.out)).toBe('taken');
  expect(again.apply(2, numbered(102, 5_000_000), scene.out)).toBe('taken');
});
