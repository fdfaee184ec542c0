/**
 * Core: what a server serves from. It has the definitions and the newest state of all instruments, hands out batches
 * in order, takes submissions, and keeps the past.
 *
 * The recorder (`app/recorder.ts`) is a core with a sequencer of its own. A replica is one whose batches come from a
 * batch log and whose submissions are passed to a leader. Everything that readers see is built on this interface, so
 * it is the same on both.
 */

import type { Fault } from '../../../protocol/codes';
import type {
  Book,
  Instrument,
  MarketEvent,
  SourceEvent,
  Status,
  Tick,
  Trade,
} from '../../../protocol/messages';
import type { BookView } from '../../../protocol/records';
import type { StatisticsState, TradeStatistics } from '../../../protocol/statistics';
import type { Nanos } from '../../../protocol/time';
import type { Durations } from '../durations';
import type { Batch } from './batch';
import type { CheckpointFigures, JournalFigures, JournalHealth } from './figures';
import type { OrderStage } from './order-entry';
import type { MissingRange, PastEpoch } from './past';
import type { SubmitOptions, SubmitResult } from './submission';

/** An instrument with its newest state. Sequence numbers are 0 where there is no such event yet. */
export interface CoreInstrument {
  readonly definition: Instrument;
  readonly state: Status['state'];
  /** Sequence number of the newest tick, trade and book event. */
  readonly tickHead: number;
  readonly tradeHead: number;
  readonly bookHead: number;
  /** Why the ten best levels may not be the present ones. */
  readonly bookMark: Book['mark'];
  /** The newest tick; before the first trade one made of the previous close, with the sequence number 0. */
  currentTick(): Tick | null;
  /** The ten best levels as published; null while they are not reliable. */
  bookView(): BookView | null;
  /** The best levels of each side of the whole book, flat, best first. */
  levels(depth: number): { readonly bids: number[]; readonly asks: number[] };
  /** The newest event of each topic, as a reader would hold them; the definition first. */
  newest(): Iterable<MarketEvent>;
}

/** An instrument whose data come from a source. */
export interface FeedState {
  readonly definition: Instrument;
  /** When its source last sent anything new; null: not in this epoch. */
  readonly heardAt: Nanos | null;
  /** What became of the events of its sources. */
  readonly intake: Readonly<
    Record<'repeated' | 'waiting' | 'late' | 'ahead' | 'renumbered' | 'missed', number>
  >;
}

export interface CoreInstruments<I extends CoreInstrument> {
  /** How many there are. */
  readonly size: number;
  get(symbol: string): I | undefined;
  /** Finds also a deleted instrument, which still has a past. */
  known(symbol: string): I | undefined;
  all(): Iterable<I>;
  /** Those that were deleted and not defined again. */
  deleted(): Iterable<I>;
  feeds(): Iterable<FeedState>;
}

/** Sessions and bars of each instrument at the newest sequence number. */
export interface CoreStatistics {
  /** Empty before its first trade. */
  of(symbol: string): TradeStatistics;
  state(): Record<string, StatisticsState>;
}

/** Where the events of sources enter. A source is a number that the server gives to a connection or a client. */
export interface SourceEntry {
  /** Why nothing can be submitted now; undefined if it can. */
  refusal(): Fault | undefined;
  /** Submits events; `done` is called once, when they are in the journal or refused. */
  submit(
    source: number,
    events: readonly SourceEvent[],
    done: (result: SubmitResult) => void,
    options?: SubmitOptions,
  ): void;
  /** Resolves when everything that was submitted for this source before is in the journal. */
  behind(source: number): Promise<void>;
  /** Lets other sources feed its instruments, behind what it has submitted. @param owner its client */
  yield(source: number, owner: string): void;
  /** It has gone: its instruments are stale until another source feeds them. @param owner its client; empty: none */
  release(source: number, owner: string): void;
  /** The source that feeds a symbol; 0: none. */
  holderOf(symbol: string): number;
  /** Whether so much of a client waits that its sockets should not be read. */
  isCrowded(client: string | number): boolean;
  /**
   * Set by the server: a source of the same client, at another member of the cluster, wants the symbols of this one. It
   * is to be ended if it shows no sign of life.
   */
  challenge?: (source: number) => void;
  /** Set by a leader: a source of this client was refused, since another feeds the symbol; maybe at another member. */
  claim?: (client: string, symbol: string) => void;
}

/** What operators change. Each resolves when the journal has it, or with why it was refused. */
export interface InstrumentAdministration {
  /** @param fields as under `[[instruments]]` of the settings, not checked @returns the symbol */
  define(fields: unknown): Promise<string | Fault>;
  /** The numbers of its source start again. @returns the newest sequence number */
  renumber(symbol: string): Promise<number | Fault>;
  /** Deletes a feed instrument; its past stays. @returns the newest sequence number */
  delete(symbol: string): Promise<number | Fault>;
}

/** The past on this machine. Longer questions go to threads that read the same file. */
export interface CorePast {
  /** The database file of the journal. */
  readonly path: string;
  /** Up to `limit` newest committed trades below sequence number `before`, newest first. */
  trades(symbol: string, before: number, limit: number): Trade[];
  /** Resolves when everything published is in the file, or as soon as the disk fails. */
  flush(): Promise<void>;
  /** What was published and is not in the file, because the disk fails or is too slow; null: nothing. */
  missing(): MissingRange | null;
}

/** What a core measures of itself. */
export interface CoreFigures {
  journal(): JournalHealth & JournalFigures;
  checkpoints(): CheckpointFigures;
  /** From the arrival of the oldest submission of a batch to its turn, and to its commit. */
  readonly waited: Durations;
  readonly committed: Durations;
  /** The commits themselves. */
  readonly commit: Durations;
  readonly recovery: { readonly ms: number; readonly records: number };
}

export interface CoreWarning {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** The market of a server: of its core, or of the cores of all its shards together. */
export interface ServedMarket<I extends CoreInstrument = CoreInstrument> {
  /** What its start found that an operator should know. */
  readonly warnings: readonly CoreWarning[];
  readonly instruments: CoreInstruments<I>;
  readonly statistics: CoreStatistics;
  readonly entry: SourceEntry;
  readonly orders: OrderStage;
  readonly administration: InstrumentAdministration;
  readonly figures: Pick<CoreFigures, 'journal' | 'checkpoints' | 'recovery'>;
}

export interface Core<I extends CoreInstrument = CoreInstrument> extends ServedMarket<I> {
  readonly epoch: number;
  /** The newest sequence number of its state, which readers may not have been sent yet. */
  readonly lastSeq: number;
  /**
   * Where a reader comes from another server of the cluster with more than this one has: resolves when it is here, or
   * will not come soon. Undefined: the reader need not wait.
   * @param seq the highest number that the reader has of the epoch
   */
  arrival(epoch: number, seq: number): Promise<void> | undefined;
  readonly pastEpochs: ReadonlyMap<number, PastEpoch>;
  readonly past: CorePast;
  readonly figures: CoreFigures;
  /** Calls back with each batch from now on, in order, once it may be published. One follower: the server. */
  follow(accept: (batch: Batch) => void): void;
  /** Takes what still waits and refuses everything new. Resolves when the journal has it, or cannot have it. */
  refuse(): Promise<void>;
  /** Takes what still waits and ends the core in order; done when `closed` resolves. */
  close(): void;
  /** Resolves when it has ended: with why something could not be written, if so. */
  readonly closed: Promise<Error | undefined>;
}
