/** A journal opened without a market. */

import type { Clock } from '../../src/base/clock';
import { ManualClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import {
  openJournal,
  type OpenedJournal,
  type OpeningOptions,
} from '../../src/journal/recover/opening';
import type { SavedState, StateSource } from '../../src/journal/journal';
import type { JournalOptions } from '../../src/journal/write/journal-parts';
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

/** A state that is one text and always counts as changed; saved in a number of pieces. */
export function textState(text: () => string, pieces = 1): StateSource {
  let captured = 0;
  return {
    isChanged: true,
    get left() {
      return pieces - captured;
    },
    begin: () => void (captured = 0),
    next: (seq) =>
      captured === pieces
        ? undefined
        : { kind: 'ended', key: captured++, chunk: 0, seq, text: text(), levels: [], bytes: null },
    rest: () => ({ text: '{}', endedFrom: 0 }),
    abort: () => {},
  };
}

/** The text in a checkpoint. */
export function savedText(saved: SavedState | null): string | undefined {
  for (const { text } of saved?.pieces() ?? []) return text;
  return undefined;
}
