/**
 * Tally: what was sent to readers and what became of the rest, over all sessions there were, by kind of
 * topic. Each topic counts into the tally of its kind, so a count stays when its session has gone.
 * Bounded: the kinds.
 */

import { CHANNELS, type Channel } from '../../../protocol/channels';

/** What went out: each frame once for each session that it went to. */
export class SentTally {
  frames = 0;
  /** Those of frames that were made from the journal are not known. */
  messages = 0;
  /** Of frames, without what WebSocket adds. */
  bytes = 0;

  add(frameBytes: number, messages: number, sessions: number): void {
    this.frames += sessions;
    this.messages += messages * sessions;
    this.bytes += frameBytes * sessions;
  }
}

export class TopicTally {
  /** By the native topics. */
  readonly sent = new SentTally();
  /** Messages that another one stood for. */
  conflated = 0;
  /** Messages that a gap declared, and such gaps. */
  dropped = 0;
  gaps = 0;
  /** Topics that a reader was told to forget. */
  resets = 0;
}

export type Tallies = Readonly<Record<Channel, TopicTally>>;

export function newTallies(): Tallies {
  const tallies = CHANNELS.map((kind) => [kind, new TopicTally()] as const);
  return Object.fromEntries(tallies) as Record<Channel, TopicTally>;
}

/** What became of messages since a session began. */
export interface BacklogCounters {
  /** Messages that another one stands for. */
  conflated: number;
  /** Messages that a gap declares. */
  dropped: number;
  gaps: number;
}
