/**
 * Topic log: what was published on a topic, for those readers that do not get it natively.
 *
 * It is kept once, however many they are; each reads it from a place of its own (a cursor), when its
 * window is open. So a slow reader costs a turn nothing, and holds no messages of its own. A log exists
 * while somebody reads it. Bounded: bytes, and the time that a message may wait; the newest always stays.
 *
 * A bar that has ended is sent no more, so the message of its end stands for itself, as a trade does. Such ends
 * are kept longer than the other messages: the newest `ENDS_MAX`, for a minute at least.
 */

import type { Bar, Message } from '../../../protocol/messages';
import { Deque } from '../../base/deque';

/** What of a topic can wait. */
export type Sequenced = Extract<Message, { readonly prevSeq: number }>;

export interface Logged {
  readonly message: Sequenced;
  /** About, on the binary wire. */
  readonly bytes: number;
  readonly atMs: number;
}

/** Ends of bars of one topic that are kept when they have left the log, and how long. */
export const ENDS_MAX = 1_000;
const ENDS_KEPT_MS = 60_000;

interface End {
  readonly place: number;
  readonly message: Bar;
  readonly atMs: number;
}

/** Ends of bars that nobody holds any more. */
export interface LostEnds {
  readonly count: number;
  /** Of the newest of them. */
  readonly seq: number;
}

/**
 * Room for the logs of all topics. Where they take more than that, each is held to an equal share: a log
 * that is small stays whole.
 */
export class LogRoom {
  /** About what is held. */
  bytes = 0;
  logs = 0;
  private readonly bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Whether there is no room for a log of so many bytes. */
  isTooMuch(heldBytes: number): boolean {
    return this.bytes > this.bytesMax && heldBytes > this.bytesMax / this.logs;
  }

  change(bytes: number): void {
    this.bytes += bytes;
  }
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
  /** Of bars: the newest end of each that has left the entries, by its opening second; in the order of places. */
  private readonly ends = new Map<number, End>();
  /** Ends that were dropped: how many, the newest seq, and the place behind them. */
  private lost = { count: 0, seq: 0, place: 0 };
  private readonly entries = new Deque<Logged>();
  private readonly room: LogRoom;

  constructor(bytesMax: number, room = new LogRoom(Infinity)) {
    this.bytesMax = bytesMax;
    this.room = room;
    room.logs += 1;
  }

  /** Nobody reads it any more. */
  close(): void {
    this.room.logs -= 1;
    this.room.change(-this.heldBytes);
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
      this.room.change(bytes);
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

  /** The messages of bars from a place on, of which only ends are held from before the log's start. */
  *barsFrom(place: number): Generator<Bar> {
    for (const end of this.ends.values()) if (end.place >= place) yield end.message;
    for (let at = Math.max(place, this.start); at < this.end; at++) {
      const { message } = this.at(at);
      if (message.type !== 'bar') throw new Error(`${message.type} on a topic of bars`);
      yield message;
    }
  }

  /** Ends from a place on that are not held any more; null when all are. */
  lostEnds(place: number): LostEnds | null {
    return this.lost.place > place ? this.lost : null;
  }

  private keepEnd(message: Bar, atMs: number, nowMs: number): void {
    const { ends } = this;
    const second = message.openTime.seconds;
    ends.delete(second);
    ends.set(second, { place: this.start, message, atMs });
    const keepMs = Math.max(this.keepMs, ENDS_KEPT_MS);
    for (const [oldest, end] of ends) {
      if (ends.size <= ENDS_MAX && nowMs - end.atMs <= keepMs) break;
      ends.delete(oldest);
      const { count, seq } = this.lost;
      this.lost = { count: count + 1, seq: Math.max(seq, end.message.seq), place: end.place + 1 };
    }
  }

  private trim(nowMs: number): void {
    const { entries } = this;
    while (entries.length > 1) {
      const { bytes, atMs, message } = entries.at(0)!;
      const isTooMuch = this.heldBytes > this.bytesMax || this.room.isTooMuch(this.heldBytes);
      if (!isTooMuch && nowMs - atMs <= this.keepMs) break;
      entries.shift();
      if (message.type === 'bar' && message.final) this.keepEnd(message, atMs, nowMs);
      this.start += 1;
      this.heldBytes -= bytes;
      this.room.change(-bytes);
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
  if (message.type === 'heartbeat') return 48 + message.heads.length * 20;
  if (message.type === 'reset') return 48 + message.topics.length * 16;
  return 'prevSeq' in message ? 80 : 48;
}
