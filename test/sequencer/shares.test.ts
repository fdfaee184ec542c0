/** Long submissions, and how busy clients share the turns. */

import { describe, expect, test } from 'bun:test';

import type { SourceEvent, Trade } from '../../protocol/messages';
import { trade } from '../support/market-events';
import { BAD, Scene, taken } from './scene';
import type { SequencerOutput } from '../../src/sequencer/contract';

describe('a long submission', () => {
  const long = (length: number): number[] => Array.from({ length }, () => 1);

  test('is applied over several turns, with other submissions in between', () => {
    const scene = new Scene({ batchEventsMax: 100, waitingEventsMax: 10_000 });
    scene.submit(1, long(2_000));
    scene.submit(2, [1], 2);
    scene.turn();
    scene.turn();
    expect(scene.answers).toMatchObject([{ id: 2 }]);
    scene.turnAll();
    expect(scene.answers.map(({ id }) => id)).toEqual([2, 1]);
    expect(scene.answers[1]!.result).toEqual(taken(2_001));
    expect(scene.market.applied.length).toBe(2_001);
    // No turn took much more than its limit: at most a part of one submission.
    for (const { events } of scene.batches) expect(events.length).toBeLessThanOrEqual(100 + 16);
    expect(scene.market.held).toBe(0);
  });

  test('[P2] is applied as a whole or not at all: it is checked to its end before any of it is applied', () => {
    const scene = new Scene({ batchEventsMax: 50, waitingEventsMax: 10_000 });
    scene.submit(1, [...long(1_500), BAD]);
    scene.turn();
    expect([scene.market.held, scene.turnsAsked]).toEqual([1, 1]);
    scene.submit(2, [1], 2);
    scene.turnAll();
    expect(scene.market.applied).toEqual([2]);
    expect(scene.answers).toMatchObject([{ id: 2 }, { id: 1, result: { index: 1_500 } }]);
    expect(scene.market.held).toBe(0);
  });

  test('later submissions of its source wait for it', () => {
    const scene = new Scene({ batchEventsMax: 50, waitingEventsMax: 10_000 });
    scene.submit(1, long(400), 7);
    scene.submit(2, [1], 7);
    scene.sequencer.act(
      (out) => scene.market.push(3, 0, out),
      () => {},
      7,
    );
    scene.turnAll();
    expect(scene.batches.flatMap(({ events }) => events.map((e) => (e as Trade).tradeId))).toEqual([
      ...Array<number>(400).fill(1),
      2,
      3,
    ]);
    expect(scene.answers.map(({ id }) => id)).toEqual([1, 2]);
  });

  test('an event with many levels counts for several', () => {
    const scene = new Scene({ batchEventsMax: 100, waitingEventsMax: 10_000 });
    const levels = Array.from({ length: 2_000 * 2 }, () => 1);
    const heavy = {
      ...trade({ quantity: 1, tradeId: 1 }),
      type: 'book',
      bids: levels,
      asks: levels,
    };
    for (let i = 0; i < 10; i++) {
      scene.sequencer.submit(i + 1, [heavy as unknown as SourceEvent], () => {});
    }
    scene.market.takesOthers = true;
    scene.turn();
    // 4,000 levels cost as much as 125 events.
    expect(scene.market.applied.length).toBe(1);
  });

  test('so does a definition, because it is sent to every session', () => {
    const scene = new Scene({ batchEventsMax: 160, waitingEventsMax: 10_000 });
    const definition = { ...trade({ quantity: 1, tradeId: 1 }), type: 'instrument' };
    for (let i = 0; i < 100; i++) {
      scene.sequencer.submit(i + 1, [definition as unknown as SourceEvent], () => {});
    }
    scene.market.takesOthers = true;
    scene.turn();
    expect(scene.market.applied.length).toBe(10);
  });
});

