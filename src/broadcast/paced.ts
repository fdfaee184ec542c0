/**
 * Paced topics: those of a session that its client asked to have at most every so often. What comes in
 * between waits in an outbox of the interval, and goes conflated when the interval is over.
 */

import type { Message } from '../../protocol/messages';
import type { TopicState } from './mirror';
import { Outbox, type Extracted, type OutboxCounters, type OutboxOptions } from './outbox';

interface Group {
  readonly outbox: Outbox;
  readonly intervalMs: number;
  dueMs: number;
  topics: number;
}

export class PacedTopics {
  private readonly options: OutboxOptions;
  private readonly groups = new Map<number, Group>();
  private readonly groupOf = new Map<TopicState, Group>();
  private readonly gone: OutboxCounters = { conflated: 0, dropped: 0, gaps: 0 };

  constructor(options: OutboxOptions) {
    this.options = options;
  }

  get counters(): OutboxCounters {
    const sum = { ...this.gone };
    for (const { outbox } of this.groups.values()) add(sum, outbox.counters);
    return sum;
  }

  has(topic: TopicState): boolean {
    return this.groupOf.has(topic);
  }

  join(topic: TopicState, intervalMs: number, nowMs: number): void {
    let group = this.groups.get(intervalMs);
    if (group === undefined) {
      group = {
        outbox: new Outbox(this.options),
        intervalMs,
        dueMs: nowMs + intervalMs,
        topics: 0,
      };
      this.groups.set(intervalMs, group);
    }
    group.topics += 1;
    this.groupOf.set(topic, group);
  }

  /** @returns what waits of it */
  leave(topic: TopicState): Extracted | undefined {
    const group = this.groupOf.get(topic);
    if (group === undefined) return undefined;
    this.groupOf.delete(topic);
    const waiting = group.outbox.extract(topic);
    group.topics -= 1;
    if (group.topics > 0) return waiting;
    add(this.gone, group.outbox.counters);
    this.groups.delete(group.intervalMs);
    return waiting;
  }

  /** As of an outbox. */
  get waitingBytes(): number {
    let bytes = 0;
    for (const { outbox } of this.groups.values()) bytes += outbox.waitingBytes;
    return bytes;
  }

  /** As of an outbox. */
  get oldestMs(): number | null {
    let oldest: number | null = null;
    for (const { outbox } of this.groups.values()) {
      const { oldestMs } = outbox;
      if (oldestMs !== null && (oldest === null || oldestMs < oldest)) oldest = oldestMs;
    }
    return oldest;
  }

  /** As of an outbox. */
  get toldSeq(): number | null {
    let told: number | null = null;
    for (const { outbox } of this.groups.values()) {
      const { toldSeq } = outbox;
      if (toldSeq !== null && (told === null || toldSeq < told)) told = toldSeq;
    }
    return told;
  }

  /** @returns false when the topic is not one of these */
  add(topic: TopicState, messages: readonly Message[], nowMs: number): boolean {
    const group = this.groupOf.get(topic);
    group?.outbox.add(topic, messages, nowMs);
    return group !== undefined;
  }

  settle(): void {
    for (const { outbox } of this.groups.values()) outbox.settle();
  }

  /** What is to be told now, conflated, in order. */
  due(nowMs: number): Message[] {
    const messages: Message[] = [];
    for (const group of this.groups.values()) {
      if (nowMs < group.dueMs) continue;
      group.dueMs = nowMs + group.intervalMs;
      if (group.outbox.isEmpty) continue;
      group.outbox.conflate();
      messages.push(...group.outbox.take(Infinity, nowMs));
    }
    return messages;
  }
}

function add(sum: OutboxCounters, one: OutboxCounters): void {
  sum.conflated += one.conflated;
  sum.dropped += one.dropped;
  sum.gaps += one.gaps;
}
