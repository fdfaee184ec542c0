/**
 * Replay slots: how many replays may be open, in total and for each client. When all slots are
 * taken, a client with at least two fewer than another gets one of the other's; that replay waits
 * for a slot and continues where it was. So each of n clients comes to an nth of the slots, however
 * slowly others read. Bounded: by `playbacksMax`.
 */

import { fault, type Fault } from '../../../protocol/codes';
import { Counts } from '../../base/counts';
import type { ReadLimits } from './fair-queue';

interface Holder {
  readonly client: string;
  /** Gives up the slot to wait for another. @returns whether it could */
  readonly yields: () => boolean;
}

export class ReplaySlots {
  private readonly limits: ReadLimits;
  private readonly counts = new Counts();
  /** The oldest first. */
  private readonly holders = new Set<Holder>();

  constructor(limits: ReadLimits) {
    this.limits = limits;
  }

  get size(): number {
    return this.counts.size;
  }

  /**
   * Why a client gets no further slot; undefined if there is one now, which another may have given
   * up.
   */
  refusal(client: string): Fault | undefined {
    const { playbacksMax, playbacksPerClientMax } = this.limits;
    if (this.counts.of(client) >= playbacksPerClientMax) {
      const message = `${client} has ${playbacksPerClientMax} replays under way already`;
      return fault('limit-reached', message);
    }
    if (this.size < playbacksMax || this.takeOver(client)) return undefined;
    return fault('overloaded', 'the limit of open replays is reached');
  }

  /** @returns what frees it again */
  take(client: string, yields: () => boolean): () => void {
    const holder = { client, yields };
    this.holders.add(holder);
    this.counts.change(client, 1);
    return () => {
      this.holders.delete(holder);
      this.counts.change(client, -1);
    };
  }

  private takeOver(client: string): boolean {
    const held = [...this.holders];
    const most = Math.max(0, ...held.map((holder) => this.counts.of(holder.client)));
    if (most < this.counts.of(client) + 2) return false;
    const heaviest = held.filter((holder) => this.counts.of(holder.client) === most);
    return heaviest.some(({ yields }) => yields()) && this.size < this.limits.playbacksMax;
  }
}
