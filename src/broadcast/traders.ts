/** Traders: the sessions of each owner of orders, and the symbols that each has the definition of for that. */

import type { Instrument } from '../../protocol/messages';
import type { Session } from './session';

export class Traders {
  private readonly owners = new Map<Session, string>();
  private readonly sessions = new Map<string, Map<Session, Set<string>>>();

  /** Whose orders a session is told of; null: of nobody's. */
  set(session: Session, owner: string | null): void {
    const before = this.owners.get(session);
    if (before === (owner ?? undefined)) return;
    const defined = this.forget(session, before);
    if (owner === null) return;
    this.owners.set(session, owner);
    const those = this.sessions.get(owner);
    if (those === undefined) this.sessions.set(owner, new Map([[session, defined]]));
    else those.set(session, defined);
  }

  leave(session: Session): void {
    this.set(session, null);
  }

  of(owner: string): Iterable<Session> {
    return this.sessions.get(owner)?.keys() ?? [];
  }

  /** The definition that gives an execution its decimals, once; its topics need not be subscribed. */
  scalesFor(session: Session, owner: string, definition: Instrument): Instrument[] {
    const defined = this.sessions.get(owner)!.get(session)!;
    if (defined.has(definition.symbol)) return [];
    defined.add(definition.symbol);
    return [definition];
  }

  /** @returns what it has the definition of */
  private forget(session: Session, owner: string | undefined): Set<string> {
    if (owner === undefined) return new Set();
    this.owners.delete(session);
    const those = this.sessions.get(owner)!;
    const defined = those.get(session)!;
    those.delete(session);
    if (those.size === 0) this.sessions.delete(owner);
    return defined;
  }
}
