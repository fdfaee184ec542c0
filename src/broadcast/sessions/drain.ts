/**
 * Drain: closes the sessions of a server that stops. Each session is sent when to reconnect and
 * gets what waits for it; it is closed when it has received that. A bounded number is handled in
 * each turn of the event loop.
 */

import { CLOSES } from '../../../protocol/codes';
import type { Clock } from '../../base/clock';
import type { Prng } from '../../base/prng';
import type { Session } from './session';

/** Sessions are asked to reconnect no sooner than this; a restart takes about as long. */
const RETRY_MS_MIN = 250;
/**
 * Their reconnects are spread over a time that grows with the number of sessions, within these
 * bounds.
 */
const SPREAD_MS_MIN = 250;
const SPREAD_MS_MAX = 1_750;
const RETURNS_PER_MS = 5;

/** Sessions that are notified, and that are closed, in one turn. */
export const DRAINED_A_TURN = 200;

export class Drain {
  private readonly sessions: ReadonlySet<Session>;
  private readonly clock: Clock;
  private readonly leave: (session: Session) => void;
  private readonly settle: (session: Session) => void;
  /** Sessions that were notified and are still connected. */
  private readonly notified = new Set<Session>();

  /** @param settle sends the executions that must precede the closing message */
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

  /**
   * Asks each session to reconnect after a random time, so that they do not all come at once.
   * @param elsewhere a server that serves the same; null: none is known
   */
  begin(random: Prng, elsewhere: () => string | null = () => null): void {
    const wanted = Math.round(this.sessions.size / RETURNS_PER_MS);
    const spreadMs = Math.min(Math.max(SPREAD_MS_MIN, wanted), SPREAD_MS_MAX);
    const retryMs = (): number => random.int(RETRY_MS_MIN, RETRY_MS_MIN + spreadMs);
    this.notify(this.sessions.values(), () => ({ retryMs: retryMs(), url: elsewhere() }));
  }

  /**
   * Closes some of the sessions that have received everything; with `all`, every session at once.
   */
  closeDrained(all: boolean): void {
    let left = all ? Infinity : DRAINED_A_TURN;
    for (const session of all ? this.sessions : this.notified) {
      if (!all && !session.isDrained) continue;
      session.close(CLOSES['going-away'].code, 'going-away');
      this.leave(session);
      if (--left === 0) return;
    }
  }

  gone(session: Session): void {
    this.notified.delete(session);
  }

  private notify(
    sessions: Iterator<Session>,
    where: () => { readonly retryMs: number; readonly url: string | null },
  ): void {
    const { code, reconnect } = CLOSES['going-away'];
    const nowMs = this.clock.monotonicMs();
    for (let i = 0; i < DRAINED_A_TURN; i++) {
      const next = sessions.next();
      if (next.done === true) return;
      const closing = {
        type: 'closing',
        code,
        reason: 'going-away',
        reconnect,
        ...where(),
      } as const;
      this.notified.add(next.value);
      this.settle(next.value);
      next.value.goAway(closing, nowMs);
    }
    this.clock.turns.soon('disconnect', () => this.notify(sessions, where));
  }
}
