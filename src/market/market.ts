/**
 * Market: all instruments by symbol, fed ones and venues, and what enters them.
 *
 * Events of sources are checked a whole submission at a time (`feed-checks.ts`) and then applied;
 * orders pass the router. Bounded: the number of instruments, and of orders kept after their end.
 */

import { fieldFault, type Fault } from '../../protocol/codes';
import type { Instrument, SourceEvent } from '../../protocol/messages';
import type { BatchEvent, RecordedInstrument } from '../../protocol/records';
import { assert } from '../base/assert';
import type { MarketCheckpoint, MarketPieces } from './checkpoint';
import { DefinedBy } from './defined-by';
import { Deletions, isDeleted } from './deletions';
import {
  FeedChecks,
  sameDefinition,
  type EventFault,
  type FeedAdmission,
  type Submitting,
} from './feed-checks';
import { FeedInstrument } from './feed-instrument';
import type { SourceAccount } from './held-deltas';
import type { IntakeOutcome } from './intake';
import { LevelCounts, type LevelLimits } from './level-counts';
import { OrderDesk } from './order-desk';
import { OrderRouter, type OrderLimits } from './order-router';
import type { MarketOutput } from './output';
import { checkOwn } from './own-definitions';
import { Recovery, type TakeStatistics } from './recovery';
import type { TimeLimits } from './trade-clock';
import { VenueInstrument } from './venue-instrument';
import type { StatusHead } from './feed-status';

export interface MarketOptions extends OrderLimits, Partial<LevelLimits> {
  readonly instrumentsMax: number;
  /** Those that one key has defined; absent: all of them. */
  readonly instrumentsPerKeyMax?: number;
  readonly endedOrdersMax: number;
  /** How far times may be from the present, by symbol; by default `TIME_LIMITS`. */
  readonly timeLimits?: (symbol: string) => TimeLimits;
  /** Of what sources make it hold; without, only each book is bounded. */
  readonly account?: SourceAccount | undefined;
}

/** Where the settings say nothing else. */
export const TIME_LIMITS: TimeLimits = {
  timeAheadMs: 10_000,
  latenessMs: 60_000,
  sessionBoundary: 0,
};

type AnyInstrument = FeedInstrument | VenueInstrument;

export class Market {
  /** Orders enter here. */
  readonly router: OrderRouter;
  private readonly instruments = new Map<string, AnyInstrument>();
  private readonly venues: VenueInstrument[] = [];
  readonly desk: OrderDesk;
  /** Instruments that are not as they were captured last. */
  changed = new Set<AnyInstrument>();
  /** Names of owners that pieces have. */
  ownersCaptured = 0;
  private readonly checks: FeedChecks;
  private readonly levels: LevelCounts;
  private readonly definedBy: DefinedBy;
  private readonly deletions: Deletions;
  /** What each session feeds, or was the last to feed. */
  private readonly fed = new Map<number, Set<FeedInstrument>>();
  private readonly statusHead: StatusHead = { status: 0 };
  private readonly touched = new Set<AnyInstrument>();
  private readonly account: SourceAccount | null;
  private timeLimits: (symbol: string) => TimeLimits;

  constructor(options: MarketOptions) {
    this.timeLimits = options.timeLimits ?? (() => TIME_LIMITS);
    this.account = options.account ?? null;
    const find = (symbol: string): AnyInstrument | undefined => this.get(symbol);
    this.definedBy = new DefinedBy(options.instrumentsPerKeyMax ?? Infinity);
    this.deletions = new Deletions(this.definedBy);
    const { levelsMax = Infinity, levelsPerKeyMax = Infinity } = options;
    this.desk = new OrderDesk(options.endedOrdersMax);
    this.levels = new LevelCounts({ levelsMax, levelsPerKeyMax });
    const known = { get: (symbol: string) => this.known(symbol), size: () => this.size };
    this.checks = new FeedChecks(known, options.instrumentsMax, this.levels, this.definedBy);
    const touch = (venue: VenueInstrument): unknown => this.touched.add(venue);
    this.router = new OrderRouter(find, this.venues, this.desk, touch, options);
  }

  get(symbol: string): AnyInstrument | undefined {
    const instrument = this.instruments.get(symbol);
    return isDeleted(instrument) ? undefined : instrument;
  }

  /** Also one that was deleted, of which there is a past. */
  known(symbol: string): AnyInstrument | undefined {
    return this.instruments.get(symbol);
  }

