/** Session limits: what bounds a session; what an operator may set, and what is fixed. */

import type { BacklogOptions, ControlLimits } from '../backlog/backlog';

export interface SessionLimits extends BacklogOptions, ControlLimits {
  /** A pong that is later than this, over the quickest, tells a slow reader; in ms. */
  readonly lagMs: number;
  /** A ping goes to each session this often, in ms, whatever else it is sent. */
  readonly pingMs: number;
  /** A reader without a pong for so long is closed, in ms. */
  readonly pongMs: number;
  /** Topics that go from native to windows, or back, in a turn; a thousand unless given. */
  readonly movedATurn?: number;
}

/** A frame of what one session, or one topic, is sent at once; a single longer message stands alone. */
export const FRAME_BYTES_MAX = 16_384;
/** And of no less, however slow the line: what belongs together mostly stays so. */
export const FRAME_BYTES_MIN = 2_048;
/** On the express lane a ping follows so many bytes. */
export const PING_BYTES = 16_384;
/** A session whose window is full is looked at this often, unless a pong comes. */
export const STALLED_LOOK_MS = 200;
/** Of the socket's own backlog: past this it is slow without waiting for a pong. */
export const BUFFERED_BYTES_MAX = 65_536;
/**
 * The window of a session of which nothing is known yet: a line of 20 kB/s takes it in less than the
 * usual heartbeat. It follows the reader within these bounds.
 */
export const WINDOW_BYTES_FIRST = 65_536;
export const WINDOW_BYTES_MIN = 4_096;
export const WINDOW_BYTES_MAX = 2_097_152;
/** About how much longer text is than what is counted of messages. */
export const TEXT_FACTOR = 4;
/** The window of a session that has just been found to be slow. */
export const WINDOW_BYTES_SLOW = 16_384;
/** Pongs that come sooner let the window grow, later ones make it smaller. */
export const WINDOW_SOON_MS = 50;
export const WINDOW_LATE_MS = 250;
/** About what a message takes in memory, for each byte that is counted of it. */
export const MEMORY_FACTOR = 4;
/** About what a topic of one session takes: its entry, its cursor, and Bun's. */
export const TOPIC_BYTES = 256;
/** Of a session that nobody counts. */
export const UNBOUNDED = { clientBytesMax: Infinity, clientBytesPerClientMax: Infinity };
