/** Slices: long work in pieces, between which the event loop does what else there is. */

import type { Clock } from './clock';
import type { TurnKind } from './turn-meter';

/** What one piece may take; a turn of the loop is to stay below 5 ms with all that shares it. */
const SLICE_MS = 2;

/** @param work yields where it may be interrupted, several times in a millisecond of it */
export async function inSlices<T>(
  work: Generator<undefined, T>,
  clock: Pick<Clock, 'monotonicMs' | 'turns'>,
  kind: TurnKind,
): Promise<T> {
  for (;;) {
    const untilMs = clock.monotonicMs() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done === true) return step.value;
    } while (clock.monotonicMs() < untilMs);
    await new Promise<void>((resolve) => clock.turns.soon(kind, resolve));
  }
}
