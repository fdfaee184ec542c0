/**
 * Execution reports: sends executions of orders to the sessions of the owner of the orders.
 *
 * An owner may have a thousand sessions, and a command hundreds of executions. So executions are
 * encoded once for each form and sent to sessions until a slice of time is over. The other sessions
 * get them in later turns, or before the answer to a command of their own (`settle`). Each session
 * gets them in order.
 */

import type { Execution, Instrument, Message } from '../../../protocol/messages';
import type { OwnedExecution } from '../../base/contracts/batch';
import type { Clock } from '../../base/clock';
import type { Session } from './session';
import type { SharedFrames } from './encoders';

/** Time for this in one turn. */
const SLICE_MS = 2;

export class ExecutionReports {
  private readonly clock: Clock;
  private readonly shared: SharedFrames;
  private readonly definitionOf: (symbol: string) => Instrument;
  /** Executions that sessions have still to get, in order. */
  private readonly unsent = new Map<Session, (readonly Execution[])[]>();
  private readonly owners = new Map<Session, string>();
  private readonly sessions = new Map<string, Map<Session, Set<string>>>();

  constructor(clock: Clock, shared: SharedFrames, definitionOf: (symbol: string) => Instrument) {
    this.clock = clock;
    this.shared = shared;
    this.definitionOf = definitionOf;
  }

  /** Sends executions to the sessions of their owners, as far as the time of this turn allows. */
  publish(executions: readonly OwnedExecution[]): void {
    const untilMs = this.clock.monotonicMs() + SLICE_MS;
    const wasOwing = this.unsent.size > 0;
    for (const [owner, those] of Map.groupBy(executions, (execution) => execution.owner)) {
      const messages = those.map(({ message }) => message);
      const sessions = this.sessions.get(owner);
      if (sessions === undefined) continue;
      if (sessions.size > 1) this.shared.share(messages);
      for (const session of sessions.keys()) {
        const owed = this.unsent.get(session);
        if (owed !== undefined) owed.push(messages);
        else if (this.clock.monotonicMs() < untilMs) this.send(session, messages);
        else this.unsent.set(session, [messages]);
      }
    }
    if (!wasOwing) this.scheduleRest();
  }

  /** Sends what a session has still to get, before other messages. */
  settle(session: Session): void {
    const owed = this.unsent.get(session);
    if (owed === undefined) return;
    this.unsent.delete(session);
    for (const messages of owed) this.send(session, messages);
  }

  private scheduleRest(): void {
    if (this.unsent.size === 0) return;
    this.clock.turns.soon('ack', () => {
      this.sendOwed(this.clock.monotonicMs() + SLICE_MS);
      this.scheduleRest();
    });
  }

  /** What one session has still to get may take longer than a slice, too. */
  private sendOwed(untilMs: number): void {
    for (const [session, owed] of this.unsent) {
      for (let messages = owed.shift(); messages !== undefined; messages = owed.shift()) {
        this.send(session, messages);
        if (this.clock.monotonicMs() >= untilMs) break;
      }
      if (owed.length > 0) return;
      this.unsent.delete(session);
      if (this.clock.monotonicMs() >= untilMs) return;
    }
  }

  /**
   * Sends executions, before the first of a symbol its definition: the session need not be
   * subscribed to it.
   */
  private send(session: Session, messages: readonly Execution[]): void {
    const owner = this.owners.get(session);
    if (owner === undefined) return; // an earlier send may have closed it
    const defined = this.sessions.get(owner)!.get(session)!;
    const definitions: Message[] = [];
    for (const { symbol } of messages) {
      if (defined.has(symbol)) continue;
      defined.add(symbol);
      definitions.push(this.definitionOf(symbol));
    }
    session.send(definitions.length === 0 ? messages : [...definitions, ...messages]);
  }

  /** Sets the owner whose executions a session gets; null: none. */
  set(session: Session, owner: string | null): void {
    const before = this.owners.get(session);
    if (before === (owner ?? undefined)) return;
    this.settle(session);
    if (this.owners.get(session) !== before) return; // that has closed it
    const defined = this.forget(session, before);
    if (owner === null) return;
    this.owners.set(session, owner);
    const those = this.sessions.get(owner);
    if (those === undefined) this.sessions.set(owner, new Map([[session, defined]]));
    else those.set(session, defined);
  }

  leave(session: Session): void {
    this.unsent.delete(session);
    this.set(session, null);
  }

  /** @returns symbols whose definition the session has */
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
