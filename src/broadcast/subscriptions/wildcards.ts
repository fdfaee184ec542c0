/**
 * Wildcards: the sessions that subscribed to a channel with `*`, by channel and numbering. A resume
 * may have one in some numberings only, until it has been answered in all.
 */

import type { Numbering } from '../numbering';
import type { SymbolChannel, MirroredInstrument } from '../topics/mirror';
import type { Session } from '../sessions/session';

export class Wildcards {
  private readonly holders = new Map<string, Set<Session>>();

  /** @param intervalMs at most one frame of a topic in this time; 0: no interval */
  add(session: Session, channel: string, intervalMs: number, among: readonly Numbering[]): void {
    for (const { index } of among) {
      const key = keyOf(channel, index);
      session.wildcards.set(key, intervalMs);
      const holders = this.holders.get(key);
      if (holders === undefined) this.holders.set(key, new Set([session]));
      else holders.add(session);
    }
  }

  has(session: Session, channel: string): boolean {
    for (const key of session.wildcards.keys()) if (key.startsWith(`${channel}@`)) return true;
    return false;
  }

  delete(session: Session, channel: string, among: readonly Numbering[]): void {
    for (const { index } of among) this.remove(session, keyOf(channel, index));
  }

  leave(session: Session): void {
    for (const key of session.wildcards.keys()) this.remove(session, key);
  }

  /** Joins a new instrument's topics for these sessions. */
  join({ topics, numbering }: MirroredInstrument): void {
    const end = keyOf('', numbering.index);
    for (const [key, holders] of this.holders) {
      if (!key.endsWith(end)) continue;
      const topic = topics[key.slice(0, -end.length) as SymbolChannel];
      for (const session of holders) session.join(topic, session.wildcards.get(key)!);
    }
  }

  private remove(session: Session, key: string): void {
    session.wildcards.delete(key);
    const holders = this.holders.get(key);
    holders?.delete(session);
    if (holders?.size === 0) this.holders.delete(key);
  }
}

function keyOf(channel: string, index: number): string {
  return `${channel}@${index}`;
}
