/**
 * Ingest source: brings events or orders into the core: the simulator, a recording, remote publishers, a venue.
 * Where they go to is given to its constructor.
 */

export interface IngestStatus {
  /** `ended`: it has brought everything in. `stopped`: `stop` was called before that. */
  readonly state: 'idle' | 'running' | 'ended' | 'failed' | 'stopped';
  /** Why it failed, for operators; else empty. */
  readonly reason: string;
  /** Events or orders submitted since the start, and how many of them were refused. */
  readonly submitted: number;
  readonly refused: number;
  /** Time since it last submitted anything, in ms; null: it has not. */
  readonly silentMs: number | null;
}

export interface IngestSource {
  /** For the log and operators. */
  readonly name: string;
  /** Begins to submit. Called once. */
  start(): void;
  /** Resolves when nothing more is submitted and nothing submitted waits for its answer. May be called twice. */
  stop(): Promise<void>;
  status(): IngestStatus;
}
