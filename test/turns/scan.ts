/**
 * Scan: runs each case several times on one server, and prints the longest turn of its best repetition.
 *
 *     bun test/turns/scan.ts [--instruments 2000] [--levels 20000] [--orders 10000] [--sessions 200] [--only TEXT] [--profile]
 */

import { parseArgs } from 'node:util';

import { MESSAGE_CASES, REST_CASES, type Case } from './cases';
import { UNIT_MS } from './calibration';
import { REPETITIONS, Stage, type Sizes } from './stage';
import type { Longest } from './turn-messages';

/** Slices and timers after an answer also belong to the case. */
const AFTER_MS = 40;

/** The longest turn of a case, in its best repetition. */
export interface Found {
  readonly of: string;
  readonly name: string;
  readonly turn: Longest;
  /** In ms of the reference machine. */
  readonly scaledMs: number;
}

/** @param enoughMs a repetition in which no turn is longer is the last one */
export async function leastOf(stage: Stage, one: Case, enoughMs: number): Promise<Found> {
  let best: Found | undefined;
  for (let turn = 0; turn < REPETITIONS; turn++) {
    const found = await once(stage, one, turn);
    if (best === undefined || found.scaledMs < best.scaledMs) best = found;
    if (best.scaledMs <= enoughMs) break;
  }
  return best!;
}

async function once(stage: Stage, { of, name, prepare, act }: Case, turn: number): Promise<Found> {
  const prepared = await prepare?.(stage, turn);
  await Bun.sleep(AFTER_MS);
  await stage.ask('begin');
  await act(stage, turn, prepared as never);
  await Bun.sleep(AFTER_MS);
  const ended = await stage.ask('end');
  if (ended.is !== 'ended') throw new Error(`not an answer: ${ended.is}`);
  const longest = ended.longest.reduce((a, b) => (b.ms > a.ms ? b : a));
  const scaledMs = longest.ms / Math.max(1, ended.unitMs / UNIT_MS);
  return { of, name, turn: longest, scaledMs };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      instruments: { type: 'string', default: '2000' },
      levels: { type: 'string', default: '20000' },
      orders: { type: 'string', default: '10000' },
      sessions: { type: 'string', default: '200' },
      only: { type: 'string', default: '' },
      profile: { type: 'boolean', default: false },
    },
  });
  const sizes: Sizes = {
    instruments: Number(values.instruments),
    levels: Number(values.levels),
    orders: Number(values.orders),
    sessions: Number(values.sessions),
  };
  const beganMs = performance.now();
  const stage = await Stage.start(
    sizes,
    values.profile ? ['--cpu-prof-md', '--cpu-prof-dir=/tmp/prof'] : [],
  );
  console.log(`filled in ${Math.round(performance.now() - beganMs)} ms`);
  const cases = [...MESSAGE_CASES, ...REST_CASES].filter(({ of, name }) =>
    `${of} ${name}`.includes(values.only),
  );
  const line = ({ of, name, turn, scaledMs }: Found): string =>
    `${turn.ms.toFixed(2).padStart(9)} ${scaledMs.toFixed(2).padStart(9)}  ${of} ${name}  [${turn.kind} ${turn.detail}]`;
  const found: Found[] = [];
  for (const one of cases) {
    found.push(await leastOf(stage, one, 1));
    console.log(line(found.at(-1)!));
  }
  console.log('---');
  for (const one of found.sort((a, b) => b.scaledMs - a.scaledMs))
    if (one.scaledMs > 2) console.log(line(one));
  await stage.end();
}
