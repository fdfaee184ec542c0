/**
 * Traders: the sessions of each owner of orders, and what becomes of those orders for them.
 *
 * An owner may have a thousand sessions, and a command hundreds of executions. So they are encoded once a
 * form, and sessions get them until the time of a slice is over; the others in the turns behind, or ahead of
 * the answer to a command of their own (`settle`). Must hold: each session gets them in their order.
 */

import type { Execution, Instrument, Message } from '../../../protocol/messages';
import type { OwnedExecution } from '../../base/contracts/batch';
import type { Clock } from '../../base/clock';
import type { Session } from './session';
import type { SharedFrames } from './encoders';

/** What a turn may take for it. */
const SLICE_MS = 2;

export class Traders {
  private readonly clock: Clock;
  private readonly shared: SharedFrames;
  private readonly definitionOf: (symbol: string) => Instrument;
  /** What sessions have yet to get, in its order. */
  private readonly owed = new Map<Session, (readonly Execution[])[]>();
  private readonly owners = new Map<Session, string>();
  private readonly sessions = new Map<string, Map<Session, Set<string>>>();

  constructor(clock: Clock, shared: SharedFrames, definitionOf: (symbol: string) => Instrument) {
    this.clock = clock;
    this.shared = shared;
    this.definitionOf = definitionOf;
  }

  /** Sends executions to the sessions of their owners: in this turn, as far as there is time. */
  publish(executions: readonly OwnedExecution[]): void {
    const untilMs = this.clock.monotonicMs() + SLICE_MS;
    const wasOwing = this.owed.size > 0;
    for (const [owner, those] of Map.groupBy(executions, (execution) => execution.owner)) {
      const messages = those.map(({ message }) => message);
      const sessions = this.sessions.get(owner);
      if (sessions === undefined) continue;
      if (sessions.size > 1) this.shared.share(messages);
      for (const session of sessions.keys()) {
        const owed = this.owed.get(session);
        if (owed !== undefined) owed.push(messages);
        else if (this.clock.monotonicMs() < untilMs) this.send(session, messages);
        else this.owed.set(session, [messages]);
      }
    }
    if (!wasOwing) this.goOn();
  }

  /** Sends what a session has yet to get, ahead of what follows. */
  settle(session: Session): void {
    const owed = this.owed.get(session);
    if (owed === undefined) return;
    this.owed.delete(session);
    for (const messages of owed) this.send(session, messages);
  }

  private goOn(): void {
    if (this.owed.size === 0) return;
    this.clock.turns.soon('ack', () => {
      this.sendOwed(this.clock.monotonicMs() + SLICE_MS);
      this.goOn();
    });
  }

  /** What a session has waiting may take longer than a turn may, too. */
  private sendOwed(untilMs: number): void {
    for (const [session, owed] of this.owed) {
      for (let messages = owed.shift(); messages !== undefined; messages = owed.shift()) {
        this.send(session, messages);
        if (this.clock.monotonicMs() >= untilMs) break;
      }
      if (owed.length > 0) return;
      this.owed.delete(session);
      if (this.clock.monotonicMs() >= untilMs) return;
    }
  }

  /** Before the first of a symbol its definition; its topics need not be subscribed. */
  private send(session: Session, messages: readonly Execution[]): void {
    const owner = this.owners.get(session);
    if (owner === undefined) return; // what was sent to it before may have ended it
    const defined = this.sessions.get(owner)!.get(session)!;
    const definitions: Message[] = [];
    for (const { symbol } of messages) {
      if (defined.has(symbol)) continue;
      defined.add(symbol);
      definitions.push(this.definitionOf(symbol));
    }
    session.send(definitions.length === 0 ? messages : [...definitions, ...messages]);
  }

  /** Whose orders a session is told of; null: of nobody's. */
  set(session: Session, owner: string | null): void {
    const before = this.owners.get(session);
    if (before === (owner ?? undefined)) return;
    this.settle(session);
    if (this.owners.get(session) !== before) return; // that ended it
    const defined = this.forget(session, before);
    if (owner === null) return;
    this.owners.set(session, owner);
    const those = this.sessions.get(owner);
    if (those === undefined) this.sessions.set(owner, new Map([[session, defined]]));
    else those.set(session, defined);
  }

  leave(session: Session): void {
    this.owed.delete(session);
    this.set(session, null);
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
