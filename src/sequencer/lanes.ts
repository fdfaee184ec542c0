/**
 * Lanes: what waits for a turn, in one queue for each of those who brought it in.
 *
 * What one of them brings in keeps its order. While all that waits fits into a turn, it is taken in the
 * order in which it came. When it does not, the lanes take turns (deficit round robin): each gets the same
 * cost, and what it used beyond that counts against it the next time. So however much waits in one lane,
 * the first of another is reached within one round of those that wait.
 */

import { BoundedQueue } from '../base/bounded-queue';

/** A source by its number, an owner of orders by name; 0: the server itself. */
export type LaneKey = number | string;

export interface Waiting {
  readonly lane: LaneKey;
  /** What is left of its cost; 0 when it is done. */
  readonly cost: number;
}

/** Does a part of the first of a lane and lowers its cost by that. @returns whether there is time for more */
export type Work<T> = (item: T) => boolean;

interface Entry<T> {
  readonly item: T;
  readonly number: number;
}

interface Lane<T> {
  readonly key: LaneKey;
  readonly queue: BoundedQueue<Entry<T>>;
  /** What it may use now; below zero: what it used too much. */
  credit: number;
  cost: number;
}

/** The least that a lane gets in a round. */
const QUANTUM_MIN = 32;

export class Lanes<T extends Waiting> {
  private readonly byKey = new Map<LaneKey, Lane<T>>();
  /** Those that wait, the one whose turn it is in front. */
  private readonly round = new BoundedQueue<Lane<T>>(Number.MAX_SAFE_INTEGER);
  private arrived = 0;
  private total = 0;
  private count = 0;

  /** Number of items that wait. */
  get length(): number {
    return this.count;
  }

  /** What waits in one lane. */
  costOf(key: LaneKey): number {
    return this.byKey.get(key)?.cost ?? 0;
  }

  push(item: T): void {
    let lane = this.byKey.get(item.lane);
    if (lane === undefined) {
      const queue = new BoundedQueue<Entry<T>>(Number.MAX_SAFE_INTEGER);
      lane = { key: item.lane, queue, credit: 0, cost: 0 };
      this.byKey.set(item.lane, lane);
      this.round.push(lane);
    }
    lane.queue.push({ item, number: ++this.arrived });
    lane.cost += item.cost;
    this.total += item.cost;
    this.count += 1;
  }

  /** Works on what waits until the budget is used, there is no time, or nothing more. */
  take(budget: number, work: Work<T>): void {
    if (this.total <= budget) this.takeInOrder(work);
    else this.takeFairly(budget, work);
  }

  private takeInOrder(work: Work<T>): void {
    const lanes = [...this.byKey.values()];
    const entries = lanes.flatMap(
      (lane) =>
      Array.from({ length: lane.queue.length }, (_, i) => ({ lane, number: lane.queue.at(i)!.number })), // prettier-ignore
    );
    if (lanes.length > 1) entries.sort((a, b) => a.number - b.number);
    let goesOn = true;
    let last: Lane<T> | undefined;
    for (const { lane } of entries) {
      if (!goesOn) break;
      last = lane;
      const rest = lane.queue.length - 1;
      while (goesOn && lane.queue.length > rest) goesOn = this.workOn(lane, work);
    }
    for (let i = this.round.length; i > 0; i--) {
      const lane = this.round.shift()!;
      if (lane !== last) this.keep(lane);
    }
    if (last !== undefined) this.keep(last); // who had the end of the turn comes last in the next
  }

  private takeFairly(budget: number, work: Work<T>): void {
    let left = budget;
    let goesOn = true;
    while (goesOn && left > 0 && this.round.length > 0) {
      const lane = this.round.shift()!;
      lane.credit += Math.max(QUANTUM_MIN, budget / (this.round.length + 1));
      while (goesOn && left > 0 && lane.credit > 0 && lane.queue.length > 0) {
        const before = lane.cost;
        goesOn = this.workOn(lane, work);
        // Work may show that there is more than was thought.
        const used = Math.max(0, before - lane.cost);
        lane.credit -= used;
        left -= used;
      }
      this.keep(lane);
    }
  }

  private workOn(lane: Lane<T>, work: Work<T>): boolean {
    const { item } = lane.queue.at(0)!;
    const before = item.cost;
    const goesOn = work(item);
    lane.cost -= before - item.cost;
    this.total -= before - item.cost;
    if (item.cost > 0) return goesOn;
    lane.queue.shift();
    this.count -= 1;
    return goesOn;
  }

  /** Behind the others of the round, if anything waits in it. */
  private keep(lane: Lane<T>): void {
    if (lane.queue.length > 0) this.round.push(lane);
    else this.byKey.delete(lane.key);
  }
}
