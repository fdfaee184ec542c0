/** Exceptions: inputs whose longest turn may exceed 5 ms, each with its limit and the reason. */

/** No turn is longer on the reference machine, in ms. */
const TURN_MS_MAX = 5;
/**
 * By how much a turn may take longer: caches of a shared machine, and code that is not compiled yet.
 */
const MARGIN = 2;

interface Exception {
  readonly ms: number;
  readonly why: string;
}

/** Measured with the smaller market of the test, for exceptions that exist there. */
export const EXCEPTIONS: ReadonlyMap<string, Exception> = new Map<string, Exception>([
  ['publish trades of all instruments', { ms: 9, why: 'a turn publishes to each topic of it' }],
  ['order sweeps one side', { ms: 8, why: 'an order is matched whole' }],
  [
    'setInstrumentState opens crossed orders',
    { ms: 8, why: 'a command of an auction is done whole' },
  ],
]);

/**
 * For the large size of the test, with 9,000 instruments, where the limit is higher: the topics of a `*` are found,
 * and those of a resume are joined, in one turn. What is longer there and not listed here must be fixed.
 */
const LARGE_MS: ReadonlyMap<string, number> = new Map([
  ['subscribe all instruments', 7],
  ['unsubscribe all instruments', 7],
  ['resume all instruments, from the first', 14],
]);

/** The limit for the longest turn of a case, in ms of the reference machine. */
export function boundOf(name: string, isLarge: boolean): number {
  const ms = EXCEPTIONS.get(name)?.ms ?? TURN_MS_MAX;
  return MARGIN * Math.max(ms, isLarge ? (LARGE_MS.get(name) ?? 0) : 0);
}
