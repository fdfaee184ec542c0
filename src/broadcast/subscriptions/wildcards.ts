/** Wildcards: the sessions that subscribed to a channel with `*`, by channel. */

import type { SymbolChannel, MirroredInstrument } from '../topics/mirror';
import type { Session } from '../sessions/session';

export class Wildcards {
  private readonly holders = new Map<string, Set<Session>>();

  /** @param intervalMs at most one frame of a topic in this time; 0: no interval */
  add(session: Session, channel: string, intervalMs: number): void {
    session.wildcards.set(channel, intervalMs);
    const holders = this.holders.get(channel);
    if (holders === undefined) this.holders.set(channel, new Set([session]));
    else holders.add(session);
  }

  delete(session: Session, channel: string): void {
    session.wildcards.delete(channel);
    const holders = this.holders.get(channel);
    holders?.delete(session);
    if (holders?.size === 0) this.holders.delete(channel);
  }

  leave(session: Session): void {
    for (const channel of session.wildcards.keys()) this.delete(session, channel);
  }

  /** Joins a new instrument's topics for these sessions. */
  join({ topics }: MirroredInstrument): void {
    for (const [channel, holders] of this.holders) {
      const topic = topics[channel as SymbolChannel];
      for (const session of holders) session.join(topic, session.wildcards.get(channel)!);
    }
  }
}
