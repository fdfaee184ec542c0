/** Principal: who sends a request or message, what they may do, and the fault where they may not. */

import { fault, within, type CloseReason, type Fault } from '../../../protocol/codes';
import type { Role } from './stored-keys';
import type { SymbolRule } from './symbols';

/** Who is asking: the name of the key, or of whom a token is for; and what it may do. */
export interface Principal {
  readonly name: string;
  readonly roles: ReadonlySet<Role>;
  /** Whether the role `publish` goes for a symbol. */
  readonly symbols: SymbolRule;
  /** The patterns of that rule. */
  readonly patterns: readonly string[];
  /** Of a key; null of a token, and of somebody without either. */
  readonly keyId: string | null;
  /** Seconds since 1970; null: never. */
  readonly expiresAt: number | null;
  /** Why it may do nothing any more; undefined while it may. */
  lapsed(): Lapse | undefined;
}

/** What becomes of somebody who was let in: the reason that a connection is closed for. */
export type Lapse = Extract<CloseReason, 'key-revoked' | 'key-expired'>;

/** What is known of somebody from a key or a token, before it is known whether that still goes. */
export type Claimed = Omit<Principal, 'lapsed'>;

/** Whether somebody may do all that somebody else may. */
export function covers(one: Claimed, other: Claimed): boolean {
  if (!other.roles.isSubsetOf(one.roles)) return false;
  if (!other.roles.has('publish') || one.patterns.includes('*')) return true;
  return other.patterns.every((pattern) => one.patterns.includes(pattern));
}

export const EXPIRED = fault('unauthorized', 'the key has expired');
const LAPSED: Readonly<Record<Lapse, Fault>> = {
  'key-revoked': fault('unauthorized', 'the key was revoked, or goes for less than it did'),
  'key-expired': EXPIRED,
};

/** Whether somebody may do this, now; the fault, if not. */
export function mayNot(principal: Principal, role: Role): Fault | undefined {
  const lapse = principal.lapsed();
  if (lapse !== undefined) return LAPSED[lapse];
  if (principal.roles.has(role)) return undefined;
  return principal.name === 'anonymous'
    ? fault('unauthorized', `this needs a key with the role ${role}`)
    : fault('forbidden', `the key ${principal.name} does not have the role ${role}`);
}

/** Whether somebody may publish events of these symbols; the fault and which of them, if not. */
export function mayNotPublish(
  principal: Principal,
  events: readonly { readonly symbol: string }[],
): { readonly index: number; readonly fault: Fault } | undefined {
  const index = events.findIndex(({ symbol }) => !principal.symbols(symbol));
  if (index < 0) return undefined;
  const message = `the key ${principal.name} may not publish ${events[index]!.symbol}`;
  return { index, fault: fault('forbidden', message, 'symbol') };
}

/** Why a message of events is not published; undefined when it may be. */
export function publishFault(
  principal: Principal,
  { events }: { readonly events: readonly { readonly symbol: string }[] },
): Fault | undefined {
  const unable = mayNot(principal, 'publish');
  if (unable !== undefined) return unable;
  const barred = mayNotPublish(principal, events);
  return barred && within(`publish.events[${barred.index}]`, barred.fault);
}
