/**
 * Judge: whether a server endured, by samples taken over its run. Samples before it has settled do not count:
 * compilers, caches and collectors first need their memory.
 *
 * Garbage makes memory go up and down by more than the growth that is looked for. So growth is measured in three
 * ways: by the medians of the first window after settling and of the last window; by their floors (the lowest tenth
 * of the samples), which is what remains after a collection; and by a line through the medians of all minutes
 * (Theil and Sen: the median of the slopes between any two), extended over their time. Real growth appears in all
 * three; growth that two of them show counts.
 */

import { median, percentile } from '../bench/harness';

const MINUTE_S = 60;

export interface Judged {
  /** Seconds since the beginning. */
  readonly atS: number;
  readonly rssAnonBytes: number;
  readonly fds: number;
  readonly threads: number;
  /** Of the window before the sample, in ms. */
  readonly p99: number;
  readonly journalBytes: number;
  /** Since the beginning; must be 0. */
  readonly losses: number;
  readonly repeats: number;
  readonly mismatches: number;
}

export interface Bars {
  readonly settleS: number;
  /** Length of the two windows that are compared; less when there are fewer samples. */
  readonly windowS: number;
  /** The most that memory may grow, in percent. */
  readonly growthPercentMax: number;
  /** p99 of the last third divided by that of the first. */
  readonly p99RatioMax: number;
  readonly fdsMax: number;
}

export const BARS: Bars = {
  settleS: 300,
  windowS: 300,
  growthPercentMax: 2,
  p99RatioMax: 1.25,
  fdsMax: 5,
};

export interface Verdict {
  readonly samples: number;
  readonly rssAnonFirstBytes: number;
  readonly rssAnonLastBytes: number;
  readonly growthPercent: number;
  readonly floorGrowthPercent: number;
  readonly slopePercent: number;
  readonly p99First: number;
  readonly p99Last: number;
  readonly fdsFirst: number;
  readonly fdsLast: number;
  readonly journalBytesMax: number;
  /** The reasons why it did not endure; empty when it did. */
  readonly faults: readonly string[];
}

export function judge(all: readonly Judged[], bars: Bars): Verdict {
  const samples = all.filter(({ atS }) => atS >= bars.settleS);
  const last = all.at(-1);
  if (samples.length < 6 || last === undefined) {
    throw new Error(`there are ${samples.length} samples after the settling; expected 6 or more`);
  }
  const windowS = Math.min(bars.windowS, (last.atS - bars.settleS) / 2);
  const [early, late] = [
    samples.filter(({ atS }) => atS <= bars.settleS + windowS),
    samples.filter(({ atS }) => atS >= last.atS - windowS),
  ];
  const of = (window: readonly Judged[], what: keyof Judged): number =>
    median(window.map((sample) => sample[what]));
  const third = Math.floor(samples.length / 3);
  const [first, end] = [samples.slice(0, third), samples.slice(-third)];
  const verdict = {
    samples: samples.length,
    rssAnonFirstBytes: of(early, 'rssAnonBytes'),
    rssAnonLastBytes: of(late, 'rssAnonBytes'),
    growthPercent: 100 * (of(late, 'rssAnonBytes') / of(early, 'rssAnonBytes') - 1),
    floorGrowthPercent: 100 * (floor(late) / floor(early) - 1),
    slopePercent: slopePercent(samples),
    p99First: of(first, 'p99'),
    p99Last: of(end, 'p99'),
    fdsFirst: of(first, 'fds'),
    fdsLast: of(end, 'fds'),
    journalBytesMax: Math.max(...samples.map(({ journalBytes }) => journalBytes)),
  };
  return { ...verdict, faults: faultsOf(verdict, last, bars) };
}

function faultsOf(v: Omit<Verdict, 'faults'>, last: Judged, bars: Bars): string[] {
  const faults: string[] = [];
  const [, grown = 0] = [v.growthPercent, v.floorGrowthPercent, v.slopePercent].sort(
    (a, b) => a - b,
  );
  if (grown > bars.growthPercentMax) {
    faults.push(`memory grew by ${grown.toFixed(2)} %; at most ${bars.growthPercentMax} %`);
  }
  if (v.p99Last > v.p99First * bars.p99RatioMax) {
    faults.push(`p99 went from ${v.p99First.toFixed(2)} to ${v.p99Last.toFixed(2)} ms`);
  }
  if (v.fdsLast > v.fdsFirst + bars.fdsMax) {
    faults.push(`file descriptors went from ${v.fdsFirst} to ${v.fdsLast}`);
  }
  for (const what of ['losses', 'repeats', 'mismatches'] as const) {
    if (last[what] > 0) faults.push(`${last[what]} ${what} at readers that keep up`);
  }
  return faults;
}

function floor(window: readonly Judged[]): number {
  return percentile(
    window.map(({ rssAnonBytes }) => rssAnonBytes).sort((a, b) => a - b),
    10,
  );
}

/** The growth of the line over the time of the samples, in percent of their median. */
function slopePercent(samples: readonly Judged[]): number {
  const minutes = [...Map.groupBy(samples, ({ atS }) => Math.floor(atS / MINUTE_S))].map(
    ([minute, of]) => [minute, median(of.map(({ rssAnonBytes }) => rssAnonBytes))] as const,
  );
  const slopes = minutes.flatMap(([x1, y1], i) =>
    minutes.slice(i + 1).map(([x2, y2]) => (y2 - y1) / (x2 - x1)),
  );
  if (slopes.length === 0) return 0;
  const span = minutes.at(-1)![0] - minutes[0]![0];
  return (100 * median(slopes) * span) / median(minutes.map(([, bytes]) => bytes));
}
