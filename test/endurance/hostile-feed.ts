/**
 * A hostile source: one symbol whose source does everything that real sources were seen to do wrong. It knows the
 * truth: which of its events must be recorded, which are repetitions, which must be refused, and the book after
 * each of its sequence numbers.
 */

import type { Instrument, SourceEvent, Trade } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import { Nanos as Time } from '../../protocol/time';
import type { Prng } from '../../src/base/prng';
import { bbo, book, instrument, trade } from '../support/market-events';

/** The required outcome of an event. */
export type Fate = 'recorded' | 'repeated' | 'refused' | 'any';

export interface Sent {
  readonly event: SourceEvent;
  readonly fate: Fate;
}

/** The ways in which a step goes wrong, or does not. */
export const FAULTS = [
  'none',
  'none',
  'none',
  'none',
  'none',
  'repeat',
  'swap',
  'skip',
  'restart',
  'announced',
  'absurd',
  'late',
  'older-day',
  'ahead',
  'unit',
  'conflict',
  'coarser',
  'lose-delta',
  'snapshot',
  'crossed',
  'one-sided',
  'incomplete',
  'quote',
] as const;
export type Kind = (typeof FAULTS)[number];

const SECOND = 1e9;
const DAY = 86_400e9;
const PRICES = 40;
/** The tick size becomes coarser, so what was valid once stays valid. */
const INCREMENTS = [1, 5, 10] as const;

type Side = Map<number, number>;

export class HostileFeed {
  readonly symbol: string;
  private readonly random: Prng;
  private number = 0;
  private tradeId = 0;
  private newest: Trade[] = [];
  private wasAbsurd = false;
  private bookSeq = 0;
  private sentSeq = 0;
  private numbering = 0;
  private increment = 0;
  private readonly bids: Side = new Map();
  private readonly asks: Side = new Map();
  /** The levels after each sequence number, in all numberings. */
  private readonly states = new Map<number, Set<string>>();

  constructor(random: Prng, symbol: string) {
    this.random = random;
    this.symbol = symbol;
    this.beginBook();
    this.beginTrades();
  }

  definition(): Instrument {
    const priceIncrement = INCREMENTS[this.increment]!;
    return instrument(this.symbol, { priceIncrement, quantityIncrement: 1 });
  }

  /** Whether the book had these levels at a sequence number of the source. */
  knows(seq: number, bids: readonly number[], asks: readonly number[]): boolean {
    return this.states.get(seq)?.has(levelsKey(bids, asks)) === true;
  }

  /** A restarted server does not know what was sent before. */
  forget(): void {
    this.newest = [];
  }

  /** One step of a kind, at the given time of the server. */
  step(kind: Kind, now: Nanos): Sent[] {
    switch (kind) {
      case 'none':
      case 'skip':
        if (kind === 'skip') this.number += this.random.int(1, 20);
        return [this.trade(now), this.delta(now)];
      case 'repeat':
        return this.newest
          .slice(-this.random.int(1, 8))
          .map((event) => ({ event, fate: 'repeated' }));
      case 'swap': {
        const [first, second] = [this.trade(now.plus(-2_000)), this.trade(now.plus(-1_000))];
        return [second, first];
      }
      case 'restart':
        return this.restart(now);
      case 'announced':
        this.beginTrades();
        this.beginBook();
        return [this.renumber(now), this.snapshot(now), this.trade(now)];
      case 'absurd':
        return this.absurd(now);
      case 'late':
      case 'older-day':
      case 'ahead':
        return [this.mistimed(kind, now)];
      case 'unit':
        return this.otherUnit(now);
      case 'conflict':
        return [
          { event: { ...this.definition(), priceScale: 5 }, fate: 'refused' },
          { event: { ...this.made(now, {}), tradeId: 0 }, fate: 'refused' },
          { event: this.definition(), fate: 'any' },
        ];
      case 'coarser':
        this.increment = Math.min(this.increment + 1, INCREMENTS.length - 1);
        return [{ event: this.definition(), fate: 'any' }, this.delta(now)];
      case 'lose-delta':
        this.move();
        this.sentSeq = this.bookSeq;
        return [this.delta(now)];
      case 'snapshot':
        return [this.snapshot(now)];
      default:
        return [this.oddBook(kind, now)];
    }
  }

  // ── trades ──────────────────────────────────────────────────────────────────────────────────

  private trade(now: Nanos, more: Partial<Trade> = {}): Sent {
    this.number += 1;
    if (this.wasAbsurd) this.newest = [];
    this.wasAbsurd = false;
    const event = this.made(now, { seq: this.number, prevSeq: this.number - 1, ...more });
    this.newest.push(event);
    return { event, fate: 'recorded' };
  }

