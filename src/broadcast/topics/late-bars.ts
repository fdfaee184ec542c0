/**
 * Late bars: bars that a trade changed when they were not kept any more, and that are read anew before they
 * are published again. A reader that was cut off meanwhile may have a position behind the trade, and not
 * the bar: a resume from there sends it again.
 *
 * Bounded: bars on record. One that has to be dropped before it was published makes its topic one of which
 * no resume knows everything.
 */

import type { TopicState } from './mirror';

export const LATE_BARS_MAX = 20_000;

interface LateBar {
  readonly topic: TopicState;
  readonly second: number;
  /** Of the newest trade in it. */
  tradeSeq: number;
  /** The newest seq when it was published with that trade; infinity before. */
  publishedAt: number;
}

export class LateBars {
  private readonly byTopic = new Map<TopicState, Map<number, LateBar>>();
  /** In the order in which they came. */
  private readonly all = new Set<LateBar>();
  /** Of topics of which some were dropped: a position up to here is unsure. */
  private readonly dropped = new Map<TopicState, number>();

  /** A trade came to a bar. @param second at which it opens */
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

  /** A bar was published. @param tradeSeq of the newest trade in it @param lastSeq the newest seq then */
  published(topic: TopicState, second: number, tradeSeq: number, lastSeq: number): void {
    const bar = this.byTopic.get(topic)?.get(second);
    if (bar !== undefined && tradeSeq >= bar.tradeSeq) bar.publishedAt = lastSeq;
  }

  /** Opening seconds of bars that a reader with this position may not have; undefined where nobody knows. */
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
