/** Accepting: how a publisher whose target never makes it wait catches up. */

import type { EventRun } from './contracts/batch';
import type { PublishedEvents } from './contracts/publisher';

/**
 * Gives the next events after a position to `accept`.
 * @returns the position of the last of them
 * @throws Error if these events are no longer kept
 */
export async function acceptBehind(
  position: number,
  events: PublishedEvents,
  accept: (run: EventRun) => void,
): Promise<number> {
  const run = await events.read(position);
  if (run === undefined) throw new Error(`the events behind position ${position} are not kept`);
  accept(run);
  return run.lastSeq;
}

/** The lag of such a publisher. */
export const NO_LAG = { events: 0, ms: 0 } as const;
