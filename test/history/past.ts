/** A recorder whose past can be queried, and the oracles of the answers. */

import { join } from 'node:path';

import { bookChecksum } from '../../protocol/checksum';
import type { Fault } from '../../protocol/codes';
import { TenLevels } from '../../protocol/levels';
import { orderTime, type BatchEvent, type RecordedBook } from '../../protocol/records';
import type { Clock } from '../../src/base/clock';
import type { Config } from '../../src/config/config';
import { History, startHistoryThread, type HistoryThread } from '../../src/journal/history/history';
import type { PastBook } from '../../src/base/contracts/past';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { eventsOf, record, type Recording } from '../support/test-recorder';

export interface Past extends Recording {
  readonly history: History;
  /** The threads that were started. */
  readonly threads: HistoryThread[];
  /** Path of the journal's file. */
  readonly path: string;
  close(): Promise<void>;
}

export function recordPast(
  directory: string,
  journal: Partial<Config['journal']> = {},
  questionsMax = 64,
  more: { readonly clock?: Clock } = {},
): Past {
  const recording = record(directory, journal, more);
  const threads: HistoryThread[] = [];
  const path = join(directory, JOURNAL_FILE);
  const history = new History({
    questionsMax,
    flush: () => recording.recorder.journal.flush(),
    start: () => {
      const thread = startHistoryThread(path)!;
      threads.push(thread);
      return thread;
    },
  });
  const close = async (): Promise<void> => {
    await history.close();
    recording.recorder.close();
    await recording.recorder.journal.closed;
  };
  return { ...recording, history, threads, path, close };
}

export function good(answer: PastBook | Fault): PastBook {
  if ('code' in answer) throw new Error(`${answer.code}: ${answer.message}`);
  return answer;
}

export interface State {
  readonly event: RecordedBook;
  /** Null while the book is incomplete. */
  readonly levels: { bids: readonly number[]; asks: readonly number[] } | null;
}

/** Every state of a book, from everything published, compared with its checksums. */
export function statesOf(recording: Recording, symbol: string): State[] {
  const states: State[] = [];
  const copy = new TenLevels();
  for (const event of eventsOf(recording.batches)) {
    if (!isBookOf(event, symbol)) continue;
    if (event.form === 'delta') copy.apply(event.bids, event.asks);
    else copy.replace(event.bids, event.asks);
    if (event.crc !== null && bookChecksum(copy.bids, copy.asks) !== event.crc) {
      throw new Error(`the rebuild is wrong at ${event.seq}`);
    }
    const levels = event.form === 'incomplete' ? null : { bids: copy.bids, asks: copy.asks };
    states.push({ event, levels });
  }
  return states;
}

function isBookOf(event: BatchEvent, symbol: string): event is RecordedBook {
  return event.type === 'book' && event.symbol === symbol;
}

/** The rule in its plainest form: scans all states; the last by seq counts. */
export function stateAt(states: readonly State[], at: bigint): State | undefined {
  return states.findLast((state) => orderTime(state.event).toBigInt() <= at);
}
