/** Session parts: what sessions of a server share, and what each counts. */

import type { FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import type { ScalesOf } from '../../protocol/units';
import type { BacklogCounters } from './cursor';
import type { Session } from './session';
import type { SentTally } from './tally';

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

/** Who looks after sessions when they ask for it. */
export interface SessionCare {
  /** It is to be looked at soon, or at a time; infinity: at none, unless that was asked for soon. */
  wake(session: Session, atMs?: number): void;
  /** One has left the express lane for being slow. */
  fellBehind(): void;
  /** A turn of the event loop, for a part of what the end of a session takes. */
  soon(act: () => void): void;
  nowMs(): number;
}

/** Of one session. */
export interface SessionCounters extends BacklogCounters {
  /** Times that it left the express lane. */
  lagged: number;
  /** Times that it was told to forget what it held. */
  resets: number;
}

export function addCounters(sum: SessionCounters, one: SessionCounters): void {
  sum.conflated += one.conflated;
  sum.dropped += one.dropped;
  sum.gaps += one.gaps;
  sum.lagged += one.lagged;
  sum.resets += one.resets;
}
