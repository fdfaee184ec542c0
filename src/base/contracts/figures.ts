/** Figures: what a stage counts about itself, as metrics, readiness and operators read it. */

/** How the journal is. */
export interface JournalHealth {
  /** `failing`: the disk refuses writes. `hole`: with `async`, records that did not fit into the queue are given up. */
  readonly state: 'ok' | 'failing' | 'hole';
  /** Why, if it is not ok; else empty. */
  readonly reason: string;
  /** The kind of failure, if it is known, and what to do about it. */
  readonly cause?: string | null;
  readonly hint?: string;
}

/** What the journal has done since the start. */
export interface JournalFigures {
  readonly state: JournalHealth['state'];
  readonly waitingRows: number;
  readonly waitingBytes: number;
  readonly rows: number;
  readonly commits: number;
  readonly failures: number;
  readonly holes: number;
  readonly holeRecords: number;
  /** The newest committed sequence number. */
  readonly committedSeq: number;
  /** Assigned sequence numbers that are not committed; those given up count until their gap is noted. */
  readonly lagRecords: number;
  /** Age of the oldest batch that is not committed, in ms; 0: everything is committed. */
  readonly lagMs: number;
}

/** What checkpoints have done since the start. */
export interface CheckpointFigures {
  /** Completed cycles. */
  readonly cycles: number;
  readonly pieces: number;
  /** Captured bytes before compression. */
  readonly bytes: number;
  /** Length of the newest cycle in ms. */
  readonly tookMs: number;
  /** Time since its end, in ms; if there was none, since the start. */
  readonly ageMs: number;
  /** Records that a start would read again. */
  readonly tailRecords: number;
}

/** The state of a WebSocket session; the broadcaster counts it. */
export interface SessionFigures {
  readonly form: 'msgpack' | 'json';
  readonly lane: 'express' | 'lagging';
  readonly topics: number;
  readonly sentBytes: number;
  readonly sentFrames: number;
  readonly waitingBytes: number;
  readonly lagMs: number;
  /** Round-trip time in ms; null before the first ping was answered. */
  readonly rttMs: number | null;
  readonly conflated: number;
  readonly dropped: number;
  readonly gaps: number;
  readonly lagged: number;
  readonly resets: number;
}
