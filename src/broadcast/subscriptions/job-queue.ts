/**
 * Job queue: runs a few jobs in each turn of the event loop and the others in later turns, so that
 * a crowd of requests does not block the loop.
 */

import type { TurnMeter } from '../../base/turn-meter';

interface Job {
  readonly run: () => void;
  readonly cost: number;
}

export class JobQueue {
  private readonly costMax: number;
  private readonly turns: TurnMeter;
  private readonly waiting: Job[] = [];
  private done = 0;
  private isScheduled = false;

  /** @param costMax cost of the jobs of one turn; a job that costs more has a turn of its own */
  constructor(costMax: number, turns: TurnMeter) {
    this.costMax = costMax;
    this.turns = turns;
  }

  /** Runs a job, at once if little was done in this turn; in the order of calls. */
  run(job: () => void, cost = 1): void {
    this.schedule();
    if (this.waiting.length === 0 && this.done < this.costMax) {
      this.done += cost;
      job();
    } else {
      this.waiting.push({ run: job, cost });
    }
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.turns.soon('resume', () => this.turn());
  }

  private turn(): void {
    this.isScheduled = false;
    let count = 0;
    this.done = 0;
    while (count < this.waiting.length && this.done < this.costMax) {
      this.done += this.waiting[count++]!.cost;
    }
    const jobs = this.waiting.splice(0, count);
    if (this.waiting.length > 0 || jobs.length > 0) this.schedule();
    for (const job of jobs) job.run();
  }
}
