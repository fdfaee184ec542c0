/** Figures of the big market: what is read from the running server, and what is computed from it. */

import { cpuUs } from '../bench/processes';
import { processFigures, threadSeconds } from './process-figures';

/** Turns of a kind: how many, how many of them exceeded a bound, and the bucket of the longest. */
export interface TurnFigures {
  readonly count: number;
  readonly over5Ms: number;
  /** Upper bound of the longest, in ms; null: more than 10 s. */
  readonly longestMsMax: number | null;
}

export interface Sample {
  readonly seconds: number;
  readonly rssBytes: number;
  readonly anonBytes: number;
  readonly cpuSeconds: number;
  /** CPU time by the name of the thread. */
  readonly threadSeconds: Readonly<Record<string, number>>;
}

/** Threads that use less are left out. */
const THREAD_SHARE_MIN = 0.005;

export function sampleOf(pid: number, seconds: number): Sample {
  const { rssAnonBytes, rssFileBytes } = processFigures(pid);
  return {
    seconds,
    rssBytes: rssAnonBytes + rssFileBytes,
    anonBytes: rssAnonBytes,
    cpuSeconds: cpuUs(pid) / 1e6,
    threadSeconds: threadSeconds(pid),
  };
}

/** What a server did in a period, and the processor time that it used. */
export interface Cost {
  readonly eventsPerSecond: number;
  readonly deliveriesPerSecond: number;
  /** How many processors it used. */
  readonly cpuShare: number;
  readonly cpuUsPerEvent: number;
  /** How many processors the sources and readers used. */
  readonly clientsCpuShare: number;
  /** Threads of the same name together, the busiest names first. */
  readonly threads: Readonly<Record<string, number>>;
}

export interface Moment {
  readonly sample: Sample;
  readonly clientsCpuSeconds: number;
  readonly source: { readonly acknowledged: number };
  readonly readers: { readonly messages: number };
}

export function perEvent(before: Moment, after: Moment): Cost {
  const seconds = after.sample.seconds - before.sample.seconds;
  const events = after.source.acknowledged - before.source.acknowledged;
  const cpu = after.sample.cpuSeconds - before.sample.cpuSeconds;
  const threads = Object.entries(after.sample.threadSeconds)
    .map(([name, s]) => [name, (s - (before.sample.threadSeconds[name] ?? 0)) / seconds] as const)
    .filter(([, share]) => share >= THREAD_SHARE_MIN)
    .sort(([, a], [, b]) => b - a);
  return {
    eventsPerSecond: events / seconds,
    deliveriesPerSecond: (after.readers.messages - before.readers.messages) / seconds,
    cpuShare: cpu / seconds,
    cpuUsPerEvent: (cpu * 1e6) / events,
    clientsCpuShare: (after.clientsCpuSeconds - before.clientsCpuSeconds) / seconds,
    threads: Object.fromEntries(threads),
  };
}

/** The growth of private memory in MB an hour: the slope of the line that fits the last half best. */
export function slopeMbPerHour(samples: readonly Sample[]): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  if (half.length < 2) return 0;
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const t = mean(half.map(({ seconds }) => seconds));
  const m = mean(half.map(({ anonBytes }) => anonBytes));
  let above = 0;
  let below = 0;
  for (const { seconds, anonBytes } of half) {
    above += (seconds - t) * (anonBytes - m);
    below += (seconds - t) ** 2;
  }
  return below === 0 ? 0 : (above / below / 1_048_576) * 3_600;
}

type Buckets = Map<string, Map<number, number>>;

/** The cumulative buckets of `loop_turn_seconds`, by kind of turn and upper bound in ms. */
export function turnBuckets(text: string): Buckets {
  const turns: Buckets = new Map();
  for (const line of text.split('\n')) {
    const found = /^tapedeck_loop_turn_seconds_bucket\{(.*)\} (\d+)$/.exec(line);
    if (found === null) continue;
    const turn = /turn="([^"]+)"/.exec(found[1]!)![1]!;
    const le = /le="([^"]+)"/.exec(found[1]!)![1]!;
    const of = turns.get(turn) ?? new Map<number, number>();
    turns.set(turn, of);
    of.set(le === '+Inf' ? Infinity : Number(le) * 1_000, Number(found[2]));
  }
  return turns;
}

/** The turns of each kind between two readings. */
export function turnsBetween(before: Buckets, after: Buckets): Record<string, TurnFigures> {
  const out: Record<string, TurnFigures> = {};
  for (const [turn, buckets] of after) {
    const since = [...buckets].map(([ms, n]): [number, number] => [
      ms,
      n - (before.get(turn)?.get(ms) ?? 0),
    ]);
    const count = since.at(-1)![1];
    if (count === 0) continue;
    const longest = since.find(([, n]) => n === count)![0];
    const upTo5Ms = since.findLast(([ms]) => ms <= 5)![1];
    out[turn] = {
      count,
      over5Ms: count - upTo5Ms,
      longestMsMax: Number.isFinite(longest) ? longest : null,
    };
  }
  return out;
}
