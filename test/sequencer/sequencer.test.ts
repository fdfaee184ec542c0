/** Numbers, turns and batches, with a loop whose turns the test runs. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { fault } from '../../protocol/codes';
import { at, trade } from '../support/market-events';
import { BAD, Scene, taken } from './scene';

describe('turns', () => {
  test('nothing polls: the first arrival requests one turn', () => {
    const scene = new Scene();
    expect(scene.turnsAsked).toBe(0);
    scene.submit(1, [1]);
    scene.submit(2, [1]);
    scene.sequencer.act(() => {});
    expect([scene.turnsAsked, scene.batches.length]).toEqual([1, 0]);
    scene.turn();
    expect([scene.turnsAsked, scene.batches.length]).toEqual([0, 1]);
    scene.submit(3, [1]);
    expect(scene.turnsAsked).toBe(1);
  });

  test('everything that arrived since is one batch, and each part has its time of arrival', () => {
    const scene = new Scene({ lastSeq: 41 });
    scene.submit(1, [1, 2], 7);
    scene.clock.advance(1_000);
    scene.submit(2, [1], 8);
    scene.clock.advance(1_000);
    scene.turn();
    expect(scene.batches.length).toBe(1);
    const { epoch, firstSeq, lastSeq, events } = scene.batches[0]!;
    expect([epoch, firstSeq, lastSeq]).toEqual([5, 42, 45]);
    expect(events.map((e) => [e.seq, e.type === 'trade' ? e.price : 0])).toEqual([
      [42, 7],
      [43, 7],
      [44, 7],
      [45, 8],
    ]);
    const received = events.map((e) => (e.type === 'trade' ? e.receiveTime : at(99)));
    expect(received).toEqual([at(0), at(0), at(0), at(1)]);
    expect(scene.market.sealed).toBe(1);
  });

  test('a recording brings its own times', () => {
    const scene = new Scene();
    scene.sequencer.submit(1, [trade({ quantity: 1 })], () => {}, { receiveTime: at(123) });
    scene.turn();
    expect(scene.batches[0]!.events[0]).toMatchObject({ receiveTime: at(123) });
  });

  test('a batch is bounded, but a submission is never split', () => {
    const scene = new Scene({ batchEventsMax: 10 });
    scene.submit(1, [1, 1, 1, 1]);
    scene.submit(2, [1, 1, 1, 1, 1]);
    scene.submit(
      3,
      Array.from({ length: 30 }, () => 1),
    );
    scene.submit(4, [1]);
    scene.turnAll();
    expect(scene.batches.map((b) => [b.firstSeq, b.lastSeq])).toEqual([
      [1, 39],
      [40, 40],
    ]);
    const empty = new Scene({ batchEventsMax: 10 });
    for (let id = 0; id < 25; id++) empty.submit(id, []);
    for (let turns = 1; turns <= 3; turns++) {
      empty.turn();
      expect(empty.answers.length).toBe(Math.min(25, turns * 10));
    }
  });

  test('draining processes everything that waits, and the requested turn finds nothing', () => {
    const scene = new Scene({ batchEventsMax: 2 });
    for (let id = 1; id <= 5; id++) scene.submit(id, [1]);
    scene.sequencer.drain();
    expect(scene.batches.map((b) => b.lastSeq)).toEqual([2, 4, 5]);
    scene.turnAll();
    expect([scene.batches.length, scene.answers.length]).toEqual([3, 5]);
  });
});

describe('answers', () => {
  test('have the last seq, and are given once, when the batch is durable', () => {
    const scene = new Scene();
    scene.durableAtOnce = false;
    scene.submit(1, [2]);
    scene.submit(2, [3]);
    scene.turn();
    expect(scene.answers).toEqual([]);
    scene.undone.shift()!();
    expect(scene.answers).toEqual([
      { id: 1, result: taken(2) },
      { id: 2, result: taken(5) },
    ]);
  });

  test('a refusal changes nothing, and does not affect others', () => {
    const scene = new Scene();
    scene.submit(1, [1]);
    scene.submit(2, [1, 1, BAD, 1]);
    scene.submit(3, [1]);
    scene.turn();
    expect(scene.answers).toEqual([
      { id: 1, result: taken(1) },
      { id: 2, result: { index: 2, fault: fault('out-of-range', 'bad') } },
      { id: 3, result: taken(2) },
    ]);
    expect(scene.market.applied).toEqual([1, 3]);
    expect(scene.idsOf(scene.batches[0]!)).toEqual([1, 3]);
  });

  test('a submission without events makes no batch, and is answered with the newest seq', () => {
    const scene = new Scene({ lastSeq: 9 });
    scene.submit(1, [0]);
    scene.submit(2, [BAD]);
    scene.submit(3, []);
    scene.turn();
    expect(scene.batches).toEqual([]);
    expect(scene.answers.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(scene.answers[0]!.result).toEqual(taken(9));
  });

  test('[P12] beyond the limit the answer is overloaded, at once, and nothing is accepted', () => {
    const scene = new Scene({ waitingEventsMax: 10 });
    scene.submit(1, [1, 1, 1, 1, 1, 1]);
    scene.submit(2, [1, 1, 1, 1, 1]);
    expect(scene.answers).toMatchObject([
      { id: 2, result: { index: -1, fault: { code: 'overloaded' } } },
    ]);
    scene.submit(3, [1, 1, 1, 1]);
    scene.submit(4, [1]);
    expect(scene.answers.map(({ id }) => id)).toEqual([2, 4]);
    scene.turnAll();
    expect(scene.market.applied).toEqual([...Array(6).fill(1), ...Array(4).fill(3)] as number[]);
    scene.submit(
      5,
      Array.from({ length: 10 }, () => 1),
    );
    scene.turnAll();
    expect(scene.answers.at(-1)).toEqual({ id: 5, result: taken(20) });
  });

  test('[P12] empty submissions are bounded too', () => {
    const scene = new Scene({ waitingEventsMax: 10 });
    for (let id = 1; id <= 11; id++) scene.submit(id, []);
    expect(scene.answers).toMatchObject([{ id: 11, result: { fault: { code: 'overloaded' } } }]);
  });

  test('a submission from within an answer is processed in a later turn', () => {
    const scene = new Scene();
    scene.sequencer.submit(1, [trade({ quantity: 1 })], () => scene.submit(2, [1]));
    scene.turn();
    expect([scene.batches.length, scene.turnsAsked]).toEqual([1, 1]);
    scene.turn();
    expect(scene.batches.map((b) => [b.firstSeq, b.lastSeq])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });
});

describe('acts', () => {
  test('run in order after earlier submissions, and report when they are durable', () => {
    const scene = new Scene();
    scene.durableAtOnce = false;
    const order: string[] = [];
    scene.submit(1, [1]);
    scene.sequencer.act(
      (out) => scene.market.push(50, 0, out),
      () => order.push('done'),
    );
    scene.submit(2, [1]);
    expect(scene.batches).toEqual([]);
    scene.turn();
    expect(scene.idsOf(scene.batches[0]!)).toEqual([1, 50, 2]);
    expect(order).toEqual([]);
    scene.undone.shift()!();
    expect(order).toEqual(['done']);
  });

  test('are not lost to a full queue, nor run early', () => {
    const scene = new Scene({ waitingEventsMax: 3 });
    for (let id = 1; id <= 4; id++) scene.submit(id, [1]);
    for (let i = 0; i < 10; i++) scene.sequencer.act((out) => scene.market.push(100 + i, 0, out));
    expect(scene.batches).toEqual([]);
    scene.turnAll();
    expect(scene.batches.flatMap((b) => scene.idsOf(b))).toEqual([
      1, 2, 3, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109,
    ]);
  });
});

describe('under random arrivals', () => {
  type Happening = { submit: number[]; source: number } | { act: true } | { turn: true };
  const source = fc.integer({ min: 1, max: 3 });
  const some = fc.array(fc.constantFrom(0, 1, 1, 2, 3, BAD), { maxLength: 6 });
  const many = fc
    .tuple(fc.integer({ min: 250, max: 400 }), fc.constantFrom(1, 1, BAD))
    .map(([length, last]) => Array<number>(length).fill(1).concat(last));
  const happening = fc.oneof<fc.Arbitrary<Happening>[]>(
    fc.record({
      source,
      submit: fc.oneof({ weight: 20, arbitrary: some }, { weight: 1, arbitrary: many }),
    }),
    fc.record({ act: fc.constant<true>(true) }),
    fc.record({ turn: fc.constant<true>(true) }),
  );

  test('seqs are dense and in order, each once, and every answer is right', () => {
    fc.assert(
      fc.property(
        fc.array(happening, { maxLength: 80 }),
        fc.integer({ min: 1, max: 12 }),
        fc.oneof(fc.integer({ min: 4, max: 30 }), fc.constant(2_000)),
        (happenings, batchEventsMax, waitingEventsMax) => {
          const scene = new Scene({ batchEventsMax, waitingEventsMax });
          // For each source and for the server itself, in the order of arrival.
          const expected: number[][] = [[], [], [], []];
          const laneOf = new Map<number, number>();
          for (const [id, h] of happenings.entries()) {
            if ('turn' in h) scene.turn();
            else if ('act' in h) {
              scene.sequencer.act((out) => scene.market.push(id, 0, out));
              expected[0]!.push(id);
              laneOf.set(id, 0);
            } else {
              const before = scene.answers.length;
              scene.submit(id, h.submit, h.source);
              laneOf.set(id, h.source);
              const overloaded = scene.answers.length > before;
              if (overloaded || h.submit.includes(BAD)) continue;
              for (const quantity of h.submit) {
                for (let i = 0; i < quantity; i++) expected[h.source]!.push(id);
              }
            }
          }
          scene.turnAll();
          const events = scene.batches.flatMap((b) => b.events);
          expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1));
          const ids = events.map((e) => (e.type === 'trade' ? e.tradeId : -1));
          for (const [lane, own] of expected.entries()) {
            expect(ids.filter((id) => laneOf.get(id) === lane)).toEqual(own);
          }
          for (const { id, result } of scene.answers) {
            if ('fault' in result) continue;
            const own = events.findLast((e) => e.type === 'trade' && e.tradeId === id);
            if (own !== undefined) expect(result.seq).toBe(own.seq);
          }
          const answered = scene.answers.map((a) => a.id);
          expect(new Set(answered).size).toBe(answered.length);
          expect(answered.length).toBe(happenings.filter((h) => 'submit' in h).length);
          expect(scene.market.held).toBe(0);
          for (const b of scene.batches) expect(b.events.length).toBe(b.lastSeq - b.firstSeq + 1);
        },
      ),
      { numRuns: 300 },
    );
  });
});
