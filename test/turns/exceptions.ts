/** Exceptions: inputs whose longest turn may be longer than 5 ms, each with its bound and the reason. */

/** No turn is longer on the machine for which it is stated, in ms. */
const TURN_MS_MAX = 5;
/**
 * By how much more a turn may take of the processor: the caches of a machine that others use as well, and
 * code that is not compiled yet.
 */
const MARGIN = 2;

interface Exception {
  readonly ms: number;
  readonly why: string;
}

export const EXCEPTIONS: ReadonlyMap<string, Exception> = new Map<string, Exception>([
  ['hello ten thousand in a frame', { ms: 20, why: 'a frame is decoded whole' }],
  ['subscribe ten thousand in a frame', { ms: 12, why: 'a frame is decoded whole' }],
  ['publish ten thousand trades of one instrument', { ms: 40, why: 'a submission is taken whole' }],
  ['publish trades of all instruments', { ms: 80, why: 'a submission is taken whole' }],
  ['publish definitions', { ms: 60, why: 'a submission is taken whole' }],
  ['order sweeps one side', { ms: 100, why: 'an order is matched whole' }],
  ['ingest 16 MB of line feeds', { ms: 400, why: 'a body is read whole' }],
  ['ingest trades up to 16 MB', { ms: 900, why: 'a body is read whole' }],
  ['ingest one line of 16 MB', { ms: 60, why: 'a body is read whole' }],
  ['ingest trades of which the last is wrong', { ms: 300, why: 'a body is read whole' }],
  ['getMetrics', { ms: 20, why: 'the text of all metrics is made at once' }],
  ['setInstrumentState opens crossed orders', { ms: 80, why: 'an auction is matched whole' }],
]);

/** What the longest turn of a case may take, in ms of that machine. */
export function boundOf(name: string): number {
  return MARGIN * (EXCEPTIONS.get(name)?.ms ?? TURN_MS_MAX);
}
