/**
 * Intervals: how often the server sends each topic at most, if its consumers ask for less than every message [S9].
 *
 * Several consumers share a topic of one connection, and get it at the shortest interval that any of them wants. The
 * server has one interval a topic: that of the newest `subscribe` that covers it, and 0 after a `resume`, so a resumed
 * topic is subscribed once more. Bound: requested topics.
 */

import { parseTopic } from '../../protocol/topics';
import type { Consumers } from './consumers';
import type { AskedTopic, Numberings } from './numberings';

/** Topics of one request; with their names it stays well below the largest frame. */
const TOPICS_PER_REQUEST = 500;

export class Intervals {
  private readonly numberings: Numberings;
  private readonly consumers: Consumers;
  /** The server's interval, once it has read what was sent; in ms. */
  private readonly applied = new Map<string, number>();

  constructor(numberings: Numberings, consumers: Consumers) {
    this.numberings = numberings;
    this.consumers = consumers;
  }

  /** Requests of one interval each; a `*` comes first, since it sets the interval of single topics too. */
  requests(
    names: readonly string[],
  ): { readonly intervalMs: number; readonly topics: readonly string[] }[] {
    const intervals = [...new Set(names.map((name) => this.wanted(name)))];
    const isAll = (name: string): boolean => parseTopic(name)!.symbol === '*';
    const inOrder =
      intervals.length > 1
        ? [...names.filter(isAll), ...names.filter((name) => !isAll(name))]
        : names;
    const ordered: { intervalMs: number; topics: string[] }[] = [];
    for (const name of inOrder) {
      const intervalMs = this.wanted(name);
      const last = ordered.at(-1);
      const isFull = last?.topics.length === TOPICS_PER_REQUEST;
      if (last?.intervalMs === intervalMs && !isFull) last.topics.push(name);
      else ordered.push({ intervalMs, topics: [name] });
    }
    return ordered;
  }

  /** These topics are being subscribed or resumed now. */
  apply(names: readonly string[], intervalMs: number): void {
    for (const name of names) {
      const topic = parseTopic(name)!;
      this.applied.set(name, intervalMs);
      if (topic.symbol !== '*') continue;
      for (const other of this.numberings.allAsked()) {
        const { channel, interval } = other.topic;
        if (channel === topic.channel && interval === topic.interval) {
          this.applied.set(other.name, intervalMs);
        }
      }
    }
  }

  /** Topics whose interval at the server differs from the wanted one. */
  off(): string[] {
    const isOff = ({ name, stage, resuming }: AskedTopic): boolean =>
      stage === 'acked' && !resuming && this.wanted(name) !== (this.applied.get(name) ?? 0);
    return [...this.numberings.allAsked()].filter(isOff).map(({ name }) => name);
  }

  forget(names: readonly string[]): void {
    for (const name of names) this.applied.delete(name);
  }

  private wanted(name: string): number {
    const topic = parseTopic(name)!;
    let least = Infinity;
    for (const subscription of this.consumers.all) {
      if (subscription.covers(topic)) least = Math.min(least, subscription.intervalMs);
    }
    return least === Infinity ? 0 : least;
  }
}

/** Splits topics into lists that fit one request. */
export function chunks(names: readonly string[]): string[][] {
  const parts: string[][] = [];
  for (let i = 0; i < names.length; i += TOPICS_PER_REQUEST) {
    parts.push(names.slice(i, i + TOPICS_PER_REQUEST));
  }
  return parts;
}