describe('shares', () => {
  test('however much of one source waits, an event of another is in the next turn', () => {
    const scene = new Scene({ batchEventsMax: 2_000, waitingEventsMax: 200_000 });
    for (let i = 0; i < 1_000; i++) scene.submit(1, Array<number>(100).fill(1), 1);
    scene.turn();
    scene.submit(2, [1], 2);
    scene.sequencer.act((out) => scene.market.push(3, 0, out));
    scene.turn();
    expect(scene.idsOf(scene.batches[1]!)).toEqual([1, 2, 3]);
  });

  test('many sources with much waiting get equal shares', () => {
    const scene = new Scene({ batchEventsMax: 1_000, waitingEventsMax: 200_000 });
    for (let i = 0; i < 100; i++) {
      for (let source = 1; source <= 10; source++)
        scene.submit(source, Array<number>(source * 5).fill(1), source);
    }
    for (let i = 0; i < 5; i++) scene.turn();
    for (let source = 1; source <= 10; source++) {
      const own = scene.market.applied.filter((id) => id === source).length;
      // At the end each submission is a long one: its check counts too, and its turn may still come.
      expect(own).toBeGreaterThanOrEqual(Math.min(500 / 1.125 - 100, source * 500));
      expect(own).toBeLessThanOrEqual(500 + 50);
    }
  });

  test('[P12] a source with little waiting is not refused because of others', () => {
    const scene = new Scene({ batchEventsMax: 10, waitingEventsMax: 6_400 });
    for (let i = 0; i < 70; i++) scene.submit(1, Array<number>(100).fill(1), 1);
    expect(scene.answers.length).toBe(6);
    scene.submit(2, Array<number>(100).fill(1), 2);
    scene.submit(3, Array<number>(101).fill(1), 3);
    expect(scene.answers.slice(6)).toMatchObject([
      { id: 3, result: { fault: { code: 'overloaded' } } },
    ]);
    scene.turnAll();
    expect(scene.answers.length).toBe(72);
  });

  test('[P12] many sources of one key are one client: they leave room to others', () => {
    const scene = new Scene({ batchEventsMax: 10, waitingEventsMax: 6_400 });
    // Each alone would be modest, and all together would exceed the limit twice.
    for (let source = 1; source <= 200; source++)
      scene.submit(source, Array<number>(100).fill(1), source, 'many');
    expect(scene.answers.length).toBe(200 - 64);
    scene.submit(1_001, Array<number>(100).fill(1), 1_001, 'one');
    expect(scene.answers.length).toBe(200 - 64);
    scene.turnAll();
    expect(scene.market.applied).toContain(1_001);
    // What was processed counts no more.
    scene.submit(1_002, Array<number>(100).fill(1), 1, 'many');
    scene.turnAll();
    expect(scene.market.applied).toContain(1_002);
  });

  test('however many sessions one key has, another key is in the next turn, and both get the same share', () => {
    const scene = new Scene({ batchEventsMax: 1_000, waitingEventsMax: 400_000 });
    for (let source = 1; source <= 330; source++) {
      for (let i = 0; i < 3; i++) scene.submit(source, Array<number>(100).fill(1), source, 'many');
    }
    scene.turn();
    for (let i = 0; i < 30; i++) scene.submit(1_001, Array<number>(100).fill(1), 1_001, 'one');
    scene.turn();
    expect(scene.market.applied).toContain(1_001);
    const counts = (): [many: number, one: number] => {
      const one = scene.market.applied.filter((id) => id === 1_001).length;
      return [scene.market.applied.length - one, one];
    };
    for (let i = 0; i < 4; i++) scene.turn();
    const [many, one] = counts();
    // Checking long submissions counts too.
    expect(one).toBeGreaterThanOrEqual(2_500 / 1.125 - 200);
    expect(many - 1_000).toBeLessThanOrEqual(2_500 + 200);
    // The sessions of the key with many take turns.
    const perSource = new Map<number, number>();
    for (const id of scene.market.applied) perSource.set(id, (perSource.get(id) ?? 0) + 1);
    perSource.delete(1_001);
    expect(Math.max(...perSource.values())).toBeLessThanOrEqual(200);
    scene.turnAll();
    expect(scene.answers.length).toBe(330 * 3 + 30);
  });

  test('also where turns end because their time is used, whatever the estimated cost', () => {
    const scene = new Scene({ batchEventsMax: 1_000 });
    const slow = (name: number, lane: number, owner: string): void => {
      const act = (out: SequencerOutput): void => {
        scene.market.push(name, 0, out);
        scene.clock.advance(1e6);
      };
      scene.sequencer.act(act, () => {}, lane, owner);
    };
    for (let lane = 1; lane <= 330; lane++) slow(lane, lane, 'many');
    slow(1_001, 1_001, 'one');
    scene.turn(); // in the order of arrival: all of it was estimated to fit
    scene.turn();
    scene.turn();
    expect(scene.batches.flatMap((b) => scene.idsOf(b))).toContain(1_001);
    expect(scene.batches.flatMap((b) => scene.idsOf(b)).length).toBeLessThanOrEqual(8);
  });

  test('the real cost of an act counts, not the estimate', () => {
    const scene = new Scene({ batchEventsMax: 1_000 });
    const sweep = (name: number, lane: string): void =>
      scene.sequencer.act(
        (out) => {
          for (let i = 0; i < 100; i++) scene.market.push(name, 0, out);
        },
        () => {},
        lane,
      );
    for (let i = 0; i < 1_100; i++) sweep(1, 'many');
    for (let i = 0; i < 20; i++)
      scene.sequencer.act(
        (out) => scene.market.push(2, 0, out),
        () => {},
        'one',
      );
    scene.turn();
    const made = scene.batches[0]!.events.length;
    expect(scene.idsOf(scene.batches[0]!)).toContain(2);
    expect(made).toBeLessThanOrEqual(1_000 + 100);
  });

  test('a lane stays with its owner while anything waits in it, so that its order is kept', () => {
    const scene = new Scene({ batchEventsMax: 10, waitingEventsMax: 10_000 });
    for (let id = 1; id <= 20; id++) scene.submit(id, [1, 1, 1], 7, id <= 10 ? 'before' : 'after');
    scene.turnAll();
    expect(scene.answers.map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  test('a turn ends when its time is used', () => {
    const scene = new Scene({ batchEventsMax: 1_000 });
    for (let id = 1; id <= 6; id++) {
      scene.sequencer.act((out) => {
        scene.market.push(id, 0, out);
        scene.clock.advance(1e6);
      });
    }
    scene.turn();
    expect(scene.idsOf(scene.batches[0]!)).toEqual([1, 2]);
    scene.turnAll();
    expect(scene.batches.flatMap((b) => scene.idsOf(b))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('applying events gets the share of that time that it needed in the turns before', () => {
    const scene = new Scene({ batchEventsMax: 1_000 });
    scene.handOnNs = 400_000;
    const act = (id: number): void =>
      scene.sequencer.act((out) => {
        scene.market.push(id, 0, out);
        scene.clock.advance(100_000);
      });
    for (let id = 1; id <= 200; id++) act(id);
    scene.turnAll();
    const sizes = scene.batches.map(({ events }) => events.length);
    // Half a millisecond each, so a turn has five; before the first turn nobody knows that.
    expect(sizes[0]).toBe(20);
    for (const size of sizes.slice(1)) expect(size).toBeLessThanOrEqual(6);
    expect(sizes.reduce((a, b) => a + b)).toBe(200);
  });

  test('an act that has more to do is called again, alternating with others', () => {
    const scene = new Scene({ batchEventsMax: 4 });
    let calls = 0;
    let done = false;
    scene.sequencer.act(
      (out) => {
        scene.market.push(++calls, 0, out);
        scene.clock.advance(2e6);
        return 10 * (5 - calls);
      },
      () => (done = true),
      1,
    );
    scene.submit(100, [1], 2);
    scene.turn();
    expect([calls, scene.answers.length]).toEqual([1, 0]);
    scene.turn();
    expect(scene.idsOf(scene.batches[1]!)).toEqual([100, 2]);
    scene.turnAll();
    expect([calls, done]).toEqual([5, true]);
  });
});
