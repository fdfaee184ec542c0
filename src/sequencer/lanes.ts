/**
 * Lanes: queues of what waits for a turn, one for each session that submits.
 *
 * A lane keeps the order of its session. If everything that waits fits into a turn, it is taken in order of
 * arrival. Otherwise, or if the last turn ran out of time, owners are served by deficit round robin, and the lanes
 * of each owner likewise: each gets the same cost a round, and what it used beyond that is subtracted in the next.
 * So however much waits of one owner, in however many lanes, another owner is served within one round.
 */

import { Deque } from '../base/deque';

/** A source's number, or an owner: the name of a key, or an address. 0: the server itself. */
export type LaneKey = number | string;

export interface Waiting {
  readonly lane: LaneKey;
  /** The client that submitted it. A lane belongs to one owner as long as anything waits in it. */
  readonly owner: LaneKey;
  /** Remaining cost; 0 when it is done. */
  readonly cost: number;
  /** The actual cost of its last part; it may exceed the estimate. */
  readonly used: number;
}

/** Works on a part of an item and lowers its cost. @returns whether the turn has time for more */
export type Work<T> = (item: T) => boolean;

interface Entry<T> {
  readonly item: T;
  readonly number: number;
}

interface Credit {
  /** The cost that it may use now; below zero: what it used too much. */
  credit: number;
}

interface Owner<T> extends Credit {
  readonly key: LaneKey;
  /** Its lanes with waiting items, the next to be served in front. */
  readonly round: Deque<Lane<T>>;
}

interface Lane<T> extends Credit {
  readonly key: LaneKey;
  readonly owner: Owner<T>;
  readonly queue: Deque<Entry<T>>;
  cost: number;
}

/** The least cost that an owner gets in a round, and a lane in a round of its owner. */
const QUANTUM_MIN = 32;

export class Lanes<T extends Waiting> {
  private readonly lanes = new Map<LaneKey, Lane<T>>();
  private readonly owners = new Map<LaneKey, Owner<T>>();
  /** Owners with waiting items, the next to be served in front. */
  private readonly round: Deque<Owner<T>> = new Deque();
  private arrived = 0;
  private total = 0;
  private count = 0;
  /** Whether the current turn has time for more. */
  private hasTime = true;
  /** Whether the last turn left something waiting. */
  private isBehind = false;

  /** Number of waiting items. */
  get length(): number {
    return this.count;
  }

  /** Cost of what waits in one lane. */
  costOf(key: LaneKey): number {
    return this.lanes.get(key)?.cost ?? 0;
  }

  push(item: T): void {
    const lane = this.lanes.get(item.lane) ?? this.open(item);
    lane.queue.push({ item, number: ++this.arrived });
    lane.cost += item.cost;
    this.total += item.cost;
    this.count += 1;
  }

  /** Works on what waits until the budget or the time is used up, or nothing waits. */
  take(budget: number, work: Work<T>): void {
    this.hasTime = true;
    if (this.isBehind || this.total > budget) this.takeFairly(budget, work);
    else this.takeInOrder(work);
    this.isBehind = this.count > 0;
  }

  private open({ lane: key, owner: ownerKey }: T): Lane<T> {
    let owner = this.owners.get(ownerKey);
    if (owner === undefined) {
      owner = { key: ownerKey, round: new Deque(), credit: 0 };
      this.owners.set(ownerKey, owner);
      this.round.push(owner);
    }
    const lane: Lane<T> = { key, owner, queue: new Deque(), credit: 0, cost: 0 };
    this.lanes.set(key, lane);
    owner.round.push(lane);
    return lane;
  }

  private takeInOrder(work: Work<T>): void {
    const lanes = [...this.lanes.values()];
    const entries = lanes.flatMap((lane) =>
      Array.from(lane.queue, ({ number }) => ({ lane, number })),
    );
    if (lanes.length > 1) entries.sort((a, b) => a.number - b.number);
    let last: Lane<T> | undefined;
    for (const { lane } of entries) {
      if (!this.hasTime) break;
      last = lane;
      const rest = lane.queue.length - 1;
      while (this.hasTime && lane.queue.length > rest) this.workOn(lane, work);
    }
    this.keepAll(last);
  }

  private takeFairly(budget: number, work: Work<T>): void {
    let left = budget;
    while (this.hasTime && left > 0 && this.round.length > 0) {
      const owner = this.round.shift()!;
      grant(owner, budget / (this.round.length + 1));
      left -= this.takeOf(owner, left, work);
      this.keep(owner);
    }
  }

  /** Serves one owner as far as its credit goes. @returns the cost used */
  private takeOf(owner: Owner<T>, left: number, work: Work<T>): number {
    const before = owner.credit;
    const least = Math.max(0, before - left);
    while (this.hasTime && owner.credit > least && owner.round.length > 0) {
      const lane = owner.round.shift()!;
      grant(lane, owner.credit / (owner.round.length + 1));
      while (
        this.hasTime &&
        Math.min(owner.credit - least, lane.credit) > 0 &&
        lane.queue.length > 0
      ) {
        const used = this.workOn(lane, work);
        lane.credit -= used;
        owner.credit -= used;
      }
      this.keepLane(lane);
    }
    return before - owner.credit;
  }

  /** Works on the first item of a lane. @returns the cost used */
  private workOn(lane: Lane<T>, work: Work<T>): number {
    const { item } = lane.queue.at(0)!;
    const before = item.cost;
    this.hasTime = work(item);
    lane.cost -= before - item.cost;
    this.total -= before - item.cost;
    if (item.cost <= 0) {
      lane.queue.shift();
      this.count -= 1;
    }
    return item.used;
  }

  /** The lane that was served last comes last in the next turn. */
  private keepAll(last: Lane<T> | undefined): void {
    for (let i = this.round.length; i > 0; i--) {
      const owner = this.round.shift()!;
      for (let k = owner.round.length; k > 0; k--) {
        const lane = owner.round.shift()!;
        if (lane !== last) this.keepLane(lane);
      }
      if (owner === last?.owner) this.keepLane(last);
      else this.keep(owner);
    }
    if (last !== undefined) this.keep(last.owner);
  }

  /** Queues a lane again after the others of its owner, if anything waits in it. */
  private keepLane(lane: Lane<T>): void {
    if (lane.queue.length > 0) lane.owner.round.push(lane);
    else this.lanes.delete(lane.key);
  }

  /** Queues an owner again after the others, if anything of it waits. */
  private keep(owner: Owner<T>): void {
    if (owner.round.length > 0) this.round.push(owner);
    else this.owners.delete(owner.key);
  }
}

/** Grants credit for a round. Unused credit expires; a deficit remains. */
function grant(to: Credit, share: number): void {
  to.credit = Math.min(0, to.credit) + Math.max(QUANTUM_MIN, share);
}
