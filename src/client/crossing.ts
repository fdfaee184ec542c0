/**
 * Crossing: the seqs that a reader resumes from are of a past epoch of the server, until the server has
 * said whether they hold in its own [T6]. Cut off before, it asks again as of that epoch, with the newest
 * seq that it met in that one: what it met since is of another, and says nothing of it.
 */

import { CHANNEL_TABLE } from '../../protocol/channels';
import type { TopicMessage } from './items';
import type { TopicTable } from './topic-table';

export class Crossing {
  readonly epoch: number;
  /** The newest seq met in it. */
  readonly newest: number;
  private readonly requests: number;
  /** Above this a message is of the server's epoch, and nothing of what a crash took is behind it. */
  private border: number;
  private answers = 0;

  /** @param table what is held @param requests so many ask for it */
  constructor(epoch: number, table: TopicTable, requests: number) {
    this.epoch = epoch;
    this.newest = table.newest;
    this.border = table.newest;
    table.doubt();
    this.requests = requests;
  }

  /** The server has said that the seqs hold. */
  get isAccepted(): boolean {
    return this.answers > 0;
  }

  /** All seqs are of the server's epoch now. */
  get isOver(): boolean {
    return this.answers >= this.requests;
  }

  answered(): void {
    this.answers += 1;
  }

  /** A crash gap came: the states of before it follow, and bear its end [R5]. */
  lost(to: number): void {
    this.border = Math.max(this.border, to);
  }

  /**
   * A message came. Each gap between the epochs comes before what is behind it [R5], in the answer of its
   * own request: of several, only the answers tell. Bars and statistics stand outside of that order.
   */
  met({ type, seq }: TopicMessage): void {
    if (this.requests > 1 || CHANNEL_TABLE[type].nature === 'derived') return;
    if (this.answers === 0 && seq > this.border) this.answered();
  }
}
