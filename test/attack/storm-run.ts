/** Storm run: very many reconnects to a server with a source and well-behaved readers. */

import { join } from 'node:path';

import { instrument, tape } from '../support/feed';
import { Source, opening } from './source';
import { storm, type StormDone } from './storm-cycles';
import { Target } from './target';
import { Watcher } from './watcher';
import { until } from '../support/until';

export interface StormResult extends StormDone {
  readonly seconds: number;
  readonly complaints: readonly string[];
  readonly reader: { readonly messages: number; readonly proofs: number; readonly gaps: number };
  /** Before the storm, and after each round of it. */
  readonly memoryMiB: readonly number[];
  readonly descriptors: readonly number[];
}

const CHILD = join(import.meta.dir, 'storm-cycles.ts');
const CONFIG = '[limits]\nplaybacksMax = 8\n[push]\nheartbeatMs = 500\n';

/** @param processes how many processes reconnect; 0: this one does */
export async function runStorm(
  cycles: number,
  rounds: number,
  processes: number,
  seed: number,
): Promise<StormResult> {
  const target = await Target.start({ config: CONFIG });
  try {
    await target.ingest(tape(instrument('ACME'), opening()));
    const source = new Source(target, seed);
    const work = source.run();
    const readers = [
      await Watcher.open(target.url, 'msgpack'),
      await Watcher.open(target.url, 'json', 'reader in JSON'),
    ];
    for (const reader of readers)
      await reader.subscribe(['trade:ACME', 'book:ACME', 'tick:ACME', 'bar:ACME:1s', 'status']);
    await until(() => readers[0]!.position > 100);
    const position = { epoch: readers[0]!.epoch, seq: readers[0]!.position };
    const memoryMiB = [target.memoryBytes / 1_048_576];
    const descriptors = [target.descriptors];
    const sum = { cycles: 0, sessions: 0, refused: 0, messages: 0 };
    const complaints: string[] = [];
    const startMs = performance.now();
    let seconds = 0;
    for (let round = 0; round < rounds; round++) {
      const all = await oneRound(target.url, cycles, processes, seed + round * 100, position);
      for (const done of all)
        for (const name of Object.keys(sum) as (keyof StormDone)[]) sum[name] += done[name];
      seconds = (performance.now() - startMs) / 1000;
      complaints.push(...(await left(target, readers)));
      memoryMiB.push(target.memoryBytes / 1_048_576);
      descriptors.push(target.descriptors);
    }
    source.stop();
    await work;
    const figure = (of: (w: Watcher) => number): number =>
      readers.reduce((all, w) => all + of(w), 0);
    return {
      ...sum,
      seconds,
      complaints,
      reader: {
        messages: figure((w) => w.messages),
        proofs: figure((w) => w.proofs),
        gaps: figure((w) => w.gaps),
      },
      memoryMiB: memoryMiB.map((size) => Math.round(size)),
      descriptors,
    };
  } finally {
    await target.remove();
  }
}

function oneRound(
  url: string,
  cycles: number,
  processes: number,
  seed: number,
  position: { readonly epoch: number; readonly seq: number },
): Promise<StormDone[]> {
  if (processes === 0) return storm(url, cycles, seed, position).then((done) => [done]);
  const each = Math.ceil(cycles / processes);
  return Promise.all(
    Array.from({ length: processes }, async (_, i) => {
      const call = [url, each, seed + i, position.epoch, position.seq].map(String);
      const child = Bun.spawn([process.execPath, CHILD, ...call], {
        stdout: 'pipe',
        stderr: 'inherit',
      });
      return JSON.parse(await new Response(child.stdout).text()) as StormDone;
    }),
  );
}

/** What the server still holds for sessions after all of them have left. */
async function left(target: Target, readers: readonly Watcher[]): Promise<string[]> {
  const complaints: string[] = [];
  if (!target.isAlive) return ['the server has ended'];
  const figures: Record<string, number> = {
    'tapedeck_sessions': readers.length,
    'tapedeck_lagging_sessions': 0,
    'tapedeck_plays{state="open"}': 0,
    'tapedeck_plays{state="waiting"}': 0,
  };
  for (const [name, value] of Object.entries(figures)) {
    if (await until(async () => (await target.metric(name)) === value).catch(() => false)) continue;
    complaints.push(`${name} is ${await target.metric(name)}, not ${value}`);
  }
  for (const reader of readers) {
    await reader.settle();
    if (!reader.isOpen) complaints.push(`${reader.name} was closed: ${reader.closed}`);
    complaints.push(...reader.complaints);
  }
  return [...complaints, ...target.defects.slice(0, 5)];
}
