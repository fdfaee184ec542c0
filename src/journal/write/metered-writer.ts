/** Metered writer: runs each callback of a journal writer as a timed turn of the event loop. */

import type { TurnMeter } from '../../base/turn-meter';
import type { CreateWriter } from './writer';

export function meteredWriter(create: CreateWriter, turns: TurnMeter): CreateWriter {
  return (settings, db, events) =>
    create(settings, db, {
      ...events,
      committed: (frames, tookMs) => turns.whole('commit', () => events.committed(frames, tookMs)),
    });
}
