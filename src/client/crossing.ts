/**
 * Crossing: resuming from sequence numbers of a past epoch, until the server has said whether they are valid in its own
 * epoch [T6]. If the connection ends before that, the client asks again as of the past epoch, with the newest sequence
 * number that it met in it; later ones belong to another epoch.
 */

import { CHANNEL_TABLE } from '../../protocol/channels';
import type { TopicMessage } from './items';
import type { TopicTable } from './topic-table';

export class Crossing {
  readonly epoch: number;
  /** The newest seq met in that epoch. */
  readonly newest: number;
  private readonly requests: number;
  /** A message with a higher seq belongs to the server's epoch; nothing that a crash lost is above it. */
  private border: number;
  private answers = 0;

  /** @param table the client's topics @param requests number of requests that resume them */
  constructor(epoch: number, table: TopicTable, requests: number) {
    this.epoch = epoch;
    this.newest = table.newest;
    this.border = table.newest;
    table.doubt();
    this.requests = requests;
  }

  /** Whether the server has confirmed the sequence numbers. */
  get isAccepted(): boolean {
    return this.answers > 0;
  }

  /** Whether all sequence numbers are of the server's epoch now. */
  get isOver(): boolean {
    return this.answers >= this.requests;
  }

  answered(): void {
    this.answers += 1;
  }

  /** A gap of a crash arrived: the states before it follow, and carry the end of the gap [R5]. */
  lost(to: number): void {
    this.border = Math.max(this.border, to);
  }

  /**
   * A message arrived. Each gap between the epochs precedes what follows it [R5], within the answer of its own
   * request; with several requests only the answers decide. Bars and statistics are outside of that order.
   */
  met({ type, seq }: TopicMessage): void {
    if (this.requests > 1 || CHANNEL_TABLE[type].nature === 'derived') return;
    if (this.answers === 0 && seq > this.border) this.answered();
  }
}
