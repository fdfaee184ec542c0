/**
 * Kept answers: what many ask for, made once for all of them and kept for a moment, as text and as bytes
 * for each coding. Bounded: one of each kind.
 */

import type { Clock } from '../base/clock';
import type { Coding } from './compression';

/** As it was made; its compressed forms are made when somebody takes them. */
export class Kept {
  readonly text: string;
  readonly bytes = new Map<Coding, Promise<Uint8Array<ArrayBuffer>>>();

  constructor(text: string) {
    this.text = text;
  }
}

export class KeptAnswer {
  private readonly make: () => string | Promise<string>;
  private readonly lifeMs: () => number;
  private readonly clock: Pick<Clock, 'monotonicMs'>;
  private kept: Kept | undefined;
  private untilMs = -Infinity;
  private underWay: Promise<Kept> | undefined;

  /** @param lifeMs how long one is kept, from when it was begun */
  constructor(
    make: () => string | Promise<string>,
    lifeMs: () => number,
    clock: Pick<Clock, 'monotonicMs'>,
  ) {
    this.make = make;
    this.lifeMs = lifeMs;
    this.clock = clock;
  }

  /** That which is being made also answers those who ask meanwhile. */
  get(): Promise<Kept> {
    if (this.kept !== undefined && this.clock.monotonicMs() < this.untilMs) {
      return Promise.resolve(this.kept);
    }
    this.underWay ??= this.renew().finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  private async renew(): Promise<Kept> {
    const untilMs = this.clock.monotonicMs() + this.lifeMs();
    this.kept = new Kept(await this.make());
    this.untilMs = untilMs;
    return this.kept;
  }
}
