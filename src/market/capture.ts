/**
 * Capture: the state of the market in pieces, for checkpoints.
 *
 * A cycle captures the instruments that changed, each in its state when it is captured. Then it captures, at one
 * sequence number, the ended orders and the names of owners. Of open orders only what can change is copied at once; they
 * are written a chunk a call, so no call takes long. Invariant: it is called between batches.
 */

import type { StatisticsState } from '../../protocol/statistics';
import { stateText, type InstrumentText, type MarketRest } from './checkpoint';
import { FeedInstrument } from './feed-instrument';
import type { Market } from './market';
import { writtenOrder, type TrackedOrder } from './client-orders';
import type { VenueInstrument } from './venue-instrument';

type AnyInstrument = FeedInstrument | VenueInstrument;

/** A piece in the form that the journal stores. */
export interface CapturedPiece {
  readonly kind: 'instrument' | 'orders' | 'ended' | 'owners';
  readonly key: string | number;
  /** Index of the chunk, if an instrument has several. */
  readonly chunk: number;
  readonly seq: number;
  readonly text: string;
  readonly levels: readonly Float64Array<ArrayBuffer>[];
  readonly bytes: Uint8Array<ArrayBuffer> | null;
}

const OPEN_CHUNK_ORDERS = 250;
const OWNERS_CHUNK = 1_000;
const NO_LEVELS: readonly Float64Array<ArrayBuffer>[] = [];

export class MarketCapture {
  private readonly market: Market;
  private readonly statisticsOf: (symbol: string) => StatisticsState | null;
  private instruments: Iterator<AnyInstrument> = [].values();
  private instrumentsLeft = 0;
  /** What this cycle captures. */
  private taken = new Set<AnyInstrument>();
  private takenChunks: readonly number[] = [];
  private firstEnded = 0;
  /** Pieces that are captured, and become text on demand. */
  private waiting: (() => CapturedPiece)[] = [];
  private statusHead = 0;
  private ends: { readonly seq: number; readonly count: number } | undefined;
  private ownersBefore = 0;

  constructor(market: Market, statisticsOf: (symbol: string) => StatisticsState | null) {
    this.market = market;
    this.statisticsOf = statisticsOf;
  }

  get isChanged(): boolean {
    const { changed, clientOrders, ownersCaptured } = this.market;
    return (
      changed.size > 0 ||
      clientOrders.chunks.isChanged ||
      clientOrders.owners.length > ownersCaptured
    );
  }

  begin(): void {
    this.taken = this.market.takeChanged();
    this.instruments = this.taken.values();
    this.instrumentsLeft = this.taken.size;
    this.statusHead = this.market.newestStatus;
    this.ends = undefined;
    this.takenChunks = [];
    this.ownersBefore = this.market.ownersCaptured;
  }

  get left(): number {
    return this.instrumentsLeft + this.waiting.length;
  }

  next(seq: number): CapturedPiece | undefined {
    const waiting = this.waiting.shift();
    if (waiting !== undefined) return waiting();
    const instrument = this.instruments.next();
    if (instrument.done !== true) return this.instrument(instrument.value, seq);
    if (this.ends !== undefined) return undefined;
    this.captureEnds(seq);
    return this.waiting.shift()?.();
  }

  rest(): { readonly text: string; readonly endedFrom: number } {
    const { statusHead } = this;
    const { seq: endsSeq, count: endedCount } = this.ends!;
    const rest: MarketRest = { statusHead, endsSeq, endedCount };
    return { text: JSON.stringify(rest), endedFrom: this.firstEnded };
  }

  abort(): void {
    for (const instrument of this.taken) this.market.changed.add(instrument);
    this.market.clientOrders.chunks.markChanged(this.takenChunks);
    this.market.ownersCaptured = this.ownersBefore;
    this.waiting = [];
  }

