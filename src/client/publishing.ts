/**
 * Publishing: limits publish messages in progress, keeps their order, and decides which of them state that they continue
 * the numbering of the last session [P3]. A program that reconnects continues its numbering, which the server cannot know
 * by itself; for a symbol that it has not published before, nothing is known. Bound: published symbols.
 */

import { ERRORS } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import { TapedeckError } from './errors';

export interface PublishOptions {
  /**
   * Whether these events continue the numbering of the source's last session. Default: yes for symbols
   * that this client published on an earlier connection.
   */
  readonly continues?: boolean;
}

/** Publish messages in progress; further ones wait. */
const UNDER_WAY_MAX = 16;

export class Publishing {
  private underWay = 0;
  private readonly queue: (() => void)[] = [];
  /** The connection that each symbol was last published on. */
  private readonly published = new Map<string, object>();

  /** Sends when there is room, in order. */
  async inTurn(send: () => Promise<number>): Promise<number> {
    if (this.underWay < UNDER_WAY_MAX) this.underWay += 1;
    else await new Promise<void>((resolve) => this.queue.push(resolve));
    try {
      return await send();
    } finally {
      // The slot passes to the next in the queue, so that a new message cannot overtake it.
      const next = this.queue.shift();
      if (next === undefined) this.underWay -= 1;
      else next();
    }
  }

  /** Ends all waits: what is sent from now on is refused. */
  end(): void {
    for (const resolve of this.queue.splice(0)) resolve();
  }

  /** @returns the value of `publish.continues` for these events; null: absent */
  claim(
    connection: object,
    events: readonly SourceEvent[],
    { continues }: PublishOptions,
  ): boolean | null {
    let hasBefore = false;
    let hasNew = false;
    for (const { symbol, type } of events) {
      if (type === 'instrument') continue;
      const last = this.published.get(symbol);
      if (last === undefined) hasNew = true;
      else if (last !== connection) hasBefore = true;
    }
    for (const { symbol, type } of events) {
      if (type !== 'instrument') this.published.set(symbol, connection);
    }
    // It applies to all symbols of the message, so it must be true for each.
    return continues ?? (hasBefore && !hasNew ? true : null);
  }
}

/**
 * The server takes all events of a message or none, which it can promise within one shard only [H7]. Symbols whose shard is
 * not known are left to the server.
 * @param shardOf the shard of a symbol; null: not known, or there are none
 * @throws TapedeckError `several-shards` if events are of different shards
 */
export function refuseSeveralShards(
  events: readonly SourceEvent[],
  shardOf: (symbol: string) => string | null,
): void {
  let first: { readonly symbol: string; readonly shard: string } | undefined;
  for (const [i, event] of events.entries()) {
    const { symbol } = event;
    const shard = (event.type === 'instrument' ? event.shard : null) ?? shardOf(symbol);
    if (shard === null) continue;
    first ??= { symbol, shard };
    if (shard === first.shard) continue;
    throw new TapedeckError(
      'several-shards',
      `${symbol} is of shard ${shard}, and ${first.symbol} of shard ${first.shard}: the server takes all events of one publish or none`,
      ERRORS['several-shards'].hint,
      `publish.events[${i}].symbol`,
    );
  }
}
