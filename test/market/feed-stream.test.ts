/**
 * A feed instrument under streams with every kind of fault: messages lost, repeated, overlapping, snapshots early
 * and late, sources that leave, are silent, and are followed by others. Rules [P5], [P8] to [P10], [B3] to [B7].
 */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { MarketEvent, SourceEvent } from '../../protocol/messages';
import { BOOK_DEPTH } from '../../protocol/units';
import { Prng } from '../../src/base/prng';
import { writeCheckpoint } from '../../src/market/checkpoint';
import { FakeSource, flatLevels } from '../support/fake-source';
import { Collected, feedOf, instrument, newMarket, SYMBOL } from '../support/market-events';
import { NaiveFeed } from '../support/naive-feed';
import { Reader } from '../support/reader';
import { readCheckpoint } from '../../src/market/checkpoint-reading';

const STEPS = [
  'delta',
  'delta',
  'delta',
  'delta',
  'lose',
  'repeat',
  'overlap',
  'snapshot',
  'snapshot',
  'incomplete',
  'quote',
  'quote',
  'trade',
  'trade',
  'lose-trades',
  'leave',
  'silent',
  'silent',
  'followed',
  'restart',
] as const;

interface Step {
  readonly what: (typeof STEPS)[number];
  /** How much of it. */
  readonly size: number;
  /** Whether the batch ends after it. */
  readonly seals: boolean;
}

const steps = fc.array(
  fc.record<Step>({
    what: fc.constantFrom(...STEPS),
    size: fc.integer({ min: 0, max: 5 }),
    seals: fc.boolean(),
  }),
  { minLength: 1, maxLength: 120 },
);

/** Everything together: the source, its market, the oracle and a reader. */
class Stream {
  readonly source: FakeSource;
  readonly naive = new NaiveFeed();
  readonly reader = new Reader();
  market = newMarket();
  private readonly out = new Collected();
  private readonly published: SourceEvent[] = [];
  private readonly numbered: boolean;
  /** The number after which the next delta begins. */
  private sentSeq: number;
  /** For a source without numbers: the state after the newest message of the book. */
  private knownSeq = 0;
  private owner = 1;

  constructor(seed: number, numbered: boolean) {
    this.source = new FakeSource(new Prng(seed), SYMBOL, numbered);
    this.numbered = numbered;
    this.sentSeq = this.source.seq;
    this.submit(instrument());
  }

  step({ what, size, seals }: Step): void {
    const wasLive = this.naive.state === 'live';
    const wasTrusted = this.reader.book(SYMBOL).trusted;
    this.does(what, size);
    if (seals || this.naive.state !== 'live') this.seal();
    if (!seals && this.naive.state === 'live') return;
    if (wasLive && wasTrusted && this.naive.state !== 'live') this.expectPublished('incomplete');
    this.expectTruth();
  }

  private does(what: Step['what'], size: number): void {
    const { source, sentSeq } = this;
    switch (what) {
      case 'delta':
        source.advance(size + 1);
        this.sentSeq = source.seq;
        return this.send(source.delta(sentSeq, source.seq));
      case 'lose':
        // Without numbers a loss cannot be noticed; such a source disconnects when it loses something.
        if (!this.numbered) this.leave();
        source.advance(size + 1);
        this.sentSeq = source.seq;
        return;
      case 'repeat': {
        const again = this.published.at(-1 - size);
        if (again !== undefined && this.numbered) this.send(again);
        return;
      }
      case 'overlap':
        if (!this.numbered) return;
        source.advance(1);
        this.sentSeq = source.seq;
        return this.send(source.delta(Math.max(0, sentSeq - size), source.seq));
      case 'snapshot':
        return this.send(source.snapshot(this.numbered ? source.seq - size : sentSeq));
      case 'incomplete':
        return this.send(source.incomplete());
      case 'quote':
        if (!this.numbered) return; // it could be ahead of the levels, and nothing would reveal it
        source.advance(size);
        return this.send(source.quote(source.seq - (size >> 1)));
      case 'trade':
        return this.send(source.trade());
      case 'lose-trades':
        return this.send(source.trade(size));
      case 'leave':
        return this.leave();
      case 'silent':
        return this.market.yield(this.owner); // it continues as if it had not been silent
      case 'followed':
        this.market.yield(this.owner);
        this.owner += 1;
        return this.naive.goAway();
      case 'restart':
        return this.restart();
    }
  }

