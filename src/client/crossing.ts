/**
 * Crossing: the places that a reader resumes from are of a past epoch of the server, until the server has
 * said whether they hold in its own [T6]. Cut off before, it asks again as of that epoch.
 */

import type { TopicTable } from './topic-table';

export class Crossing {
  readonly epoch: number;
  /** The newest place held of it. */
  private readonly seq: number;
  private readonly requests: number;
  private answers = 0;

  /** @param table what is held @param requests so many ask for it */
  constructor(epoch: number, table: TopicTable, requests: number) {
    this.epoch = epoch;
    this.seq = table.newest;
    table.doubt();
    this.requests = requests;
  }

  /** The server has said that the places hold. */
  get isAccepted(): boolean {
    return this.answers > 0;
  }

  /** All places are of the server's epoch now. */
  get isOver(): boolean {
    return this.answers >= this.requests;
  }

  answered(): void {
    this.answers += 1;
  }

  /** A message came. Each gap between the epochs comes before what is behind it [R5]. */
  met(seq: number): void {
    if (this.answers === this.requests - 1 && seq > this.seq) this.answered();
  }
}