  private instrument(instrument: AnyInstrument, seq: number): CapturedPiece {
    this.instrumentsLeft -= 1;
    // Later changes belong to the next cycle; those since this one began are included here.
    this.market.changed.delete(instrument);
    const { symbol } = instrument.definition;
    const statistics = this.statisticsOf(symbol);
    const of = { kind: 'instrument', key: symbol, chunk: 0, seq } as const;
    if (instrument instanceof FeedInstrument) {
      const text: InstrumentText = { ...instrument.head(), statistics };
      const { bids, asks } = instrument.levels(Infinity);
      const levels = [bids, asks].map((side) => Float64Array.from(side));
      return { ...of, text: stateText(text), levels, bytes: null };
    }
    const orderChunks = this.captureOrders(symbol, seq);
    const text: InstrumentText = { ...instrument.head(), orderChunks, statistics };
    return { ...of, text: stateText(text), levels: NO_LEVELS, bytes: instrument.snapshot() };
  }

  /** @returns the number of pieces */
  private captureOrders(symbol: string, seq: number): number {
    const orders = new OpenOrders(this.market.clientOrders.openAt(symbol));
    const chunks = Math.ceil(orders.length / OPEN_CHUNK_ORDERS);
    for (let chunk = 0; chunk < chunks; chunk++) {
      this.waiting.push(() => {
        const from = chunk * OPEN_CHUNK_ORDERS;
        const written = orders.slice(from, from + OPEN_CHUNK_ORDERS).map(writtenOrder);
        const text = stateText({ symbol, chunk, orders: written });
        return { kind: 'orders', key: symbol, chunk, seq, text, levels: NO_LEVELS, bytes: null };
      });
    }
    return chunks;
  }

  private captureEnds(seq: number): void {
    const { chunks, owners, endedTotal } = this.market.clientOrders;
    this.ends = { seq, count: endedTotal };
    this.firstEnded = chunks.first(endedTotal);
    const changed = chunks.takeChanged(endedTotal);
    this.takenChunks = changed.map(({ chunk }) => chunk);
    for (const { chunk, orders } of changed) {
      this.waiting.push(() => {
        const text = stateText(orders.map(writtenOrder));
        return { kind: 'ended', key: chunk, chunk: 0, seq, text, levels: NO_LEVELS, bytes: null };
      });
    }
    if (owners.length === this.market.ownersCaptured) return;
    const from = Math.floor(this.market.ownersCaptured / OWNERS_CHUNK) * OWNERS_CHUNK;
    this.market.ownersCaptured = owners.length;
    for (let first = from; first < owners.length; first += OWNERS_CHUNK) {
      const names = owners.slice(first, first + OWNERS_CHUNK);
      const key = first / OWNERS_CHUNK;
      this.waiting.push(() => {
        const text = JSON.stringify(names);
        return { kind: 'owners', key, chunk: 0, seq, text, levels: NO_LEVELS, bytes: null };
      });
    }
  }
}

/** The present state of open orders; what never changes of an order is read later. */
class OpenOrders {
  private readonly orders: readonly TrackedOrder[];
  private readonly numbers: Float64Array;
  private readonly fills: TrackedOrder['fills'][];
  private readonly answers: TrackedOrder['answer'][];

  constructor(orders: Iterable<TrackedOrder>) {
    this.orders = [...orders];
    const count = this.orders.length;
    this.numbers = new Float64Array(count * 3);
    this.fills = new Array<TrackedOrder['fills']>(count);
    this.answers = new Array<TrackedOrder['answer']>(count);
    for (let i = 0; i < count; i++) {
      const order = this.orders[i]!;
      this.numbers[i * 3] = order.price;
      this.numbers[i * 3 + 1] = order.open;
      this.numbers[i * 3 + 2] = order.traded;
      this.fills[i] = order.fills;
      this.answers[i] = order.answer;
    }
  }

  get length(): number {
    return this.orders.length;
  }

  slice(from: number, to: number): TrackedOrder[] {
    return this.orders.slice(from, to).map((order, i) => this.at(order, from + i));
  }

  private at(order: TrackedOrder, index: number): TrackedOrder {
    const [price, open, traded] = this.numbers.subarray(index * 3, index * 3 + 3);
    const then: TrackedOrder = { ...order, status: 'open', code: null };
    delete then.endedAs;
    const [fills, answer] = [this.fills[index], this.answers[index]];
    return Object.assign(then, { price, open, traded, fills, answer });
  }
}
