/** Runs before every test file: one seed for all property tests, printed so that a run can be repeated. */

import fc from 'fast-check';

import { readSeed } from './seed';

const seed = readSeed();
fc.configureGlobal({ seed });
console.log(`property seed ${seed} (repeat with TAPEDECK_TEST_SEED=${seed})`);
