/**
 * Consumers: the subscriptions of one client, and which of them a topic goes to. Bounded by the
 * subscriptions that are open; a topic's consumers are looked up once, until they change.
 */

import type { Topic } from '../../protocol/topics';
import type { TapedeckError } from './errors';
import type { GapItem, ResetItem, TopicMessage } from './items';
import type { Subscription } from './subscription';
import type { TopicChain } from './topic-chain';

export class Consumers {
  readonly all = new Set<Subscription>();
  private readonly routes = new Map<string, readonly Subscription[]>();

  add(subscription: Subscription): void {
    this.all.add(subscription);
  }

  remove(subscription: Subscription): boolean {
    this.routes.clear();
    return this.all.delete(subscription);
  }

  admit(subscription: Subscription, state: readonly TopicMessage[]): void {
    this.routes.clear();
    subscription.admit();
    for (const message of state) subscription.push(message);
  }

  waiting(): Subscription[] {
    return [...this.all].filter(({ admitted }) => !admitted);
  }

  hand(name: string, topic: Topic, item: TopicMessage | GapItem): void {
    let route = this.routes.get(name);
    if (route === undefined) {
      route = [...this.all].filter((s) => s.admitted && s.covers(topic));
      this.routes.set(name, route);
    }
    for (const subscription of route) subscription.push(item);
  }

  /** Tells a reset to those whom it concerns, each of the topics that concern it. */
  reset(topics: ReadonlyMap<string, Topic>, item: Omit<ResetItem, 'topics' | 'type'>): void {
    for (const subscription of this.all) {
      if (!subscription.admitted) continue;
      const own = [...topics].filter(([, topic]) => touches(subscription, topic));
      if (own.length === 0) continue;
      subscription.push({ type: 'reset', topics: own.map(([name]) => name), ...item });
    }
  }

  /** Hands out state that was asked for anew. */
  state(chains: readonly TopicChain[]): void {
    for (const chain of chains) {
      for (const message of chain.state()) this.hand(chain.name, chain.topic, message);
    }
  }

  /**
   * The newest place that every consumer has taken; one for whom nothing waits has taken all.
   * @param newest the newest place there is
   */
  takenSeq(newest: number): number {
    let lowest = newest;
    for (const { waiting, taken } of this.all) if (waiting > 0) lowest = Math.min(lowest, taken);
    return lowest;
  }

  /** Those who asked for a topic in just these words. */
  of(name: string): Subscription[] {
    return [...this.all].filter(({ topics }) => topics.includes(name));
  }

  fail(error: TapedeckError): void {
    for (const subscription of this.all) subscription.fail(error);
  }

  close(): void {
    for (const subscription of this.all) subscription.close();
  }
}

/** Whether a consumer reads anything of a topic, with `*` or not. */
function touches(subscription: Subscription, topic: Topic): boolean {
  if (subscription.covers(topic)) return true;
  return (
    topic.symbol === '*' &&
    subscription.asked.some((t) => t.channel === topic.channel && t.interval === topic.interval)
  );
}
