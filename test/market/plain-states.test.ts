/** Channels without code of their own: what the market takes of them, and what it refuses. `mark` stands for all. */

import { describe, expect, test } from 'bun:test';

import type { MarketEvent, SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { rescaleEvent } from '../../src/ingest/recording/conversion';
import type { IntakeOutcome } from '../../src/market/intake';
import type { Market } from '../../src/market/market';
import {
  at,
  book,
  Collected,
  feedOf,
  instrument,
  mark,
  newMarket,
  SYMBOL,
} from '../support/market-events';

const SOURCE = 7;

class Scene {
  readonly market: Market = newMarket();
  readonly out = new Collected();

  constructor(definition = instrument()) {
    this.send(definition);
    this.out.take();
  }

  /** @returns the outcome of the last event, and what was published */
  send(...events: SourceEvent[]): { outcome: IntakeOutcome | undefined; events: MarketEvent[] } {
    return this.sendAs(SOURCE, false, ...events);
  }

  sendAs(
    source: number,
    continues: boolean,
    ...events: SourceEvent[]
  ): { outcome: IntakeOutcome | undefined; events: MarketEvent[] } {
    expect(this.market.check(source, events)).toBeUndefined();
    let outcome: IntakeOutcome | undefined;
    for (const event of events) outcome = this.market.apply(source, event, this.out, continues);
    this.market.seal();
    return { outcome, events: this.out.take() };
  }

  /** The messages of the channel as a new reader would get them. */
  get state(): MarketEvent[] {
    return [...feedOf(this.market).newest()].filter(({ type }) => type === 'mark');
  }
}

describe('what a source sends', () => {
  test('is numbered and passed on, each message after the one before', () => {
    const scene = new Scene();
    const { events } = scene.send(mark(), mark({ price: null, eventTime: at(1), count: 9 }));
    const receiveTime = scene.out.receiveTime;
    expect(events).toEqual([
      mark({ seq: 2, prevSeq: 0, receiveTime }),
      mark({ seq: 3, prevSeq: 2, receiveTime, price: null, eventTime: at(1) }),
    ]);
    expect(scene.state).toEqual(events.slice(1));
  });

  test('is repeated if its number is not above the last one and its time not later', () => {
    const scene = new Scene();
    scene.send(mark({ seq: 5, eventTime: at(5) }));
    expect(scene.send(mark({ seq: 5, price: 1, eventTime: at(5) }))).toEqual({
      outcome: 'repeated',
      events: [],
    });
    expect(scene.send(mark({ seq: 4, price: 1, eventTime: at(4) })).outcome).toBe('repeated');
    expect(feedOf(scene.market).intake.repeated).toBe(2);
  });

  test('is repeated if it is the newest message again, with or without a number', () => {
    const scene = new Scene();
    scene.send(mark());
    expect(scene.send(mark()).outcome).toBe('repeated');
    expect(scene.send(mark({ seq: 3 })).outcome).toBe('repeated');
    expect(scene.send(mark({ openInterest: null })).outcome).toBe('taken');
    expect(scene.send(mark({ openInterest: null, eventTime: at(1) })).outcome).toBe('taken');
  });

  test('is taken and reported if its number goes back with a later time', () => {
    const scene = new Scene();
    scene.send(mark({ seq: 50, eventTime: at(5) }));
    const { outcome, events } = scene.send(mark({ seq: 1, eventTime: at(6) }));
    expect(outcome).toBe('taken');
    expect(events).toMatchObject([
      { type: 'status', state: 'live', reason: 'state-renumbered' },
      { type: 'mark', eventTime: at(6) },
    ]);
  });

  test.each([
    ['a renumber of all', [{ numbers: 'all' }], 'taken'],
    ['a renumber as published', [{ numbers: 'published' }], 'taken'],
    ['a renumber of trades', [{ numbers: 'trades' }], 'repeated'],
    ['a renumber of the book', [{ numbers: 'book' }], 'repeated'],
  ] as const)('begins new numbers: %s', (_, [{ numbers }], outcome) => {
    const scene = new Scene();
    scene.send(mark({ seq: 50, eventTime: at(5) }));
    scene.send({ ...mark(), type: 'renumber', numbers } as unknown as SourceEvent);
    expect(scene.send(mark({ seq: 1, eventTime: at(4) })).outcome).toBe(outcome);
  });

  test.each([
    [false, 'taken'],
    [true, 'repeated'],
  ] as const)('another session, which states that it continues: %s', (continues, outcome) => {
    const scene = new Scene();
    scene.send(mark({ seq: 50, eventTime: at(5) }));
    scene.market.release(SOURCE, scene.out);
    const again = mark({ seq: 50, eventTime: at(5), price: 1 });
    expect(scene.sendAs(SOURCE + 1, continues, again).outcome).toBe(outcome);
  });

  test('has a time of its own to be ordered by, if its event time cannot be', () => {
    const scene = new Scene();
    const { events } = scene.send(mark({ eventTime: at(60_000_000) }));
    const [message, report] = events;
    expect(message).toMatchObject({ eventTime: at(60_000_000), asOf: scene.out.receiveTime });
    expect(report).toMatchObject({ type: 'status', reason: 'times-ahead' });
  });

  test('makes a stale instrument live again', () => {
    const scene = new Scene();
    scene.send(book('snapshot', 1, 0, [99, 1], [101, 1]));
    scene.market.release(SOURCE, scene.out);
    scene.out.take();
    expect(scene.send(mark()).events).toMatchObject([
      { type: 'status', state: 'live', reason: 'source-connected' },
      { type: 'mark' },
    ]);
  });
});

describe('what is refused, with its field', () => {
  const coarse = instrument(SYMBOL, { priceIncrement: 5, quantityIncrement: 10 });
  test.each([
    ['price', { price: 10_001 }, 'off-increment'],
    ['index', { price: 10_000, index: 3, openInterest: 10 }, 'off-increment'],
    ['openInterest', { index: null, openInterest: 15 }, 'off-increment'],
    ['fundingTime', { fundingTime: Nanos.fromSeconds(1, 0), index: 5, openInterest: 0 }, undefined],
    ['eventTime', { eventTime: Nanos.fromSeconds(1, 0) }, undefined],
  ] as const)('%s', (field, more, code: string = 'invalid-field') => {
    const scene = new Scene(coarse);
    expect(scene.market.check(SOURCE, [mark(more)])).toMatchObject({
      index: 0,
      fault: { code, field },
    });
  });

  test('nothing is wrong with values that are not known', () => {
    const scene = new Scene(coarse);
    const unknown = { price: null, index: null, fundingTime: null, openInterest: null };
    expect(scene.market.check(SOURCE, [mark({ ...unknown, fundingRate: null })])).toBeUndefined();
  });

  test('an instrument that is not defined, and one of a venue', () => {
    const scene = new Scene();
    expect(scene.market.check(SOURCE, [mark({ symbol: 'NONE' })])).toMatchObject({
      fault: { code: 'unknown-symbol', field: 'symbol' },
    });
  });
});

describe('other decimals at the destination of a recording', () => {
  const [from, to] = [
    { priceScale: 2, quantityScale: 3 },
    { priceScale: 4, quantityScale: 1 },
  ];

  test('prices and quantities are converted, and nothing else', () => {
    const given = mark({ openInterest: 81_200 });
    expect(rescaleEvent(given, from, to)).toEqual({
      ...given,
      price: 1_000_000,
      index: 999_800,
      openInterest: 812,
    });
    expect(rescaleEvent(mark({ price: null, openInterest: 0 }), from, to)).toMatchObject({
      price: null,
      openInterest: 0,
    });
  });

  test('what does not fit is refused, with its field', () => {
    expect(rescaleEvent(mark(), from, to)).toMatchObject({
      code: 'off-increment',
      field: 'openInterest',
    });
  });
});
