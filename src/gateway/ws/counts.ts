/**
 * Stream counts: what clients sent over WebSocket, how much of it was refused, and how connections ended; in
 * total and per connection.
 * Bounded: only the codes of the tables are counted separately, whatever a client sends.
 */

import { CLOSES, type ErrorCode } from '../../../protocol/codes';

/** What was received. */
export interface ReceivedCounts {
  frames: number;
  bytes: number;
  messages: number;
  /** Error answers: to messages, to parts of messages and to frames. */
  refused: number;
}

/** Close codes of WebSocket itself (RFC 6455 § 7.4.1) that can end a connection. */
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

/** A client may close with any of four thousand codes. All unknown codes share one count. */
export function closeLabel(code: number): string {
  return KNOWN_CLOSES.has(code) ? String(code) : 'other';
}

/** What one connection sent. Each item is added to the totals as well. */
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
