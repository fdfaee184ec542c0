/** Session limits: the bounds of a session, both settings and fixed values. */

import type { BacklogOptions, ControlLimits } from '../backlog/backlog';

export interface SessionLimits extends BacklogOptions, ControlLimits {
  /**
   * A pong that comes later than this, beyond the shortest round trip, marks a slow reader; in ms.
   */
  readonly lagMs: number;
  /** Each session is sent a ping at this interval, in ms, whatever else it is sent. */
  readonly pingMs: number;
  /** A reader that answers no ping for this long is closed, in ms. */
  readonly pongMs: number;
  /** Topics that move between native and windowed delivery in one turn; default 1,000. */
  readonly movedATurn?: number;
}

/** Size of a frame; a single longer message has a frame of its own. */
export const FRAME_BYTES_MAX = 16_384;
/**
 * The smallest size that frames are cut to on a slow line, so that related messages mostly stay
 * together.
 */
export const FRAME_BYTES_MIN = 2_048;
/** A native session is sent a ping after this many bytes. */
export const PING_BYTES = 16_384;
/** How often a session with a full window is looked after, unless a pong comes. */
export const STALLED_LOOK_MS = 200;
/** A session whose socket buffers more than this is lagging, without waiting for a pong. */
export const BUFFERED_BYTES_MAX = 65_536;
/**
 * The first window of a session: a line of 20 kB/s takes it in less than the usual heartbeat. It
 * then follows the reader within these bounds.
 */
export const WINDOW_BYTES_FIRST = 65_536;
export const WINDOW_BYTES_MIN = 4_096;
export const WINDOW_BYTES_MAX = 2_097_152;
/** Approximate ratio of JSON to the estimated size of messages. */
export const TEXT_FACTOR = 4;
/** The window of a session that has just become lagging. */
export const WINDOW_BYTES_SLOW = 16_384;
/** Pongs that come sooner than this let the window grow; pongs that come later make it smaller. */
export const WINDOW_SOON_MS = 50;
export const WINDOW_LATE_MS = 250;
/** Approximate memory of a message for each byte of its estimated size. */
export const MEMORY_FACTOR = 4;
/**
 * Approximate memory of one topic of one session: its entry, its cursor, and Bun's subscription.
 */
export const TOPIC_BYTES = 256;
/** For a session whose memory is not accounted. */
export const UNBOUNDED = { clientBytesMax: Infinity, clientBytesPerClientMax: Infinity };
