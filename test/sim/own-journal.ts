/** Own journal: a real journal behind a run, written as a server writes it and read for replays by the real reader. */

import { join } from 'node:path';

import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import type { PlaybackChunk } from '../../src/broadcast/playback/chunk';
import type { PlaybackSource } from '../../src/broadcast/playback/playback';
import type { ReplayOpened } from '../../src/journal/playback/messages';
import { isCrash } from '../../src/journal/history/gaps';
import { PlaybackReader } from '../../src/journal/playback/reader';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { openedJournal } from '../support/test-journal';
import { hold } from './truth';

export class OwnJournal {
  private readonly opened: ReturnType<typeof openedJournal>;
  private readonly reader: PlaybackReader;

  /** @param directory for this journal alone */
  constructor(directory: string) {
    this.opened = openedJournal(directory);
    this.reader = new PlaybackReader(join(directory, JOURNAL_FILE));
  }

  readonly source: PlaybackSource = {
    open: async (playback, request) => {
      await this.opened.journal.flush();
      const { from, to } = request;
      const opened = this.reader.answer({
        kind: 'replay-open',
        replay: playback,
        ...request,
        from: words(from),
        to: words(to),
      }) as ReplayOpened;
      const { fromSeq, toSeq, gaps } = opened;
      return { fromSeq, toSeq, isBroken: !gaps.every(isCrash) };
    },
    next: async (playback) =>
      this.reader.answer({ kind: 'replay-next', replay: playback }) as PlaybackChunk,
    close: (playback) => void this.reader.answer({ kind: 'replay-close', replay: playback }),
  };

  append(events: readonly BatchEvent[]): void {
    const { journal, recovered } = this.opened;
    const [firstSeq, lastSeq] = [events[0]!.seq, events.at(-1)!.seq];
    journal.append({ epoch: recovered.epoch, firstSeq, lastSeq, events }, () => {});
  }

  /** @throws Error if a replay is still open */
  close(): void {
    const { replays } = this.reader as unknown as { replays: ReadonlyMap<number, unknown> };
    hold(replays.size === 0, () => ['replays are left in the journal', replays.keys()]);
    this.reader.close();
    this.opened.journal.abandon();
  }
}

function words(time: Nanos | null): { hi: number; lo: number } | null {
  return time === null ? null : { hi: time.hi, lo: time.lo };
}
