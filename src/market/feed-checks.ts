/**
 * Feed checks: whether everything that a source submits together can be accepted. Nothing is changed here except the
 * record of refused definitions, so a submission is taken as a whole or refused.
 *
 * A long submission is checked and applied over several turns, between which other submissions are taken. So it reserves
 * what its checks have found until it ends: its symbols belong to its source, and the instruments and levels that it
 * adds are counted as if they existed. Nothing else that was checked can change: scales never do, and a valid increment
 * stays valid.
 */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { FieldSpec } from '../../protocol/fields';
import type { Instrument, PlainMessage, SourceEvent } from '../../protocol/messages';
import { kindOf, plainFields } from '../../protocol/plain';
import type { Nanos } from '../../protocol/time';
import { timeUnitFault } from '../../protocol/time-unit';
import type { DefinedBy } from './defined-by';
import { Increments } from './increments';
import type { LevelCounts } from './level-counts';
import { LevelPlan, type KnownLevels } from './level-plan';

/** A fault of one event of a submission; `field` names the field of that event. */
export interface EventFault {
  readonly index: number;
  readonly fault: Fault;
}

/** An instrument as it is before the submission. */
export interface KnownInstrument extends KnownLevels {
  readonly definition: Instrument;
  /** The source that feeds it; 0 if none does. */
  readonly owner: number;
  /** For a feed instrument: the increments of its prices and quantities. */
  readonly increments?: Increments;
  /** Whether it counts as absent, except for its scales. */
  readonly isDeleted?: boolean;
}

/** The sender of a submission. */
export interface Submitting {
  readonly source: number;
  /** The name of the key; without a key the address. */
  readonly owner: string;
  /** Whether prices and quantities came as decimals: then the source's scales do not matter. */
  readonly isDecimal: boolean;
}

/** The instruments that submissions are checked against. */
interface KnownInstruments {
  get(symbol: string): KnownInstrument | undefined;
  /** Number of instruments. */
  size(): number;
}

/** A definition earlier in the same submission. */
interface Defined {
  readonly definition: Instrument;
  readonly increments: Increments;
}

type FeedEvent = Exclude<SourceEvent, Instrument>;

/** State shared by all submissions: refused definitions, and what submissions in progress reserve. */
export class FeedChecks {
  readonly known: KnownInstruments;
  readonly levels: LevelCounts;
  readonly instrumentsMax: number;
  /** Whether a new symbol may be defined here; another shard may have it. */
  readonly isOwn: (symbol: string) => boolean;
  private readonly definedBy: DefinedBy;
  /** By source: symbols whose newest definition was refused, so the source's integers mean something else. */
  private readonly misread = new Map<number, Set<string>>();
  /** Submissions in progress by the symbols that they reserve. */
  private readonly holders = new Map<string, FeedAdmission>();
  private readonly holding = new Map<FeedAdmission, string[]>();

  constructor(
    known: KnownInstruments,
    instrumentsMax: number,
    levels: LevelCounts,
    definedBy: DefinedBy,
    isOwn: (symbol: string) => boolean = () => true,
  ) {
    this.isOwn = isOwn;
    this.known = known;
    this.instrumentsMax = instrumentsMax;
    this.levels = levels;
    this.definedBy = definedBy;
  }

  /** @param holds whether the results of checks must stay valid until the submission is closed */
  admit(from: Submitting, events: readonly SourceEvent[], holds: boolean): FeedAdmission {
    return new FeedAdmission(this, from, events, holds);
  }

  hold(symbol: string, admission: FeedAdmission): void {
    if (this.holders.get(symbol) === admission) return;
    this.holders.set(symbol, admission);
    const symbols = this.holding.get(admission);
    if (symbols === undefined) this.holding.set(admission, [symbol]);
    else symbols.push(symbol);
  }

  close(admission: FeedAdmission): void {
    for (const symbol of this.holding.get(admission) ?? []) this.holders.delete(symbol);
    this.holding.delete(admission);
  }

  /** Whether another submission in progress reserves this symbol. */
  isHeld(symbol: string, by?: FeedAdmission): boolean {
    const holder = this.holders.size === 0 ? undefined : this.holders.get(symbol);
    return holder !== undefined && holder !== by;
  }

  /** Whether one more instrument would be too many. @param more instruments added before it */
  isFull(more: number, by?: FeedAdmission): boolean {
    let count = this.known.size() + more;
    for (const [{ added }] of this.holding) if (added !== by?.added) count += added.size;
    return count >= this.instrumentsMax;
  }

