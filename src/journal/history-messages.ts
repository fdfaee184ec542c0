/**
 * History messages: what the main thread asks of the history thread, and what comes back. Lists come
 * as JSON text, made on that thread, so that a long answer costs the main thread a copy and no more.
 */

import type { BarInterval } from '../../protocol/bars';
import type { Fault } from '../../protocol/codes';

/** A time as it crosses between threads, where a `Nanos` would lose its methods. */
export interface TimeWords {
  readonly hi: number;
  readonly lo: number;
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
}

/** In the order of their places, `from` inclusive, `to` exclusive; null is without a bound. */
export interface TicksQuestion {
  readonly kind: 'ticks';
  readonly symbol: string;
  readonly from: TimeWords | null;
  readonly to: TimeWords | null;
  /** Only those of trades above this place; 0 for the first page. */
  readonly after: number;
  readonly limit: number;
}

/** Oldest first. Without `from` the last `limit` intervals before `to`. */
export interface BarsQuestion {
  readonly kind: 'bars';
  readonly symbol: string;
  readonly interval: BarInterval;
  readonly from: TimeWords | null;
  readonly to: TimeWords | null;
  readonly limit: number;
  /** Whether the newest bar is over is told by the clock. */
  readonly now: TimeWords;
}

export type Question = BookQuestion | TradesQuestion | TicksQuestion | BarsQuestion;

/** Decimals as strings, best first. */
export interface PastBook {
  readonly seq: number;
  readonly eventTime: TimeWords;
  readonly receiveTime: TimeWords;
  readonly bids: [string, string][];
  readonly asks: [string, string][];
}

export interface Page {
  /** The JSON text of an array. */
  readonly items: string;
  readonly count: number;
  /** Ticks: place of the last trade. Trades: place of the last, so the oldest. 0 without any. */
  readonly last: number;
  /** When the newest trade of it (ticks, trades) was received; null without any. */
  readonly newest: TimeWords | null;
}

export interface BarsPage {
  readonly items: string;
  /** Open time of the bar at which it goes on, as digits; null when there are no more. */
  readonly next: string | null;
}

/** What each kind of question is answered with, when it is not a fault. */
export interface Answers {
  book: PastBook;
  trades: Page;
  ticks: Page;
  bars: BarsPage;
}

export type AnswerTo<Q extends Question> = Answers[Q['kind']];

/** To the thread: a question, or the wish that it closes its connection. */
export type ToThread = { readonly id: number; readonly question: Question } | 'close';

/** From the thread. */
export type FromThread =
  { readonly id: number; readonly answer: Answers[Question['kind']] | Fault } | 'closed';
