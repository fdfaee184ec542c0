/** Waiting turns: since when each waits, and which have waited too long. Bounded: by those that wait. */

import { fault, type Fault } from '../../../protocol/codes';
import type { Turn } from './fair-queue';

interface Waiting {
  readonly sinceMs: number;
  readonly expired: (reason: Fault) => void;
}

export class WaitingTurns {
  /** In the order in which they asked. */
  private readonly byTurn = new Map<Turn, Waiting>();
  private nowMs: number | null = null;

  /** @param expired told when it has waited too long; who asked withdraws it */
  add(turn: Turn, expired: (reason: Fault) => void): void {
    this.byTurn.set(turn, { sinceMs: this.nowMs ?? Infinity, expired });
  }

  delete(turn: Turn): void {
    this.byTurn.delete(turn);
  }

  look(nowMs: number, waitMs: number): void {
    this.nowMs = nowMs;
    for (const [turn, waiting] of this.byTurn) {
      const { sinceMs, expired } = waiting;
      // Of what came before the first look the time is not known: it counts from now.
      if (sinceMs === Infinity) this.byTurn.set(turn, { sinceMs: nowMs, expired });
      else if (nowMs - sinceMs < waitMs) return;
      else {
        this.byTurn.delete(turn);
        expired(fault('overloaded', `it could not begin in ${waitMs} ms; ask again later`));
      }
    }
  }
}
