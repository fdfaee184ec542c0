/** Benches: all benches by name. */

import { clusterBench } from './cluster';
import { encodeBench } from './encode';
import { fanoutBench } from './fanout';
import { floodBench } from './flood';
import type { Bench } from './harness';
import { journalBench } from './journal';
import { runMatching } from './matching';
import { bookQueryBench, tickQueryBench } from './query';
import { pushBench } from './push';
import { recoveryBench } from './recovery';
import { replayBench } from './replay';
import { restBench } from './rest';
import { ringBench } from './ring';
import { sessionsBench } from './sessions';
import { slowLineBench } from './slow-line';
import { slowReaderBench } from './slow-reader';
import { startBench } from './start';
import { stormBench } from './storm';

export const BENCHES: Readonly<Record<string, Bench>> = {
  'encode': encodeBench,
  'tick-query': tickQueryBench,
  'book-query': bookQueryBench,
  'rest': restBench,
  'matching': ({ quick }) =>
    runMatching(quick ? { commands: 500, rounds: 1 } : { commands: 200_000 }),
  'journal': journalBench,
  'recovery': recoveryBench,
  'start': startBench,
  'replay': replayBench,
  'ring': ringBench,
  'push': pushBench,
  'slow-reader': slowReaderBench,
  'slow-line': slowLineBench,
  'resume-storm': stormBench,
  'fanout': fanoutBench,
  'sessions': sessionsBench,
  'flood': floodBench,
  'cluster': clusterBench,
};
