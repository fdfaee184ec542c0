/**
 * Storm, run by hand: `bun test/attack/storm.ts [--cycles 10000] [--rounds 2] [--processes 4] [--seed N]`. It opens
 * and closes this many connections a round; prints the rate, and what is left of them; and ends with 1 when another
 * reader lost something, or something is left.
 */

import { parseArgs } from 'node:util';

import { readSeed } from '../support/seed';
import { runStorm } from './storm-run';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '2' },
    processes: { type: 'string', default: '4' },
    seed: { type: 'string' },
  },
});
const seed = values.seed === undefined ? readSeed() : Number(values.seed);
console.log(`seed ${seed}`);
const result = await runStorm(
  Number(values.cycles),
  Number(values.rounds),
  Number(values.processes),
  seed,
);
console.log(result, `${(result.cycles / result.seconds).toFixed(0)} cycles a second`);
if (result.complaints.length > 0) process.exitCode = 1;
