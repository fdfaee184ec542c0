/**
 * Runs the ring across processes for any time, started by hand:
 *
 *     bun test/ipc/ring-soak.ts [--seconds 600] [--readers 4] [--slots 65536] [--seed N]
 *
 * One writer runs at full speed. Readers check every record, and are stopped and killed at random.
 * Prints the counts of each reader. Exit code 1: a record was torn, out of order or not counted.
 */

import { parseArgs } from 'node:util';

import { readSeed } from '../support/seed';
import { RingDirectory } from './made-ring';
import { runRing, wrongsOf } from './ring-run';

const options = {
  seconds: { type: 'string', default: '600' },
  readers: { type: 'string', default: '4' },
  slots: { type: 'string', default: '65536' },
  seed: { type: 'string', default: String(readSeed()) },
} as const;
const { values } = parseArgs({ options });
const rings = new RingDirectory();
try {
  const readers = Number(values.readers);
  const numbers = {
    slots: Number(values.slots),
    seconds: Number(values.seconds),
    seed: Number(values.seed),
  };
  console.log(JSON.stringify({ readers, ...numbers }));
  const outcome = await runRing({ path: rings.fresh(), readers, ...numbers, end: 'SIGTERM' });
  for (const one of outcome.seen) console.log(JSON.stringify(one));
  const { records, stops, kills } = outcome;
  const wrongs = wrongsOf(outcome, readers);
  console.log(JSON.stringify({ records, stops, kills, wrongs }));
  process.exitCode = wrongs.length === 0 ? 0 : 1;
} finally {
  rings.remove();
}