  /** Why this key cannot add an instrument. @param more instruments added before it */
  tooMany(owner: string, more: number, by: FeedAdmission): Fault | undefined {
    if (this.isFull(more, by)) return tooManyInstruments(this.instrumentsMax);
    let own = more;
    for (const [other] of this.holding) {
      if (other !== by && other.from.owner === owner) own += other.added.size;
    }
    return this.definedBy.fault(owner, own);
  }

  /** An instrument was added. */
  setAdded(symbol: string): void {
    this.holders.get(symbol)?.added.delete(symbol);
  }

  misreads(source: number, symbol: string): boolean {
    return this.misread.get(source)?.has(symbol) ?? false;
  }

  setMisread(source: number, symbol: string): void {
    const symbols = this.misread.get(source);
    if (symbols === undefined) this.misread.set(source, new Set([symbol]));
    else symbols.add(symbol);
  }

  /** A definition of a source was accepted. */
  setRead(source: number, symbol: string): void {
    this.misread.get(source)?.delete(symbol);
  }

  hasMisread(source: number): boolean {
    return this.misread.has(source);
  }

  /** A source has disconnected. */
  forget(source: number): void {
    this.misread.delete(source);
  }
}

/** The checks of one submission. */
export class FeedAdmission {
  /** Symbols that this submission adds. */
  readonly added = new Set<string>();
  private readonly checks: FeedChecks;
  readonly from: Submitting;
  private readonly events: readonly SourceEvent[];
  private readonly holds: boolean;
  private readonly defined = new Map<string, Defined>();
  private readonly plan: LevelPlan;
  private checked = 0;

  constructor(
    checks: FeedChecks,
    from: Submitting,
    events: readonly SourceEvent[],
    holds: boolean,
  ) {
    this.checks = checks;
    this.from = from;
    this.events = events;
    this.holds = holds;
    this.plan = new LevelPlan(checks.levels, from.owner, checks.known);
  }

  /** Checks the events up to index `to`, behind those checked before. @returns the first fault among them */
  check(to: number): EventFault | undefined {
    for (; this.checked < to; this.checked++) {
      const event = this.events[this.checked]!;
      const wrong = this.checkEvent(event) ?? this.plan.check(this.events, this.checked);
      if (wrong !== undefined) return { index: this.checked, fault: wrong };
      if (this.holds) this.checks.hold(event.symbol, this);
    }
    if (this.holds) this.plan.reserve();
    return undefined;
  }

  /** The submission was taken or refused: releases what it reserved. */
  close(): void {
    if (!this.holds) return;
    this.checks.close(this);
    this.plan.release();
  }

  private checkEvent(event: SourceEvent): Fault | undefined {
    return event.type === 'instrument' ? this.checkDefinition(event) : this.checkFed(event);
  }

  private checkDefinition(d: Instrument): Fault | undefined {
    const { checks, defined } = this;
    const instrument = checks.known.get(d.symbol);
    const refused = this.formFault(d) ?? this.scaleFault(d) ?? this.ownerFault(d);
    if (refused !== undefined) return refused;
    const before = defined.get(d.symbol)?.increments ?? instrument?.increments;
    const increments = before?.copy() ?? new Increments(d);
    increments.add(d);
    defined.set(d.symbol, { definition: d, increments });
    return undefined;
  }

  /** Why this cannot be a definition by a source. */
  private formFault(d: Instrument): Fault | undefined {
    if (d.priceIncrement < 1) {
      return fieldFault('priceIncrement', d.priceIncrement, 'more than 0');
    }
    if (d.quantityIncrement < 1) {
      return fieldFault('quantityIncrement', d.quantityIncrement, 'more than 0');
    }
    if (d.market !== 'feed') return fieldFault('market', d.market, 'feed');
    if (d.shard !== null) return fieldFault('shard', d.shard, 'nil at a server without shards');
    if (this.knownDefinition(d.symbol)?.market === 'venue') {
      return fieldFault('symbol', d.symbol, 'a feed instrument', 'wrong-market');
    }
    return this.checks.isHeld(d.symbol, this) ? inUse(d.symbol) : undefined;
  }

  /** Scales never change: why this definition cannot replace the known one. */
  private scaleFault(d: Instrument): Fault | undefined {
    const { checks, from } = this;
    const known = this.knownDefinition(d.symbol);
    if (known === undefined || sameScales(known, d)) return undefined;
    if (checks.known.get(d.symbol) !== undefined) checks.setMisread(from.source, d.symbol);
    return fault(
      'definition-conflict',
      `priceScale and quantityScale are ${d.priceScale} and ${d.quantityScale}; expected ${known.priceScale} and ${known.quantityScale}, which ${d.symbol} has`,
      'priceScale',
    );
  }

