/** Slices: work in order and in small parts, and none for a connection that has ended. */

import { describe, expect, test } from 'bun:test';

import { ManualClock } from '../../src/base/clock';
import { Connections } from '../../src/gateway/ws/connections';
import { Inbound, type GatewayLimits } from '../../src/gateway/auth/limits';
import { Shares } from '../../src/gateway/auth/shares';
import { Slices } from '../../src/gateway/ws/slices';
import { until } from '../support/until';

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

/** The cost of each item in microseconds, of the hundred in a millisecond; three milliseconds may be used at once. */
const COST = 6;

/** Time passes only in `until`, so a busy machine does not add to the allowance. */
function share() {
  const clock = new ManualClock();
  const limits = { workPerSecond: 100_000, publishWorkPerSecond: 100_000 };
  const passing = (isDone: () => boolean): Promise<boolean> =>
    until(() => {
      clock.advance(1e6);
      return isDone();
    });
  return { own: new Shares(limits, clock).ofKey('desk'), passing };
}

function sliced(costOf: (item: number) => number = () => COST) {
  const handled: number[] = [];
  const { own, passing } = share();
  const slices = new Slices<number>(
    () => own,
    costOf,
    (item) => void handled.push(item),
  );
  const finished = (count: number): Promise<boolean> => passing(() => handled.length >= count);
  return { slices, handled, finished };
}

describe('slices', () => {
  test('little work is done at once', () => {
    const { slices, handled } = sliced();
    slices.take(numbers(0, 20));
    expect(handled).toEqual(numbers(0, 20));
  });

  test('much work is done in order, with other work in between', async () => {
    const { slices, handled, finished } = sliced();
    slices.take(numbers(0, 400));
    slices.take(numbers(400, 1_000));
    expect(handled.length).toBeLessThan(100);
    const between: number[] = [];
    const other = setInterval(() => between.push(handled.length), 0);
    await finished(1_000);
    clearInterval(other);
    expect(handled).toEqual(numbers(0, 1_000));
    expect(between.filter((count) => count < 1_000).length).toBeGreaterThan(3);
  });

  test('work without cost waits only behind waiting work', async () => {
    const { slices, handled, finished } = sliced((item) => (item < 500 ? 0 : COST));
    slices.take(numbers(0, 500));
    expect(handled.length).toBe(500);
    slices.take([...numbers(500, 700), 0, 1]);
    expect(handled.length).toBeLessThan(600);
    await finished(702);
    expect(handled.slice(-2)).toEqual([0, 1]);
  });

  test('waiting work is counted in bytes until it is done or the connection ends', async () => {
    const { own, passing } = share();
    const handled: number[] = [];
    let held = 0;
    const slices = new Slices<number>(
      () => own,
      () => COST,
      (item) => void handled.push(item),
      (bytes) => (held += bytes),
    );
    const atOnce = slices.take(numbers(0, 1_000), 10);
    expect([atOnce < 100, held]).toEqual([true, (1_000 - atOnce) * 10]);
    await passing(() => handled.length >= 200);
    expect(held).toBe((1_000 - handled.length) * 10);
    slices.clear();
    expect(held).toBe(0);
  });

  test('waiting work of a connection that ends is dropped', async () => {
    const handled: number[] = [];
    const { own, passing } = share();
    const slices: Slices<number> = new Slices<number>(
      () => own,
      () => COST,
      (item) => {
        handled.push(item);
        if (item === 120) slices.clear();
      },
    );
    slices.take(numbers(0, 500));
    await passing(() => handled.length >= 121);
    let looks = 0;
    await passing(() => (looks += 1) > 20);
    expect(handled).toEqual(numbers(0, 121));
  });
});

describe('a client that was closed for a flood', () => {
  test('is known by its address for some seconds', () => {
    const clock = new ManualClock();
    const connections = new Connections(clock);
    connections.noteFlood('10.0.0.1');
    expect(connections.hasFlooded('10.0.0.1')).toBe(true);
    expect(connections.hasFlooded('10.0.0.2')).toBe(false);
    clock.advance(9e9);
    connections.noteFlood('10.0.0.2');
    connections.noteFlood('10.0.0.1');
    clock.advance(9e9);
    expect(connections.hasFlooded('10.0.0.1')).toBe(true);
    clock.advance(2e9);
    expect(connections.hasFlooded('10.0.0.1')).toBe(false);
  });

  test('has no new allowance when it reconnects, and gets it back soon', () => {
    const limits = {
      messagesPerSecond: 1_000,
      bytesPerSecond: 100_000,
      publishBytesPerSecond: 10_000_000,
    } as GatewayLimits;
    const served = (inbound: Inbound): number[] => {
      let [count, refused] = [0, 0];
      while (!inbound.isFlood) {
        if (inbound.message(0) === undefined) count += 1;
        else refused += 1;
      }
      return [count, refused];
    };
    expect(served(new Inbound(limits))).toEqual([1_000, 101]);
    const suspect = new Inbound(limits);
    suspect.suspect(false, 0);
    expect(suspect.frame(20_000, false, 0)).toMatchObject({ code: 'limit-reached' });
    expect(suspect.frame(16_000, false, 0)).toBeUndefined();
    expect(served(suspect)).toEqual([10, 10]);
    const source = new Inbound(limits);
    source.suspect(true, 0);
    expect(source.frame(150_000, true, 0)).toMatchObject({ code: 'limit-reached' });
    expect(source.frame(90_000, true, 0)).toBeUndefined();
    // A client that presents its key only then is still suspected.
    const late = new Inbound(limits);
    late.suspect(false, 0);
    expect(late.frame(2_000_000, true, 0)).toMatchObject({ code: 'limit-reached' });
    expect(late.frame(1_500_000, true, 0)).toBeUndefined();
  });
});

test('topics count in addition to the message that names them', () => {
  const limits = { messagesPerSecond: 1_000 } as GatewayLimits;
  const inbound = new Inbound(limits);
  inbound.topics(900, 0);
  const answers = numbers(0, 200).map(() => inbound.message(0) === undefined);
  expect(answers.filter(Boolean).length).toBe(100);
  expect(inbound.message(500)).toBeUndefined();
});
