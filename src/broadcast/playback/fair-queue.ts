/**
 * Fair queue: who reads the journal next when more want to than may at once.
 *
 * Clients take turns, so a crowd of one client keeps no other waiting. Of the reads of one client,
 * every other begin goes to the one that has waited longest, and those between to the one with the
 * shortest distance. So a read with n before it is among the next 2n + 2 of its client, and the
 * shortest among the next two: none waits for ever, and a reader that missed little does not wait
 * for a crowd that missed much.
 *
 * Bounded: reads under way, in total and for each client (`ReadLimits`); waiting reads by the
 * sessions, which have at most one each.
 */

import { Counts } from '../../base/counts';

/** How many reads may be under way, in total and for each client; current values. */
export interface ReadLimits {
  readonly playbacksMax: number;
  readonly playbacksPerClientMax: number;
}

export interface Read {
  readonly client: string;
  /** Sequence numbers that it has to read. */
  readonly distance: number;
  begin(): void;
  /** It waits behind this many others of its client. */
  waits(ahead: number): void;
}

/** The waiting reads of one client, in order of arrival; at least one. */
interface ClientQueue {
  readonly reads: Read[];
  isShortestNext: boolean;
}

export class FairQueue {
  private readonly limits: ReadLimits;
  private readonly held = new Counts();
  /** By client, in the order in which they are served. */
  private readonly queues = new Map<string, ClientQueue>();

  constructor(limits: ReadLimits) {
    this.limits = limits;
  }

  get counts(): { readonly open: number; readonly waiting: number } {
    let waiting = 0;
    for (const { reads } of this.queues.values()) waiting += reads.length;
    return { open: this.held.size, waiting };
  }

  /** Begins a read, now or when it comes round. @returns whether it began */
  ask(read: Read): boolean {
    const { client } = read;
    if (this.hasRoom(client)) {
      this.begin(read);
      return true;
    }
    const queue = this.queues.get(client);
    if (queue === undefined) this.queues.set(client, { reads: [read], isShortestNext: false });
    else queue.reads.push(read);
    read.waits((queue?.reads.length ?? 1) - 1);
    return false;
  }

  /** Withdraws a waiting read. */
  withdraw(read: Read): void {
    const { reads } = this.queues.get(read.client)!;
    reads.splice(reads.indexOf(read), 1);
    if (reads.length === 0) this.queues.delete(read.client);
  }

  /** A read of a client that had begun is over. */
  end(client: string): void {
    this.held.change(client, -1);
    this.beginNext();
  }

  /** Whether a waiting read could begin if one of this client ended. */
  isWanted(client: string): boolean {
    if (this.queues.has(client)) return true;
    if (this.held.size < this.limits.playbacksMax) return false; // those that wait are of clients at their limit
    for (const other of this.queues.keys()) if (this.hasShare(other)) return true;
    return false;
  }

  /** The limits have changed: begins all that may begin now. */
  beginWaiting(): void {
    while (this.beginNext());
  }

  /** Calls `waits` of all waiting reads. */
  notifyWaiting(): void {
    for (const { reads } of this.queues.values()) {
      for (const [ahead, read] of reads.entries()) read.waits(ahead);
    }
  }

  /** @returns whether one began */
  private beginNext(): boolean {
    for (const [client, queue] of this.queues) {
      if (!this.hasRoom(client)) continue;
      const read = take(queue);
      this.queues.delete(client);
      if (queue.reads.length > 0) this.queues.set(client, queue); // behind all other clients
      this.begin(read);
      return true;
    }
    return false;
  }

  private begin(read: Read): void {
    this.held.change(read.client, 1);
    read.begin();
  }

  private hasRoom(client: string): boolean {
    return this.held.size < this.limits.playbacksMax && this.hasShare(client);
  }

  private hasShare(client: string): boolean {
    return this.held.of(client) < this.limits.playbacksPerClientMax;
  }
}

function take(queue: ClientQueue): Read {
  const { reads, isShortestNext } = queue;
  queue.isShortestNext = !isShortestNext;
  let next = 0;
  if (isShortestNext) {
    for (const [i, { distance }] of reads.entries()) if (distance < reads[next]!.distance) next = i;
  }
  return reads.splice(next, 1)[0]!;
}
