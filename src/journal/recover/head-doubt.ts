/**
 * Head doubt: whether the head beside a journal can belong to it. Only the head knows what was
 * published after the end of the journal. If the head is missing, or older than the journal (after
 * a restore, for example), nothing else shows that records are missing, so a warning says so.
 */

import type { HeadPosition } from '../write/head';
import type { JournalWarning } from '../journal';
import type { EpochRow } from './notes';

/** The end of the journal according to its records. */
export interface JournalEnd {
  readonly seq: number;
  /** Oldest first. */
  readonly epochs: readonly EpochRow[];
}

const MEANING =
  'what was acknowledged or sent to readers behind the end of the journal cannot be known to be missing, and no gap declares it; a reader whose position is above the end gets a reset';
const HINT =
  'After a restore, keep the newest head, or else that of the backup, and let the sources send again what they have sent since: see src/journal/BACKUP.md. After a loss of power there may be nothing to do.';

/**
 * @param isAheadAlways whether events were published before they were committed (`async`).
 * Otherwise a crash may leave the head a little behind the journal, and nothing is missing then
 */
export function headDoubt(
  head: HeadPosition | undefined,
  { seq, epochs }: JournalEnd,
  isAheadAlways: boolean,
): JournalWarning | undefined {
  const newest = epochs.at(-1);
  if (newest === undefined && seq === 0) return undefined; // nothing was ever published
  const end = `the journal ends at ${seq} of epoch ${newest?.epoch ?? 0}`;
  if (head === undefined) {
    return {
      code: 'head-missing',
      message: `${end}, and no file "head" that reads is beside it: ${MEANING}`,
      hint: HINT,
    };
  }
  const isOfNewest = head.epoch === newest?.epoch;
  const isOfPast = !isOfNewest && epochs.some(({ epoch }) => epoch === head.epoch);
  const isBehind = head.seq < seq && (!isOfNewest || newest.clean === 1 || isAheadAlways);
  if (!isOfPast && !isBehind) return undefined;
  return {
    code: 'head-older',
    message: `${end}, and the file "head" beside it is older (${head.seq} of epoch ${head.epoch}): ${MEANING}`,
    hint: HINT,
  };
}
