/**
 * Crowd, run by hand: `bun test/attack/crowd.ts [--readers 2000] [--trades 30000] [--standing 0]`. This many
 * readers behind one address resume at once; it prints when they were sent `queued`, the first data, and
 * everything. It ends with 1 when one of them did not get exactly what it missed.
 */

import { parseArgs } from 'node:util';

import { runCrowd, type Resumer } from './crowd-run';

const { values } = parseArgs({
  options: {
    readers: { type: 'string', default: '2000' },
    trades: { type: 'string', default: '30000' },
    standing: { type: 'string', default: '0' },
  },
});
const { crowd, late, stranger, doneBeforeLate, doneBeforeStranger, defects } = await runCrowd({
  readers: Number(values.readers),
  trades: Number(values.trades),
  fewTrades: 5_000,
  standing: Number(values.standing),
  heartbeatMs: 1_000,
  playbacksMax: 64,
  isChecked: false,
});
const figures = (of: (reader: Resumer) => number): string => {
  const sorted = crowd.map(of).sort((a, b) => a - b);
  const at = (share: number): string =>
    ((sorted[Math.ceil(sorted.length * share) - 1] ?? NaN) / 1_000).toFixed(2);
  return `median ${at(0.5)} s, p99 ${at(0.99)} s, last ${at(1)} s`;
};
console.log(
  'first word:',
  figures(({ wordMs }) => wordMs),
);
console.log(
  'first data:',
  figures(({ dataMs }) => dataMs),
);
console.log(
  'all:',
  figures(({ doneMs }) => doneMs),
);
console.log(
  'longest silence:',
  figures(({ silentMs }) => silentMs),
);
const one = ({ wordMs, dataMs, doneMs }: Resumer): string =>
  `word ${wordMs.toFixed(0)} ms, data ${dataMs.toFixed(0)} ms, all ${doneMs.toFixed(0)} ms`;
console.log(`late, of the same address: ${one(late)}; ${doneBeforeLate} of the crowd were done`);
console.log(`of another client: ${one(stranger)}; ${doneBeforeStranger} of the crowd were done`);
const wrong = crowd.filter((r, i) => r.trades !== Number(values.trades) - (i % 50) || r.resets > 0);
const ends = crowd.flatMap(({ end }) => (end === '' ? [] : [end]));
console.log(
  `${wrong.length} of them did not get what they missed; closed: ${ends.length}`,
  ends.slice(0, 3),
  defects.slice(0, 3),
);
if (wrong.length > 0 || defects.length > 0) process.exitCode = 1;
