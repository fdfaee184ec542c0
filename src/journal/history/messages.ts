/**
 * History messages: what the main thread asks of the history thread, and what comes back. Lists come
 * as JSON text, made on that thread, so that a long answer costs the main thread a copy and no more.
 */

import type { BarInterval } from '../../../protocol/bars';
import type { Fault } from '../../../protocol/codes';
import type {
  BarsBehind,
  BarsBehindRequest,
  MissingRange,
  PastBarsPage,
  PastBook,
  PastPage,
} from '../../base/contracts/past';
import type { TimeHalves } from '../../base/contracts/times';
import type { ReplayAnswers, ReplayQuestion } from '../playback/messages';

/** The ten levels as of a moment. */
export interface BookQuestion {
  readonly kind: 'book';
  readonly symbol: string;
  readonly at: TimeHalves;
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
  readonly from: TimeHalves | null;
  readonly to: TimeHalves | null;
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
  readonly from: TimeHalves | null;
  readonly to: TimeHalves | null;
  readonly limit: number;
  /** Trades read for it, once there is a bar to answer with. */
  readonly tradesMax: number;
  /** Whether the newest bar is over is told by the clock. */
  readonly now: TimeHalves;
}

/** What trades touched behind `lookFrom`, up to `upTo`; only those behind `after` are counted. */
export interface BarsBehindQuestion extends BarsBehindRequest {
  readonly kind: 'bars-behind';
  /** Trades read of an instrument, and of a run of bars. */
  readonly tradesMax: number;
}

/** For the thread of history; those of a play are for one of their own. */
export type PastQuestion = BookQuestion | TradesQuestion | TicksQuestion | BarsQuestion;

export type Question = PastQuestion | BarsBehindQuestion | ReplayQuestion;

/** What each kind of question is answered with, when it is not a fault. */
export interface Answers extends ReplayAnswers {
  'book': PastBook;
  'trades': PastPage;
  'ticks': PastPage;
  'bars': PastBarsPage;
  'bars-behind': BarsBehind;
}

export type AnswerTo<Q extends Question> = Answers[Q['kind']];

/** To the thread: a question, or the wish that it closes its connection. */
export type ToThread =
  | {
      readonly id: number;
      readonly question: Question;
      /** What the disk has not taken by then, since it fails. */
      readonly open: MissingRange | null;
    }
  | 'close';

/** From the thread. */
export type Answer = Answers[Question['kind']] | Fault;
export type FromThread =
  | { readonly id: number; readonly answer: Answer }
  /** A block was found not to be sound, for the first time on this thread. */
  | { readonly damaged: MissingRange }
  | 'closed';
