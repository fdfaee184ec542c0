/**
 * Bench `fanout`: processor time of a server for what one event costs at one socket, pushed by the
 * broadcaster (one frame a topic and turn) against a bare loop of native publishes (one an event), on
 * the same sockets, in turn.
 */

import type { Subprocess } from 'bun';
import { join } from 'node:path';

import type { FanoutReadersDone, FanoutReadersJob } from './fanout-readers';
import type { FanoutDone, FanoutJob } from './fanout-server';
import { compared, median, type BenchOptions, type BenchResult } from './harness';
import { endAll, startWorkerProcess } from './processes';

const MODES = ['broadcaster', 'bare'] as const;
/** Events of a turn: of a quiet market, and of a busy one. */
const TURNS = [
  { name: '10 events a turn', events: 10, turns: 100 },
  { name: '1000 events a turn', events: 1_000, turns: 20 },
] as const;

export async function fanoutBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const sockets = quick ? 10 : 200;
  const rounds = quick ? 1 : 11;
  const running: Subprocess[] = [];
  try {
    const path = (name: string): string => join(import.meta.dir, name);
    const server = startWorkerProcess<FanoutJob, FanoutDone>(path('fanout-server.ts'), running);
    const readers = startWorkerProcess<FanoutReadersJob, FanoutReadersDone>(path('fanout-readers.ts'), running); // prettier-ignore
    const { port } = await server({ act: 'start', sockets });
    await readers({ port, sockets });
    const results: BenchResult[] = [];
    for (const { name, events, turns } of TURNS) {
      const costs = { broadcaster: [] as number[], bare: [] as number[] };
      for (let round = -1; round < rounds; round++) {
        for (const mode of MODES) {
          const done = await server({
            act: 'push',
            mode,
            turns: quick ? 5 : turns,
            events,
          });
          if (round >= 0) costs[mode].push(done.cpuUs / done.deliveries);
        }
      }
      const result = { bench: 'fanout', case: name, value: median(costs.broadcaster), unit: 'µs/delivery' }; // prettier-ignore
      results.push(compared(result, 'a native publish an event', median(costs.bare)));
    }
    return results;
  } finally {
    await endAll(running);
  }
}
