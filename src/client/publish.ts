/** Publishing with an account of what became of the events. */

import type { MessageOf, SourceEvent } from '../../protocol/messages';
import type { Connection } from './connection';

/** What became of events that were published. */
export interface Published {
  /** How many the source had sent before. */
  readonly repeated: number;
  /** How many have no effect until a snapshot of the book comes. */
  readonly waiting: number;
}

/**
 * Brings events in; resolves once they are journaled.
 * @param continues whether the source's numbers go on from those of its session before; null: no
 * @throws TapedeckError when they are refused, or the connection ends
 */
export function publishCounted(
  connection: Connection,
  events: readonly SourceEvent[],
  continues: boolean | null,
): Promise<Published> {
  for (const event of events) if (event.type === 'instrument') connection.know(event.symbol, event);
  return new Promise((resolve, reject) =>
    connection.ask({
      make: (id) => ({ type: 'publish', id, events: [...events], continues }),
      resolve: (_seq: number, ack?: MessageOf<'ack'>) =>
        resolve({ repeated: ack?.repeated ?? 0, waiting: ack?.waiting ?? 0 }),
      reject,
    }),
  );
}
