/** Crowd: the sources and readers of the big market, each in its own process, controlled together. */

import type { Subprocess } from 'bun';
import { join } from 'node:path';

import { cpuUs, endAll, startWorkerProcess } from '../bench/processes';
import type { Moment } from './big-market-figures';
import type { BigReaderDone, BigReaderJob } from './big-market-readers';
import type { BigSourceDone, BigSourceJob } from './big-market-source';

export interface CrowdOptions {
  readonly instruments: number;
  /** On each side of each book. */
  readonly levels: number;
  readonly sessions: number;
  readonly topics: number;
  /** Events a second. */
  readonly rate: number;
  /** Number of reader processes. */
  readonly readers: number;
  readonly sources: number;
  readonly sampleEvery: number;
}

export class Crowd {
  private readonly options: CrowdOptions;
  private readonly running: Subprocess[] = [];
  private sources: ((job: BigSourceJob) => Promise<BigSourceDone>)[] = [];
  private readers: ((job: BigReaderJob) => Promise<BigReaderDone>)[] = [];

  constructor(options: CrowdOptions) {
    this.options = options;
  }

  /** Defines the instruments and publishes their books. */
  async fill(url: string, key: string): Promise<void> {
    const { options, running } = this;
    this.sources = times(options.sources, () =>
      startWorkerProcess<BigSourceJob, BigSourceDone>(
        join(import.meta.dir, 'big-market-source.ts'),
        running,
      ),
    );
    const share = Math.ceil(options.instruments / options.sources);
    const jobs = this.sources.map((ask, i) => {
      const first = i * share;
      const count = Math.min(share, options.instruments - first);
      return ask({ act: 'fill', url, key, first, count, levels: options.levels, seed: i + 1 });
    });
    const { refused } = sumSources(await Promise.all(jobs));
    if (Object.keys(refused).length > 0)
      throw new Error(`the market was refused: ${JSON.stringify(refused)}`);
  }

  /** Connects the sessions. */
  async open(url: string): Promise<void> {
    const { options, running } = this;
    this.readers = times(options.readers, () =>
      startWorkerProcess<BigReaderJob, BigReaderDone>(
        join(import.meta.dir, 'big-market-readers.ts'),
        running,
      ),
    );
    const sessions = Math.ceil(options.sessions / options.readers);
    const { topics, instruments, sampleEvery } = options;
    const asked = { act: 'open', url, sessions, topics, instruments, sampleEvery } as const;
    await Promise.all(this.readers.map((ask, i) => ask({ ...asked, seed: 100 + i })));
  }

  async run(): Promise<void> {
    const perSecond = this.options.rate / this.options.sources;
    await Promise.all(this.sources.map((ask) => ask({ act: 'run', perSecond })));
  }

  /** @param act `stop`: the sources publish no more */
  async published(act: 'sum' | 'stop'): Promise<BigSourceDone> {
    return sumSources(await Promise.all(this.sources.map((ask) => ask({ act }))));
  }

  /** @param act `begin`: latencies count from now on */
  async received(act: 'begin' | 'sum'): Promise<BigReaderDone> {
    return sumReaders(await Promise.all(this.readers.map((ask) => ask({ act }))));
  }

  /** What it has done so far, and the processor time used. @param act `begin`: latencies count from now on */
  async moment(act: 'begin' | 'sum'): Promise<Omit<Moment, 'sample'>> {
    const clientsCpuSeconds = this.running.reduce((sum, { pid }) => sum + cpuUs(pid) / 1e6, 0);
    const [source, readers] = await Promise.all([this.published('sum'), this.received(act)]);
    return { clientsCpuSeconds, source, readers };
  }

  end(): Promise<void> {
    return endAll(this.running);
  }
}

function sumSources(all: readonly BigSourceDone[]): BigSourceDone {
  const refused: Record<string, number> = {};
  const sum = { events: 0, acknowledged: 0, heldBack: 0 };
  for (const one of all) {
    for (const name of ['events', 'acknowledged', 'heldBack'] as const) sum[name] += one[name];
    for (const [code, n] of Object.entries(one.refused)) refused[code] = (refused[code] ?? 0) + n;
  }
  return { ...sum, refused };
}

/** Sums the processes; of latencies it takes the largest. */
function sumReaders(all: readonly BigReaderDone[]): BigReaderDone {
  return all.reduce((a, b) => {
    const { latency: of, ...counts } = b;
    const summed = Object.fromEntries(
      Object.entries(counts).map(([name, n]) => [name, n + a[name as 'holes']]),
    );
    const larger = (name: 'p50' | 'p99' | 'p999' | 'max'): number =>
      Math.max(a.latency[name], of[name]);
    const latency = {
      messages: a.latency.messages + of.messages,
      count: a.latency.count + of.count,
      p50: larger('p50'),
      p99: larger('p99'),
      p999: larger('p999'),
      max: larger('max'),
    };
    return { ...(summed as unknown as typeof counts), latency };
  });
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}
