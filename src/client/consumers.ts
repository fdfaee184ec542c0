/**
 * Consumers: the subscriptions of one client, and which of them get a topic. Bound: open subscriptions. The consumers of
 * a topic are looked up once, until they change.
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

  /** Delivers a reset to the consumers of its topics, to each with its own topics. */
  reset(topics: ReadonlyMap<string, Topic>, item: Omit<ResetItem, 'topics' | 'type'>): void {
    for (const subscription of this.all) {
      if (!subscription.admitted) continue;
      const own = [...topics].filter(([, topic]) => touches(subscription, topic));
      if (own.length === 0) continue;
      subscription.push({ type: 'reset', topics: own.map(([name]) => name), ...item });
    }
  }

  /** Delivers state that was requested again. */
  state(chains: readonly TopicChain[]): void {
    for (const chain of chains) {
      for (const message of chain.state()) this.hand(chain.name, chain.topic, message);
    }
  }

  /**
   * The newest sequence number that every consumer has taken; a consumer with an empty queue has taken all.
   * @param newest the newest received sequence number
   */
  takenSeq(newest: number): number {
    let lowest = newest;
    for (const { waiting, taken } of this.all) if (waiting > 0) lowest = Math.min(lowest, taken);
    return lowest;
  }

  /** Consumers that requested exactly this topic. */
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

/** Whether a consumer reads anything of a topic, which may have a `*`. */
function touches(subscription: Subscription, topic: Topic): boolean {
  if (subscription.covers(topic)) return true;
  return (
    topic.symbol === '*' &&
    subscription.asked.some((t) => t.channel === topic.channel && t.interval === topic.interval)
  );
}
