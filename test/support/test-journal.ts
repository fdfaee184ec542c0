/** A journal opened by itself, without a market. */

import type { Clock } from '../../src/base/clock';
import { ManualClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { openJournal, type OpenedJournal, type OpeningOptions } from '../../src/journal/opening';
import type { JournalOptions } from '../../src/journal/sqlite-journal';
import { at } from './market-events';

/** @throws Error when it does not open */
export function openedJournal(
  directory: string,
  more: Partial<JournalOptions> = {},
  clock: Clock = new ManualClock(at(0)),
  opening: OpeningOptions = {},
): OpenedJournal {
  const options: JournalOptions = {
    directory,
    durability: 'commit',
    commitEveryMs: 20,
    checkpointEveryEvents: 1_000_000,
    queueBytesMax: 64 * 1_024 * 1_024,
    retention: { hours: 0, bytes: 0 },
    ...more,
  };
  const found = openJournal(options, clock, opening);
  if (found instanceof StartFault) throw new Error(found.message);
  found.journal.begin();
  return found;
}
