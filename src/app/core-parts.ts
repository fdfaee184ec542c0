/** Core parts: what the recorder and the replica make of a journal in the same way. */

import { join } from 'node:path';

import type { CoreFigures, CorePast } from '../base/contracts/core';
import { Durations } from '../base/durations';
import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import { JournalDamage } from '../journal/checked-rows';
import type { JournalNotices } from '../journal/journal';
import { JOURNAL_FILE } from '../journal/recover/reading';
import { unwritable, type Cause } from '../journal/write/causes';
import type { SqliteJournal } from '../journal/write/sqlite-journal';
import type { Recovery } from './restoring';

/** What happens when the disk fails. */
export interface DiskHooks {
  /** Ends the process: the journal cannot be written, and what is not in it must not be published. */
  readonly fail?: (fault: StartFault) => never;
  readonly onFailing?: (reason: string, cause: Cause) => void;
  readonly onRecovered?: () => void;
}

/** Begins to write a journal. @returns why it cannot be written, if so */
export function beginJournal(
  journal: SqliteJournal,
  { journal: { directory } }: Config,
): StartFault | undefined {
  try {
    journal.begin();
    return undefined;
  } catch (e) {
    journal.abandon();
    const { cause } = e as Error;
    return cause instanceof StartFault ? cause : unwritable(directory, e);
  }
}

export function diskNotices(
  hooks: DiskHooks,
  directory: string,
): Pick<JournalNotices, 'failed' | 'onFailing' | 'onRecovered'> {
  return {
    failed: (e) => {
      const isDamage = e instanceof JournalDamage;
      const why = isDamage ? damaged(directory, e) : unwritable(directory, e);
      return (hooks.fail ?? throwFault)(why);
    },
    onFailing: (reason, cause) => hooks.onFailing?.(reason, cause),
    onRecovered: () => hooks.onRecovered?.(),
  };
}

export function pastOf(journal: SqliteJournal, { journal: { directory } }: Config): CorePast {
  return {
    path: join(directory, JOURNAL_FILE),
    trades: (symbol, before, limit) => journal.trades(symbol, before, limit),
    flush: () => journal.flush(),
    missing: () => {
      const gap = journal.missing();
      return gap && { from: gap.from, to: gap.to, reason: gap.reason };
    },
  };
}

/** @param waited from the arrival of submissions to their turn; a replica has no submissions */
export function figuresOf(
  journal: SqliteJournal,
  recovery: Recovery,
  waited = new Durations(),
): CoreFigures {
  return {
    journal: () => journal.status(),
    checkpoints: () => journal.checkpoints.figures(),
    waited,
    committed: journal.durations.committed,
    commit: journal.durations.commit,
    recovery,
  };
}

/** The writer has met damage; the sound part of the journal is used by the next start. */
function damaged(directory: string, e: JournalDamage): StartFault {
  return new StartFault(
    'journal-damaged',
    `the journal in ${directory} is damaged: ${e.message}`,
    'Start again: the file is set aside then, whole, and what is good of it goes on.',
  );
}

function throwFault(fault: StartFault): never {
  throw new Error(fault.message, { cause: fault });
}
