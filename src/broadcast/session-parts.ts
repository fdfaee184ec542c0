/** Session parts: what sessions of a server share, and what each counts. */

import type { FrameEncoder } from '../../protocol/codec';
import type { ScalesOf } from '../../protocol/units';
import type { BacklogCounters } from './cursor';
import type { Session } from './session';
import type { SentTally } from './tally';

/** Sessions of either form encode through these. */
export interface Encoders {
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
