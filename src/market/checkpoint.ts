/**
 * Checkpoint: everything that a restart needs of the market, as text that the journal stores. Integers stay scaled;
 * times are strings of digits, as everywhere in JSON.
 */

import type { Bbo, Book, Instrument, Status, Tick } from '../../protocol/messages';
import type { RecordedBbo, RecordedInstrument, RecordedTick } from '../../protocol/records';
import type { StatisticsState } from '../../protocol/statistics';
import { Nanos } from '../../protocol/time';
import type { FeedBookState } from './feed-book';
import type { FeedTradesState } from './feed-trades';
import type { IncrementsState } from './increments';
import type { PlainCheckpoint } from './plain-states';
import type { ClientOrdersState, WrittenOrder } from './client-orders';

/** The newest sequence number of each topic of an instrument; 0 before the first. */
export interface TopicHeads {
  tick: number;
  trade: number;
  bbo: number;
  book: number;
}

/** One feed instrument. Levels are flat, at full depth, best first. */
export interface FeedCheckpoint {
  readonly market: 'feed';
  readonly definition: RecordedInstrument;
  readonly isDeleted?: boolean;
  readonly increments: IncrementsState;
  readonly heads: TopicHeads;
  /** The marks that readers see. A replica continues with them; checkpoints of earlier versions have none. */
  readonly marks?: {
    readonly state: Status['state'];
    readonly book: Book['mark'];
    /** Whether no quote was published since a restart. */
    readonly isTopRecovered: boolean;
  };
  readonly bookState: FeedBookState;
  readonly bids: ArrayLike<number>;
  readonly asks: ArrayLike<number>;
  readonly bookSourceSeq: number;
  readonly bookMayOverlap: boolean;
  readonly bookTruncated: boolean;
  readonly bookTimes: {
    readonly eventTime: Nanos;
    readonly receiveTime: Nanos;
    /** The time that orders published events, if it differs. */
    readonly asOf?: Nanos;
    /** The time that orders the newest book event. */
    readonly asOfTime: Nanos;
  };
  readonly trades: FeedTradesState;
  readonly tick: RecordedTick | null;
  readonly bbo: RecordedBbo | null;
  /** The newest messages of plain channels; absent if there are none. */
  readonly plain?: readonly PlainCheckpoint[];
}

/** One venue instrument. */
export interface VenueCheckpoint {
  readonly market: 'venue';
  readonly definition: Instrument;
  readonly heads: TopicHeads;
  readonly bookTimes: { readonly eventTime: Nanos; readonly receiveTime: Nanos };
  readonly tick: Tick | null;
  readonly bbo: Bbo | null;
  /** The latest time of a trade; null before the first. Checkpoints of earlier versions have none. */
  readonly presentTime?: Nanos | null;
  /** State of the engine (`venue/snapshot.ts`) in base64. */
  readonly snapshot: string;
}

/** An instrument without its levels or its engine. */
export type FeedHead = Omit<FeedCheckpoint, 'bids' | 'asks'>;
export type VenueHead = Omit<VenueCheckpoint, 'snapshot'>;

/** The text of the piece of an instrument. */
export type InstrumentText = (
  | FeedHead
  /** Number of pieces with its open named orders. */
  | (VenueHead & { readonly orderChunks: number })
) & { readonly statistics: StatisticsState | null };

/** The text of a piece of open named orders. */
export interface OrdersText {
  readonly symbol: string;
  readonly chunk: number;
  readonly orders: readonly WrittenOrder[];
}

/** State of the market outside its pieces. */
export interface MarketRest {
  /** The head at the beginning of the cycle. */
  readonly statusHead: number;
  /** The sequence number for which the ended orders are valid, and how many had ended by then. */
  readonly endsSeq: number;
  readonly endedCount: number;
}

/** A piece as read from the journal. */
export interface MarketPiece {
  readonly kind: 'instrument' | 'orders' | 'ended' | 'owners';
  readonly seq: number;
  readonly text: string;
  readonly levels: readonly Float64Array[];
  readonly bytes: Uint8Array | null;
}

/** A checkpoint in pieces; instruments come in the order of their definitions. */
export interface MarketPieces {
  readonly rest: string;
  readonly pieces: () => Iterable<MarketPiece>;
}

export interface MarketCheckpoint {
  readonly statusHead: number;
  /** In the order of their definitions. */
  readonly instruments: readonly (FeedCheckpoint | VenueCheckpoint)[];
  readonly desk: ClientOrdersState;
  /** Sessions and bars by symbol. They belong to the statistics, and are absent if there are none. */
  readonly statistics?: Readonly<Record<string, StatisticsState>>;
}

const TIMES: ReadonlySet<string> = new Set([
  'eventTime',
  'receiveTime',
  'time',
  'openTime',
  'endTime',
  'openAt',
  'closeAt',
  'asOf',
  'asOfTime',
  'presentTime',
]);
/** A sum beyond 2^53 − 1 is written as a string; no other value of this name is a string. */
const SUM = 'volume';

export function writeCheckpoint(checkpoint: MarketCheckpoint): string {
  return stateText(checkpoint);
}

/** Any part of a checkpoint as text. */
export function stateText(
  state: MarketCheckpoint | InstrumentText | OrdersText | readonly WrittenOrder[],
): string {
  try {
    return JSON.stringify(state);
  } catch {
    // A sum beyond 2^53 − 1 is rare; a replacer for each value takes twice as long.
    return JSON.stringify(state, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    );
  }
}

/** Reads what `stateText` wrote. The text was verified by its checksum. */
export function readState<T>(text: string): T {
  const state = JSON.parse(text) as T;
  revive(state as Values);
  return state;
}

type Values = Record<string, unknown>;

/** Converts strings to times and sums, in place. */
function revive(values: Values): void {
  for (const key in values) {
    const value = values[key];
    if (typeof value === 'object' && value !== null) revive(value as Values);
    else if (typeof value !== 'string') continue;
    else if (key === SUM) values[key] = BigInt(value);
    else if (TIMES.has(key)) values[key] = Nanos.parse(value);
  }
}
