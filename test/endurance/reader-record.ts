/**
 * Reader record: what a reader says that it holds, built from its lines as they arrive. Errors that the lines alone
 * reveal are found here: holes, repetitions, checksums, trades that were never published. What is held at the end
 * is compared with the journal elsewhere.
 */

import type { Json } from '../support/kill-rows';
import { bodyOf, crcOf, topicOf, type Pairs } from './reader-truth';

/** A message that the reader holds. */
export interface Held {
  readonly seq: number;
  readonly prevSeq: number;
  readonly count: number;
  readonly isState: boolean;
  readonly body: string;
  /** Of a book: its copy as JSON, null if it has none; undefined for everything else. */
  readonly copy: string | null | undefined;
  readonly message: Json | undefined;
  readonly line: number;
  /** Of the connection over which it arrived. */
  readonly epoch: number;
}

export interface Declared {
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly reason: string;
  readonly line: number;
}

export interface Violation {
  readonly what: string;
  readonly topic: string;
  readonly seq: number;
  readonly line: number;
  readonly detail: string;
}

/** What is held of a topic since it last began. */
export class TopicRecord {
  held: Held[] = [];
  gaps: Declared[] = [];
  /** Everything above this seq must be received; null: not known yet. */
  from: number | null;
  last = 0;
  /** Of bars, the newest state of each by `openTime`; of statistics, one. */
  readonly states = new Map<string, Held>();
  /** Of a bar topic, the first bar that was received. */
  firstOpen: string | undefined;
  newestState: Held | undefined;

  constructor(from: number | null) {
    this.from = from;
  }

  invalidFrom(seq: number): number {
    const before = this.held.length + this.states.size;
    for (const { seq: at, prevSeq, count, isState, line } of this.held) {
      // It replaced older messages, which are still valid and are not sent again.
      if (at < seq || isState || count < 2) continue;
      this.gaps.push({ from: prevSeq + 1, to: at, count, reason: 'conflated', line });
    }
    this.held = this.held.filter((h) => h.seq < seq);
    for (const [key, h] of this.states) if (h.seq >= seq) this.states.delete(key);
    return before - this.held.length - this.states.size;
  }
}

export class ReaderRecord {
  readonly topics = new Map<string, TopicRecord>();
  readonly violations: Violation[] = [];
  readonly figures = {
    lines: 0,
    messages: 0,
    states: 0,
    voided: 0,
    gaps: 0,
    gapMessages: 0,
    connections: 0,
    subscribed: 0,
    resets: 0,
  };
  readonly resets: Record<string, number> = {};
  readonly gapReasons: Record<string, number> = {};
  finished: number | undefined;
  /** What was held of topics until they began again. */
  readonly ended: { readonly topic: string; readonly record: TopicRecord }[] = [];
  /** Called for each reset. */
  onReset: (reason: string, topics: readonly string[]) => void = () => {};
  private readonly knows: (trade: Json) => boolean;
  /** The positions at which topics of a `*` begin. */
  private readonly begins: { readonly topics: readonly string[]; readonly seq: number | null }[] =
    [];

  /** @param knows whether the source published a trade */
  constructor(knows: (trade: Json) => boolean) {
    this.knows = knows;
  }

  take(text: string): void {
    const line = (this.figures.lines += 1);
    let m: Json;
    try {
      m = JSON.parse(text) as Json;
    } catch {
      return this.wrong('reader', '', 0, line, `not JSON: ${text.slice(0, 200)}`);
    }
    switch (m['kind']) {
      case 'message':
      case 'state':
        return this.message(m, m['kind'] === 'state', line);
      case 'gap':
        return this.gap(m, line);
      case 'reset':
        return this.reset(m);
      case 'subscribed':
        return this.subscribed(m['topics'] as string[], m['seq'] as number);
      case 'connected':
        this.figures.connections += 1;
        return;
      case 'finished':
        this.finished = m['seq'] as number;
    }
  }

  of(topic: string): TopicRecord {
    let record = this.topics.get(topic);
    if (record === undefined) {
      const begin = this.begins.findLast(({ topics }) => covers(topics, topic));
      this.topics.set(topic, (record = new TopicRecord(begin?.seq ?? null)));
    }
    return record;
  }

  wrong(what: string, topic: string, seq: number, line: number, detail: string): void {
    this.violations.push({ what, topic, seq, line, detail });
  }

