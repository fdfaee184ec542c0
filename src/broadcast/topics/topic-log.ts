/**
 * Topic log: the published messages of one topic, for readers that do not get it natively.
 *
 * It is kept once for all of them; each reader has a cursor and reads when its window has room. So
 * a slow reader adds no work to a turn and holds no messages of its own. A log exists while it has
 * a reader.
 *
 * No later message need come for a bar that has ended (only a late trade revises it), so the
 * message of its end must not be lost, like a trade. Ends are kept longer than other messages: the
 * newest `ENDS_MAX`, for at least a minute.
 *
 * Bounded: by bytes, and by the time that a message may wait; the newest message always stays.
 */

import type { Bar, Message } from '../../../protocol/messages';
import { Deque } from '../../base/deque';

/** A message of a topic. */
export type Sequenced = Extract<Message, { readonly prevSeq: number }>;

export interface Logged {
  readonly message: Sequenced;
  /** Approximate size in the binary form. */
  readonly bytes: number;
  readonly atMs: number;
}

/** Ends of bars of one topic that are kept after they left the log, and for how long. */
export const ENDS_MAX = 1_000;
const ENDS_KEPT_MS = 60_000;

interface KeptEnd {
  readonly position: number;
  readonly message: Bar;
  readonly atMs: number;
}

/** Ends of bars that are not kept any more. */
export interface LostEnds {
  readonly count: number;
  /** The sequence number of the newest of them. */
  readonly seq: number;
}

/**
 * Memory for the logs of all topics. If they take more, each log is limited to an equal share, so
 * small logs stay complete.
 */
export class LogRoom {
  /** Approximate bytes held. */
  bytes = 0;
  logs = 0;
  private readonly bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Whether a log of this many bytes is over its share. */
  isTooMuch(heldBytes: number): boolean {
    return this.bytes > this.bytesMax && heldBytes > this.bytesMax / this.logs;
  }

  change(bytes: number): void {
    this.bytes += bytes;
  }
}

export class TopicLog {
  /**
   * Positions count all messages since the log began. `start`: of the oldest message that is held;
   * `end`: after the newest one.
   */
  start = 0;
  end = 0;
  /** Totals since the log began: updates (the sum of the counts of the messages), and bytes. */
  count = 0;
  bytes = 0;
  /** Bytes held. */
  heldBytes = 0;
  private keepMs = 0;
  private readonly bytesMax: number;
  /** Ends of bars that have left the entries, by opening second, in the order of positions. */
  private readonly ends = new Map<number, KeptEnd>();
  /** Ends that were dropped: their number, the newest seq, and the position behind them. */
  private lost = { count: 0, seq: 0, position: 0 };
  private readonly entries = new Deque<Logged>();
  private readonly room: LogRoom;
  private readonly isOfBars: boolean;

  /** @param isOfBars whether its messages are those of bars, whose ends are kept longer */
  constructor(bytesMax: number, isOfBars = false, room = new LogRoom(Infinity)) {
    this.bytesMax = bytesMax;
    this.isOfBars = isOfBars;
    this.room = room;
    room.logs += 1;
  }

  /** Closes the log when it has no readers. */
  close(): void {
    this.room.logs -= 1;
    this.room.change(-this.heldBytes);
  }

  /** A reader may need messages that are up to this old. */
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
      this.room.change(bytes);
    }
    this.trim(nowMs);
  }

  /** Total bytes of the messages that have left the log. */
  get startBytes(): number {
    return this.bytes - this.heldBytes;
  }

  /** The message at a position that is held. */
  at(position: number): Logged {
    return this.entries.at(position - this.start)!;
  }

  /**
   * Messages from a position on; of what has left the log, only the ends that are kept. Only for a log
   * of bars.
   */
  *barsFrom(position: number): Generator<Bar> {
    for (const end of this.ends.values()) if (end.position >= position) yield end.message;
    for (let at = Math.max(position, this.start); at < this.end; at++) {
      yield this.at(at).message as Bar;
    }
  }

  /** Ends from a position on that are not kept any more; null if none is missing. */
  lostEnds(position: number): LostEnds | null {
    return this.lost.position > position ? this.lost : null;
  }

  private keepEnd(message: Bar, atMs: number, nowMs: number): void {
    const { ends } = this;
    const second = message.openTime.seconds;
    ends.delete(second);
    ends.set(second, { position: this.start, message, atMs });
    const keepMs = Math.max(this.keepMs, ENDS_KEPT_MS);
    for (const [oldest, end] of ends) {
      if (ends.size <= ENDS_MAX && nowMs - end.atMs <= keepMs) break;
      ends.delete(oldest);
      const { count, seq } = this.lost;
      this.lost = {
        count: count + 1,
        seq: Math.max(seq, end.message.seq),
        position: end.position + 1,
      };
    }
  }

  private trim(nowMs: number): void {
    const { entries } = this;
    while (entries.length > 1) {
      const { bytes, atMs, message } = entries.at(0)!;
      const isTooMuch = this.heldBytes > this.bytesMax || this.room.isTooMuch(this.heldBytes);
      if (!isTooMuch && nowMs - atMs <= this.keepMs) break;
      entries.shift();
      if (this.isOfBars && (message as Bar).final) this.keepEnd(message as Bar, atMs, nowMs);
      this.start += 1;
      this.heldBytes -= bytes;
      this.room.change(-bytes);
    }
    entries.fit();
  }
}

/** How many updates a message replaces. */
export function countOf(message: Sequenced): number {
  return 'count' in message ? message.count : 1;
}

/** Approximate size of a message in the binary form, in bytes. */
export function aboutBytes(message: Message): number {
  if (message.type === 'book') return 64 + (message.bids.length + message.asks.length) * 6;
  if (message.type === 'bar' || message.type === 'stats') return 128;
  if (message.type === 'heartbeat') return 48 + message.heads.length * 20;
  if (message.type === 'reset') return 48 + message.topics.length * 16;
  return 'prevSeq' in message ? 80 : 48;
}
