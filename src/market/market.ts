/**
 * Market: all instruments by symbol, and the gate that a source's events pass.
 *
 * `check` looks at a whole submission first, so that all of it is taken or none; `apply` then cannot
 * refuse for form. Bounded: the number of instruments.
 */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Instrument, MarketEvent, SourceEvent } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { MarketCheckpoint, StatusHead } from './checkpoint';
import { FeedInstrument } from './feed-instrument';
import type { MarketOutput } from './output';

export interface MarketOptions {
  readonly instrumentsMax: number;
}

/** A fault of one event of a submission; its field is that of the event. */
export interface EventFault {
  readonly index: number;
  readonly fault: Fault;
}

export class Market {
  private readonly instruments = new Map<string, FeedInstrument>();
  private readonly statusHead: StatusHead = { status: 0 };
  private readonly options: MarketOptions;
  private readonly touched = new Set<FeedInstrument>();

  constructor(options: MarketOptions) {
    this.options = options;
  }

  get(symbol: string): FeedInstrument | undefined {
    return this.instruments.get(symbol);
  }

  all(): IterableIterator<FeedInstrument> {
    return this.instruments.values();
  }

  /** The first reason for which this submission may not enter, if there is one. */
  check(source: number, events: readonly SourceEvent[]): EventFault | undefined {
    const defined = new Map<string, Instrument>();
    const volumes = new Map<string, number>();
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!;
      const wrong =
        event.type === 'instrument'
          ? this.checkDefinition(event, defined)
          : (this.checkEvent(source, event, defined) ?? this.checkVolume(event, volumes));
      if (wrong !== undefined) return { index: i, fault: wrong };
    }
    return undefined;
  }

  private checkDefinition(d: Instrument, defined: Map<string, Instrument>): Fault | undefined {
    const known = defined.get(d.symbol) ?? this.instruments.get(d.symbol)?.definition;
    if (d.priceIncrement < 1) {
      return fieldFault('priceIncrement', d.priceIncrement, 'more than 0');
    }
    if (d.quantityIncrement < 1) {
      return fieldFault('quantityIncrement', d.quantityIncrement, 'more than 0');
    }
    if (d.market !== 'feed') return fieldFault('market', d.market, 'feed');
    if (known === undefined) {
      if (this.instruments.size + defined.size >= this.options.instrumentsMax) {
        return fault('overloaded', `there are ${this.options.instrumentsMax} instruments already`);
      }
    } else if (known.priceScale !== d.priceScale || known.quantityScale !== d.quantityScale) {
      return fault(
        'definition-conflict',
        `priceScale and quantityScale are ${d.priceScale} and ${d.quantityScale}; expected ${known.priceScale} and ${known.quantityScale}, which ${d.symbol} has`,
        'priceScale',
      );
    }
    defined.set(d.symbol, d);
    return undefined;
  }

  private checkEvent(
    source: number,
    event: Exclude<SourceEvent, Instrument>,
    defined: ReadonlyMap<string, Instrument>,
  ): Fault | undefined {
    const instrument = this.instruments.get(event.symbol);
    const definition = defined.get(event.symbol) ?? instrument?.definition;
    if (definition === undefined) {
      return fieldFault('symbol', event.symbol, 'a defined instrument', 'unknown-symbol');
    }
    if (instrument !== undefined && instrument.owner !== 0 && instrument.owner !== source) {
      const expected = 'an instrument that no other publisher feeds';
      return fieldFault('symbol', event.symbol, expected, 'symbol-in-use');
    }
    switch (event.type) {
      case 'trade':
        return (
          offPrice(event.price, definition, 'price') ??
          offQuantity(event.quantity, definition, 'quantity')
        );
      case 'bbo':
        return (
          offPrice(event.bid ?? 0, definition, 'bid') ??
          offPrice(event.ask ?? 0, definition, 'ask') ??
          offQuantity(event.bidQuantity, definition, 'bidQuantity') ??
          offQuantity(event.askQuantity, definition, 'askQuantity')
        );
      case 'book':
        return (
          offLevels(event.bids, definition, 'bids') ?? offLevels(event.asks, definition, 'asks')
        );
    }
  }

  /** The volume must stay exact, over all trades of the submission. */
  private checkVolume(
    event: Exclude<SourceEvent, Instrument>,
    volumes: Map<string, number>,
  ): Fault | undefined {
    if (event.type !== 'trade') return undefined;
    const before = volumes.get(event.symbol) ?? this.instruments.get(event.symbol)?.volume ?? 0;
    const volume = before + event.quantity;
    if (volume > Number.MAX_SAFE_INTEGER) {
      const expected = 'a quantity that keeps the volume within 2^53 - 1';
      return fieldFault('quantity', event.quantity, expected, 'out-of-range');
    }
    volumes.set(event.symbol, volume);
    return undefined;
  }

  /** Applies one event of a submission that `check` has passed. */
  apply(source: number, event: SourceEvent, out: MarketOutput): void {
    if (event.type === 'instrument') return this.define(event, out);
    const instrument = this.instruments.get(event.symbol)!;
    this.touched.add(instrument);
    instrument.owner = source;
    switch (event.type) {
      case 'trade':
        this.revive(instrument, event.eventTime, out);
        return instrument.trade(event, out);
      case 'bbo':
        this.revive(instrument, event.eventTime, out);
        return instrument.quote(event, out);
      case 'book':
        instrument.depth(event, out);
        return this.revive(instrument, event.eventTime, out);
    }
  }

  private revive(instrument: FeedInstrument, eventTime: Nanos, out: MarketOutput): void {
    if (instrument.state === 'stale' || instrument.state === 'recovered') {
      const broken = instrument.book.state === 'incomplete';
      instrument.tell(broken ? 'incomplete' : 'live', 'source-connected', 0, eventTime, out);
    }
  }

  private define(definition: Instrument, out: MarketOutput): void {
    const existing = this.instruments.get(definition.symbol);
    if (existing !== undefined && sameDefinition(existing.definition, definition)) return;
    const placed: Instrument = { ...definition, seq: out.nextSeq() };
    out.push(placed);
    if (existing !== undefined) existing.definition = placed;
    else {
      this.instruments.set(placed.symbol, new FeedInstrument(placed, this.statusHead));
    }
  }

  /** A source has gone: what it fed is stale until somebody feeds it again. */
  release(source: number, out: MarketOutput): void {
    for (const instrument of this.instruments.values()) {
      if (instrument.owner !== source) continue;
      instrument.owner = 0;
      if (instrument.state === 'live') {
        instrument.tell('stale', 'source-disconnected', 0, out.receiveTime, out);
      }
    }
  }

  /** After a restart: says of each instrument that it shows the time before. */
  announceRecovered(out: MarketOutput): void {
    for (const instrument of this.instruments.values()) {
      if (instrument.state === 'recovered') {
        instrument.tell('recovered', 'restart', 0, out.receiveTime, out);
      }
    }
  }

  /** Ends a batch. */
  seal(): void {
    for (const instrument of this.touched) instrument.seal();
    this.touched.clear();
  }

  checkpoint(): MarketCheckpoint {
    return {
      statusHead: this.statusHead.status,
      instruments: [...this.instruments.values()].map((i) => i.checkpoint()),
    };
  }

  /**
   * Rebuilds the market of the time before from a checkpoint and the events behind it.
   * @throws Error when the events do not fit the checkpoint
   */
  restore(checkpoint: MarketCheckpoint | null, tail: Iterable<MarketEvent>): void {
    this.statusHead.status = checkpoint?.statusHead ?? 0;
    for (const c of checkpoint?.instruments ?? []) {
      const instrument = new FeedInstrument(c.definition, this.statusHead);
      instrument.restore(c);
      this.instruments.set(c.definition.symbol, instrument);
    }
    for (const event of tail) this.recover(event);
    for (const instrument of this.instruments.values()) instrument.recovered();
  }

  private recover(event: MarketEvent): void {
    const instrument = this.instruments.get(event.symbol);
    if (event.type === 'instrument') {
      if (instrument !== undefined) instrument.definition = event;
      else this.instruments.set(event.symbol, new FeedInstrument(event, this.statusHead));
    } else if (instrument === undefined) {
      throw new Error(`record ${event.seq} names ${event.symbol}, which is not defined before it`);
    } else if (event.type === 'status') {
      this.statusHead.status = event.seq;
    } else {
      instrument.recover(event);
    }
  }
}

function sameDefinition(a: Instrument, b: Instrument): boolean {
  return (
    a.priceIncrement === b.priceIncrement &&
    a.quantityIncrement === b.quantityIncrement &&
    a.previousClose === b.previousClose
  );
}

function offPrice(price: number, d: Instrument, at: string): Fault | undefined {
  return price % d.priceIncrement === 0
    ? undefined
    : fieldFault(at, price, `a whole multiple of ${d.priceIncrement}`, 'off-increment');
}

function offQuantity(quantity: number, d: Instrument, at: string): Fault | undefined {
  return quantity % d.quantityIncrement === 0
    ? undefined
    : fieldFault(at, quantity, `a whole multiple of ${d.quantityIncrement}`, 'off-increment');
}

function offLevels(levels: readonly number[], d: Instrument, at: string): Fault | undefined {
  if (d.priceIncrement === 1 && d.quantityIncrement === 1) return undefined;
  for (let i = 0; i < levels.length; i += 2) {
    const wrong = offPrice(levels[i]!, d, `${at}[${i}]`) ?? offQuantity(levels[i + 1]!, d, at);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
