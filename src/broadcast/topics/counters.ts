/**
 * Counters: what was sent to readers and what became of the rest, by channel, over all sessions
 * since the start. Topics count into the counters of their channel, so counts stay when sessions
 * close. Bounded: by the channels.
 */

import { CHANNELS, type Channel } from '../../../protocol/channels';

/** What was sent: each frame counts once for each session that it went to. */
export class SentCounter {
  frames = 0;
  /**
   * Messages; without those in frames that were made from the journal, whose number is not known.
   */
  messages = 0;
  /** Bytes of frames, without WebSocket's own. */
  bytes = 0;

  add(frameBytes: number, messages: number, sessions: number): void {
    this.frames += sessions;
    this.messages += messages * sessions;
    this.bytes += frameBytes * sessions;
  }
}

export class TopicCounters {
  /** Sent through native topics. */
  readonly sent = new SentCounter();
  /** Messages that were replaced by newer ones. */
  conflated = 0;
  /** Messages that gaps declare, and the number of those gaps. */
  dropped = 0;
  gaps = 0;
  /** Topics named by `reset` messages. */
  resets = 0;
}

export type CountersByChannel = Readonly<Record<Channel, TopicCounters>>;

export function newCounters(): CountersByChannel {
  const counters = CHANNELS.map((channel) => [channel, new TopicCounters()] as const);
  return Object.fromEntries(counters) as Record<Channel, TopicCounters>;
}

/** What became of the messages of a session since it began. */
export interface BacklogCounters {
  /** Messages that were replaced by newer ones. */
  conflated: number;
  /** Messages that gaps declare. */
  dropped: number;
  gaps: number;
}
