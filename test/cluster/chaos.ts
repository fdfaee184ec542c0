/**
 * `bun test/cluster/chaos.ts --rounds N --seed S [--readers N] [--durability replicated|async] [--pairs SHARE]
 * [--publish-at cores|edges] [--target T]…`: kills and stops members of a real cluster and its brokers, and checks
 * what became of everything. Needs `bun run nats:install`.
 */

import { parseArgs } from 'node:util';

import { percentile } from '../bench/harness';
import { runChaos, type ChaosTarget } from './chaos-run';

const { values } = parseArgs({
  options: {
    'rounds': { type: 'string', default: '5' },
    'seed': { type: 'string', default: String(Date.now() % 1_000_000) },
    'readers': { type: 'string', default: '20' },
    'durability': { type: 'string', default: 'replicated' },
    'pairs': { type: 'string', default: '0.3' },
    'publish-at': { type: 'string', default: 'cores' },
    'target': { type: 'string', multiple: true },
  },
});
console.log(`seed ${values.seed}`);
const { rounds, silences, ...report } = await runChaos({
  rounds: Number(values.rounds),
  seed: Number(values.seed),
  readers: Number(values.readers),
  pairs: Number(values.pairs),
  durability: values.durability as 'replicated' | 'async',
  publishAt: values['publish-at'] as 'cores' | 'edges',
  ...(values.target !== undefined && { targets: values.target as ChaosTarget[] }),
  log: console.log,
});
const spread = (all: readonly number[]) => ({
  n: all.length,
  p50: percentile(all, 50),
  p99: percentile(all, 99),
  max: all.at(-1),
});
const takeovers = (isStreamLeader: boolean): number[] =>
  rounds
    .filter((round) => round.hasHitLeader && !round.hasHitCores)
    .filter((round) => round.hasHitStreamLeader === isStreamLeader)
    .map(({ ackMs }) => ackMs)
    .toSorted((a, b) => a - b);
console.log(
  JSON.stringify(
    {
      ...report,
      takeoverMs: spread(takeovers(false)),
      takeoverWithStreamLeaderMs: spread(takeovers(true)),
      readersWithoutDataMs: spread(silences),
    },
    null,
    2,
  ),
);
process.exitCode = report.wrongs > 0 ? 1 : 0;
