/** Body room: counts the request bodies that are being read, over all requests. */

import type { Meter } from '../../base/byte-account';
import type { GatewayLimits } from '../auth/limits';

/** A body of n bytes holds about 2n: its pieces, and the text that they are decoded into. */
const BODY_FACTOR = 2;

export class BodyRoom {
  private readonly limits: GatewayLimits;
  private readonly meterOf: (request: Request) => Meter;
  private taken = 0;

  /** @param meterOf counts what is held for a request */
  constructor(limits: GatewayLimits, meterOf: (request: Request) => Meter) {
    this.limits = limits;
    this.meterOf = meterOf;
  }

  /** Opens the share of one request. */
  open(request: Request): BodyShare {
    const meter = this.meterOf(request);
    let size = 0;
    return {
      take: (bytes) => {
        if (this.taken + bytes > this.limits.bodiesBytesMax) return false;
        if (!meter.take('bodies', BODY_FACTOR * bytes)) return false;
        this.taken += bytes;
        size += bytes;
        return true;
      },
      close: () => {
        this.taken -= size;
        meter.set('bodies', 0);
        meter.close();
      },
    };
  }
}

/** The share of one body in the room. */
export interface BodyShare {
  /** Takes room for so many bytes more; false if there is none. */
  take(bytes: number): boolean;
  /** Frees what the body has taken. */
  close(): void;
}
