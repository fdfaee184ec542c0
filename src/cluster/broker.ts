/**
 * Log broker: the batch log of one shard, as its writer and its readers need it. `NatsBroker` is the real one; tests
 * steer a virtual one. One contract suite, test/cluster/broker-contract.ts, holds both.
 *
 * The log is a list of stored messages, each one frame of protocol/log-frame.ts. The broker gives each a sequence
 * number of its own, from 1, dense but for what was deleted. "Sequence" means that number everywhere in this folder;
 * `seq` is the number of an event. The oldest frames go when the log is beyond its bounds.
 *
 * No method throws or rejects: what fails is a value, and every promise settles within the broker's own time limit.
 */

/** Nobody can say now; asking again may help. What was sent may or may not have been carried out. */
export interface Unavailable {
  readonly outcome: 'unavailable';
  readonly reason: string;
}

export type Answer<T> = { readonly outcome: 'ok'; readonly value: T } | Unavailable;

/** Why the broker will not take an append, however often it is sent. `full` may pass when an operator makes room. */
export type Refusal = 'full' | 'too-large' | 'wrong-stream';

export type AppendResult =
  /** It is in the log at this sequence. `isDuplicate`: since an earlier try, whose answer was lost. */
  | { readonly outcome: 'stored'; readonly sequence: number; readonly isDuplicate: boolean }
  /** Another frame has its position; `last` is the last sequence of the log. */
  | { readonly outcome: 'deposed'; readonly last: number }
  /** It may be in the log. The same bytes, id and expectation are to be sent again. */
  | Unavailable
  | { readonly outcome: 'refused'; readonly reason: Refusal; readonly message: string };

export interface StoredFrame {
  readonly sequence: number;
  /** The id that it was appended with; empty: it has none. */
  readonly id: string;
  /** Of its own: nothing else writes into it. */
  readonly bytes: Uint8Array;
}

/** The end of the log. */
export interface LogEnd {
  /** The last sequence that was given; 0: none ever. */
  readonly sequence: number;
  /** The frame there; null if the log holds none (any more). */
  readonly frame: StoredFrame | null;
}

export interface LogReplica {
  readonly name: string;
  readonly isLeader: boolean;
  /** Whether it is up to date. */
  readonly isCurrent: boolean;
  /** Frames that it is behind. */
  readonly lag: number;
}

export interface LogInfo {
  /** Of the oldest frame that it holds; `lastSequence` + 1 if it holds none. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly frames: number;
  readonly bytes: number;
  /** Frames that are missing between the first and the last. */
  readonly deleted: number;
  readonly bytesMax: number;
  /** In ms; 0: not bounded by age. */
  readonly ageMaxMs: number;
  /** How many copies there are to be. */
  readonly replicasWanted: number;
  /** Empty where the broker is no cluster. */
  readonly replicas: readonly LogReplica[];
}

export interface FollowHandlers {
  /** A frame, some time after it was stored. Frames can be missing, repeated and out of order. */
  frame(frame: StoredFrame): void;
  /** The connection was lost and is there again: frames may be missing. */
  reconnected(): void;
}

/** The market at a position, as an object beside the log. */
export interface StoredCheckpoint {
  readonly name: string;
  /** The last event that it includes. */
  readonly epoch: number;
  readonly seq: number;
  readonly bytes: number;
}

export interface CheckpointStore {
  /** Stores one and deletes all but the newest few. */
  put(
    position: { readonly epoch: number; readonly seq: number },
    content: Uint8Array,
  ): Promise<Answer<StoredCheckpoint>>;
  /** All that are complete, the newest first. */
  list(): Promise<Answer<StoredCheckpoint[]>>;
  /** The content; null: it is not there (any more), or damaged. */
  get(name: string): Promise<Answer<Uint8Array | null>>;
}

export interface LogBroker {
  /** The largest frame that it takes, in bytes. */
  readonly frameBytesMax: number;
  readonly checkpoints: CheckpointStore;
  /**
   * Appends a frame behind a sequence, if that is the last one. One call at a time.
   * @param bytes are copied
   * @param id the same for each try of one frame, and of no other frame
   * @param expectedLast the last sequence of the log; 0: the log has never had a frame
   */
  append(bytes: Uint8Array, id: string, expectedLast: number): Promise<AppendResult>;
  /** The end of the log, as its leader knows it. */
  last(): Promise<Answer<LogEnd>>;
  /**
   * Frames from a sequence on, in order: the first that it holds at or behind it, and as many as fit. Any replica
   * answers, so the newest frames can be missing; empty: it has none there (yet).
   * @param bytesMax about how many bytes; one frame comes in any case
   */
  read(from: number, framesMax: number, bytesMax: number): Promise<Answer<StoredFrame[]>>;
  /** The frame at a sequence, as the leader of the log has it; null: it has none there. */
  get(sequence: number): Promise<Answer<StoredFrame | null>>;
  /** Calls back with each frame that is stored from now on. Returns what ends that. */
  follow(handlers: FollowHandlers): () => void;
  info(): Promise<Answer<LogInfo>>;
  /** Ends the connection. What is under way settles as unavailable. */
  close(): Promise<void>;
}

export function ok<T>(value: T): Answer<T> {
  return { outcome: 'ok', value };
}

export function unavailable(reason: string): Unavailable {
  return { outcome: 'unavailable', reason };
}