  private made(now: Nanos, more: Partial<Trade>): Trade {
    const { random, symbol } = this;
    this.tradeId += 1;
    // The clock of the source is slightly behind, by a varying time.
    const eventTime = now.plus(-random.int(0, 50) * 1e6);
    const quantity = random.chance(0.02) ? Number.MAX_SAFE_INTEGER : random.int(0, 1_000);
    return trade({
      symbol,
      eventTime,
      price: random.int(1, 5_000),
      quantity,
      tradeId: this.tradeId,
      ...more,
    });
  }

  /** Numbers begin again, without notice. */
  private restart(now: Nanos): Sent[] {
    this.beginTrades();
    this.beginBook();
    return [this.trade(now), this.delta(now), this.snapshot(now)];
  }

  private absurd(now: Nanos): Sent[] {
    const seq = Number.MAX_SAFE_INTEGER - this.random.int(0, 1_000);
    this.newest = [];
    this.wasAbsurd = true;
    return [{ event: this.made(now, { seq, prevSeq: seq - 1 }), fate: 'recorded' }];
  }

  /** Without a number: late and future events belong to no numbering. */
  private mistimed(kind: 'late' | 'older-day' | 'ahead', now: Nanos): Sent {
    const { random } = this;
    const by = {
      'late': -random.int(30, 300) * SECOND,
      'older-day': -random.int(1, 20) * DAY,
      'ahead': random.int(1, 100_000) * SECOND,
    }[kind];
    return { event: this.made(now, { eventTime: now.plus(by) }), fate: 'recorded' };
  }

  private otherUnit(now: Nanos): Sent[] {
    const divisor = this.random.chance(0.5) ? 1_000n : 1_000_000_000n;
    const eventTime = Time.fromBigInt(now.toBigInt() / divisor);
    return [{ event: this.made(now, { eventTime }), fate: 'refused' }];
  }

  private renumber(now: Nanos): Sent {
    const { symbol } = this;
    const event = {
      type: 'renumber',
      symbol,
      seq: 0,
      prevSeq: 0,
      eventTime: now,
      receiveTime: Time.ZERO,
      numbers: 'all',
    } as const;
    return { event, fate: 'any' };
  }

  private beginTrades(): void {
    this.number = this.random.int(0, 1_000_000);
    this.newest = [];
  }

  // ── the book ────────────────────────────────────────────────────────────────────────────────

  /** Numbers far from those of any numbering before, because close ones could be of either. */
  private beginBook(): void {
    this.numbering += 1;
    this.bookSeq = this.random.int(1, 1_000) * 1_000_000 + this.numbering * 1_000;
    this.sentSeq = this.bookSeq;
    this.keep();
  }

  private delta(now: Nanos): Sent {
    const before = this.sentSeq;
    const changed = this.move();
    this.sentSeq = this.bookSeq;
    const { symbol } = this;
    const event = book('delta', this.bookSeq, before, changed.bids, changed.asks, {
      symbol,
      eventTime: now,
    });
    return { event, fate: 'any' };
  }

  private snapshot(now: Nanos): Sent {
    this.sentSeq = this.bookSeq;
    const { symbol } = this;
    const event = book('snapshot', this.bookSeq, 0, flat(this.bids), flat(this.asks), {
      symbol,
      eventTime: now,
    });
    return { event, fate: 'any' };
  }

  private oddBook(kind: 'crossed' | 'one-sided' | 'incomplete' | 'quote', now: Nanos): Sent {
    const { symbol } = this;
    if (kind === 'incomplete') {
      return { event: book('incomplete', 0, 0, [], [], { symbol, eventTime: now }), fate: 'any' };
    }
    if (kind === 'quote') {
      const event = bbo(0, [100, 1], [200, 1], { symbol, eventTime: now });
      return { event, fate: 'any' };
    }
    this.bookSeq += 1;
    if (kind === 'one-sided') this.asks.clear();
    else this.bids.set(this.price() + 10 * PRICES, 3);
    this.keep();
    return this.snapshot(now);
  }

  private move(): { bids: number[]; asks: number[] } {
    const { random } = this;
    this.bookSeq += 1;
    const isBid = random.chance(0.5);
    const side = isBid ? this.bids : this.asks;
    const price = isBid ? this.price() : this.price() + PRICES * 10;
    const quantity = random.chance(0.4) ? 0 : random.int(1, 99);
    if (quantity === 0) side.delete(price);
    else side.set(price, quantity);
    this.keep();
    return { bids: isBid ? [price, quantity] : [], asks: isBid ? [] : [price, quantity] };
  }

  private price(): number {
    return this.random.int(1, PRICES * 10);
  }

  private keep(): void {
    const known = this.states.get(this.bookSeq) ?? new Set<string>();
    known.add(levelsKey(sorted(this.bids, -1), sorted(this.asks, 1)));
    this.states.set(this.bookSeq, known);
  }
}

function flat(side: Side): number[] {
  return [...side].flat();
}

function sorted(side: Side, sign: 1 | -1): number[] {
  return [...side].sort(([a], [b]) => (a - b) * sign).flat();
}

function levelsKey(bids: readonly number[], asks: readonly number[]): string {
  return `${bids.join()}|${asks.join()}`;
}
