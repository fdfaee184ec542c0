/** Nearest: which of the names that are known somebody may have meant. */

import { closest } from 'fastest-levenshtein';

/** Names that were typed are short; what is longer is compared by its beginning. */
const COMPARED_MAX = 80;

/** @param known at least one */
export function nearest(name: string, known: readonly string[]): string {
  const lower = name.slice(0, COMPARED_MAX).toLowerCase();
  // Whoever wrote `Limit` meant `limit`, however far the capitals are apart.
  return known.find((one) => one.toLowerCase() === lower) ?? closest(lower, [...known]);
}
