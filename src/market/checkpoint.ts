/**
 * Checkpoint: all that a restart needs of the market, as text for the journal to keep. Integers stay
 * scaled; times are digits, as everywhere in JSON.
 */

import type { Bbo, Instrument, Tick } from '../../protocol/messages';
import type { RecordedBbo, RecordedInstrument, RecordedTick } from '../../protocol/records';
import type { StatisticsState } from '../../protocol/statistics';
import { Nanos } from '../../protocol/time';
import { isOlder, renewed, type OlderCheckpoint } from './checkpoint-older';
import type { FeedBookState } from './feed-book';
import type { FeedTradesState } from './feed-trades';
import type { IncrementsState } from './increments';
import type { DeskCheckpoint } from './order-desk';

/** The newest place on each topic of an instrument; 0 before the first. */
export interface TopicHeads {
  tick: number;
  trade: number;
  bbo: number;
  book: number;
}

/** The status topic runs over all instruments, so its head is shared between them. */
export interface StatusHead {
  status: number;
}

/** One feed instrument; levels are flat, at full depth, best first. */
export interface FeedCheckpoint {
  readonly market: 'feed';
  readonly definition: RecordedInstrument;
  readonly isDeleted?: boolean;
  readonly increments: IncrementsState;
  readonly heads: TopicHeads;
  readonly bookState: FeedBookState;
  readonly bids: number[];
  readonly asks: number[];
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
  return JSON.stringify(checkpoint, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
}

/** Reads what `writeCheckpoint` wrote, or that of the version before; its checksum has vouched for the text. */
export function readCheckpoint(text: string): MarketCheckpoint {
  const read = JSON.parse(text, (key: string, value: unknown) => {
    if (typeof value !== 'string') return value;
    if (key === SUM) return BigInt(value);
    return TIMES.has(key) ? Nanos.parse(value) : value;
  }) as MarketCheckpoint | OlderCheckpoint;
  return isOlder(read) ? renewed(read) : read;
}
