/** Turn meter: what counts as a turn, by a manual clock. */

import { beforeAll, describe, expect, test } from 'bun:test';

import { TurnMeter, type TurnKind } from '../../src/base/turn-meter';

function metered(): {
  meter: TurnMeter;
  seen: [TurnKind, number, string][];
  pass: (ms: number) => void;
} {
  let nowMs = 0;
  const meter = new TurnMeter(() => nowMs);
  const seen: [TurnKind, number, string][] = [];
  meter.aboveMs = -1;
  meter.onTurn = (...turn) => seen.push(turn);
  return { meter, seen, pass: (ms) => void (nowMs += ms) };
}

/** Runs the loop once. */
const loop = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

// The first `nextTick` of a process runs before promises that are settled.
beforeAll(() => new Promise<void>((resolve) => process.nextTick(resolve)));

describe('a turn', () => {
  test('is counted under its kind, also when it throws', () => {
    const { meter, seen, pass } = metered();
    expect(meter.run('look', () => (pass(2), 7))).toBe(7);
    const thrown = (): never => {
      pass(3);
      throw new Error('why');
    };
    expect(() => meter.run('pong', thrown)).toThrow('why');
    expect(seen).toEqual([
      ['look', 2, ''],
      ['pong', 3, ''],
    ]);
    expect(meter.durations.get('look')!.count).toBe(1);
    expect(meter.durations.get('pong')!.sumSeconds).toBe(0.003);
    expect(meter.durations.has('batch')).toBe(false);
  });

  test('includes nested work as a part, and is named by the first that names it', () => {
    const { meter, seen, pass } = metered();
    meter.run('frame', () => {
      meter.says(() => 'subscribe');
      meter.says('ping');
      meter.run('slice', () => pass(4));
      pass(1);
    });
    meter.run('frame', () => {});
    expect(seen).toEqual([
      ['frame', 5, 'subscribe'],
      ['frame', 0, ''],
    ]);
  });

  test('includes the promises that it settles, and those that these settle', async () => {
    const { meter, seen, pass } = metered();
    const after = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) {
        await Promise.resolve();
        pass(1);
      }
    };
    meter.soon('read', () => void after());
    while (seen.length === 0) await loop();
    expect(seen).toEqual([['read', 20, '']]);
  });

  test('ends with an answer, or after the promises of one that comes later', async () => {
    const { meter, seen, pass } = metered();
    expect(meter.answer('request', () => (pass(2), 7))).toBe(7);
    expect(seen).toEqual([['request', 2, '']]);
    const failed = (): never => {
      pass(1);
      throw new Error('why');
    };
    expect(() => meter.answer('request', failed)).toThrow('why');
    const later = async (): Promise<number> => {
      await Promise.resolve();
      pass(4);
      return 9;
    };
    expect(await meter.answer('request', later)).toBe(9);
    await loop();
    expect(seen.map(([, ms]) => ms)).toEqual([2, 1, 4]);
  });

  test('is reported only when it is longer than the given bound', () => {
    const { meter, seen, pass } = metered();
    meter.aboveMs = 5;
    meter.run('ack', () => pass(5));
    meter.run('ack', () => pass(6));
    expect(seen).toEqual([['ack', 6, '']]);
    expect(meter.durations.get('ack')!.count).toBe(2);
  });

  test('comes from setImmediate, a timer or an interval', async () => {
    const { meter, seen, pass } = metered();
    meter.soon('batch', () => pass(1));
    const { promise, resolve } = Promise.withResolvers<void>();
    meter.later('replay', 1, resolve);
    await promise;
    let times = 0;
    await new Promise<void>((done) => {
      const timer = meter.every('watch', 1, () => {
        if (++times < 2) return;
        clearInterval(timer);
        done();
      });
    });
    expect(seen.map(([kind]) => kind)).toEqual(['batch', 'replay', 'watch', 'watch']);
  });
});
