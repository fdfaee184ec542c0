/** The volume of a venue: that of the trading session, exact at any size, and never a reason to refuse. */

import { describe, expect, test } from 'bun:test';

import type { Tick } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { sumOfBigInt } from '../../protocol/sums';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { writeCheckpoint } from '../../src/market/checkpoint';
import { Market, TIME_LIMITS } from '../../src/market/market';
import type { MarketOutput } from '../../src/market/output';
import { stateHash } from '../../src/market/state-hash';
import { readSeed } from '../support/seed';
import { order, venue } from './market-run';
import { readCheckpoint } from '../../src/market/checkpoint-reading';

const MAX = Number.MAX_SAFE_INTEGER;
const HOUR = 3_600n * 1_000_000_000n;
const DAY = 24n * HOUR;
/** A Tuesday at noon. */
const START = 19_600n * DAY + 12n * HOUR;

class Record implements MarketOutput {
  now = START;
  events: BatchEvent[] = [];
  private seq = 0;

  get receiveTime(): Nanos {
    return Nanos.fromBigInt(this.now);
  }

  nextSeq(): number {
    return ++this.seq;
  }

  push(event: BatchEvent): void {
    this.events.push(event);
  }
}

function market(boundary: number): Market {
  return new Market({
    instrumentsMax: 10,
    endedOrdersMax: 10,
    timeLimits: () => ({ ...TIME_LIMITS, sessionBoundary: boundary }),
  });
}

function defined(boundary: number, out: Record): Market {
  const made = market(boundary);
  made.define(venue('ACME', { quantityMax: MAX }), out);
  return made;
}

/** Makes one trade of this quantity, between two owners. */
function trade(at: Market, quantity: number, out: Record): void {
  for (const [owner, side] of [
    ['ada', 'sell'],
    ['bob', 'buy'],
  ] as const) {
    const done = at.router.submit(owner, order({ side, quantity }), out);
    if ('code' in done) throw new Error(done.message);
  }
  at.seal();
}

function ticks(events: readonly BatchEvent[]): Tick[] {
  return events.filter((e) => e.type === 'tick');
}

/** Sessions and sums in the simplest form. */
class Oracle {
  private latest: bigint | undefined;
  private sum = 0n;

  take(time: bigint, quantity: number, boundary: number): void {
    const session = (t: bigint): bigint => (t - BigInt(boundary) * 1_000_000_000n) / DAY;
    const begins = this.latest === undefined || session(time) > session(this.latest);
    this.sum = (begins ? 0n : this.sum) + BigInt(quantity);
    if (this.latest === undefined || time > this.latest) this.latest = time;
  }

  get volume(): number | bigint {
    return sumOfBigInt(this.sum);
  }
}

function runSeed(seed: number): { sessions: number; beyond: number; restarts: number } {
  const random = new Prng(seed);
  const out = new Record();
  const oracle = new Oracle();
  let boundary = random.int(0, 86_399);
  let at = defined(boundary, out);
  const sessions = new Set<bigint>();
  const reached = { sessions: 0, beyond: 0, restarts: 0 };
  let checkpoint: string | null = null;
  for (let i = 0; i < 300; i++) {
    // The clock mostly advances, and at times steps back, also over the end of a session.
    out.now += random.chance(0.1)
      ? -BigInt(random.int(1, 7_200)) * 1_000_000_000n
      : BigInt(random.int(0, 9_000)) * 1_000_000_000n;
    const quantity = random.chance(0.4) ? MAX - random.int(0, 1_000) : random.int(1, 1_000_000);
    const from = out.events.length;
    trade(at, quantity, out);
    oracle.take(out.now, quantity, boundary);
    expect([seed, i, ticks(out.events.slice(from)).map((t) => t.volume)]).toEqual([
      seed,
      i,
      [oracle.volume],
    ]);
    if (typeof oracle.volume === 'bigint') reached.beyond += 1;
    sessions.add(out.now / DAY);
    if (random.chance(0.05)) {
      checkpoint = writeCheckpoint(at.checkpoint());
      out.events = [];
    }
    if (random.chance(0.1)) {
      // A restart, sometimes with another end of the session in the settings.
      if (random.chance(0.3)) boundary = random.int(0, 86_399);
      const again = market(boundary);
      again.restore(checkpoint === null ? null : readCheckpoint(checkpoint), out.events);
      expect([seed, i, stateHash(again)]).toEqual([seed, i, stateHash(at)]);
      expect(again.checkpoint()).toEqual(at.checkpoint());
      at = again;
      reached.restarts += 1;
    }
  }
  reached.sessions = sessions.size;
  return reached;
}

