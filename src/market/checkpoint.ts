/**
 * Checkpoint: all that a restart needs of the market, as text for the journal to keep. Integers stay
 * scaled; times are digits, as everywhere in JSON.
 */

import type { Bbo, Instrument, Tick } from '../../protocol/messages';
import type { RecordedBbo, RecordedInstrument, RecordedTick } from '../../protocol/records';
import type { StatisticsState } from '../../protocol/statistics';
import { Nanos } from '../../protocol/time';
import type { FeedBookState } from './feed-book';
import type { FeedTradesState } from './feed-trades';
import type { IncrementsState } from './increments';
import type { DeskCheckpoint, WrittenOrder } from './order-desk';

/** The newest place on each topic of an instrument; 0 before the first. */
export interface TopicHeads {
  tick: number;
  trade: number;
  bbo: number;
  book: number;
}

/** One feed instrument; levels are flat, at full depth, best first. */
export interface FeedCheckpoint {
  readonly market: 'feed';
  readonly definition: RecordedInstrument;
  readonly isDeleted?: boolean;
  readonly increments: IncrementsState;
  readonly heads: TopicHeads;
  readonly bookState: FeedBookState;
  readonly bids: ArrayLike<number>;
  readonly asks: ArrayLike<number>;
  readonly bookSourceSeq: number;
  readonly bookMayOverlap: boolean;
  readonly bookTruncated: boolean;
  readonly bookTimes: {
    readonly eventTime: Nanos;
    readonly receiveTime: Nanos;
    /** By which what is published is ordered, where that is another time. */
    readonly asOf?: Nanos;
    /** By which the newest book event is ordered. */
    readonly asOfTime: Nanos;
  };
  readonly trades: FeedTradesState;
  readonly tick: RecordedTick | null;
  readonly bbo: RecordedBbo | null;
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

/** What of an instrument is neither level nor engine. */
export type FeedHead = Omit<FeedCheckpoint, 'bids' | 'asks'>;
export type VenueHead = Omit<VenueCheckpoint, 'snapshot'>;

/** What a piece of an instrument has as its text. */
export type InstrumentText = (
  | FeedHead
  /** Its named orders that are open stand in as many pieces. */
  | (VenueHead & { readonly orderChunks: number })
) & { readonly statistics: StatisticsState | null };

/** The text of a piece of named orders that are open. */
export interface OrdersText {
  readonly symbol: string;
  readonly chunk: number;
  readonly orders: readonly WrittenOrder[];
}

/** What the market keeps besides its pieces. */
export interface MarketRest {
  /** As it was when the cycle began. */
  readonly statusHead: number;
  /** Place at which the ended orders were these, and how many had ended. */
  readonly endsSeq: number;
  readonly endedCount: number;
}

/** A piece as it was read. */
export interface MarketPiece {
  readonly kind: 'instrument' | 'orders' | 'ended' | 'owners';
  readonly seq: number;
  readonly text: string;
  readonly levels: readonly Float64Array[];
  readonly bytes: Uint8Array | null;
}

/** A checkpoint of pieces; those of instruments in the order of their definitions. */
export interface MarketPieces {
  readonly rest: string;
  readonly pieces: () => Iterable<MarketPiece>;
}

export interface MarketCheckpoint {
  readonly statusHead: number;
  /** In the order of their definitions. */
  readonly instruments: readonly (FeedCheckpoint | VenueCheckpoint)[];
  readonly desk: DeskCheckpoint;
  /** Sessions and bars by symbol; not the market's own, and absent where nobody keeps them. */
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
/** Beyond 2^53 − 1 a sum is its digits, which no other value of the name is. */
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
    // A sum beyond 2^53 − 1, which few have: asking for each value takes twice as long.
    return JSON.stringify(state, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    );
  }
}

/** Reads what `stateText` wrote; its checksum has vouched for the text. */
export function readState<T>(text: string): T {
  const state = JSON.parse(text) as T;
  revive(state as Values);
  return state;
}

type Values = Record<string, unknown>;

/** Makes times and sums of their digits, in place. */
function revive(values: Values): void {
  for (const key in values) {
    const value = values[key];
    if (typeof value === 'object' && value !== null) revive(value as Values);
    else if (typeof value !== 'string') continue;
    else if (key === SUM) values[key] = BigInt(value);
    else if (TIMES.has(key)) values[key] = Nanos.parse(value);
  }
}
