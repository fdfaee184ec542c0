/**
 * Feed checks: whether all that a source submits at once may enter. Nothing is changed here but what is
 * remembered of refused definitions, so a submission is taken whole or not at all.
 */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Instrument, SourceEvent } from '../../protocol/messages';
import { timeUnitFault } from '../../protocol/time-unit';
import { Increments } from './increments';

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
  /** Of a fed one: what its prices and quantities are multiples of. */
  readonly increments?: Increments;
  /** Sources whose newest definition of it was refused: what they send of it is meant otherwise. */
  readonly misread?: Set<number>;
}

/** What a submission defines before the event at hand. */
interface Defined {
  readonly definition: Instrument;
  readonly increments: Increments;
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
  check(
    source: number,
    events: readonly SourceEvent[],
    isDecimal: boolean,
  ): EventFault | undefined {
    const defined = new Map<string, Defined>();
    const added = new Set<string>();
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!;
      const wrong =
        event.type === 'instrument'
          ? this.checkDefinition(source, event, defined, added)
          : this.checkEvent(source, event, defined, isDecimal);
      if (wrong !== undefined) return { index: i, fault: wrong };
    }
    return undefined;
  }

  /** @param added the symbols among those defined that are new */
  private checkDefinition(
    source: number,
    d: Instrument,
    defined: Map<string, Defined>,
    added: Set<string>,
  ): Fault | undefined {
    const instrument = this.find(d.symbol);
    const known = defined.get(d.symbol)?.definition ?? instrument?.definition;
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
        return tooManyInstruments(this.instrumentsMax);
      }
      added.add(d.symbol);
    } else if (known.priceScale !== d.priceScale || known.quantityScale !== d.quantityScale) {
      instrument?.misread?.add(source);
      return fault(
        'definition-conflict',
        `priceScale and quantityScale are ${d.priceScale} and ${d.quantityScale}; expected ${known.priceScale} and ${known.quantityScale}, which ${d.symbol} has`,
        'priceScale',
      );
    }
    const before = defined.get(d.symbol)?.increments ?? instrument?.increments;
    const increments = before?.copy() ?? new Increments(d);
    increments.add(d);
    defined.set(d.symbol, { definition: d, increments });
    return undefined;
  }

  private checkEvent(
    source: number,
    event: FeedEvent,
    defined: ReadonlyMap<string, Defined>,
    isDecimal: boolean,
  ): Fault | undefined {
    const instrument = this.find(event.symbol);
    const newer = defined.get(event.symbol);
    const definition = newer?.definition ?? instrument?.definition;
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
    if (newer === undefined && !isDecimal && instrument?.misread?.has(source) === true) {
      const expected = 'an instrument whose definition by this source was not refused';
      return fieldFault('symbol', event.symbol, expected, 'definition-conflict');
    }
    const increments = newer?.increments ?? instrument!.increments!;
    return timeUnitFault('eventTime', event.eventTime) ?? checkAmounts(event, increments);
  }
}

export function tooManyInstruments(instrumentsMax: number): Fault {
  const message = `there are ${instrumentsMax} instruments already, as many as there may be`;
  return fault('too-many-instruments', message, 'symbol');
}

function checkAmounts(event: FeedEvent, increments: Increments): Fault | undefined {
  switch (event.type) {
    case 'trade':
      return (
        increments.priceFault(event.price, 'price') ??
        increments.quantityFault(event.quantity, 'quantity')
      );
    case 'bbo':
      return (
        increments.priceFault(event.bid ?? 0, 'bid') ??
        increments.priceFault(event.ask ?? 0, 'ask') ??
        increments.quantityFault(event.bidQuantity, 'bidQuantity') ??
        increments.quantityFault(event.askQuantity, 'askQuantity')
      );
    case 'book':
      return (
        increments.levelsFault(event.bids, 'bids') ?? increments.levelsFault(event.asks, 'asks')
      );
    case 'renumber':
      return undefined;
  }
}
