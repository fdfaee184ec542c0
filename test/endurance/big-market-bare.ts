/**
 * The most that the machine can do: the clients of the big market against a bare server
 * (`big-market-bare-server.ts`), with those options of `big-market.ts` that apply to it.
 *
 *     bun test/endurance/big-market-bare.ts [--seconds 30] [--rate 20000] [--deliveries 3.15]
 */

import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { endAll, startServerProcess } from '../bench/processes';
import { Crowd, type CrowdOptions } from './big-market-crowd';
import { perEvent, sampleOf, type Cost } from './big-market-figures';

export interface BareOptions extends CrowdOptions {
  readonly seconds: number;
  /** Deliveries for each event. */
  readonly deliveries: number;
}

export interface BareReport extends Cost {
  readonly heldBack: number;
}

const SETTLE_MS = 2_000;

export async function bigMarketBare(options: BareOptions): Promise<BareReport> {
  const crowd = new Crowd(options);
  const running: Parameters<typeof endAll>[0][number][] = [];
  try {
    const path = join(import.meta.dir, 'big-market-bare-server.ts');
    const { url, process } = await startServerProcess([path, String(options.deliveries)], running);
    await crowd.fill(url.origin, 'none');
    await crowd.open(url.origin);
    await crowd.run();
    await Bun.sleep(SETTLE_MS);
    const beganMs = performance.now();
    const moment = async () => ({
      sample: sampleOf(process.pid, (performance.now() - beganMs) / 1_000),
      ...(await crowd.moment('sum')),
    });
    const before = await moment();
    await Bun.sleep(options.seconds * 1_000);
    const after = await moment();
    const { heldBack } = await crowd.published('stop');
    return { ...perEvent(before, after), heldBack };
  } finally {
    await crowd.end();
    await endAll(running);
  }
}

if (import.meta.main) {
  const text = (value: string) => ({ type: 'string' as const, default: value });
  const { values: given } = parseArgs({
    options: {
      seconds: text('30'),
      instruments: text('10000'),
      levels: text('1000'),
      sessions: text('10000'),
      topics: text('10'),
      rate: text('20000'),
      readers: text('4'),
      sources: text('2'),
      deliveries: text('3.15'),
    },
  });
  const numbers = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, Number(value)]),
  );
  const report = await bigMarketBare({ ...(numbers as unknown as BareOptions), sampleEvery: 1e9 });
  console.log(JSON.stringify(report, null, 2));
  process.exit(0);
}
