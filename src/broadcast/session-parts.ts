/** Session parts: what a session is handed, what bounds it, and what it counts. */

import type { FrameEncoder } from '../../protocol/codec';
import type { ScalesOf } from '../../protocol/json';
import type { OutboxCounters } from './outbox';

/** What a session needs of a WebSocket. */
export interface Socket {
  /** @returns 0 when the data was dropped, since the backlog is past its limit */
  send(data: string | Uint8Array): number;
  ping(): unknown;
  /** Bytes that the system has not taken yet. */
  getBufferedAmount(): number;
  subscribe(nativeTopic: string): void;
  unsubscribe(nativeTopic: string): void;
  close(code: number, reason: string): void;
  /** Without a word: nobody is there to hear it. */
  terminate(): void;
}

/** Sessions of either form encode through these. */
export interface Encoders {
  readonly binary: FrameEncoder;
  readonly scalesOf: ScalesOf;
}

export interface SessionLimits {
  readonly outboxBytesMax: number;
  /** What has waited longer in the outbox is conflated, in ms. */
  readonly staleMs: number;
  /** A pong that is later than this, over the quickest, tells a slow reader; in ms. */
  readonly lagMs: number;
  /** A reader without a pong for so long is closed, in ms. */
  readonly pongMs: number;
  /** Control that has waited longer in the outbox closes the session, in ms; and so many messages. */
  readonly controlMs: number;
  readonly controlMessagesMax: number;
}

/** Of one session, or of all there were. */
export interface SessionCounters extends OutboxCounters {
  /** Times that it left the express lane. */
  lagged: number;
}
