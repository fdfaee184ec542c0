/**
 * Kept answers: answers that many clients ask for. As long as making one takes little time, each request
 * gets a new one; otherwise requests get the last one, as text or as the bytes of a coding.
 * Bounded: one of each kind.
 */

import type { Clock } from '../../base/clock';
import { Kept } from './compression';
import { json } from './responses';

/** Making may take this long before its share of the time matters, so that rare requests get the newest. */
const BURST_MS = 100;

export class KeptAnswer {
  /** Makes the response of the text. */
  readonly respond: (text: string) => Response;
  private readonly make: () => string | Promise<string>;
  private readonly share: number;
  private readonly clock: Pick<Clock, 'monotonicMs'>;
  private kept: Kept | undefined;
  /** By how much making is ahead of its share of the time. */
  private spentMs = 0;
  private countedAtMs = 0;
  private underWay: Promise<Kept> | undefined;

  /** @param share part of the time that making it may take; 0: it is made once */
  constructor(
    make: () => string | Promise<string>,
    share: number,
    clock: Pick<Clock, 'monotonicMs'>,
    respond: (text: string) => Response = json,
  ) {
    this.respond = respond;
    this.make = make;
    this.share = share;
    this.clock = clock;
  }

  /** The newest, or, if many ask, the last one. All who ask while one is being made get that one. */
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
