/** Publishing with an account of the outcome of the events. */

import type { MessageOf, SourceEvent } from '../../protocol/messages';
import type { Connection } from './connection';

/** The outcome of published events. */
export interface Published {
  /** Events that the source had sent before. */
  readonly repeated: number;
  /** Events without effect until a snapshot of the book comes. */
  readonly waiting: number;
}

/**
 * Publishes events; resolves once they are journaled.
 * @param continues whether the source continues the numbering of its last session; null: no
 * @throws TapedeckError if they are refused, or the connection ends
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
