/** Encoders: how sessions make frames of messages, and share those that many of them get. */

import type { FrameEncoder } from '../../../protocol/codec';
import type { Message } from '../../../protocol/messages';
import type { ScalesOf } from '../../../protocol/units';
import type { SentCounter } from '../topics/counters';

type Frames = readonly (string | Uint8Array)[];

/** Frames of messages that many sessions get; each form is encoded once. */
export class SharedFrames {
  private readonly made = new WeakMap<readonly Message[], Map<string, Frames>>();

  /** Announces messages that go to many sessions and do not change. */
  share(messages: readonly Message[]): void {
    this.made.set(messages, new Map());
  }

  /** The frames of shared messages. @param key names the form and the size of frames */
  frames(messages: readonly Message[], key: string, make: () => Frames): Frames {
    const of = this.made.get(messages)!;
    let frames = of.get(key);
    if (frames === undefined) of.set(key, (frames = make()));
    return frames;
  }

  /** Whether these were shared. */
  has(messages: readonly Message[]): boolean {
    return this.made.has(messages);
  }
}

/** The encoders of both forms, shared by all sessions. */
export interface Encoders {
  readonly shared: SharedFrames;
  readonly binary: FrameEncoder;
  readonly scalesOf: ScalesOf;
  /** Counts what was sent to single sessions: answers, snapshots, windows, replays. */
  readonly own: SentCounter;
}