  /** Number of instruments. */
  get size(): number {
    return this.instruments.size - this.deletions.count;
  }

  *all(): IterableIterator<AnyInstrument> {
    for (const instrument of this.instruments.values()) {
      if (!isDeleted(instrument)) yield instrument;
    }
  }

  /** Those that were deleted and are not defined again. */
  deleted(): AnyInstrument[] {
    return [...this.instruments.values()].filter(isDeleted);
  }

  /**
   * Begins to check a submission.
   * @param holds whether what was checked must stay true until it is closed, whatever others bring in
   */
  admit(from: Submitting, events: readonly SourceEvent[], holds: boolean): FeedAdmission {
    return this.checks.admit(from, events, holds);
  }

  /**
   * The first reason for which this submission may not enter, if there is one.
   * @param isDecimal whether it came as decimals, which no scales of the source's own make ambiguous
   * @param owner whose key it is; without one the address; empty: the operator
   */
  check(
    source: number,
    events: readonly SourceEvent[],
    isDecimal = false,
    owner = '',
  ): EventFault | undefined {
    return this.admit({ source, owner, isDecimal }, events, false).check(events.length);
  }

  /**
   * Applies one event of a submission that was checked.
   * @param continues whether the source says that its numbers go on from those of its session before
   * @param owner whose key it is; without one the address
   */
  apply(
    source: number,
    event: SourceEvent,
    out: MarketOutput,
    continues = false,
    owner = '',
  ): IntakeOutcome {
    if (event.type === 'instrument') {
      this.checks.setRead(source, event.symbol);
      this.define(event, out, owner);
      return 'taken';
    }
    const instrument = this.feed(event.symbol);
    this.touched.add(instrument);
    this.setFed(instrument, source);
    return instrument.accept(event, { id: source, owner, continues }, out);
  }

  /** Notes which session feeds it. */
  private setFed(instrument: FeedInstrument, source: number): void {
    const before = instrument.lastSource;
    if (before === source) return;
    this.notFed(instrument, before);
    const own = this.fed.get(source);
    if (own === undefined) this.fed.set(source, new Set([instrument]));
    else own.add(instrument);
  }

  private notFed(instrument: FeedInstrument, source: number): void {
    const own = this.fed.get(source);
    own?.delete(instrument);
    if (own?.size === 0) this.fed.delete(source);
  }

  /** The numbers of a symbol's source begin anew, since an operator says so. */
  renumber(symbol: string, out: MarketOutput): Fault | undefined {
    const instrument = this.get(symbol);
    if (instrument === undefined) {
      return fieldFault('symbol', symbol, 'a defined instrument', 'unknown-symbol');
    }
    if (instrument instanceof VenueInstrument) {
      return fieldFault('symbol', symbol, 'a feed instrument', 'wrong-market');
    }
    this.touched.add(instrument);
    instrument.renumber('all', out.receiveTime, out);
    return undefined;
  }

  /** Deletes a fed instrument: from now on it counts as not there, but for its past. */
  delete(symbol: string, out: MarketOutput): Fault | undefined {
    const instrument = this.instruments.get(symbol);
    const source = instrument instanceof FeedInstrument ? instrument.lastSource : 0;
    const refused = this.deletions.delete(symbol, instrument, this.checks.isHeld(symbol), out);
    if (refused !== undefined || !(instrument instanceof FeedInstrument)) return refused;
    this.notFed(instrument, source);
    this.touched.add(instrument);
    return undefined;
  }

  /** Takes other limits of time on. */
  configure(timeLimits: (symbol: string) => TimeLimits): void {
    this.timeLimits = timeLimits;
    for (const instrument of this.instruments.values()) {
      instrument.limits = timeLimits(instrument.definition.symbol);
    }
  }

  private feed(symbol: string): FeedInstrument {
    const instrument = this.instruments.get(symbol);
    assert(instrument instanceof FeedInstrument, `${symbol} was checked to be a feed`);
    return instrument;
  }

