/**
 * Playback messages: what the main thread asks of the thread that plays the journal, and what comes back.
 * A play is opened, then asked for one chunk after another, so what is ready and not sent is bounded by
 * who asks.
 */

import type { MissingRange } from '../../base/contracts/past';
import type { TimeHalves } from '../../base/contracts/times';

/** What to play: all of the topics between two places, in the order of places. */
export interface ReplayOpen {
  readonly kind: 'replay-open';
  /** Chosen by who asks; not one that is open. */
  readonly replay: number;
  /** `tick`, `trade`, `bbo`, `book` of a symbol or of all (`*`), and `status`. */
  readonly topics: readonly string[];
  readonly isText: boolean;
  /** First place; where `from` is set, not before the first record of the topics at or behind that time. */
  readonly fromSeq: number;
  /** Last place; where `to` is set, not behind the last record of the topics at or before that time. */
  readonly toSeq: number;
  readonly from: TimeHalves | null;
  readonly to: TimeHalves | null;
  /** Of each definition, and of books their state before; for a reader that holds nothing yet. */
  readonly hasOpening: boolean;
  /** A replay that goes on: the reader has had the opening, and all before `fromSeq`. */
  readonly goesOn?: boolean;
  /** Frames are cut and timed for so many hundredths of real time; 0: not at all. */
  readonly speed: number;
}

export interface ReplayNext {
  readonly kind: 'replay-next';
  readonly replay: number;
}

export interface ReplayClose {
  readonly kind: 'replay-close';
  readonly replay: number;
}

export type ReplayQuestion = ReplayOpen | ReplayNext | ReplayClose;

export interface ReplayOpened {
  /** The places that are played, by now known; the first is above the last when there is nothing. */
  readonly fromSeq: number;
  readonly toSeq: number;
  /** What of them the journal has not got. */
  readonly gaps: readonly MissingRange[];
}

/** Some frames, ready to be sent. */
export interface ReplayChunk {
  /** Binary frames, one behind the other, and where each ends; without any, `texts` has them. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ends: readonly number[];
  readonly texts: readonly string[];
  /** When each is due, in ms since the first; zeros when nothing is timed. */
  readonly atMs: readonly number[];
  /** The newest place of each; 0: none. */
  readonly seqs: readonly number[];
  /** A seq such that all up to there is in it and the frames before, and nothing above; 0: none. */
  readonly borders: readonly number[];
  /** The same of the whole chunk, which may have no frame: where another play goes on. */
  readonly reached: number;
  readonly messages: number;
  readonly isLast: boolean;
}

export interface ReplayAnswers {
  'replay-open': ReplayOpened;
  'replay-next': ReplayChunk;
  'replay-close': null;
}
