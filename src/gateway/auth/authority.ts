/**
 * Authority: the principals that a connection acts for: the current one, and earlier ones that requested
 * something over it. Their requests continue when another key is presented, so the connection also ends when
 * an earlier key ends.
 * Bounded: `FORMER_MAX` earlier principals.
 */

import { covers, type Lapse, type Principal } from './principal';

/** An honest client does not change its key this often. */
export const FORMER_MAX = 8;

export class Authority {
  /** The current principal. */
  principal: Principal;
  private hasAsked = false;
  private former: Principal[] = [];

  constructor(principal: Principal) {
    this.principal = principal;
  }

  /** Something was requested that lasts longer than its answer: a topic, a replay, an order, events. */
  ask(): void {
    this.hasAsked = true;
  }

  /** Another key was presented, or the permissions of the same key have changed. */
  become(principal: Principal): void {
    const before = this.principal;
    this.principal = principal;
    // A renewed token replaces the one before it, and a key replaces itself.
    const others = this.former.filter((one) => !isSuccessor(principal, one));
    const stands = others.length < this.former.length;
    if (this.hasAsked && !isSuccessor(principal, before)) {
      others.push(before);
      this.hasAsked = false;
    }
    this.former = others;
    this.hasAsked ||= stands;
  }

  /** Whether no further key can be accepted. */
  get isFull(): boolean {
    return this.former.length >= FORMER_MAX;
  }

  /** Why one of its principals is no longer allowed; undefined while all are. */
  lapsed(): Lapse | undefined {
    for (const one of this.former) {
      const lapse = one.lapsed();
      if (lapse !== undefined) return lapse;
    }
    return this.principal.lapsed();
  }
}

/** The same key, or a token for the same subject, with at least the same permissions. */
function isSuccessor(now: Principal, before: Principal): boolean {
  return now.name === before.name && now.keyId === before.keyId && covers(now, before);
}