  /**
   * Takes on a definition that was checked; the same one again changes nothing.
   * @param owner as of `check`; who defined it first stays on record
   */
  define(definition: Instrument, out: MarketOutput, owner = ''): void {
    const existing = this.instruments.get(definition.symbol);
    if (existing instanceof VenueInstrument) return;
    const isNew = existing === undefined || existing.isDeleted;
    if (!isNew && sameDefinition(existing.definition, definition)) return;
    const rules = definition.market === 'venue' ? definition.rules : null;
    const definedBy = isNew ? owner : existing.definition.definedBy;
    const placed: RecordedInstrument = {
      ...definition,
      rules,
      seq: out.nextSeq(),
      ...(definedBy && { definedBy }),
    };
    out.push(placed);
    if (existing !== undefined) {
      this.redefine(existing, placed);
      return;
    }
    const added = this.add(placed);
    // A venue has a state from the beginning; what is fed, once its source has said something.
    if (added instanceof VenueInstrument) added.announce('defined', out);
  }

  private redefine(instrument: FeedInstrument, definition: RecordedInstrument): void {
    instrument.definition = definition;
    this.changed.add(instrument);
    this.deletions.defined(instrument);
    this.checks.setAdded(definition.symbol);
  }

  private add(definition: RecordedInstrument): AnyInstrument {
    this.definedBy.add(definition);
    const limits = this.timeLimits(definition.symbol);
    const instrument =
      definition.market === 'feed'
        ? new FeedInstrument(definition, this.statusHead, limits, this.levels)
        : new VenueInstrument(definition, this.venues.length, this.desk, this.statusHead, limits);
    if (instrument instanceof VenueInstrument) this.venues.push(instrument);
    else instrument.book.held.countWith(this.account, () => instrument.lastSource);
    this.instruments.set(definition.symbol, instrument);
    this.checks.setAdded(definition.symbol);
    this.changed.add(instrument);
    return instrument;
  }

  /** The first of the server's own definitions that it may not have, and why. */
  checkOwn(definitions: readonly Instrument[]): EventFault | undefined {
    return checkOwn(definitions, this, this.checks);
  }

  /** Those that are fed. */
  *feeds(): Iterable<FeedInstrument> {
    for (const instrument of this.instruments.values()) {
      if (instrument instanceof FeedInstrument) yield instrument;
    }
  }

  /** Whether a session feeds anything, or has defined something wrongly. */
  knows(source: number): boolean {
    return this.fed.has(source) || this.checks.hasMisread(source);
  }

  /**
   * A source has gone: what it fed is stale until somebody feeds it again.
   * @param most instruments that are released now
   * @returns how many are left
   */
  release(source: number, out: MarketOutput, most = Infinity): number {
    this.checks.forget(source);
    let released = 0;
    for (const instrument of this.fed.get(source) ?? []) {
      if (released++ === most) break;
      this.notFed(instrument, source);
      this.touched.add(instrument);
      instrument.release(out);
    }
    return this.fed.get(source)?.size ?? 0;
  }

  /** A source has been silent: another may feed what it fed, but until then its books go on. */
  yield(source: number): void {
    for (const instrument of this.fed.get(source) ?? []) instrument.yield();
  }

  /** After a restart: says of each instrument in which state it is. */
  announceRecovered(out: MarketOutput): void {
    for (const instrument of this.all()) instrument.announce('restart', out);
  }

  /** Ends a batch. */
  seal(): void {
    for (const instrument of this.touched) {
      instrument.seal();
      this.changed.add(instrument);
    }
    this.touched.clear();
  }

  /** Those that have changed; none has, from now on. */
  takeChanged(): Set<AnyInstrument> {
    const { changed } = this;
    this.changed = new Set();
    return changed;
  }

  /** The newest seq of the topic status; 0 before the first. */
  get newestStatus(): number {
    return this.statusHead.status;
  }

  checkpoint(): MarketCheckpoint {
    return {
      statusHead: this.statusHead.status,
      instruments: Array.from(this.instruments.values(), (i) =>
        i instanceof FeedInstrument ? { ...i.head(), ...i.levels(Infinity) } : i.checkpoint(),
      ),
      desk: this.desk.checkpoint(),
    };
  }

  /**
   * Rebuilds the market of the time before from a checkpoint and the events behind it.
   * @throws Error when the events do not fit the checkpoint or the commands
   */
  restore(
    checkpoint: MarketCheckpoint | MarketPieces | null,
    tail: Iterable<BatchEvent>,
    takeStatistics: TakeStatistics = () => {},
  ): void {
    const recovery = new Recovery(this, this.statusHead, this.deletions, {
      add: (definition) => this.add(definition),
      redefine: (instrument, definition) => this.redefine(instrument, definition),
    });
    recovery.run(checkpoint, tail, takeStatistics);
  }
}
