/** Following: the market of a replica, which takes its leader's batches as bytes, is the leader's at each of them. */

import { describe, expect, test } from 'bun:test';

import { BatchEncoder, decodeBatch } from '../../protocol/batch';
import type { Book, SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import type { Batch } from '../../src/base/contracts/batch';
import { writeCheckpoint } from '../../src/market/checkpoint';
import { readCheckpoint } from '../../src/market/checkpoint-reading';
import { Market } from '../../src/market/market';
import { stateHash } from '../../src/market/state-hash';
import { ENDED_ORDERS_MAX, MarketRun } from '../orders/market-run';
import { DEFINITIONS, execute, randomScript } from '../orders/script';
import { mark } from '../support/market-events';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';

const OPTIONS = { instrumentsMax: 100, endedOrdersMax: ENDED_ORDERS_MAX };
const encoder = new BatchEncoder();

class Follower {
  market = new Market(OPTIONS);
  private recovery = this.market.follow(null, []);

  take(batch: Batch): void {
    const bytes = encoder.encode({ ...batch, time: Nanos.ZERO });
    const decoded = decodeBatch(bytes);
    if ('code' in decoded) throw new Error(decoded.message);
    this.recovery.apply(decoded.events);
  }

  /** Starts again from what a checkpoint has of it. */
  restart(): void {
    const text = writeCheckpoint(this.market.checkpoint());
    this.market = new Market(OPTIONS);
    this.recovery = this.market.follow(readCheckpoint(text), []);
    expect(writeCheckpoint(this.market.checkpoint())).toBe(text);
  }

  lead(): void {
    this.recovery.end();
  }
}

/** All that readers can see of a market, with the marks. */
function view(market: Market): unknown {
  return [...market.all()].map((i) => [
    i.state,
    i.bookMark,
    [...i.newest()],
    i.currentTick(),
    i.bookView(),
    i.levels(10),
  ]);
}

/** What a source sends besides the script: another session, quotes, a lost book, a whole one. */
function feedStep(random: Prng, run: MarketRun, seq: number): void {
  const { market, sequencer } = run;
  const time = run.clock.now();
  const opening = { symbol: 'FEED', eventTime: time, receiveTime: time, seq, prevSeq: seq - 1 };
  const quote = { bid: 99, bidQuantity: random.int(1, 9), ask: 101, askQuantity: 4 };
  const book = (form: Book['form']): SourceEvent => {
    const [bids, asks] =
      form === 'incomplete'
        ? [[], []]
        : [
            [99, 5, 98, 1],
            [101, 4],
          ];
    return { type: 'book', ...opening, form, bids, asks, crc: null, count: 1, mark: null };
  };
  const draw = random.int(0, 6);
  if (draw === 0) sequencer.act((out) => void market.release(1, out));
  else if (draw === 1) sequencer.act((out) => void market.renumber('FEED', out));
  else if (draw === 2) sequencer.submit(1, [book('incomplete')], () => {});
  else if (draw === 3) sequencer.submit(1, [book('snapshot')], () => {});
  else if (draw === 4) {
    const more = { ...opening, openInterest: random.int(0, 9), fundingTime: null };
    sequencer.submit(1, [mark(more)], () => {});
  } else {
    sequencer.submit(
      1,
      [{ type: 'bbo', ...opening, ...quote, seq: 0, count: 1, mark: null }],
      () => {},
    );
  }
}

function restarted(leader: MarketRun): MarketRun {
  const next = leader.restored();
  next.sequencer.act((out) => next.market.announceRecovered(out));
  next.sequencer.drain();
  return next;
}

function run(seed: number, steps: number): { leader: MarketRun; follower: Follower } {
  const random = new Prng(seed);
  let leader = new MarketRun([]);
  const follower = new Follower();
  for (const d of DEFINITIONS) leader.sequencer.act((out) => leader.market.define(d, out));
  for (const [i, step] of randomScript(seed, steps, true).entries()) {
    leader.clock.advance(1_000_777);
    execute(step, leader.market, leader.sequencer);
    if (random.chance(0.1)) feedStep(random, leader, 10 * i);
    if (random.chance(0.5)) leader.sequencer.drain();
    if (random.chance(0.01)) {
      leader.sequencer.drain();
      catchUp(leader, follower);
      leader = restarted(leader);
    }
    if (random.chance(0.02)) follower.restart();
    if (!random.chance(0.1)) continue;
    leader.sequencer.drain();
    catchUp(leader, follower);
    expect([seed, i, view(follower.market)]).toEqual([seed, i, view(leader.market)]);
    expect(stateHash(follower.market)).toBe(stateHash(leader.market));
  }
  leader.sequencer.drain();
  catchUp(leader, follower);
  return { leader, follower };
}

function catchUp(leader: MarketRun, follower: Follower): void {
  for (const batch of leader.batches.splice(0)) follower.take(batch);
}

describe('a follower', () => {
  test('has the state and the marks of its leader at each batch, across restarts of either', () => {
    const seed = readSeed();
    const runs = deep(40, 4);
    for (let i = 0; i < runs; i++) {
      const { leader, follower } = run(seed + i, 400);
      expect(stateHash(follower.market)).toBe(stateHash(leader.market));
    }
  });

  test('leads with the state that its leader would have after a restart', () => {
    const seed = readSeed() + 1_000;
    const { leader, follower } = run(seed, 300);
    follower.lead();
    const { market } = leader.restored();
    const seen = (m: Market): unknown =>
      [...m.all()].map((i) => [i.state, i.bookMark, [...i.newest()]]);
    expect([seed, seen(follower.market)]).toEqual([seed, seen(market)]);
    expect(stateHash(follower.market)).toBe(stateHash(market));
  });
});
