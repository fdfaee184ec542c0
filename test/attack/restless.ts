/**
 * Restless readers: they subscribe, leave, resume, stop reading for a while, disconnect and reconnect, always by
 * the rules of the protocol, and check that the server keeps them. By hand: `bun test/attack/restless.ts [SECONDS]
 * [SEED]`.
 */

import { Prng } from '../../src/base/prng';
import { instrument, tape } from '../support/feed';
import { readSeed } from '../support/seed';
import { opening, Source } from './source';
import { Target } from './target';
import { Watcher, type WatcherForm } from './watcher';
import { until } from '../support/until';

/** A reader that does not keep up is behind at once, and events leave the memory quickly. */
const CONFIG = `
[push]
heartbeatMs = 300
lagMs = 20
staleMs = 100
tradeAgeMs = 200
outboxBytesMax = 65536
[cache]
memtableEventsMax = 1000
[limits]
playbacksMax = 4
[[instruments]]
symbol = "DESK"
priceScale = 2
quantityScale = 3
`;
const SOURCES = 3;

export interface Churn {
  readonly messages: number;
  readonly gaps: number;
  readonly complaints: readonly string[];
}

/** Runs a number of readers for some time on their own server. */
export async function churn(readers: number, ms: number, seed: number): Promise<Churn> {
  const target = await Target.start({ config: CONFIG });
  try {
    await target.ingest(tape(instrument('ACME'), opening()));
    const sources = Array.from({ length: SOURCES }, (_, i) => new Source(target, seed + i));
    const work = sources.map((source) => source.run());
    let isRunning = true;
    const timer = setTimeout(() => (isRunning = false), ms);
    const runs = await Promise.all(
      Array.from({ length: readers }, (_, i) =>
        beRestless(target, i % 2 === 0 ? 'msgpack' : 'json', seed * 100 + i, () => isRunning),
      ),
    );
    clearTimeout(timer);
    for (const source of sources) source.stop();
    await Promise.all(work);
    return {
      messages: runs.reduce((all, { messages }) => all + messages, 0),
      gaps: runs.reduce((all, { gaps }) => all + gaps, 0),
      complaints: [...runs.flatMap(({ complaints }) => complaints), ...target.defects.slice(0, 5)],
    };
  } finally {
    await target.remove();
  }
}

/** Acts at random by the rules, and checks that the server keeps them. */
export async function beRestless(
  target: Target,
  form: WatcherForm,
  seed: number,
  goOn: () => boolean,
): Promise<{ messages: number; gaps: number; complaints: readonly string[] }> {
  const random = new Prng(seed);
  const watcher = await Watcher.open(target.url, form, `restless reader in ${form}`);
  const names = [
    'trade:ACME',
    'book:ACME',
    'bbo:ACME',
    'tick:ACME',
    'trade:DESK',
    'book:DESK',
    'book:*',
    'trade:*',
    'status',
  ];
  const some = (): string[] => names.filter(() => random.chance(0.3));
  while (goOn() && watcher.complaints.length === 0) {
    await Bun.sleep(random.int(0, 20));
    if (random.chance(0.2)) watcher.hold(random.int(20, 600)); // so it falls behind, and catches up
    switch (random.int(0, 7)) {
      case 0:
      case 1:
      case 2:
        await watcher.subscribe(some());
        break;
      case 3:
        for (const topic of some()) await watcher.unsubscribe([topic]);
        break;
      case 4:
        await watcher.resume(random.chance(0.2) ? 12_345 : undefined);
        break;
      case 5:
        if (random.chance(0.5)) watcher.drop();
        else watcher.close();
        await until(() => !watcher.isOpen);
        await watcher.connect(target.url);
        await watcher.resume();
        break;
      default:
        await watcher.settle();
    }
  }
  watcher.close();
  await until(() => !watcher.isOpen);
  return watcher;
}

if (import.meta.main) {
  const [seconds = '30', seed = String(readSeed())] = process.argv.slice(2);
  console.log(`seed ${seed}`);
  const result = await churn(16, Number(seconds) * 1_000, Number(seed));
  console.log(result);
  if (result.complaints.length > 0) process.exitCode = 1;
}
