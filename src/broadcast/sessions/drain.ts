/**
 * Departure: the server stops, and its sessions come back elsewhere or later. Each is told so and sent what
 * waits for it, and closed when it has that; of many some in each turn of the event loop.
 */

import { CLOSES } from '../../../protocol/codes';
import type { Clock } from '../../base/clock';
import type { Prng } from '../../base/prng';
import type { Session } from './session';

/** Sessions are asked to come back not before this time, which a start takes, */
const RETRY_MS_MIN = 250;
/** and spread over one that grows with them, so that none waits longer than it must. */
const SPREAD_MS_MIN = 250;
const SPREAD_MS_MAX = 1_750;
const RETURNS_PER_MS = 5;

/** So many are told in a turn, and so many closed. */
export const DEPARTED_A_TURN = 200;

export class Departure {
  private readonly sessions: ReadonlySet<Session>;
  private readonly clock: Clock;
  private readonly leave: (session: Session) => void;
  private readonly settle: (session: Session) => void;
  /** Those that were told and are still there. */
  private readonly told = new Set<Session>();

  /** @param settle sends what is to come before the word that it closes */
  constructor(
    sessions: ReadonlySet<Session>,
    clock: Clock,
    leave: (session: Session) => void,
    settle: (session: Session) => void,
  ) {
    this.sessions = sessions;
    this.clock = clock;
    this.leave = leave;
    this.settle = settle;
  }

  /** Asks each to come back after a time of its own, so that they do not come all at once. */
  begin(random: Prng): void {
    const wanted = Math.round(this.sessions.size / RETURNS_PER_MS);
    const spreadMs = Math.min(Math.max(SPREAD_MS_MIN, wanted), SPREAD_MS_MAX);
    const retryMs = (): number => random.int(RETRY_MS_MIN, RETRY_MS_MIN + spreadMs);
    this.tell(this.sessions.values(), retryMs);
  }

  /** Closes some of those that have all that they were to get; or all, when there is no more time. */
  letGo(all: boolean): void {
    let left = all ? Infinity : DEPARTED_A_TURN;
    for (const session of all ? this.sessions : this.told) {
      if (!all && !session.isDrained) continue;
      session.close(CLOSES['going-away'].code, 'going-away');
      this.leave(session);
      if (--left === 0) return;
    }
  }

  gone(session: Session): void {
    this.told.delete(session);
  }

  private tell(sessions: Iterator<Session>, retryMs: () => number): void {
    const { code, reconnect } = CLOSES['going-away'];
    const nowMs = this.clock.monotonicMs();
    for (let i = 0; i < DEPARTED_A_TURN; i++) {
      const next = sessions.next();
      if (next.done === true) return;
      const closing = {
        type: 'closing',
        code,
        reason: 'going-away',
        reconnect,
        retryMs: retryMs(),
      } as const;
      this.told.add(next.value);
      this.settle(next.value);
      next.value.goAway(closing, nowMs);
    }
    this.clock.turns.soon('disconnect', () => this.tell(sessions, retryMs));
  }
}
