/**
 * Bench `fanout`: processor time of a server for delivering one event to one socket, by the broadcaster (one frame
 * for each topic and turn). Alternating with it: bare loops of native publishes of the same bytes to the same
 * sockets, one for each topic and turn and one for each event; and the npm package ws, whose server sends each
 * event to each socket. The round with the median ratio counts.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FanoutDone, FanoutJob } from './fanout-load';
import type { FanoutReadersDone, FanoutReadersJob } from './fanout-readers';
import { comparedByRounds, type BenchOptions, type BenchResult } from './harness';
import { endAll, startWorkerProcess } from './processes';

/** Events in a turn, from a quiet market to a busy one; ws runs fewer turns, because each is long. */
const TURNS = [
  { name: '10 events a turn', events: 10, turns: 60, turnsOfWs: 60 },
  { name: '100 events a turn', events: 100, turns: 40, turnsOfWs: 20 },
  { name: '1000 events a turn', events: 1_000, turns: 20, turnsOfWs: 4 },
] as const;

type Contender = 'broadcaster' | 'topic' | 'event' | 'ws';
/**
 * The two that should be nearly equal alternate in going first, and neither follows ws, during which their server
 * was idle.
 */
const ORDER: readonly Contender[] = ['event', 'broadcaster', 'topic', 'ws'];
const OTHER_ORDER: readonly Contender[] = ['event', 'topic', 'broadcaster', 'ws'];
type Server = (job: FanoutJob) => Promise<FanoutDone>;

interface Shape {
  readonly sockets: number;
  readonly rounds: number;
  /** At most, in each measurement. */
  readonly turnsMax: number;
}

const FULL: Shape = { sockets: 200, rounds: 21, turnsMax: Infinity };
const QUICK: Shape = { sockets: 10, rounds: 1, turnsMax: 2 };

export async function fanoutBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const running: Subprocess[] = [];
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const path = (name: string): string => join(import.meta.dir, name);
  const node = Bun.which('node');
  try {
    const ours: Server = startWorkerProcess(path('fanout-server.ts'), running);
    const bundle = await bundleOf(path('fanout-ws.ts'), directory);
    const ws: Server = startWorkerProcess(bundle, running, node ?? process.execPath);
    for (const server of [ours, ws]) {
      const { port } = await server({ act: 'start', sockets: shape.sockets });
      const readers = startWorkerProcess<FanoutReadersJob, FanoutReadersDone>(
        path('fanout-readers.ts'),
        running,
      );
      await readers({ port, sockets: shape.sockets });
    }
    const results: BenchResult[] = [];
    for (const turns of TURNS) {
      const costs = await measure(ours, ws, turns, shape);
      results.push(...report(turns.name, costs, node === null ? 'Bun' : 'Node'));
    }
    return results;
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** µs for each delivery, by round. */
async function measure(
  ours: Server,
  ws: Server,
  { events, turns, turnsOfWs }: (typeof TURNS)[number],
  { rounds, turnsMax }: Shape,
): Promise<Record<Contender, number[]>> {
  const costs: Record<Contender, number[]> = { broadcaster: [], topic: [], event: [], ws: [] };
  const one = async (contender: Contender): Promise<number> => {
    const { cpuUs, deliveries } =
      contender === 'ws'
        ? await ws({ act: 'push', mode: 'event', turns: Math.min(turnsOfWs, turnsMax), events })
        : await ours({ act: 'push', mode: contender, turns: Math.min(turns, turnsMax), events });
    return cpuUs / deliveries;
  };
  for (let round = -1; round < rounds; round++) {
    for (const contender of round % 2 === 0 ? ORDER : OTHER_ORDER) {
      const cost = await one(contender);
      if (round >= 0) costs[contender].push(cost);
    }
  }
  return costs;
}

function report(name: string, costs: Record<Contender, number[]>, runtime: string): BenchResult[] {
  const result = (what: string, baseline: string, values: readonly number[]): BenchResult =>
    comparedByRounds(
      { bench: 'fanout', case: `${name}${what}`, unit: 'µs/delivery' },
      costs.broadcaster,
      baseline,
      values,
    );
  return [
    result('', 'a bare native publish a topic and turn', costs.topic),
    result(', beside one an event', 'a bare native publish an event', costs.event),
    result(', beside ws', `npm ws on ${runtime}, a send an event`, costs.ws),
  ];
}

/** One file that Node runs. Bun runs it too: otherwise it would replace the package ws by its own. */
async function bundleOf(path: string, directory: string): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [path],
    outdir: directory,
    target: 'node',
    naming: '[name].mjs',
  });
  return outputs[0]!.path;
}
