/**
 * The pace of checkpoints: how many records a start may have to read again, as long as the writer
 * keeps up.
 */

import { expect, test } from 'bun:test';

import { ManualClock } from '../../src/base/clock';
import { Checkpoints, type CheckpointPort } from '../../src/journal/write/checkpoints';
import type { StateSource } from '../../src/journal/journal';
import { at } from '../support/market-events';

const EVERY = 10_000;
const THINGS = 500;
const PIECE_MS = 0.2;
const RECORD_BYTES = 120;
/** Levels of 40 KB. */
const LEVELS = [new Float64Array(5_000)];

/** A market in which everything has changed whenever a cycle begins, and a busy event loop. */
class BusyMarket {
  longestTail = 0;
  /** Length of the longest slice. */
  longestMs = 0;
  readonly checkpoints: Checkpoints;
  private readonly clock = new ManualClock(at(0));
  seq = 0;
  private left = 0;
  /** When the next slice is due, in records. */
  private due: { readonly at: number; readonly run: () => void } | undefined;

  /** @param turnRecords records of one turn of the loop; at its end one slice may run */
  constructor(turnRecords: number) {
    const port: CheckpointPort = {
      at: () => this.seq,
      isWhole: () => true,
      hasPieceRoom: () => true,
      idOf: () => 1,
      piece: () => this.clock.advance(PIECE_MS * 1e6),
      mark: () => {},
      pump: () => {},
    };
    const slices = {
      ms: 1,
      schedule: (run: () => void, pauseMs: number) => {
        const turns = pauseMs > 0 ? 5 : 1;
        this.due = { at: this.seq + turns * turnRecords, run };
      },
    };
    const known = { lastId: -1, cycle: 0, pieces: [], tailRecords: 0 };
    this.checkpoints = new Checkpoints(port, { everyEvents: EVERY, slices }, known, this.clock);
    this.checkpoints.source = this.source();
  }

  run(records: number): void {
    for (let taken = 0; taken < records; taken += 10) {
      this.seq += 10;
      this.checkpoints.took(10, 10 * RECORD_BYTES);
      this.longestTail = Math.max(this.longestTail, this.checkpoints.figures().tailRecords);
      const { due } = this;
      if (due === undefined || this.seq < due.at) continue;
      this.due = undefined;
      const beganMs = this.clock.monotonicMs();
      due.run();
      this.longestMs = Math.max(this.longestMs, this.clock.monotonicMs() - beganMs);
    }
  }

  private source(): StateSource {
    const left = (): number => this.left;
    return {
      isChanged: true,
      get left() {
        return left();
      },
      begin: () => void (this.left = THINGS),
      next: (seq) =>
        this.left-- === 0
          ? undefined
          : { kind: 'instrument', key: 'A', chunk: 0, seq, text: '', levels: LEVELS, bytes: null },
      rest: () => ({ text: '{}', endedFrom: 0 }),
      abort: () => {},
    };
  }
}

test('the tail is at most three times the records between two checkpoints, in slices of 2 ms', () => {
  // A cycle takes 50 slices of 2 ms, or 100 of 1 ms; its pieces have as many bytes as 160,000
  // records.
  const market = new BusyMarket(150);
  market.run(600_000);
  expect(market.checkpoints.figures().cycles).toBeGreaterThan(25);
  expect(market.longestTail).toBeGreaterThan(2 * EVERY);
  expect(market.longestTail).toBeLessThanOrEqual(3 * EVERY);
  expect(market.longestMs).toBeLessThanOrEqual(2 + PIECE_MS);
});

test('a cycle that is in time takes short slices with pauses between them', () => {
  const market = new BusyMarket(10); // 100 slices of 1 ms, in every fifth turn, take 5,000 records
  market.run(100_000);
  expect(market.checkpoints.figures().cycles).toBeGreaterThan(4);
  expect(market.longestMs).toBeLessThanOrEqual(1 + PIECE_MS);
});

test('after records were given up a cycle has no pauses, however few records there are', () => {
  const took = (isUrgent: boolean): number => {
    const market = new BusyMarket(10);
    market.run(1_000);
    const { seq } = market;
    market.checkpoints.begin(isUrgent);
    while (market.checkpoints.figures().cycles === 0) market.run(10);
    expect(market.longestMs).toBeLessThanOrEqual(2 + PIECE_MS);
    return market.seq - seq;
  };
  // 100 slices with four turns in between, or 50 in as many turns.
  expect(took(false)).toBeGreaterThan(3_000);
  expect(took(true)).toBeLessThan(700);
});
