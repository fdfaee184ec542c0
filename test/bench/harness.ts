/**
 * Harness: how the benches measure, and the form of their results.
 *
 * The machine is shared and noisy, so the contenders alternate within each round, and the median of the rounds
 * counts. (tinybench and mitata run one candidate to its end before the next starts, so a noisy minute affects only
 * one of them.) Percentiles are exact: they are read from the sorted samples, which are few enough not to need a
 * histogram.
 */

/** One line of `--json`. `ratio` is value ÷ baselineValue, both measured in the same run. */
export interface BenchResult {
  readonly bench: string;
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: string;
  readonly baselineValue?: number;
  readonly ratio?: number;
}

export interface BenchOptions {
  /** Toy size: proves that the bench runs; its figures mean nothing. */
  readonly quick: boolean;
  /** `journal`: how long each durability must keep up its pace, at least. */
  readonly secondsMin?: number;
  /** `flood`: only these kinds; empty: all. */
  readonly kinds?: readonly string[];
  /** `flood`: only what the server spends. */
  readonly processor?: boolean;
  /** `flood`: instead of the default number. */
  readonly rounds?: number;
}

export type Bench = (options: BenchOptions) => Promise<BenchResult[]>;

/** Something to be timed. */
export interface Contender {
  readonly name: string;
  /** Does a short piece of the work. @returns how many operations it did */
  run(): number;
}

export interface Rounds {
  readonly rounds: number;
  /** For each contender in each round. */
  readonly roundMs: number;
}

export function roundsOf({ quick }: BenchOptions): Rounds {
  // Shorter than a time slice of the system, so that most rounds run without an interruption.
  return quick ? { rounds: 1, roundMs: 2 } : { rounds: 201, roundMs: 3 };
}

/** Nanoseconds per operation, by name: the median of the rounds, after a tenth as many warm-up rounds. */
export function timeInTurn(
  contenders: readonly Contender[],
  { rounds, roundMs }: Rounds,
): Map<string, number> {
  const times = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = -Math.ceil(rounds / 10); round < rounds; round++) {
    for (const contender of contenders) {
      const nanos = timeOne(contender, roundMs);
      if (round >= 0) times.get(contender.name)!.push(nanos);
    }
  }
  return new Map([...times].map(([name, values]) => [name, median(values)]));
}

function timeOne(contender: Contender, roundMs: number): number {
  let operations = 0;
  let nanos = 0;
  const start = Bun.nanoseconds();
  while (nanos < roundMs * 1e6) {
    operations += contender.run();
    nanos = Bun.nanoseconds() - start;
  }
  return nanos / operations;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** @param sorted ascending @param percent above 0, up to 100 */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)]!;
}

/** A result with its baseline. */
export function compared(
  result: Pick<BenchResult, 'bench' | 'case' | 'value' | 'unit'>,
  baseline: string,
  baselineValue: number,
): BenchResult {
  return { ...result, baseline, baselineValue, ratio: result.value / baselineValue };
}

/**
 * A result with its baseline from rounds that measured both, one after the other: the round whose ratio is the
 * median. What disturbs some rounds, or one side of them, has no effect.
 */
export function comparedByRounds(
  result: Omit<BenchResult, 'value' | 'baseline' | 'baselineValue' | 'ratio'>,
  values: readonly number[],
  baseline: string,
  baselineValues: readonly number[],
): BenchResult {
  const rounds = values
    .map((value, i) => compared({ ...result, value }, baseline, baselineValues[i]!))
    .sort((a, b) => a.ratio! - b.ratio!);
  return rounds[rounds.length >> 1]!;
}
