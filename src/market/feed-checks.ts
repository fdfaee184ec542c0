/**
 * Feed checks: whether all that a source submits at once may enter. Nothing is changed here, so a
 * submission is taken whole or not at all.
 */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Instrument, SourceEvent } from '../../protocol/messages';

/** A fault of one event of a submission; its field is that of the event. */
export interface EventFault {
  readonly index: number;
  readonly fault: Fault;
}

/** What is known of an instrument before the submission. */
export interface KnownInstrument {
  readonly definition: Instrument;
  /** The source that feeds it; 0 when none does. */
  readonly owner: number;
  readonly volume: number;
}

type FeedEvent = Exclude<SourceEvent, Instrument>;

export class FeedChecks {
  private readonly find: (symbol: string) => KnownInstrument | undefined;
  private readonly count: () => number;
  private readonly instrumentsMax: number;

  /** @param count number of instruments that there are */
  constructor(
    find: (symbol: string) => KnownInstrument | undefined,
    count: () => number,
    instrumentsMax: number,
  ) {
    this.find = find;
    this.count = count;
    this.instrumentsMax = instrumentsMax;
  }

  /** The first reason for which this submission may not enter, if there is one. */
  check(source: number, events: readonly SourceEvent[]): EventFault | undefined {
    const defined = new Map<string, Instrument>();
    const added = new Set<string>();
    const volumes = new Map<string, number>();
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!;
      const wrong =
        event.type === 'instrument'
          ? this.checkDefinition(event, defined, added)
          : (this.checkEvent(source, event, defined) ?? this.checkVolume(event, volumes));
      if (wrong !== undefined) return { index: i, fault: wrong };
    }
    return undefined;
  }

  /** @param added the symbols among those defined that are new */
  private checkDefinition(
    d: Instrument,
    defined: Map<string, Instrument>,
    added: Set<string>,
  ): Fault | undefined {
    const known = defined.get(d.symbol) ?? this.find(d.symbol)?.definition;
    if (d.priceIncrement < 1) {
      return fieldFault('priceIncrement', d.priceIncrement, 'more than 0');
    }
    if (d.quantityIncrement < 1) {
      return fieldFault('quantityIncrement', d.quantityIncrement, 'more than 0');
    }
    if (d.market !== 'feed') return fieldFault('market', d.market, 'feed');
    if (known?.market === 'venue') {
      return fieldFault('symbol', d.symbol, 'an instrument that is fed', 'wrong-market');
    }
    if (known === undefined) {
      if (this.count() + added.size >= this.instrumentsMax) {
        return fault('overloaded', `there are ${this.instrumentsMax} instruments already`);
      }
      added.add(d.symbol);
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
    event: FeedEvent,
    defined: ReadonlyMap<string, Instrument>,
  ): Fault | undefined {
    const instrument = this.find(event.symbol);
    const definition = defined.get(event.symbol) ?? instrument?.definition;
    if (definition === undefined) {
      return fieldFault('symbol', event.symbol, 'a defined instrument', 'unknown-symbol');
    }
    if (definition.market !== 'feed') {
      return fieldFault('symbol', event.symbol, 'an instrument that is fed', 'wrong-market');
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
  private checkVolume(event: FeedEvent, volumes: Map<string, number>): Fault | undefined {
    if (event.type !== 'trade') return undefined;
    const before = volumes.get(event.symbol) ?? this.find(event.symbol)?.volume ?? 0;
    const volume = before + event.quantity;
    if (volume > Number.MAX_SAFE_INTEGER) {
      const expected = 'a quantity that keeps the volume within 2^53 - 1';
      return fieldFault('quantity', event.quantity, expected, 'out-of-range');
    }
    volumes.set(event.symbol, volume);
    return undefined;
  }
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
    const level = `${at}[${i / 2}]`;
    const wrong =
      offPrice(levels[i]!, d, `${level}[0]`) ?? offQuantity(levels[i + 1]!, d, `${level}[1]`);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
