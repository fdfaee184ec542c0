/**
 * A writer in its own process. It writes checkable ticks in batches of random length, at full speed or
 * at a given rate, until SIGTERM or until it has written a given number of records.
 * Arguments: path, slots, seed, records (0: no limit), batches per second (0: full speed).
 */

import { setTimeout as pause } from 'node:timers/promises';

import type { Tick } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { batchOf, definition, makeRing, checkableTick } from './made-ring';

const [path, slots, seed, records, pace] = process.argv.slice(2) as [string, ...string[]];
const BATCH_MAX = 64;
/** Number of distinct tick objects, created once and reused. */
const SHARED = 4_096;

const random = new Prng(Number(seed));
const { writer } = makeRing(path, Number(slots));
const end = Number(records) === 0 ? Number.POSITIVE_INFINITY : Number(records);
const stopping = new AbortController();
process.on('SIGTERM', () => stopping.abort());
writer.accept(batchOf([definition('ACME', 1)]));
writer.beat(Date.now());
console.log('ready');

const ticks = Array.from({ length: SHARED }, (_, i) => ({ ...checkableTick('ACME', i) }));

/** The tick with this sequence number, in a reused object. */
function tick(seq: number): Tick {
  return Object.assign(ticks[seq % SHARED]!, checkableTick('ACME', seq));
}

for (let turn = 0; !stopping.signal.aborted && writer.position < end; turn++) {
  const batch: Tick[] = [];
  for (let n = random.int(1, BATCH_MAX); n > 0; n--)
    batch.push(tick(writer.position + batch.length + 1));
  writer.accept(batchOf(batch));
  if (Number(pace) > 0) await pause(1_000 / Number(pace));
  else if (turn % 1_000 === 0) await pause(0); // lets the event loop handle signals
  if (turn % 1_000 === 0) writer.beat(Date.now());
}
writer.end();
console.log(JSON.stringify({ records: writer.position }));
process.exit(0); // the file stays for its readers; the test removes its directory
