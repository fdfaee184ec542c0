/**
 * Turns: who reads the journal next, where more want to than may at once.
 *
 * Clients have their turns one after the other, so a crowd behind one address keeps no other waiting. Of
 * the turns of one client every other goes to the one that has waited longest, and those between to the one
 * that has the least left. So one with n before it is among the next 2n + 2 of its client, and the
 * shortest among the next two, however many wait: nobody is passed for ever, and a reader that missed little
 * does not wait for a crowd that missed much.
 * Bounded: the turns under way, in all and of one client (`TurnLimits`); those that wait by the sessions,
 * which have at most one each.
 */

import { Counts } from '../../base/counts';

/** How many may be under way, in all and of one client; as they are now. */
export interface TurnLimits {
  readonly playbacksMax: number;
  readonly playbacksPerClientMax: number;
}

export interface Turn {
  readonly client: string;
  /** How far it has to read, in seqs. */
  readonly distance: number;
  begin(): void;
  /** It waits, and so many of its client have waited longer. */
  waits(ahead: number): void;
}

/** Those of one client that wait, in the order in which they asked; at least one. */
interface Queue {
  readonly turns: Turn[];
  isShortestNext: boolean;
}

export class Turns {
  private readonly limits: TurnLimits;
  private readonly held = new Counts();
  /** By client, in the order in which these have their turns. */
  private readonly queues = new Map<string, Queue>();

  constructor(limits: TurnLimits) {
    this.limits = limits;
  }

  get counts(): { readonly open: number; readonly waiting: number } {
    let waiting = 0;
    for (const { turns } of this.queues.values()) waiting += turns.length;
    return { open: this.held.size, waiting };
  }

  /** Begins a turn, now or when it comes round. @returns whether it began */
  ask(turn: Turn): boolean {
    const { client } = turn;
    if (this.hasRoom(client)) {
      this.begin(turn);
      return true;
    }
    const queue = this.queues.get(client);
    if (queue === undefined) this.queues.set(client, { turns: [turn], isShortestNext: false });
    else queue.turns.push(turn);
    turn.waits((queue?.turns.length ?? 1) - 1);
    return false;
  }

  /** One that waits does not want it any more. */
  withdraw(turn: Turn): void {
    const { turns } = this.queues.get(turn.client)!;
    turns.splice(turns.indexOf(turn), 1);
    if (turns.length === 0) this.queues.delete(turn.client);
  }

  /** One of a client that had begun is over. */
  end(client: string): void {
    this.held.change(client, -1);
    this.beginNext();
  }

  /** Whether one that waits could begin if one of this client ended. */
  isWanted(client: string): boolean {
    if (this.queues.has(client)) return true;
    if (this.held.size < this.limits.playbacksMax) return false; // those that wait have their share
    for (const other of this.queues.keys()) if (this.hasShare(other)) return true;
    return false;
  }

  /** The limits are others: begins all that may now. */
  beginWaiting(): void {
    while (this.beginNext());
  }

  /** Calls `waits` of all that do. */
  tellWaiting(): void {
    for (const { turns } of this.queues.values()) {
      for (const [ahead, turn] of turns.entries()) turn.waits(ahead);
    }
  }

  /** @returns whether there was one that may */
  private beginNext(): boolean {
    for (const [client, queue] of this.queues) {
      if (!this.hasRoom(client)) continue;
      const turn = take(queue);
      this.queues.delete(client);
      if (queue.turns.length > 0) this.queues.set(client, queue); // behind all other clients
      this.begin(turn);
      return true;
    }
    return false;
  }

  private begin(turn: Turn): void {
    this.held.change(turn.client, 1);
    turn.begin();
  }

  private hasRoom(client: string): boolean {
    return this.held.size < this.limits.playbacksMax && this.hasShare(client);
  }

  private hasShare(client: string): boolean {
    return this.held.of(client) < this.limits.playbacksPerClientMax;
  }
}

function take(queue: Queue): Turn {
  const { turns, isShortestNext } = queue;
  queue.isShortestNext = !isShortestNext;
  let next = 0;
  if (isShortestNext) {
    for (const [i, { distance }] of turns.entries()) if (distance < turns[next]!.distance) next = i;
  }
  return turns.splice(next, 1)[0]!;
}
