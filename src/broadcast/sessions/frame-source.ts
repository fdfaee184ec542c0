/**
 * Frame source: frames that are made elsewhere (from the journal) and that one session takes at its
 * own pace, under flow control. So what is in flight is bounded by how the reader reads, however
 * much there is to send.
 */

import type { Message } from '../../../protocol/messages';

export type Frame = string | Uint8Array | readonly Message[];

export interface FrameSource {
  /** The next frame; undefined if there is none now. Whoever has one later calls `Session.pull`. */
  take(nowMs: number): Frame | undefined;
  /** Whether there is nothing more to take. */
  readonly isOver: boolean;
  /** All of it was sent; the session may serve another source. */
  finished(): void;
  /** The session has closed. */
  end(): void;
}