  /** Why this source cannot add the instrument, or define one that another source feeds. */
  private ownerFault(d: Instrument): Fault | undefined {
    const { checks, from, added } = this;
    const instrument = checks.known.get(d.symbol);
    const isNew = this.knownDefinition(d.symbol) === undefined;
    if (isNew && !checks.isOwn(d.symbol)) return foreignSymbol(d.symbol);
    if (isNew || (instrument?.isDeleted === true && !added.has(d.symbol))) {
      const tooMany = checks.tooMany(from.owner, added.size, this);
      if (tooMany === undefined) added.add(d.symbol);
      return tooMany;
    }
    if (instrument === undefined || !isOfAnother(instrument, from.source)) return undefined;
    // The source reads its numbers by its definition; repeating the same one is harmless.
    return sameDefinition(instrument.definition, d) ? undefined : inUse(d.symbol);
  }

  private knownDefinition(symbol: string): Instrument | undefined {
    return this.defined.get(symbol)?.definition ?? this.checks.known.get(symbol)?.definition;
  }

  private checkFed(event: FeedEvent): Fault | undefined {
    const { checks, from } = this;
    const { symbol } = event;
    const instrument = checks.known.get(symbol);
    const newer = this.defined.get(symbol);
    const definition = newer?.definition ?? instrument?.definition;
    if (definition === undefined || (newer === undefined && instrument?.isDeleted === true)) {
      return fieldFault('symbol', symbol, 'a defined instrument', 'unknown-symbol');
    }
    if (definition.market !== 'feed') {
      return fieldFault('symbol', symbol, 'a feed instrument', 'wrong-market');
    }
    const isTaken = instrument !== undefined && isOfAnother(instrument, from.source);
    if (isTaken || checks.isHeld(symbol, this)) return inUse(symbol);
    if (newer === undefined && !from.isDecimal && checks.misreads(from.source, symbol)) {
      const expected = 'an instrument whose definition by this source was not refused';
      return fieldFault('symbol', symbol, expected, 'definition-conflict');
    }
    const increments = newer?.increments ?? instrument!.increments!;
    return timeUnitFault('eventTime', event.eventTime) ?? checkAmounts(event, increments);
  }
}

/** Whether another source feeds it. Source 0, the server itself, may define anything. */
function isOfAnother({ owner }: KnownInstrument, source: number): boolean {
  return source !== 0 && owner !== 0 && owner !== source;
}

function sameScales(a: Instrument, b: Instrument): boolean {
  return a.priceScale === b.priceScale && a.quantityScale === b.quantityScale;
}

/** Whether two definitions with the same scales are equal. */
export function sameDefinition(a: Instrument, b: Instrument): boolean {
  return (
    a.priceIncrement === b.priceIncrement &&
    a.quantityIncrement === b.quantityIncrement &&
    a.previousClose === b.previousClose
  );
}

function inUse(symbol: string): Fault {
  return fieldFault(
    'symbol',
    symbol,
    'an instrument that no other publisher feeds',
    'symbol-in-use',
  );
}

export function foreignSymbol(symbol: string): Fault {
  return fieldFault('symbol', symbol, 'a symbol of this shard (cluster.symbols of its leader)');
}

export function tooManyInstruments(instrumentsMax: number): Fault {
  const message = `there are ${instrumentsMax} instruments already, which is the limit`;
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
    default:
      return checkPlain(event, increments);
  }
}

/** Checks the own fields of a plain message by their kinds. */
function checkPlain(event: PlainMessage, increments: Increments): Fault | undefined {
  const values = event as unknown as Readonly<Record<string, unknown>>;
  for (const [name, field] of Object.entries(plainFields(event.type))) {
    const value = values[name];
    const wrong = value === null ? undefined : valueFault(kindOf(field), value, name, increments);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function valueFault(
  kind: FieldSpec['type'],
  value: unknown,
  name: string,
  increments: Increments,
): Fault | undefined {
  switch (kind) {
    case 'price':
      return increments.priceFault(value as number, name);
    case 'quantity':
      return increments.quantityFault(value as number, name);
    case 'levels':
      return increments.levelsFault(value as readonly number[], name);
    case 'nanos':
      return timeUnitFault(name, value as Nanos);
    default:
      return undefined;
  }
}
