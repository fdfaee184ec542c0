/**
 * The past: what a journal answers, as REST, the broadcaster and the history thread exchange it. Everything here is
 * plain, since it crosses threads. Lists are JSON text made on the thread that read them, so a long answer costs the
 * main thread one copy.
 */

import type { BarInterval } from '../../../protocol/bars';
import type { Sum } from '../../../protocol/sums';
import type { TimeHalves } from './times';

/** Sequence numbers that a journal does not have, both inclusive, and why: a `GapReason` of the journal. */
export interface MissingRange {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** Event times; `from` inclusive, `to` exclusive, null: unbounded. */
export interface TimeHalvesRange {
  readonly from: TimeHalves | null;
  readonly to: TimeHalves | null;
}

/** What an answer cost. */
export interface ReadingCost {
  /** Blocks of the journal that were read and proven for it; absent: none. */
  readonly blocks?: number;
}

/** The ten best levels at a past time: decimals as strings, best first. */
export interface PastBook extends ReadingCost {
  readonly seq: number;
  readonly eventTime: TimeHalves;
  readonly receiveTime: TimeHalves;
  readonly bids: readonly [string, string][];
  readonly asks: readonly [string, string][];
}

/** A page of trades (newest first) or of ticks (oldest first). */
export interface PastPage extends ReadingCost {
  /** The JSON text of an array. */
  readonly items: string;
  readonly count: number;
  /**
   * Sequence number of the last item: of trades the oldest, of ticks the newest. If the page was cut: how far the
   * journal was read. 0 without items.
   */
  readonly last: number;
  /** The page ends here because it took too many blocks; there may be more. Absent: no. */
  readonly isCut?: boolean;
  /** Receive time of its newest trade; null without items. */
  readonly newest: TimeHalves | null;
  /** What is missing between the sequence numbers asked for, as far as it may lie in the time range. */
  readonly gaps: readonly MissingRange[];
}

export interface PastBarsPage extends ReadingCost {
  /** The JSON text of an array, oldest first. */
  readonly items: string;
  /** Where the next page begins, in digits: no bar lies between this page and that time. Null: there are no more. */
  readonly next: string | null;
  /** As in `PastPage`, for the time from the first interval on. */
  readonly gaps: readonly MissingRange[];
}

/** A bar; prices and quantities are scaled. */
export interface PastBar {
  /** Second since 1970 at which it opens. */
  readonly second: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: Sum;
  readonly trades: number;
  /** That of its newest trade, like the times. */
  readonly seq: number;
  readonly eventTime: TimeHalves;
  readonly receiveTime: TimeHalves;
}

/** The bars of one topic that a resuming reader asks for. */
export interface BarTopicRequest {
  readonly interval: BarInterval;
  /** Bars that open at this second or later are not needed. */
  readonly below: number;
  /** Opening seconds of bars that are needed even if no trade after the position changed them. */
  readonly also: readonly number[];
}

export interface InstrumentBarsRequest {
  readonly symbol: string;
  readonly topics: readonly BarTopicRequest[];
}

/** Asks which bars the trades after a position changed, and how those bars stand. */
export interface BarsBehindRequest {
  readonly instruments: readonly InstrumentBarsRequest[];
  /** Trades are read from after this sequence number; at most `after`. */
  readonly lookFrom: number;
  /** Only trades after this sequence number are counted. */
  readonly after: number;
  /** The last sequence number to read. */
  readonly upTo: number;
}

/** The answer for one topic. */
export interface TopicBars {
  /** Opening seconds of the changed bars, and how many trades came to each. */
  readonly touched: readonly (readonly [second: number, trades: number])[];
  /** Bars that began after the position and behind all of these before them, with the seq that began each. */
  readonly fronts: readonly (readonly [second: number, seq: number])[];
  /** Opening second of the newest bar at the position; null: there was none. */
  readonly newest: number | null;
  /** The changed, the newest and the additional bars that open below the requested bound. */
  readonly bars: readonly PastBar[];
}

export interface BarsBehind {
  /** In the order of the request; fewer instruments if the answer would be too long. */
  readonly instruments: readonly (readonly (TopicBars | 'not-kept')[])[];
}

/** The sequence numbers of a past epoch. */
export interface PastEpoch {
  /** The journal has those up to this one, except for the gaps that it declares. */
  readonly kept: number;
  /** The newest that may have been published; a crash lost those above `kept`. */
  readonly pushed: number;
}
