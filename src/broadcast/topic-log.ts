/**
 * Topic log: what was published on a topic, for those readers that do not get it natively.
 *
 * It is kept once, however many they are; each reads it from a place of its own (a cursor), when its
 * window is open. So a slow reader costs a turn nothing, and holds no messages of its own. A log exists
 * while somebody reads it. Bounded: bytes, and the time that a message may wait; the newest always stays.
 */

import type { Message } from '../../protocol/messages';
import { BoundedQueue } from '../base/bounded-queue';

/** What of a topic can wait. */
export type Sequenced = Extract<Message, { readonly prevSeq: number }>;

export interface Logged {
  readonly message: Sequenced;
  /** About, on the binary wire. */
  readonly bytes: number;
  readonly atMs: number;
}

export class TopicLog {
  /** Places in the log count from its beginning: of the oldest that is held, and behind the newest. */
  start = 0;
  end = 0;
  /** Of all that was ever published: updates that it stands for, and bytes. */
  count = 0;
  bytes = 0;
  /** Of what is held. */
  heldBytes = 0;
  private keepMs = 0;
  private readonly bytesMax: number;
  private readonly entries = new BoundedQueue<Logged>(Number.MAX_SAFE_INTEGER);

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Some reader may ask for what is no older than this. */
  keep(ms: number): void {
    this.keepMs = Math.max(this.keepMs, ms);
  }

  /** @throws Error when a message is of no topic */
  append(messages: readonly Message[], nowMs: number): void {
    for (const message of messages) {
      if (!('prevSeq' in message)) throw new Error(`${message.type} is not of a topic`);
      const bytes = aboutBytes(message);
      this.entries.push({ message, bytes, atMs: nowMs });
      this.end += 1;
      this.count += countOf(message);
      this.bytes += bytes;
      this.heldBytes += bytes;
    }
    this.trim(nowMs);
  }

  /** Of all that has left, bytes. */
  get startBytes(): number {
    return this.bytes - this.heldBytes;
  }

  /** At a place that is held. */
  at(place: number): Logged {
    return this.entries.at(place - this.start)!;
  }

  private trim(nowMs: number): void {
    const { entries } = this;
    while (entries.length > 1) {
      const { bytes, atMs } = entries.at(0)!;
      if (this.heldBytes <= this.bytesMax && nowMs - atMs <= this.keepMs) break;
      entries.shift();
      this.start += 1;
      this.heldBytes -= bytes;
    }
    entries.fit();
  }
}

/** How many updates a message stands for. */
export function countOf(message: Sequenced): number {
  return 'count' in message ? message.count : 1;
}

/** About what a message takes on the binary wire. */
export function aboutBytes(message: Message): number {
  if (message.type === 'book') return 64 + (message.bids.length + message.asks.length) * 6;
  if (message.type === 'bar' || message.type === 'stats') return 128;
  return 'prevSeq' in message ? 80 : 48;
}