  private message(line: Json, isState: boolean, at: number): void {
    const m = line['message'] as Json;
    this.figures[isState ? 'states' : 'messages'] += 1;
    const topic = topicOf(m);
    const record = this.of(topic);
    const {
      seq,
      prevSeq,
      count = 1,
    } = m as unknown as { seq: number; prevSeq: number; count?: number };
    const isByState = m['type'] === 'bar' || m['type'] === 'stats';
    const copy =
      m['type'] === 'book' ? this.copy(m, line['book'] as Json | null, topic, at) : undefined;
    const message = isState || isByState ? m : undefined;
    const held: Held = {
      seq,
      prevSeq,
      count,
      isState,
      body: bodyOf(m),
      copy,
      message,
      line: at,
      epoch: line['epoch'] as number,
    };
    if (m['type'] === 'trade' && !this.knows(m))
      this.wrong('invented', topic, seq, at, JSON.stringify(m));
    if (isByState) {
      const key = m['type'] === 'bar' ? String(m['openTime']) : '';
      record.firstOpen ??= key;
      record.states.set(key, held);
      record.newestState = held;
      return;
    }
    if (!isState) this.inOrder(record, held, m, topic);
    record.held.push(held);
    record.last = Math.max(record.last, seq);
    if (isState) record.from ??= seq;
  }

  private inOrder(record: TopicRecord, { seq, prevSeq, line }: Held, m: Json, topic: string): void {
    const last = Math.max(record.last, record.from ?? 0);
    const isWhole = m['type'] === 'book' && m['form'] !== 'delta';
    if (record.held.length === 0 && record.from === null) record.from = seq - 1;
    else if (seq < last || (seq === last && !isWhole))
      this.wrong('repeated', topic, seq, line, `after ${last}`);
    else if (prevSeq > last) this.wrong('hole', topic, seq, line, `names ${prevSeq} after ${last}`);
  }

  private copy(m: Json, book: Json | null | undefined, topic: string, at: number): string | null {
    if (book === null || book === undefined) return null;
    const { bids, asks } = book as unknown as { bids: Pairs; asks: Pairs };
    const crc = m['crc'] as number | null | undefined;
    if (typeof crc === 'number' && crc !== crcOf(bids, asks)) {
      this.wrong('crc', topic, m['seq'] as number, at, `${crc} of ${JSON.stringify(book)}`);
    }
    return JSON.stringify([bids, asks]);
  }

  private gap(m: Json, line: number): void {
    const { topic, from, to, count, reason } = m as unknown as Declared & { topic: string };
    const record = this.of(topic);
    record.gaps.push({ from, to, count, reason, line });
    const invalidFrom = m['void_from'] as number | null | undefined;
    if (typeof invalidFrom === 'number') this.figures.voided += record.invalidFrom(invalidFrom);
    record.last = to;
    this.figures.gaps += 1;
    this.figures.gapMessages += count;
    this.gapReasons[reason] = (this.gapReasons[reason] ?? 0) + 1;
  }

  private reset(m: Json): void {
    const topics = m['topics'] as string[];
    const seq = (m['seq'] ?? null) as number | null;
    const reason = String(m['reason']);
    this.figures.resets += 1;
    this.resets[reason] = (this.resets[reason] ?? 0) + 1;
    this.begins.push({ topics, seq });
    for (const name of topics) if (!name.includes('*')) this.of(name);
    for (const [topic, record] of this.topics) {
      if (!covers(topics, topic)) continue;
      this.figures.voided += record.held.length + record.states.size;
      this.ended.push({ topic, record });
      this.topics.set(topic, new TopicRecord(seq));
    }
    this.onReset(reason, topics);
  }

  private subscribed(topics: readonly string[], seq: number): void {
    this.figures.subscribed += 1;
    this.begins.push({ topics, seq });
    for (const name of topics) if (!name.includes('*')) this.of(name);
    for (const [topic, record] of this.topics) if (covers(topics, topic)) record.from ??= seq;
  }
}

/** Whether one of the topics, which may have `*`, is or covers this one. */
export function covers(topics: readonly string[], topic: string): boolean {
  const [channel, , interval] = topic.split(':');
  const all = interval === undefined ? `${channel}:*` : `${channel}:*:${interval}`;
  return topics.includes(topic) || topics.includes(all);
}
