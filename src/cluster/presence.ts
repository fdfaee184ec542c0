/**
 * Presence: each member announces itself to the others about once a second, and knows those that it hears. This is for
 * operators and for clients that look for another member; who leads is decided by the batch log alone.
 *
 * Announcements are JSON, and may be lost. Bounded: `MEMBERS_MAX` members, `REPORT_BYTES_MAX` each.
 */

import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

import type { Clock } from '../base/clock';
import {
  MEMBER_ROLES,
  MEMBER_STATES,
  type KnownMember,
  type MemberReport,
} from '../base/contracts/cluster';

const EVERY_MS = 1_000;
/** Some announcements. */
const AWAY_MS = 5_000;
const FORGET_MS = 3_600_000;
const MEMBERS_MAX = 64;
const REPORT_BYTES_MAX = 2_048;

export interface PresenceTransport {
  /** Sends to all others that listen, if it can. */
  announce(bytes: Uint8Array): void;
  /** @returns what ends that */
  listen(take: (bytes: Uint8Array) => void): () => void;
}

const name = Type.String({ minLength: 1, maxLength: 64 });
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const ReportSchema = Type.Object({
  instance: name,
  name,
  role: Type.Union(MEMBER_ROLES.map((role) => Type.Literal(role))),
  state: Type.Union(MEMBER_STATES.map((state) => Type.Literal(state))),
  url: Type.String({ maxLength: 256, pattern: '^(https?://\\S+)?$' }),
  version: Type.String({ maxLength: 32 }),
  epoch: count,
  seq: count,
  behindMs: count,
});

interface Heard {
  readonly report: MemberReport;
  readonly atMs: number;
}

export class Presence {
  /** Announcements that could not be read. */
  refused = 0;
  private readonly transport: PresenceTransport;
  private readonly clock: Clock;
  private readonly self: () => MemberReport;
  private readonly unlisten: () => void;
  /** By instance. */
  private readonly heard = new Map<string, Heard>();
  private announcedMs = -Infinity;
  private announced: MemberReport['state'] | undefined;
  private isStopped = false;

  constructor(transport: PresenceTransport, clock: Clock, self: () => MemberReport) {
    this.transport = transport;
    this.clock = clock;
    this.self = self;
    this.unlisten = transport.listen((bytes) => this.take(bytes));
  }

  /** To be called often: announces each second, and at once when the state has changed. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    const report = this.self();
    if (report.state === this.announced && nowMs - this.announcedMs < EVERY_MS) return;
    this.announcedMs = nowMs;
    this.announced = report.state;
    this.transport.announce(new TextEncoder().encode(JSON.stringify(report)));
  }

  /** All members that are known, with this one, by name. */
  members(): KnownMember[] {
    const nowMs = this.clock.monotonicMs();
    const self = this.self();
    const all: KnownMember[] = [{ ...self, silentMs: 0, isAway: false }];
    for (const { report, atMs } of this.heard.values()) {
      const silentMs = nowMs - atMs;
      all.push({ ...report, silentMs, isAway: silentMs >= AWAY_MS });
    }
    // A process that was started again has replaced the one before it.
    const isReplaced = (one: KnownMember): boolean =>
      one.isAway && all.some((other) => other.name === one.name && other.silentMs < one.silentMs);
    const present = all.filter((one) => !isReplaced(one));
    return present.toSorted((a, b) => compare(a.name, b.name) || compare(a.instance, b.instance));
  }

  /** Leaves: the others no longer list this member. */
  stop(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.unlisten();
    const report: MemberReport = { ...this.self(), state: 'stopped' };
    this.transport.announce(new TextEncoder().encode(JSON.stringify(report)));
  }

  private take(bytes: Uint8Array): void {
    const report = reportOf(bytes);
    if (report === undefined) {
      this.refused += 1;
      return;
    }
    const { instance, state } = report;
    if (instance === this.self().instance) return;
    // A newcomer need not wait to know the others.
    if (!this.heard.has(instance)) this.announcedMs = -Infinity;
    this.heard.delete(instance); // the map is in the order of the newest announcements
    if (state === 'stopped') return;
    const nowMs = this.clock.monotonicMs();
    this.heard.set(instance, { report, atMs: nowMs });
    for (const [other, { atMs }] of this.heard) {
      if (this.heard.size <= MEMBERS_MAX && nowMs - atMs < FORGET_MS) break;
      this.heard.delete(other);
    }
  }
}

/** Undefined: it is none. */
function reportOf(bytes: Uint8Array): MemberReport | undefined {
  if (bytes.length > REPORT_BYTES_MAX) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return Value.Check(ReportSchema, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
