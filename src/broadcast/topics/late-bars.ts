/**
 * Late bars: bars that got a trade when they were no longer in memory; they are read from history
 * before they are published again. A reader that disconnects meanwhile may have a position after
 * the trade without having the bar: a resume from there sends the bar again.
 *
 * Bounded: by the number of bars on record. If one is dropped before it was published, resumes of
 * its topic cannot know everything and are answered with a reset.
 */

import type { TopicState } from './mirror';

export const LATE_BARS_MAX = 20_000;

interface LateBar {
  readonly topic: TopicState;
  readonly second: number;
  /** The sequence number of its newest trade. */
  tradeSeq: number;
  /** The newest sequence number when it was published with that trade; infinity before. */
  publishedAt: number;
}

export class LateBars {
  private readonly byTopic = new Map<TopicState, Map<number, LateBar>>();
  /** In the order in which they were added. */
  private readonly all = new Set<LateBar>();
  /** Topics with dropped bars: resumes from this position or before are unsure. */
  private readonly dropped = new Map<TopicState, number>();

  /** A trade came to a bar. @param second when it opens */
  add(topic: TopicState, second: number, tradeSeq: number): void {
    let own = this.byTopic.get(topic);
    if (own === undefined) this.byTopic.set(topic, (own = new Map()));
    let bar = own.get(second);
    if (bar === undefined) {
      if (this.all.size === LATE_BARS_MAX) this.drop();
      bar = { topic, second, tradeSeq, publishedAt: Infinity };
      own.set(second, bar);
      this.all.add(bar);
    }
    bar.tradeSeq = tradeSeq;
    bar.publishedAt = Infinity;
  }

  /**
   * A bar was published.
   * @param tradeSeq of its newest trade
   * @param lastSeq the newest sequence number then
   */
  published(topic: TopicState, second: number, tradeSeq: number, lastSeq: number): void {
    const bar = this.byTopic.get(topic)?.get(second);
    if (bar !== undefined && tradeSeq >= bar.tradeSeq) bar.publishedAt = lastSeq;
  }

  /**
   * Opening seconds of bars that a reader at this position may lack; undefined if that is not
   * known.
   */
  unsure(topic: TopicState, seq: number): number[] | undefined {
    if (seq <= (this.dropped.get(topic) ?? -1)) return undefined;
    const own = this.byTopic.get(topic);
    if (own === undefined) return [];
    return [...own.values()].flatMap((bar) => (bar.publishedAt >= seq ? bar.second : []));
  }

  private drop(): void {
    const [oldest] = this.all;
    const { topic, second, publishedAt } = oldest!;
    this.all.delete(oldest!);
    this.byTopic.get(topic)!.delete(second);
    this.dropped.set(topic, Math.max(publishedAt, this.dropped.get(topic) ?? 0));
  }
}
