/** Shares: how much of the loop one client may use in total, and whose turn is next. */

import { describe, expect, test } from 'bun:test';

import { ManualClock, SystemClock } from '../../src/base/clock';
import { Shares, type Share, type Waiting } from '../../src/gateway/auth/shares';
import { until } from '../support/until';

const PER_MS = 150;
const SOURCE_PER_MS = 500;
const LIMITS = { workPerSecond: PER_MS * 1_000, publishWorkPerSecond: SOURCE_PER_MS * 1_000 };
const MS = 1_000_000; // in nanoseconds

function make() {
  const clock = new ManualClock();
  return { clock, shares: new Shares(LIMITS, clock) };
}

/** Work in pieces, each recorded by its name. */
class Job implements Waiting {
  readonly name: string;
  private readonly done: string[];
  private readonly piece: number;
  left: number;

  constructor(name: string, pieces: number, done: string[], piece = 50) {
    this.name = name;
    this.left = pieces;
    this.done = done;
    this.piece = piece;
  }

  step(share: Share): boolean {
    share.spend(this.piece);
    this.done.push(this.name);
    this.left -= 1;
    return this.left > 0;
  }
}

describe('debt', () => {
  test('is paid off evenly; until then no new work is done', () => {
    const { clock, shares } = make();
    const share = shares.ofKey('desk');
    expect(share.isFree).toBe(true);
    share.spend(PER_MS * 10); // known only afterwards
    expect(share.isFree).toBe(false);
    clock.advance(7 * MS);
    expect(share.isFree).toBe(false);
    clock.advance(MS / 10);
    expect(share.isFree).toBe(true);
    // At most three milliseconds' worth is saved up.
    clock.advance(1_000 * MS);
    share.spend(PER_MS * 3);
    expect(share.isFree).toBe(false);
  });

  test('belongs to the client, not to other clients', () => {
    const { shares } = make();
    shares.ofKey('desk').spend(PER_MS * 1_000);
    expect(shares.ofKey('desk').isOver).toBe(true);
    expect(shares.ofKey('other').isOver).toBe(false);
    // A key name may look like an address.
    shares.ofKey('192.0.2.1').spend(PER_MS * 1_000);
    expect(shares.ofStranger('192.0.2.1').isOver).toBe(false);
  });

  test('of more than a second, or as much waiting work, is too much', () => {
    const { clock, shares } = make();
    const share = shares.ofKey('desk');
    share.spend(PER_MS * 400);
    share.owe(PER_MS * 599);
    expect(share.isOver).toBe(false);
    share.owe(PER_MS);
    expect(share.isOver).toBe(true);
    clock.advance(2 * MS);
    expect(share.isOver).toBe(false);
  });
});

test('clients without a key leave room in each millisecond for those with one', () => {
  const { clock, shares } = make();
  for (const address of ['192.0.2.1', '192.0.2.2']) shares.ofStranger(address).spend(140);
  expect(shares.ofStranger('192.0.2.3').isFree).toBe(false);
  expect(shares.ofKey('desk').isFree).toBe(true);
  clock.advance(MS);
  expect(shares.ofStranger('192.0.2.3').isFree).toBe(true);
});

test('a heavy piece of one client delays the others in that millisecond only', () => {
  const { clock, shares } = make();
  shares.ofKey('desk').spend(PER_MS * 500);
  expect(shares.ofKey('other').isFree).toBe(false);
  clock.advance(MS);
  expect(shares.ofKey('other').isFree).toBe(true);
  expect(shares.ofKey('desk').isFree).toBe(false);
});

test('waiting work is served by client, and by connection within a client', async () => {
  const shares = new Shares(LIMITS, new SystemClock());
  const done: string[] = [];
  const [busy, modest] = [shares.ofKey('busy'), shares.ofKey('modest')];
  const heavy = Array.from({ length: 20 }, (_, i) => new Job(`b${i}`, 50, done));
  for (const job of heavy) busy.wait(job);
  modest.wait(new Job('m', 3, done));
  await until(() => done.includes('b19'));
  // Twenty connections of one client do not come before another client.
  expect(done.indexOf('m')).toBeLessThan(20);
  expect(done.filter((name) => name === 'm').length).toBe(3);
  // Each connection had one piece before any had two.
  const first = done.filter((name) => name !== 'm').slice(0, 20);
  expect(new Set(first).size).toBe(20);
});

test('a request waits for its turn, and is refused behind a second of other requests', async () => {
  const shares = new Shares(LIMITS, new SystemClock());
  const share = shares.ofKey('desk');
  expect(share.turn(1_000)).toBe(true);
  share.spend(PER_MS * 20);
  const turns: number[] = [];
  const asked = [1, 2, 3].map(async (n) => {
    expect(await share.turn(100)).toBe(true);
    turns.push(n);
  });
  expect(turns).toEqual([]);
  await Promise.all(asked);
  expect(turns).toEqual([1, 2, 3]);
  share.spend(PER_MS * 2_000);
  expect(await share.turn(100)).toBe(false);
});
