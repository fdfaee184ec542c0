/** Metered writer: what a writer of the journal says, each time a turn of the event loop that is timed. */

import type { TurnMeter } from '../../base/turn-meter';
import type { CreateWriter } from './writer';

export function meteredWriter(create: CreateWriter, turns: TurnMeter): CreateWriter {
  return (settings, db, events) =>
    create(settings, db, {
      ...events,
      committed: (frames, tookMs) => turns.whole('commit', () => events.committed(frames, tookMs)),
    });
}
