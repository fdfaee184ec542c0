/** Wait timeouts: ends waits for a read that take too long. Bounded: by the waiting reads. */

import { fault, type Fault } from '../../../protocol/codes';
import type { Read } from './fair-queue';

interface Waiting {
  readonly sinceMs: number;
  readonly expired: (reason: Fault) => void;
}

export class WaitTimeouts {
  /** In the order in which they were added. */
  private readonly byRead = new Map<Read, Waiting>();
  private nowMs: number | null = null;

  /** @param expired called when it has waited too long; the caller withdraws the read */
  add(read: Read, expired: (reason: Fault) => void): void {
    this.byRead.set(read, { sinceMs: this.nowMs ?? Infinity, expired });
  }

  delete(read: Read): void {
    this.byRead.delete(read);
  }

  look(nowMs: number, waitMs: number): void {
    this.nowMs = nowMs;
    for (const [read, waiting] of this.byRead) {
      const { sinceMs, expired } = waiting;
      // For reads added before the first look the time is not known: it counts from now.
      if (sinceMs === Infinity) this.byRead.set(read, { sinceMs: nowMs, expired });
      else if (nowMs - sinceMs < waitMs) return;
      else {
        this.byRead.delete(read);
        expired(fault('overloaded', `it could not begin in ${waitMs} ms; ask again later`));
      }
    }
  }
}
