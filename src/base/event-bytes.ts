/** Event bytes: an estimate of the memory that waiting source events take. */

import type { SourceEvent } from '../../protocol/messages';

const EVENT_BYTES = 256;
const NUMBER_BYTES = 8;

export function eventBytes(events: readonly SourceEvent[]): number {
  let bytes = 0;
  for (const event of events) {
    bytes += EVENT_BYTES;
    if (event.type === 'book') bytes += NUMBER_BYTES * (event.bids.length + event.asks.length);
  }
  return bytes;
}