  /** An orderly end, and a start from the checkpoint that it left. */
  private restart(): void {
    this.seal();
    const text = writeCheckpoint(this.market.checkpoint());
    this.market = newMarket();
    const recovery = this.market.follow(readCheckpoint(text), []);
    expect(writeCheckpoint(this.market.checkpoint())).toBe(text);
    recovery.end();
    this.naive.goAway();
  }

  private leave(): void {
    this.market.release(this.owner, this.out);
    this.naive.goAway();
    this.owner += 1;
  }

  private send(event: SourceEvent): void {
    this.published.push(event);
    if (event.type === 'book') {
      this.naive.book(event);
      this.knownSeq = this.sentSeq;
    } else if (event.type === 'bbo') this.naive.quote(event);
    else if (event.type === 'trade') this.naive.trade(event);
    this.submit(event);
  }

  private submit(event: SourceEvent): void {
    expect(this.market.check(this.owner, [event])).toBeUndefined();
    this.market.apply(this.owner, event, this.out, true); // its numbers continue, whatever happens
  }

  private events: MarketEvent[] = [];

  private seal(): void {
    this.market.seal();
    this.events = this.out.take();
    this.reader.take(this.events);
  }

  private expectPublished(state: string): void {
    expect(this.events.findLast((e) => e.type === 'book')!.form).toBe('incomplete');
    expect(this.reader.statuses.at(-1)!.state).toBe(state as 'incomplete');
  }

  private expectTruth(): void {
    const { naive, source, reader } = this;
    const live = feedOf(this.market);
    const { book } = live;
    const copy = reader.book(SYMBOL);
    expect(book.state).toBe(naive.state);
    const trusted = naive.state === 'live';
    const truth = source.truth(this.numbered ? naive.seq : this.knownSeq);
    const whole = trusted ? flatLevels(truth) : { bids: [], asks: [] };
    const ten = trusted ? flatLevels(truth, BOOK_DEPTH) : { bids: [], asks: [] };
    expect({ bids: book.bids.top(1e6), asks: book.asks.top(1e6) }).toEqual(whole);
    expect({ bids: [...naive.bids].length, asks: [...naive.asks].length }).toEqual({
      bids: whole.bids.length / 2,
      asks: whole.asks.length / 2,
    });
    const view = live.bookView();
    expect(view !== null).toBe(trusted);
    if (view !== null) expect({ bids: view.bids, asks: view.asks }).toEqual(ten);
    expect(copy.trusted).toBe(trusted);
    expect({ bids: copy.bids, asks: copy.asks }).toEqual(ten);
    if (trusted) this.expectQuote();
    this.expectTrades();
  }

  /** Where levels and quotes are both known, the newer of them is the best bid and offer. */
  private expectQuote(): void {
    const { naive, source } = this;
    const seq = this.numbered ? naive.topSeq : this.knownSeq;
    const quote = source.quote(seq);
    const { bid, bidQuantity, ask, askQuantity } = feedOf(this.market).bbo!;
    expect([bid, bidQuantity, ask, askQuantity]).toEqual([
      quote.bid,
      quote.bidQuantity,
      quote.ask,
      quote.askQuantity,
    ]);
  }

  private expectTrades(): void {
    const { naive, reader } = this;
    expect(reader.trades.map((t) => t.tradeId)).toEqual(naive.trades.map((t) => t.tradeId));
    expect(reader.ticks.length).toBe(reader.trades.length);
    let volume = 0;
    for (const [i, tick] of reader.ticks.entries()) {
      const trade = reader.trades[i]!;
      volume += trade.quantity;
      expect([tick.seq, tick.last, tick.quantity, tick.volume, tick.eventTime]).toEqual([
        trade.seq + 1,
        trade.price,
        trade.quantity,
        volume,
        trade.eventTime,
      ]);
    }
    const missed = reader.statuses.filter((s) => s.reason === 'trades-missed');
    expect(missed.reduce((sum, s) => sum + s.missed, 0)).toBe(naive.missed);
    expect(feedOf(this.market).currentTick()?.volume ?? 0).toBe(naive.volume);
  }
}

describe('a complete book equals that of its source', () => {
  test.each([true, false])('[P5] [P8] [P9] numbered: %p', (numbered) => {
    fc.assert(
      fc.property(fc.nat(), steps, (seed, list) => {
        const stream = new Stream(seed, numbered);
        for (const step of list) stream.step(step);
        stream.step({ what: 'snapshot', size: 0, seals: true });
      }),
      { numRuns: 250 },
    );
  });
});
