/** Nearest: the known name that an unknown one was probably meant to be. */

import { closest } from 'fastest-levenshtein';

/** Typed names are short; of a longer one only the beginning is compared. */
const COMPARED_MAX = 80;

/**
 * The name that differs in case only (`Limit`), else one that it abbreviates (`qty`), else the closest by edit distance.
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

/** Whether all its letters occur in the other name in order, beginning with the first letter. */
function abbreviates(short: string, long: string): boolean {
  if (short.length < 2 || short[0] !== long[0]) return false;
  let at = 0;
  for (const letter of long) if (letter === short[at]) at += 1;
  return at === short.length;
}
