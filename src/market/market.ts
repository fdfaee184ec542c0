/**
 * Market: all instruments by symbol, feeds and venues, and what enters them.
 *
 * Events of sources are checked one submission at a time (`feed-checks.ts`) and then applied; orders go through the
 * router. Bounds: number of instruments, and of ended orders that are kept.
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
import { ClientOrders } from './client-orders';
import { OrderRouter, type OrderLimits } from './order-router';
import type { MarketOutput } from './output';
import { checkOwn } from './own-definitions';
import { Recovery, type TakeStatistics } from './recovery';
import type { TimeLimits } from './trade-clock';
import { VenueInstrument } from './venue-instrument';
import { RESTART, type StatusHead } from './feed-status';

export interface MarketOptions extends OrderLimits, Partial<LevelLimits> {
  readonly instrumentsMax: number;
  /** Most instruments that one key may define; absent: no bound of its own. */
  readonly instrumentsPerKeyMax?: number;
  readonly endedOrdersMax: number;
  /** Whether a new symbol may be defined here; absent: any may. */
  readonly isOwn?: ((symbol: string) => boolean) | undefined;
  /** How far times may be from the present, by symbol; default `TIME_LIMITS`. */
  readonly timeLimits?: (symbol: string) => TimeLimits;
  /** Accounts for what sources make it hold; without it only each book is bounded. */
  readonly account?: SourceAccount | undefined;
}

/** The default of the settings. */
export const TIME_LIMITS: TimeLimits = {
  timeAheadMs: 10_000,
  latenessMs: 60_000,
  sessionBoundary: 0,
};

type AnyInstrument = FeedInstrument | VenueInstrument;

export class Market {
  /** Where orders enter. */
  readonly router: OrderRouter;
  private readonly instruments = new Map<string, AnyInstrument>();
  private readonly venues: VenueInstrument[] = [];
  readonly clientOrders: ClientOrders;
  /** Instruments that changed since they were last captured. */
  changed = new Set<AnyInstrument>();
  /** Number of owners' names that are captured. */
  ownersCaptured = 0;
  private readonly checks: FeedChecks;
  private readonly levels: LevelCounts;
  private readonly definedBy: DefinedBy;
  private readonly deletions: Deletions;
  /** Instruments that each session feeds, or was the last to feed. */
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
    this.clientOrders = new ClientOrders(options.endedOrdersMax);
    this.levels = new LevelCounts({ levelsMax, levelsPerKeyMax });
    const known = { get: (symbol: string) => this.known(symbol), size: () => this.size };
    this.checks = new FeedChecks(
      known,
      options.instrumentsMax,
      this.levels,
      this.definedBy,
      options.isOwn,
    );
    const touch = (venue: VenueInstrument): unknown => this.touched.add(venue);
    this.router = new OrderRouter(find, this.venues, this.clientOrders, touch, options);
  }

  get(symbol: string): AnyInstrument | undefined {
    const instrument = this.instruments.get(symbol);
    return isDeleted(instrument) ? undefined : instrument;
  }

  /** An instrument, also a deleted one, which still has a history. */
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

  /** Deleted instruments that were not defined again. */
  deleted(): AnyInstrument[] {
    return [...this.instruments.values()].filter(isDeleted);
  }

  /**
   * Begins to check a submission.
   * @param holds whether the results of checks must stay valid until the admission is closed
   */
  admit(from: Submitting, events: readonly SourceEvent[], holds: boolean): FeedAdmission {
    return this.checks.admit(from, events, holds);
  }

  /**
   * The first reason to refuse this submission, if there is one.
   * @param isDecimal whether prices and quantities came as decimals
   * @param owner name of the key; without a key the address; empty: the operator
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
   * @param continues whether the source states that it continues the numbering of its last session
   * @param owner name of the key; without a key the address
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

  /** Records which session feeds it. */
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

  /** Restarts the numbering of a symbol's source, by order of an operator. */
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

  /** Deletes a feed instrument: it counts as absent from now on, except for its history. */
  delete(symbol: string, out: MarketOutput): Fault | undefined {
    const instrument = this.instruments.get(symbol);
    const source = instrument instanceof FeedInstrument ? instrument.lastSource : 0;
    const refused = this.deletions.delete(symbol, instrument, this.checks.isHeld(symbol), out);
    if (refused !== undefined || !(instrument instanceof FeedInstrument)) return refused;
    this.notFed(instrument, source);
    this.touched.add(instrument);
    return undefined;
  }

  /** Applies changed limits of time. */
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
   * Applies a checked definition; repeating the same one changes nothing.
   * @param owner as for `check`; the first one to define it stays on record
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
    // A venue has a state from the beginning; a feed instrument once its source has sent something.
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
        : new VenueInstrument(
            definition,
            this.venues.length,
            this.clientOrders,
            this.statusHead,
            limits,
          );
    if (instrument instanceof VenueInstrument) this.venues.push(instrument);
    else instrument.book.held.countWith(this.account, () => instrument.lastSource);
    this.instruments.set(definition.symbol, instrument);
    this.checks.setAdded(definition.symbol);
    this.changed.add(instrument);
    return instrument;
  }

  /** The first of the server's own definitions that is invalid, and why. */
  checkOwn(definitions: readonly Instrument[]): EventFault | undefined {
    return checkOwn(definitions, this, this.checks);
  }

  /** All feed instruments. */
  *feeds(): Iterable<FeedInstrument> {
    for (const instrument of this.instruments.values()) {
      if (instrument instanceof FeedInstrument) yield instrument;
    }
  }

  /** Whether a session feeds anything, or has a refused definition. */
  knows(source: number): boolean {
    return this.fed.has(source) || this.checks.hasMisread(source);
  }

  /**
   * A source has disconnected: what it fed is stale until a source feeds it again.
   * @param most instruments to release in this call
   * @returns how many remain
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

  /** A source is silent: another may take over its instruments; until then its books stay valid. */
  yield(source: number): void {
    for (const instrument of this.fed.get(source) ?? []) instrument.yield();
  }

  /** After a restart: pushes the state of each instrument. */
  announceRecovered(out: MarketOutput): void {
    for (const instrument of this.all()) instrument.announce(RESTART, out);
  }

  /** Ends a batch. */
  seal(): void {
    for (const instrument of this.touched) {
      instrument.seal();
      this.changed.add(instrument);
    }
    this.touched.clear();
  }

  /** Returns the changed instruments and starts a new set. */
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
      desk: this.clientOrders.checkpoint(),
    };
  }

  /**
   * Rebuilds the market from a checkpoint and the events behind it.
   * @throws Error if the events do not fit the checkpoint or the commands
   */
  restore(
    checkpoint: MarketCheckpoint | MarketPieces | null,
    tail: Iterable<BatchEvent>,
    takeStatistics?: TakeStatistics,
  ): void {
    this.follow(checkpoint, tail, takeStatistics).end();
  }

  /**
   * The same for the market of a replica: it takes the batches of its leader, until it `end`s to follow and goes on
   * by itself.
   */
  follow(
    checkpoint: MarketCheckpoint | MarketPieces | null,
    tail: Iterable<BatchEvent>,
    takeStatistics: TakeStatistics = () => {},
  ): Pick<Recovery, 'apply' | 'end'> {
    const recovery = new Recovery(this, this.statusHead, this.deletions, {
      add: (definition) => this.add(definition),
      redefine: (instrument, definition) => this.redefine(instrument, definition),
    });
    recovery.restore(checkpoint, takeStatistics);
    recovery.apply(tail);
    return recovery;
  }
}
