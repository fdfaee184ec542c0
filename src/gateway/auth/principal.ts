/** Principal: the sender of a request or message, its permissions, and the fault for what it may not do. */

import { fault, within, type CloseReason, type Fault } from '../../../protocol/codes';
import type { Role } from './stored-keys';
import type { SymbolRule } from './symbols';

/** Who sends a request: the name of the key or the subject of the token, with the permissions. */
export interface Principal {
  readonly name: string;
  readonly roles: ReadonlySet<Role>;
  /** Whether the role `publish` includes a symbol. */
  readonly symbols: SymbolRule;
  /** The patterns of symbols that it may publish. */
  readonly patterns: readonly string[];
  /** Hash of the key; null for a token and without a key. */
  readonly keyId: string | null;
  /** Seconds since 1970; null: never. */
  readonly expiresAt: number | null;
  /** Why it is no longer allowed; undefined while it is. */
  lapsed(): Lapse | undefined;
}

/** Why a principal is no longer allowed: the reason with which a connection is closed. */
export type Lapse = Extract<CloseReason, 'key-revoked' | 'key-expired'>;

/** What a key or token states, before a check whether it is still valid. */
export type Claimed = Omit<Principal, 'lapsed'>;

/** Whether one principal has all permissions of another. */
export function covers(one: Claimed, other: Claimed): boolean {
  if (!other.roles.isSubsetOf(one.roles)) return false;
  if (!other.roles.has('publish') || one.patterns.includes('*')) return true;
  return other.patterns.every((pattern) => one.patterns.includes(pattern));
}

export const EXPIRED = fault('unauthorized', 'the key has expired');
const LAPSED: Readonly<Record<Lapse, Fault>> = {
  'key-revoked': fault('unauthorized', 'the key was revoked, or has fewer rights than before'),
  'key-expired': EXPIRED,
};

/** Checks a role now. @returns the fault if the principal does not have it */
export function mayNot(principal: Principal, role: Role): Fault | undefined {
  const lapse = principal.lapsed();
  if (lapse !== undefined) return LAPSED[lapse];
  if (principal.roles.has(role)) return undefined;
  return principal.name === 'anonymous'
    ? fault('unauthorized', `this needs a key with the role ${role}`)
    : fault('forbidden', `the key ${principal.name} does not have the role ${role}`);
}

/** Checks that it may publish events of these symbols. @returns the fault and its symbol if not */
export function mayNotPublish(
  principal: Principal,
  events: readonly { readonly symbol: string }[],
): { readonly index: number; readonly fault: Fault } | undefined {
  const index = events.findIndex(({ symbol }) => !principal.symbols(symbol));
  if (index < 0) return undefined;
  const message = `the key ${principal.name} may not publish ${events[index]!.symbol}`;
  return { index, fault: fault('forbidden', message, 'symbol') };
}

/** Why a message of events is not published; undefined if it may be. */
export function publishFault(
  principal: Principal,
  { events }: { readonly events: readonly { readonly symbol: string }[] },
): Fault | undefined {
  const unable = mayNot(principal, 'publish');
  if (unable !== undefined) return unable;
  const barred = mayNotPublish(principal, events);
  return barred && within(`publish.events[${barred.index}]`, barred.fault);
}
