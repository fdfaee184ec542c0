/**
 * Publisher: takes every batch once it may be published, and brings it to readers: the WebSocket topics, the ring,
 * iceoryx2, a message broker.
 *
 * Its life: `open` once; then `accept` for each batch, in order and without holes; `close` once. `open` may take time,
 * and `accept` may refuse a batch because the target is slow or away. In both cases the publisher is given no more
 * batches until `catchUp` has brought it to the newest position; then `accept` continues after that position. So no
 * event is skipped, and none is given twice. A publisher never holds up the market or other publishers.
 *
 * A position is the sequence number of the last event that was handed over.
 */

import type { Instrument, MarketEvent } from '../../../protocol/messages';
import type { StatisticsState } from '../../../protocol/statistics';
import type { EventRun } from './batch';

/** The state of the market at a position. */
export interface PublisherStart {
  readonly epoch: number;
  readonly lastSeq: number;
  /** The newest event of each topic, each instrument's definition first. */
  readonly newest: readonly MarketEvent[];
  /** Definitions of deleted instruments, whose past can be read in their scales; their topics have no state. */
  readonly deleted: readonly Instrument[];
  readonly statistics: Readonly<Record<string, StatisticsState>>;
}

/** How far readers are behind what was published; both 0 if they are not. */
export interface PublisherLag {
  /** Events that were accepted and have not reached the target. */
  readonly events: number;
  /** How long the oldest of them has waited, in ms. */
  readonly ms: number;
}

/** Events that were published before. */
export interface PublishedEvents {
  /**
   * The next events after a position, as many as fit a turn. Undefined: some of them are no longer kept, or there
   * are none.
   */
  read(position: number): EventRun | undefined | Promise<EventRun | undefined>;
}

export interface Publisher<B extends EventRun = EventRun> {
  /** For the log and the metrics. */
  readonly name: string;
  /** Whether the server cannot run without it. What another one throws puts only that one out of service. */
  readonly isRequired?: boolean;
  /** Records written to shared memory; absent: it has none. */
  readonly records?: number;
  /**
   * Takes the state at `start.lastSeq` and connects to its target.
   * @returns its position: `start.lastSeq`, or a lower one if its target has only what lies up to there
   * @throws Error if the target cannot be had
   */
  open(start: PublisherStart): number | Promise<number>;
  /**
   * Takes a batch without waiting.
   * @returns `full`: it did not take the batch and has to catch up from its last position
   * @throws Error if it cannot go on
   */
  accept(batch: B): 'taken' | 'full';
  behindBy(): PublisherLag;
  /**
   * Publishes some of the events after a position, as fast as its target takes them.
   * @returns the new position, above the old one
   * @throws Error if it cannot go on, for example because the events are no longer kept
   */
  catchUp(position: number, events: PublishedEvents): Promise<number>;
  /** Called several times a second: a sign of life for its readers. */
  beat(): void;
  /** Nothing more comes. Resolves when the target has what was accepted, or cannot have it. May be called twice. */
  close(): void | Promise<void>;
}
