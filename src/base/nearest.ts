/** Nearest: which of the names that are known somebody may have meant. */

import { closest } from 'fastest-levenshtein';

/** Names that were typed are short; what is longer is compared by its beginning. */
const COMPARED_MAX = 80;

/**
 * The same but for capitals (`Limit`), else one that it abbreviates (`qty`), else the fewest letters away.
 * @param known at least one
 */
export function nearest(name: string, known: readonly string[]): string {
  const lower = name.slice(0, COMPARED_MAX).toLowerCase();
  return (
    known.find((one) => one.toLowerCase() === lower) ??
    known.find((one) => abbreviates(lower, one.toLowerCase())) ??
    closest(lower, [...known])
  );
}

/** Whether all its letters stand in the other in their order, the first in front. */
function abbreviates(short: string, long: string): boolean {
  if (short.length < 2 || short[0] !== long[0]) return false;
  let at = 0;
  for (const letter of long) if (letter === short[at]) at += 1;
  return at === short.length;
}
