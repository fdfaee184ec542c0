/**
 * Log feed: gives the batch log what this leader numbers, and says what the log has.
 *
 * While the log takes them, batches go to it as they come. When it is full, or the broker is away, the feed reads them
 * again later, out of memory or out of the journal, from where the log ends. With durability `replicated` nothing is
 * published before the log has it, so nothing new is taken then; otherwise all goes on, and the log catches up.
 */

import { fault, type Fault } from '../../protocol/codes';
import type { BatchEvent } from '../../protocol/records';
import type { Clock } from '../base/clock';
import type { Batch } from '../base/contracts/batch';
import type { Replication } from '../base/contracts/replication';
import { Deque } from '../base/deque';
import type { Member } from '../cluster/member';
import { PAGE_EVENTS } from '../journal/export/event-cursor';
import type { Receipts } from './receipts';

export interface LogFeedParts {
  readonly member: Member;
  readonly clock: Clock;
  readonly epoch: number;
  /** The newest event that was numbered. */
  readonly lastSeq: () => number;
  readonly isReplicated: boolean;
  /** Of the publishes of other members. */
  readonly receipts: Receipts;
  /** Runs of events behind a number, out of memory; undefined: they are no longer there. */
  readonly recent: (after: number) => Iterable<readonly BatchEvent[]> | undefined;
  /** The same out of the journal; empty: they are not there yet. */
  readonly committed: (after: number) => readonly BatchEvent[];
  /** Whether a batch may begin with this event: it follows from no command before it. */
  readonly isFirst: (event: BatchEvent) => boolean;
  /** There is room again after `hasRoom` was false. */
  readonly onRoom: () => void;
}

/** Waits for the log to have everything up to a number. */
interface Waiting {
  readonly seq: number;
  readonly done: () => void;
}

/** With `replicated`: so many batches may wait for the log. */
const WAITING_MAX = 1_000;
/** With `replicated`: after so long without an answer of the broker nothing new is taken. */
const SILENT_MS = 3_000;
/** Of one turn that reads again. */
const REFILLED_EVENTS = 2_000;

export class LogFeed implements Replication {
  /** The log has the events up to this one. */
  acknowledgedSeq: number;
  private readonly parts: LogFeedParts;
  private readonly waiting = new Deque<Waiting>();
  private isBehind: boolean;
  private isAwaited = false;

  /** @param loggedSeq the log has the events up to this one */
  constructor(parts: LogFeedParts, loggedSeq: number) {
    this.parts = parts;
    this.acknowledgedSeq = loggedSeq;
    this.isBehind = loggedSeq < parts.lastSeq();
  }

  get hasRoom(): boolean {
    const has = !this.parts.isReplicated || (this.waiting.length < WAITING_MAX && !this.isBehind);
    this.isAwaited ||= !has;
    return has;
  }

  /** How far the log is behind, in events. */
  get lag(): number {
    return this.parts.lastSeq() - this.acknowledgedSeq;
  }

  refusal(): Fault | undefined {
    const { isReplicated, member } = this.parts;
    if (!isReplicated || this.waiting.length === 0) return undefined;
    const ms = member.inFlightMs;
    if (ms < SILENT_MS) return undefined;
    return fault('journal-failing', `the batch log has taken nothing for ${Math.round(ms)} ms`);
  }

  append(batch: Batch, done: () => void): void {
    const { member, clock, isReplicated, receipts: kept } = this.parts;
    // What was read again may be ahead of what the journal has given out.
    if (!this.isBehind && batch.lastSeq > member.loggedFrom) {
      const { epoch, firstSeq, lastSeq, events, executions } = batch;
      const time = clock.now();
      const receipts = kept.of(firstSeq, lastSeq);
      const wire = { epoch, firstSeq, lastSeq, time, events, executions, receipts };
      if (member.accept(wire) !== 'taken') this.isBehind = true;
    }
    // The log may have what was read again out of memory before the journal has it.
    const isWaiting = isReplicated && batch.lastSeq > this.acknowledgedSeq;
    if (isWaiting) this.waiting.push({ seq: batch.lastSeq, done });
    else done();
  }

  behind(done: () => void): void {
    if (this.waiting.length === 0) done();
    else this.waiting.push({ seq: 0, done });
  }

  /** The log has everything up to a number. */
  acknowledged(seq: number): void {
    this.acknowledgedSeq = seq;
    this.parts.receipts.acknowledged(seq);
    const { waiting } = this;
    while (waiting.length > 0 && waiting.at(0)!.seq <= seq) waiting.shift()!.done();
    this.offerRoom();
  }

  /** Gives the log what it has missed. To be called often. */
  look(): void {
    const { member, lastSeq } = this.parts;
    if (!this.isBehind || !member.hasRoom) return;
    let left = REFILLED_EVENTS;
    while (left > 0 && member.hasRoom && member.loggedFrom < lastSeq()) {
      const taken = this.refill(member.loggedFrom);
      if (taken === 0) return;
      left -= taken;
    }
    if (member.loggedFrom >= lastSeq()) {
      this.isBehind = false;
      this.offerRoom();
    }
  }

  /** @returns how many events it gave to the log */
  private refill(after: number): number {
    const { member, epoch, clock, receipts: kept } = this.parts;
    const events = this.nextRun(after);
    const [first] = events;
    if (first === undefined) return 0;
    const time = clock.now();
    const lastSeq = events.at(-1)!.seq;
    const receipts = kept.of(first.seq, lastSeq);
    const batch = { epoch, firstSeq: first.seq, lastSeq, time, events, executions: [], receipts };
    return member.accept(batch) === 'taken' ? events.length : 0;
  }

  private nextRun(after: number): readonly BatchEvent[] {
    const { recent, committed, isFirst } = this.parts;
    for (const run of recent(after) ?? []) return run;
    const events: BatchEvent[] = [];
    for (;;) {
      const page = committed(events.at(-1)?.seq ?? after);
      events.push(...page);
      if (page.length < PAGE_EVENTS) return events; // a commit holds whole batches
      // The last command of a full page may have more results behind it.
      const end = events.findLastIndex(isFirst);
      if (end > 0) return events.slice(0, end);
    }
  }

  private offerRoom(): void {
    if (!this.isAwaited || !this.hasRoom) return;
    this.isAwaited = false;
    this.parts.onRoom();
  }
}
