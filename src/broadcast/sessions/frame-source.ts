/**
 * Feed: frames made elsewhere that one session takes as it reads them, in windows between a ping and its
 * pong. So however much there is to tell, what is under way to a reader is bounded by how it reads.
 */

import type { Message } from '../../../protocol/messages';

export type Frame = string | Uint8Array | readonly Message[];

export interface Feed {
  /** The next frame; undefined: not now. Who has one later calls `Session.pull`. */
  take(nowMs: number): Frame | undefined;
  /** Whether there is nothing more to take. */
  readonly isOver: boolean;
  /** All of it was sent, and the session is its own again. */
  finished(): void;
  /** The session has gone. */
  end(): void;
}
