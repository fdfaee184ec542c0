/**
 * `bun run bench [NAME…] [--json] [--quick] [--seconds N] [--kind KIND]… [--processor] [--rounds N]`: runs benches
 * by name; without a name, all.
 *
 * Several benches run in separate processes, so that the optimisations of the engine in one of them do not affect
 * the next.
 */

import { parseArgs } from 'node:util';

import { BENCHES } from './benches';
import type { BenchResult } from './harness';
import { table } from './table';

const EXIT_USAGE = 64;

interface Call {
  readonly names: readonly string[];
  readonly json: boolean;
  readonly quick: boolean;
  readonly secondsMin: number;
  readonly kinds: readonly string[];
  readonly processor: boolean;
  readonly rounds?: number;
}

function readCall(args: readonly string[]): Call | string {
  let names: string[];
  let values: {
    json: boolean;
    quick: boolean;
    seconds: string;
    kind?: string[];
    processor: boolean;
    rounds?: string;
  };
  try {
    const options = {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '0' },
      kind: { type: 'string', multiple: true },
      processor: { type: 'boolean', default: false },
      rounds: { type: 'string' },
    } as const;
    ({ positionals: names, values } = parseArgs({ args, options, allowPositionals: true }));
  } catch (e) {
    return (e as Error).message;
  }
  const known = Object.keys(BENCHES);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) return `there is no bench ${unknown.join(', ')}`;
  const { json, quick, seconds, kind: kinds = [], processor, rounds } = values;
  if (!/^\d{1,5}$/.test(seconds)) return `--seconds is ${seconds}; expected a whole number`;
  if (!/^[1-9]\d{0,3}$/.test(rounds ?? '1'))
    return `--rounds is ${rounds}; expected a whole number`;
  const chosen = names.length === 0 ? known : names;
  return {
    names: chosen,
    json,
    quick,
    secondsMin: Number(seconds),
    kinds,
    processor,
    ...(rounds !== undefined && { rounds: Number(rounds) }),
  };
}

async function runHere(name: string, call: Call): Promise<BenchResult[]> {
  return BENCHES[name]!(call);
}

async function runApart(name: string, call: Call): Promise<BenchResult[]> {
  const { quick, secondsMin, kinds, processor, rounds } = call;
  const child = Bun.spawn(
    [
      process.execPath,
      import.meta.path,
      name,
      '--json',
      `--seconds=${secondsMin}`,
      ...(quick ? ['--quick'] : []),
      ...(processor ? ['--processor'] : []),
      ...(rounds === undefined ? [] : [`--rounds=${rounds}`]),
      ...kinds.map((kind) => `--kind=${kind}`),
    ],
    { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' },
  );
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`the bench ${name} failed`);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as BenchResult);
}

const call = readCall(process.argv.slice(2));
if (typeof call === 'string') {
  process.stderr.write(
    `bench: ${call}\n  Use: bun run bench [NAME…] [--json] [--quick] [--seconds N] [--kind KIND]… [--processor] [--rounds N]\n  Known: ${Object.keys(BENCHES).join(', ')}\n`,
  );
  process.exitCode = EXIT_USAGE;
} else {
  const { names, json } = call;
  const run = names.length === 1 ? runHere : runApart;
  for (const name of names) {
    const results = await run(name, call);
    for (const result of json ? results : []) console.log(JSON.stringify(result));
    if (!json) console.log(table(results));
  }
}
