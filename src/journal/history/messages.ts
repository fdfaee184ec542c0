/**
 * History messages: what the main thread asks of the history thread, and what comes back. Lists come
 * as JSON text, made on that thread, so that a long answer costs the main thread a copy and no more.
 */

import type { BarInterval } from '../../../protocol/bars';
import type { Fault } from '../../../protocol/codes';
import type { Sum } from '../../../protocol/sums';
import type { PlayAnswers, PlayQuestion } from '../playback/messages';

/** A time as it crosses between threads, where a `Nanos` would lose its methods. */
export interface TimeWords {
  readonly hi: number;
  readonly lo: number;
}

/** Places that are not in the journal, both inclusive, and why: a reason of journal.ts. */
export interface MissingPlaces {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** The ten levels as of a moment. */
export interface BookQuestion {
  readonly kind: 'book';
  readonly symbol: string;
  readonly at: TimeWords;
}

/** Newest first, below a place. */
export interface TradesQuestion {
  readonly kind: 'trades';
  readonly symbol: string;
  readonly before: number;
  readonly limit: number;
  /** Blocks that are read and proven for it, about; behind them the page ends. Without it: all. */
  readonly blocksMax?: number;
}

/** In the order of their places, `from` inclusive, `to` exclusive; null is without a bound. */
export interface TicksQuestion {
  readonly kind: 'ticks';
  readonly symbol: string;
  readonly from: TimeWords | null;
  readonly to: TimeWords | null;
  /** Only those above this place; 0 for the first page. */
  readonly after: number;
  readonly limit: number;
  /** As of `TradesQuestion`. */
  readonly blocksMax?: number;
}

/** Oldest first. Without `from` the last `limit` bars that begin before `to`. */
export interface BarsQuestion {
  readonly kind: 'bars';
  readonly symbol: string;
  readonly interval: BarInterval;
  readonly from: TimeWords | null;
  readonly to: TimeWords | null;
  readonly limit: number;
  /** Trades read for it, once there is a bar to answer with. */
  readonly tradesMax: number;
  /** Whether the newest bar is over is told by the clock. */
  readonly now: TimeWords;
}

/** Bars of a topic behind a position. */
export interface BarsBehindTopic {
  readonly interval: BarInterval;
  /** Bars that open at this second or later need not be read. */
  readonly below: number;
  /** Seconds at which bars open that are wanted though no trade behind the position touched them. */
  readonly also: readonly number[];
}

export interface BarsBehindOf {
  readonly symbol: string;
  readonly topics: readonly BarsBehindTopic[];
}

/** What trades touched behind `lookFrom`, up to `upTo`; only those behind `after` are counted. */
export interface BarsBehindQuestion {
  readonly kind: 'bars-behind';
  readonly instruments: readonly BarsBehindOf[];
  readonly lookFrom: number;
  readonly after: number;
  readonly upTo: number;
  /** Trades read of an instrument, and of a run of bars. */
  readonly tradesMax: number;
}

/** For the thread of history; those of a play are for one of their own. */
export type PastQuestion = BookQuestion | TradesQuestion | TicksQuestion | BarsQuestion;

export type Question = PastQuestion | BarsBehindQuestion | PlayQuestion;

/** Decimals as strings, best first. */
export interface PastBook extends Effort {
  readonly seq: number;
  readonly eventTime: TimeWords;
  readonly receiveTime: TimeWords;
  readonly bids: [string, string][];
  readonly asks: [string, string][];
}

export interface Page extends Effort {
  /** The JSON text of an array. */
  readonly items: string;
  readonly count: number;
  /** Place of the last: of trades the oldest, of ticks the newest; of a page that was cut, how far it was read. 0 without any. */
  readonly last: number;
  /** It ends where it does since it took too many blocks; there may be more. */
  readonly isCut: boolean;
  /** When the newest trade of it (ticks, trades) was received; null without any. */
  readonly newest: TimeWords | null;
  /** What is missing between the places that were asked for, as far as it may be of the range of time. */
  readonly gaps: readonly MissingPlaces[];
}

/** What an answer took. */
interface Effort {
  /** Blocks that were read and proven for it. */
  readonly blocks?: number;
}

export interface BarsPage extends Effort {
  readonly items: string;
  /** Where it goes on, as digits: no bar between these and that moment; null when there are no more. */
  readonly next: string | null;
  /** As of a `Page`, in the time from the first interval on. */
  readonly gaps: readonly MissingPlaces[];
}

/** A bar as it crosses between threads: prices and quantities scaled. */
export interface PlainBar {
  /** At which it opens, since 1970. */
  readonly second: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: Sum;
  readonly trades: number;
  /** Of its newest trade, as are the times. */
  readonly seq: number;
  readonly eventTime: TimeWords;
  readonly receiveTime: TimeWords;
}

export interface BarsOfTopic {
  /** Seconds at which the touched bars open, with the number of trades that came to each. */
  readonly touched: readonly (readonly [second: number, trades: number])[];
  /** Bars that began behind the position and behind all of these before them, with the seq that began each. */
  readonly fronts: readonly (readonly [second: number, seq: number])[];
  /** Where the newest bar at the position opens; null where there was none. */
  readonly newest: number | null;
  /** Those of the touched, the newest and the other wanted ones that open below what was asked. */
  readonly bars: readonly PlainBar[];
}

export interface BarsBehind {
  /** As asked, topic by topic; fewer instruments where the answer would be too long. */
  readonly instruments: readonly (readonly (BarsOfTopic | 'not-kept')[])[];
}

/** What each kind of question is answered with, when it is not a fault. */
export interface Answers extends PlayAnswers {
  'book': PastBook;
  'trades': Page;
  'ticks': Page;
  'bars': BarsPage;
  'bars-behind': BarsBehind;
}

export type AnswerTo<Q extends Question> = Answers[Q['kind']];

/** To the thread: a question, or the wish that it closes its connection. */
export type ToThread =
  | {
      readonly id: number;
      readonly question: Question;
      /** What the disk has not taken by then, since it fails. */
      readonly open: MissingPlaces | null;
    }
  | 'close';

/** From the thread. */
export type Answer = Answers[Question['kind']] | Fault;
export type FromThread =
  | { readonly id: number; readonly answer: Answer }
  /** A block was found not to be sound, for the first time on this thread. */
  | { readonly damaged: MissingPlaces }
  | 'closed';
