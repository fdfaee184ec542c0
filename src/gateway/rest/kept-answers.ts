/**
 * Kept answers: what many ask for, made anew as long as that takes little, and else kept for a moment, as text and as bytes
 * for each coding. Bounded: one of each kind.
 */

import type { Clock } from '../../base/clock';
import { Kept } from './compression';

/** Making may take this long before its share of the time matters, so that who asks now and then gets the newest. */
const BURST_MS = 100;

export class KeptAnswer {
  private readonly make: () => string | Promise<string>;
  private readonly share: number;
  private readonly clock: Pick<Clock, 'monotonicMs'>;
  private kept: Kept | undefined;
  /** By which time making is ahead of its share. */
  private spentMs = 0;
  private countedAtMs = 0;
  private underWay: Promise<Kept> | undefined;

  /** @param share of the time that making it may take; 0: it is made once */
  constructor(
    make: () => string | Promise<string>,
    share: number,
    clock: Pick<Clock, 'monotonicMs'>,
  ) {
    this.make = make;
    this.share = share;
    this.clock = clock;
  }

  /** The newest, or where many ask the one that was made last; one that is being made is for all who ask meanwhile. */
  get(): Promise<Kept> {
    if (this.kept !== undefined && !this.mayRenew()) return Promise.resolve(this.kept);
    this.underWay ??= this.renew().finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  private mayRenew(): boolean {
    const nowMs = this.clock.monotonicMs();
    this.spentMs = Math.max(0, this.spentMs - (nowMs - this.countedAtMs) * this.share);
    this.countedAtMs = nowMs;
    return this.share > 0 && this.spentMs < BURST_MS;
  }

  private async renew(): Promise<Kept> {
    const beganMs = this.clock.monotonicMs();
    this.kept = new Kept(await this.make());
    this.spentMs += this.clock.monotonicMs() - beganMs;
    return this.kept;
  }
}
