/**
 * History messages: the questions of the main thread to the history thread, and its answers. Lists
 * are JSON text made on that thread, so a long answer costs the main thread one copy.
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

/** The ten levels at a past time. */
export interface BookQuestion {
  readonly kind: 'book';
  readonly symbol: string;
  readonly at: TimeHalves;
}

/** Newest first, below a seq. */
export interface TradesQuestion {
  readonly kind: 'trades';
  readonly symbol: string;
  readonly before: number;
  readonly limit: number;
  /** About how many blocks may be read and proven for it; then the page ends. Absent: no limit. */
  readonly blocksMax?: number;
}

/** In order of their sequence numbers; `from` inclusive, `to` exclusive, null: unbounded. */
export interface TicksQuestion {
  readonly kind: 'ticks';
  readonly symbol: string;
  readonly from: TimeHalves | null;
  readonly to: TimeHalves | null;
  /** Only ticks above this seq; 0 for the first page. */
  readonly after: number;
  readonly limit: number;
  /** As in `TradesQuestion`. */
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
  /** The most trades read for it, once there is a bar to answer with. */
  readonly tradesMax: number;
  /** The present: it decides whether the newest bar is over. */
  readonly now: TimeHalves;
}

/**
 * Which bars the trades behind `lookFrom`, up to `upTo`, changed; only those behind `after` are
 * counted.
 */
export interface BarsBehindQuestion extends BarsBehindRequest {
  readonly kind: 'bars-behind';
  /** The most trades read for one instrument, and for a run of adjacent bars. */
  readonly tradesMax: number;
}

/** For the history thread. Questions of replays go to the playback thread. */
export type PastQuestion = BookQuestion | TradesQuestion | TicksQuestion | BarsQuestion;

export type Question = PastQuestion | BarsBehindQuestion | ReplayQuestion;

/** The answer to each kind of question, unless it is a fault. */
export interface Answers extends ReplayAnswers {
  'book': PastBook;
  'trades': PastPage;
  'ticks': PastPage;
  'bars': PastBarsPage;
  'bars-behind': BarsBehind;
}

export type AnswerTo<Q extends Question> = Answers[Q['kind']];

/** To the thread: a question, or the request to close its connection. */
export type ToThread =
  | {
      readonly id: number;
      readonly question: Question;
      /** What a failing disk has not written by then. */
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
