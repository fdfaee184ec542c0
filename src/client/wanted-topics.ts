/** Wanted topics: what the subscriptions of a client read, each counted once for each of them. Bound: subscriptions. */

import { parseTopic, type Topic } from '../../protocol/topics';

interface Wanted {
  readonly topic: Topic;
  users: number;
}

export class WantedTopics {
  private readonly byName = new Map<string, Wanted>();
  private readonly bySymbol = new Map<string, Set<string>>();

  get names(): string[] {
    return [...this.byName.keys()];
  }

  /** The topics of one symbol, without those that have a `*`. */
  ofSymbol(symbol: string): readonly string[] {
    return [...(this.bySymbol.get(symbol) ?? [])];
  }

  topic(name: string): Topic | undefined {
    return this.byName.get(name)?.topic;
  }

  /** Counts a user. @returns true if it is the first one */
  retain(name: string, topic: Topic): boolean {
    const wanted = this.byName.get(name);
    if (wanted !== undefined) {
      wanted.users += 1;
      return false;
    }
    this.byName.set(name, { topic, users: 1 });
    const own = this.bySymbol.get(topic.symbol);
    if (own === undefined) this.bySymbol.set(topic.symbol, new Set([name]));
    else own.add(name);
    return true;
  }

  /** @returns true if that was the last user */
  release(name: string): boolean {
    const wanted = this.byName.get(name);
    if (wanted === undefined || --wanted.users > 0) return false;
    this.byName.delete(name);
    const own = this.bySymbol.get(wanted.topic.symbol)!;
    own.delete(name);
    if (own.size === 0) this.bySymbol.delete(wanted.topic.symbol);
    return true;
  }

  /** Whether a topic of one symbol is read by a `*` too. */
  isUnderAll(name: string): boolean {
    const { channel, interval, symbol } = parseTopic(name)!;
    if (symbol === '' || symbol === '*') return false;
    return this.byName.has(interval === '' ? `${channel}:*` : `${channel}:*:${interval}`);
  }
}
