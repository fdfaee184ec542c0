/** Market data of a venue: the copy of a reader equals the venue. */

import { describe, expect, test } from 'bun:test';

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { MarketEvent } from '../../protocol/messages';
import { addSum, type Sum } from '../../protocol/sums';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { applyCommand } from '../../src/market/venue/commands';
import { VenueMarketData } from '../../src/market/venue/market-data';
import { TIME_LIMITS } from '../../src/market/market';
import type { MarketOutput } from '../../src/market/output';
import { Venue } from '../../src/market/venue/venue';
import { BUY, SELL } from '../../src/market/venue/constants';
import { randomCommand, randomProfile } from './random-commands';
import { Recorder } from './recorder';

class Output implements MarketOutput {
  readonly receiveTime = Nanos.fromSeconds(1_700_000_000, 1);
  readonly events: MarketEvent[] = [];
  private seq = 0;

  nextSeq(): number {
    this.seq += 1;
    return this.seq;
  }

  push(event: MarketEvent): void {
    this.events.push(event);
  }
}

/** Passes on trades and states, as the router does. */
class Publishing extends Recorder {
  data: VenueMarketData | undefined;
  readonly out = new Output();

  override trade(...v: number[]): void {
    super.trade(...v);
    this.data!.trade(v[0]!, v[1]!, v[2]!, v[3]!, this.out);
  }

  override stateChanged(state: number): void {
    super.stateChanged(state);
    this.data!.stateChanged(state, 'test', this.out);
  }
}

function run(seed: number, afterEach: (p: Publishing, venue: Venue, from: number) => void): void {
  const random = new Prng(seed);
  const profile = { ...randomProfile(random), levels: 40 };
  const listener = new Publishing();
  const venue = new Venue(profile.definition, listener);
  listener.data = new VenueMarketData('TEST', venue, { status: 0 }, TIME_LIMITS);
  for (let i = 0; i < 500; i++) {
    const from = listener.out.events.length;
    const outcome = applyCommand(venue, randomCommand(profile, i, [], random));
    listener.data.afterCommand(listener.out);
    listener.data.seal();
    afterEach(listener, venue, from);
    if (outcome < 0) expect(listener.out.events.length).toBe(from);
  }
}

describe('market data', () => {
  test('book events lead a reader to the ten best levels, and their checksum proves it', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const reader = new TenLevels();
      let last: number | null = null;
      run(seed, ({ out }, venue, from) => {
        for (const event of out.events.slice(from)) {
          if (event.type !== 'book') continue;
          if (event.form === 'snapshot') reader.replace(event.bids, event.asks);
          else reader.apply(event.bids, event.asks);
          last = event.crc;
        }
        expect(reader.bids).toEqual(venue.top(BUY, 10));
        expect(reader.asks).toEqual(venue.top(SELL, 10));
        if (last !== null) expect(last).toBe(bookChecksum(reader.bids, reader.asks));
      });
    }
  });

  test('one trade and one tick for each fill, seq without a gap, chains by topic', () => {
    for (let seed = 1; seed <= 20; seed++) {
      let seq = 0;
      let volume: Sum = 0;
      const heads: Record<string, number> = {};
      run(seed, (p, venue, from) => {
        const events = p.out.events.slice(from);
        const received = p.take();
        const trades = received.filter((e) => e[0] === 'trade');
        expect(events.filter((e) => e.type === 'trade').map((e) => e.quantity)).toEqual(
          trades.map((e) => e[3]!),
        );
        const ticks = events.filter((e) => e.type === 'tick');
        expect(ticks.length).toBe(trades.length);
        for (const tick of ticks) {
          volume = addSum(volume, tick.quantity);
          expect(tick.volume).toBe(volume);
        }
        for (const event of events) {
          seq += 1;
          expect(event.seq).toBe(seq);
          if (event.type === 'instrument') continue;
          expect(event.prevSeq).toBe(heads[event.type] ?? 0);
          heads[event.type] = seq;
        }
        const bbo = p.data!.lastBbo;
        if (bbo === null) return;
        expect([bbo.bid, bbo.ask]).toEqual([venue.bestPrice(BUY), venue.bestPrice(SELL)]);
        expect(bbo.bidQuantity).toBe(venue.bestQuantity(BUY));
        expect(bbo.askQuantity).toBe(venue.bestQuantity(SELL));
      });
    }
  });
});
