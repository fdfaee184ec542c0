/** Encoders: how sessions make frames of messages, and share those that many of them get. */

import type { FrameEncoder } from '../../../protocol/codec';
import type { Message } from '../../../protocol/messages';
import type { ScalesOf } from '../../../protocol/units';
import type { SentTally } from '../topics/counters';

type Frames = readonly (string | Uint8Array)[];

/** The frames of messages that many sessions get, which are made once. */
export class SharedFrames {
  private readonly made = new WeakMap<readonly Message[], Map<string, Frames>>();

  /** These go to many sessions, and do not change. */
  share(messages: readonly Message[]): void {
    this.made.set(messages, new Map());
  }

  /** Of those that were shared. @param key of the form and the size of frames */
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

/** Sessions of either form encode through these. */
export interface Encoders {
  readonly shared: SharedFrames;
  readonly binary: FrameEncoder;
  readonly scalesOf: ScalesOf;
  /** What sessions were sent that is theirs alone: answers, states, windows, plays. */
  readonly own: SentTally;
}
