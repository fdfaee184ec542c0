/**
 * A writer as a process of its own: telling ticks in batches of a random length, as fast as it can or
 * so many batches a second, until SIGTERM, or until there are as many records as were asked for.
 * Arguments: path, slots, seed, records (0: no end), batches a second (0: no pause).
 */

import { setTimeout as pause } from 'node:timers/promises';

import type { Tick } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { batchOf, definition, makeRing, tellingTick } from './made-ring';

const [path, slots, seed, records, pace] = process.argv.slice(2) as [string, ...string[]];
const BATCH_MAX = 64;
/** Different ticks, made once: what is measured and tested is the ring. */
const SHARED = 4_096;

const random = new Prng(Number(seed));
const { writer } = makeRing(path, Number(slots));
const end = Number(records) === 0 ? Number.POSITIVE_INFINITY : Number(records);
const stopping = new AbortController();
process.on('SIGTERM', () => stopping.abort());
writer.accept(batchOf([definition('ACME', 1)]));
writer.beat(Date.now());
console.log('ready');

const ticks = Array.from({ length: SHARED }, (_, i) => ({ ...tellingTick('ACME', i) }));

/** The tick of this place, in an object that is used again and again. */
function tick(seq: number): Tick {
  return Object.assign(ticks[seq % SHARED]!, tellingTick('ACME', seq));
}

for (let turn = 0; !stopping.signal.aborted && writer.position < end; turn++) {
  const batch: Tick[] = [];
  for (let n = random.int(1, BATCH_MAX); n > 0; n--)
    batch.push(tick(writer.position + batch.length + 1));
  writer.accept(batchOf(batch));
  if (Number(pace) > 0) await pause(1_000 / Number(pace));
  else if (turn % 1_000 === 0) await pause(0); // lets a signal in
  if (turn % 1_000 === 0) writer.beat(Date.now());
}
writer.end();
console.log(JSON.stringify({ records: writer.position }));
process.exit(0); // the file stays for whoever still reads; the test removes its directory