describe('volume of a venue', () => {
  test('is the sum of its session, also beyond 2^53, over sessions, restarts and clocks that step back', () => {
    const seed = readSeed();
    const sum = { sessions: 0, beyond: 0, restarts: 0 };
    for (let i = 0; i < 20; i++) {
      const reached = runSeed(seed + i);
      for (const what of ['sessions', 'beyond', 'restarts'] as const) sum[what] += reached[what];
    }
    expect(sum.sessions).toBeGreaterThan(100);
    expect(sum.beyond).toBeGreaterThan(1_000);
    expect(sum.restarts).toBeGreaterThan(100);
  });

  test('trades of the largest quantities do not close the market', () => {
    const out = new Record();
    const at = defined(0, out);
    for (let i = 1; i <= 5; i++) {
      trade(at, MAX, out);
      expect(ticks(out.events).at(-1)!.volume).toBe(sumOfBigInt(BigInt(MAX) * BigInt(i)));
    }
    at.router.setState('admin', 'ACME', 'pre-open', out);
    trade(at, MAX, out);
    expect(at.router.setState('admin', 'ACME', 'open', out)).not.toHaveProperty('code');
    expect(ticks(out.events).at(-1)!.volume).toBe(BigInt(MAX) * 6n);
    out.now += DAY;
    trade(at, 7, out);
    expect(ticks(out.events).at(-1)!.volume).toBe(7);
  });

  test('a checkpoint of an earlier version, without the time of the newest trade, continues its session', () => {
    const out = new Record();
    const at = defined(0, out);
    trade(at, 5, out);
    const { instruments, ...rest } = at.checkpoint();
    const earlier: (typeof instruments)[number][] = [];
    for (const c of instruments) {
      const { presentTime: _, ...kept } = { presentTime: null, ...c };
      earlier.push(kept);
    }
    for (const [hours, volume] of [
      [1n, 8],
      [24n, 3],
    ] as const) {
      const again = market(0);
      again.restore(readCheckpoint(writeCheckpoint({ ...rest, instruments: earlier })), []);
      const later = new Record();
      later.now = START + hours * HOUR;
      trade(again, 3, later);
      expect(ticks(later.events)[0]!.volume).toBe(volume);
    }
  });

  test('in a record it is that of the trades so far, or of this trade alone; anything else is damage', () => {
    const out = new Record();
    const at = defined(0, out);
    for (const quantity of [5, 6, 7]) trade(at, quantity, out);
    const restore = (volumes: number[]): void => {
      let next = 0;
      const tail: BatchEvent[] = [];
      for (const e of out.events) {
        tail.push(e.type === 'tick' ? { ...e, volume: volumes[next++]! } : e);
      }
      market(0).restore(null, tail);
    };
    for (const good of [
      [5, 11, 18],
      [5, 6, 13],
      [5, 11, 7],
    ]) {
      restore(good);
    }
    for (const damaged of [
      [6, 12, 19],
      [5, 12, 19],
      [5, 6, 18],
      [5, 11, 0],
    ]) {
      expect(() => restore(damaged)).toThrow('a volume that does not follow');
    }
  });
});
