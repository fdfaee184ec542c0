/**
 * Authority: for whom a connection acts: who showed a key last, and who asked for something over it
 * before that. What they asked for goes on when another key is shown, so it ends with their keys too.
 * Bounded: `FORMER_MAX` who asked for something before.
 */

import { covers, type Lapse, type Principal } from './principal';

/** A client that changes its key again and again is no client of ours. */
export const FORMER_MAX = 8;

export class Authority {
  /** Who asks now. */
  principal: Principal;
  private hasAsked = false;
  private former: Principal[] = [];

  constructor(principal: Principal) {
    this.principal = principal;
  }

  /** Something was asked for that may outlast the asking: a topic, a replay, an order, events. */
  ask(): void {
    this.hasAsked = true;
  }

  /** Another key was shown, or the same one goes for something else now. */
  become(principal: Principal): void {
    const before = this.principal;
    this.principal = principal;
    // A token that was made anew stands for the one before, and a key for itself.
    const others = this.former.filter((one) => !isSuccessor(principal, one));
    const stands = others.length < this.former.length;
    if (this.hasAsked && !isSuccessor(principal, before)) {
      others.push(before);
      this.hasAsked = false;
    }
    this.former = others;
    this.hasAsked ||= stands;
  }

  /** Whether no further key can be taken. */
  get isFull(): boolean {
    return this.former.length >= FORMER_MAX;
  }

  /** Why somebody for whom it acts may not any more; undefined while all may. */
  lapsed(): Lapse | undefined {
    for (const one of this.former) {
      const lapse = one.lapsed();
      if (lapse !== undefined) return lapse;
    }
    return this.principal.lapsed();
  }
}

/** The same key, or a token for the same subject, that goes for no less. */
function isSuccessor(now: Principal, before: Principal): boolean {
  return now.name === before.name && now.keyId === before.keyId && covers(now, before);
}
