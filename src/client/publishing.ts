/**
 * Publishing: so many publish messages are under way at once, in the order in which they were asked for;
 * and which of them may say that their numbers go on from those of the session before [P3]. A program that
 * comes back over another connection goes on numbering, and the server cannot know that by itself; of a
 * symbol that it has not published before, it knows nothing. Bounded by the symbols published.
 */

import type { SourceEvent } from '../../protocol/messages';

export interface PublishOptions {
  /**
   * Whether the numbers of these events go on from those of the source's session before. Unless told: of
   * what this client published on an earlier connection.
   */
  readonly continues?: boolean;
}

/** Publish messages that wait for their answers; what comes on top waits for one of them. */
const UNDER_WAY_MAX = 16;

export class Publishing {
  private underWay = 0;
  private readonly queue: (() => void)[] = [];
  /** The connection that each symbol was last published on. */
  private readonly published = new Map<string, object>();

  /** Sends when it is its turn. */
  async inTurn(send: () => Promise<number>): Promise<number> {
    if (this.underWay < UNDER_WAY_MAX) this.underWay += 1;
    else await new Promise<void>((resolve) => this.queue.push(resolve));
    try {
      return await send();
    } finally {
      // The turn is handed on, so that nobody who comes now gets ahead of who waits.
      const next = this.queue.shift();
      if (next === undefined) this.underWay -= 1;
      else next();
    }
  }

  /** Nobody waits any more: what is sent now is refused. */
  end(): void {
    for (const resolve of this.queue.splice(0)) resolve();
  }

  /** @returns what `publish.continues` is to say of these events; null: nothing */
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
    // It is said of all symbols of the message, so it must be known of each.
    return continues ?? (hasBefore && !hasNew ? true : null);
  }
}
