/** Book doubt: texts that explain why the book of an instrument is unreliable. */

import type { Row } from './market-state';

/** Texts by the reason of the status `incomplete`. */
const REASONS: Readonly<Record<string, string>> = {
  'gap': 'Messages of the source are missing',
  'overlap': 'Messages of the source do not fit together',
  'quote-mismatch': 'The source’s quote and its book contradict each other',
  'too-many-levels': 'The source’s book has more levels than this server holds',
  'awaiting-snapshot': 'The source has not sent a whole book yet',
  'book-renumbered': 'The source’s numbering has restarted',
};

/** Whether bid and ask of an instrument may be out of date. */
export function isDoubtful({ state, mark }: Row): boolean {
  return mark !== null || state === 'incomplete' || state === 'stale' || state === 'recovered';
}

/** Empty if the book is reliable. */
export function doubtOf({ state, reason, mark }: Row): string {
  if (state === 'incomplete') {
    const why = REASONS[reason] ?? 'The source says that its book is incomplete';
    return `${why}. The book is displayed again after the source’s next snapshot.`;
  }
  const lastKnown = state === 'stale' || state === 'recovered' ? state : mark;
  if (lastKnown === 'stale') {
    return 'The source has disconnected. This is the last known book; it may have changed since.';
  }
  if (lastKnown === 'recovered') {
    return 'This is the last known book from before the server restarted. The source has sent nothing since.';
  }
  return '';
}
