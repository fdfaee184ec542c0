/** Bars that end by the clock: the earliest end first, a bounded number at a time, each bar once. */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { BAR_INTERVALS, type Bar, type Message, type Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import { BarEnds } from '../../src/broadcast/topics/bar-ends';
import { DerivedTopics } from '../../src/broadcast/topics/derived-topics';
import { Mirror, type MirroredInstrument } from '../../src/broadcast/topics/mirror';
import { instrument, trade } from '../support/market-events';

/** A full hour, so that bars of one minute and of one hour can end apart. */
const START = Nanos.fromSeconds(1_700_002_800, 0);
const MINUTE = BAR_INTERVALS.indexOf('1m');
const after = (seconds: number): Nanos => START.plus(seconds * 1e9);

class Scene {
  readonly clock = new ManualClock(START);
  readonly mirror = new Mirror(0);
  readonly received: Bar[] = [];
  readonly derived = new DerivedTopics(this.clock, (_topic, m: Message) =>
    this.received.push(m as Bar),
  );
  private seq = 0;

  constructor(instruments: number) {
    for (let i = 0; i < instruments; i++) {
      const { barTopics } = this.mirror.define(instrument(`S${i}`))!;
      barTopics[MINUTE]!.readers(true); // the topic has a reader
    }
  }

  of(i: number): MirroredInstrument {
    return this.mirror.get(`S${i}`)!;
  }

  trade(i: number, time: Nanos): Trade {
    const t = trade({ symbol: `S${i}`, seq: ++this.seq, eventTime: time, receiveTime: time });
    this.derived.add(this.of(i), t);
    this.derived.seal();
    return t;
  }

  take(): Bar[] {
    return this.received.splice(0);
  }
}

test('[D4] at a full minute a call ends at most as many bars as asked for, and in the end all of them', () => {
  const scene = new Scene(500);
  for (let i = 0; i < 500; i++) scene.trade(i, after(1));
  scene.clock.set(after(30));
  scene.derived.endBars(1_000); // the bars of one second
  scene.take();
  scene.clock.set(after(62));
  scene.derived.endBars(200);
  expect(scene.take().length).toBe(200);
  expect(scene.derived.nextEnd()!.compare(scene.clock.now())).toBeLessThanOrEqual(0);
  // A trade of the next minute arrives in between: it ends its own bar, in the order of seq.
  const waiting = Array.from({ length: 500 }, (_, i) => i).find(
    (i) => !scene.of(i).barTopics[MINUTE]!.isFinal,
  )!;
  scene.trade(waiting, after(62));
  expect(scene.take().map((b) => [b.symbol, b.final, b.openTime])).toEqual([
    [`S${waiting}`, true, START],
    [`S${waiting}`, false, after(60)],
  ]);
  scene.derived.endBars(200);
  scene.derived.endBars(200);
  const ended = scene.take();
  expect(ended.length).toBe(299);
  expect(ended.every((b) => b.final)).toBe(true);
  expect(new Set(ended.map((b) => b.symbol)).size).toBe(299);
  // The bars that remain are still open: the bar of that trade, and longer bars.
  expect(scene.derived.nextEnd()!.compare(scene.clock.now())).toBeGreaterThan(0);
  scene.derived.endBars(1_000);
  expect(scene.take()).toEqual([]);
});

test('a bar that is still open is checked at its own end, not at the ends of other bars', () => {
  const scene = new Scene(300);
  for (let i = 0; i < 300; i++) scene.trade(i, after(1));
  scene.clock.set(after(30));
  scene.derived.endBars(1_000); // the bars of one second
  let looks = 0;
  for (let i = 0; i < 300; i++) {
    const fold = scene.of(i).statistics.bars[MINUTE]!;
    const { current } = fold;
    Object.defineProperty(fold, 'current', {
      get: () => {
        looks += 1;
        return current;
      },
    });
  }
  scene.clock.set(after(59));
  for (let n = 0; n < 100; n++) scene.derived.endBars(200);
  expect(looks).toBe(0);
  scene.clock.set(after(62));
  scene.derived.endBars(10);
  expect(looks).toBe(10);
});

test('ends come out earliest first, each topic once, at the earliest time noted for it', () => {
  const noted = fc.record({ i: fc.nat(7), index: fc.nat(4), at: fc.nat(50) });
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ add: noted }) },
    { weight: 1, arbitrary: fc.record({ take: fc.nat(60) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      const scene = new Scene(8);
      const ends = new BarEnds();
      const naive = new Map<string, number>();
      for (const s of steps) {
        if ('add' in s) {
          const { i, index, at } = s.add;
          ends.add({ at: after(at), instrument: scene.of(i), index });
          naive.set(`${i}:${index}`, Math.min(at, naive.get(`${i}:${index}`) ?? Infinity));
        } else {
          const end = ends.take(after(s.take));
          const least = Math.min(Infinity, ...naive.values());
          if (least > s.take) expect(end).toBeUndefined();
          else {
            const name = `${end!.instrument.definition.symbol.slice(1)}:${end!.index}`;
            expect([naive.get(name), end!.at]).toEqual([least, after(least)]);
            naive.delete(name);
          }
        }
        const next = Math.min(Infinity, ...naive.values());
        expect(ends.next).toEqual(next === Infinity ? null : after(next));
      }
    }),
    { numRuns: 200 },
  );
});
