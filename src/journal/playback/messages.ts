/**
 * Playback messages: the requests of the main thread to the playback thread, and its answers. A
 * replay is opened and then read chunk by chunk on request. So the caller bounds what is ready and
 * not sent.
 */

import type { MissingRange } from '../../base/contracts/past';
import type { TimeHalves } from '../../base/contracts/times';

/** What to replay: all messages of the topics between two sequence numbers, in order. */
export interface ReplayOpen {
  readonly kind: 'replay-open';
  /** Chosen by the caller; not the number of an open replay. */
  readonly replay: number;
  /** `tick`, `trade`, `bbo`, `book` of one symbol or of all (`*`), and `status`. */
  readonly topics: readonly string[];
  readonly isText: boolean;
  /**
   * First seq. If `from` is set: not before the first record of the topics at or after that time.
   */
  readonly fromSeq: number;
  /** Last seq. If `to` is set: not after the last record of the topics at or before that time. */
  readonly toSeq: number;
  readonly from: TimeHalves | null;
  readonly to: TimeHalves | null;
  /**
   * Whether to begin with each definition, and with the state of the books before the first seq.
   * For a reader that holds nothing yet.
   */
  readonly hasOpening: boolean;
  /** The shard that gaps name; absent or null: none. */
  readonly shard?: string | null;
  /** A replay that is continued: the reader has the opening, and everything before `fromSeq`. */
  readonly goesOn?: boolean;
  /** Hundredths of real time by which frames are cut and timed; 0: not timed. */
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
  /**
   * The sequence numbers that will be replayed, as known now; the first is above the last if there
   * are none.
   */
  readonly fromSeq: number;
  readonly toSeq: number;
  /** The missing ranges among them. */
  readonly gaps: readonly MissingRange[];
}

/** Frames, ready to be sent. */
export interface ReplayChunk {
  /**
   * Binary frames, one after the other, and the end of each. In the JSON form, `texts` has the
   * frames instead.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ends: readonly number[];
  readonly texts: readonly string[];
  /** When each frame is due, in ms since the first; zeros if the replay is not timed. */
  readonly atMs: readonly number[];
  /** The newest seq in each frame; 0: none. */
  readonly seqs: readonly number[];
  /**
   * For each frame: the seq up to which it and the frames before it have everything, and nothing
   * above; 0: there is none.
   */
  readonly borders: readonly number[];
  /** The same for the whole chunk, which may have no frame: where another replay continues. */
  readonly reached: number;
  readonly messages: number;
  readonly isLast: boolean;
}

export interface ReplayAnswers {
  'replay-open': ReplayOpened;
  'replay-next': ReplayChunk;
  'replay-close': null;
}
