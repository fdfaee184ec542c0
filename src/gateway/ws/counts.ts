/**
 * Stream counts: what clients sent over WebSocket, what was refused of it, and how connections ended;
 * over all, and of each connection.
 * Bounded: codes are those of the tables, whatever a client sends.
 */

import { CLOSES, type ErrorCode } from '../../../protocol/codes';

/** What came in. */
export interface ReceivedCounts {
  frames: number;
  bytes: number;
  messages: number;
  /** Answers with an error, to messages, parts of them, or frames. */
  refused: number;
}

/** Close codes of WebSocket itself (RFC 6455 § 7.4.1) that end a connection here. */
const STANDARD_CLOSES = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011];
const KNOWN_CLOSES: ReadonlySet<number> = new Set([
  ...STANDARD_CLOSES,
  ...Object.values(CLOSES).map(({ code }) => code),
]);

export class StreamCounts {
  readonly received: ReceivedCounts = { frames: 0, bytes: 0, messages: 0, refused: 0 };
  readonly refusals = new Map<ErrorCode, number>();
  readonly closes = new Map<string, number>();
  opened = 0;

  refused(code: ErrorCode): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  closed(code: number): void {
    const label = closeLabel(code);
    this.closes.set(label, (this.closes.get(label) ?? 0) + 1);
  }
}

/** A client may close with any of four thousand codes; those that are not known are one. */
export function closeLabel(code: number): string {
  return KNOWN_CLOSES.has(code) ? String(code) : 'other';
}

/** What one connection sent; each is counted over all as well. */
export class ConnectionCounts {
  readonly received: ReceivedCounts = { frames: 0, bytes: 0, messages: 0, refused: 0 };
  private readonly all: StreamCounts;

  constructor(all: StreamCounts) {
    this.all = all;
  }

  frame(bytes: number): void {
    for (const counts of [this.received, this.all.received]) {
      counts.frames += 1;
      counts.bytes += bytes;
    }
  }

  messages(count: number): void {
    this.received.messages += count;
    this.all.received.messages += count;
  }

  refused(code: ErrorCode): void {
    this.received.refused += 1;
    this.all.received.refused += 1;
    this.all.refused(code);
  }
}
