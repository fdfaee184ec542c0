/** Desk: does a few jobs a turn and the others in turns after it, so that a crowd keeps nobody waiting long. */

export class Desk {
  private readonly jobsMax: number;
  private readonly waiting: (() => void)[] = [];
  private done = 0;
  private isScheduled = false;

  /** @param jobsMax in one turn of the event loop */
  constructor(jobsMax: number) {
    this.jobsMax = jobsMax;
  }

  /** Does a job, at once if few were done in this turn; in the order in which they came. */
  run(job: () => void): void {
    this.schedule();
    if (this.waiting.length === 0 && this.done < this.jobsMax) {
      this.done += 1;
      job();
    } else {
      this.waiting.push(job);
    }
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      const jobs = this.waiting.splice(0, this.jobsMax);
      this.done = jobs.length;
      if (this.waiting.length > 0 || jobs.length > 0) this.schedule();
      for (const job of jobs) job();
    });
  }
}
