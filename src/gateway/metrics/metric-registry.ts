/**
 * Metric registry: metrics of prom-client whose values are read when they are requested, and those of the
 * process. Names begin with `tapedeck_` and end with their unit.
 */

import { readdir, stat } from 'node:fs/promises';
import v8 from 'node:v8';

import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  MetricType,
  Registry,
} from 'prom-client';

import { DURATION_BOUNDS_SECONDS, type Durations } from '../../base/durations';

export type Labels = Readonly<Record<string, string>>;
export type Read = () => Iterable<readonly [labels: Labels, value: number]>;
export type ReadDurations = () => Iterable<readonly [labels: Labels, durations: Durations]>;

/** Waits for the next turn of the event loop if the current one has taken long. */
export type Pause = () => Promise<void> | undefined;

/**
 * Default metrics of prom-client that are left out: those without meaning outside Node, those that are not a
 * number before a first sample, and those of address space, of which Bun reserves gigabytes.
 */
const LEFT_OUT = [
  'nodejs_eventloop_lag_mean_seconds',
  'nodejs_eventloop_lag_stddev_seconds',
  'nodejs_gc_duration_seconds',
  'nodejs_heap_space_size_total_bytes',
  'nodejs_heap_space_size_used_bytes',
  'nodejs_heap_space_size_available_bytes',
  'nodejs_active_resources',
  'nodejs_active_resources_total',
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
  'nodejs_version_info',
  'process_heap_bytes',
  'process_virtual_memory_bytes',
];
const OPEN_FILES = 'process_open_fds';
const FILES_DIRECTORY = '/proc/self/fd';
/** How often the lag of the event loop is sampled. */
const LAG_EVERY_MS = 50;

export class MetricRegistry {
  readonly contentType: string;
  private readonly registry = new Registry();

  constructor() {
    const { registry } = this;
    this.contentType = registry.contentType;
    withoutHeapSpaces(() => {
      collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_EVERY_MS });
    });
    for (const name of [...LEFT_OUT, OPEN_FILES]) registry.removeSingleMetric(name);
    this.addOpenFiles();
  }

  /** Replaces prom-client's metric, which lists the directory synchronously: slow with many sessions. */
  private addOpenFiles(): void {
    if (process.platform !== 'linux') return;
    const metric = new Gauge({
      name: OPEN_FILES,
      help: 'Number of open file descriptors.',
      registers: [],
      async collect() {
        // Since Linux 6.2 the size of the directory is the number of open files.
        const { size } = await stat(FILES_DIRECTORY);
        this.set(size > 0 ? size : (await readdir(FILES_DIRECTORY)).length - 1);
      },
    });
    this.registry.registerMetric(metric);
  }

  async text(pause: Pause): Promise<string> {
    const texts: string[] = [];
    for (const { name } of this.registry.getMetricsAsArray()) {
      texts.push(await this.registry.getSingleMetricAsString(name));
      await pause();
    }
    return `${texts.join('\n\n')}\n`;
  }

  gauge(name: string, help: string, read: Read, ...labelNames: string[]): void {
    const metric = new Gauge({
      name: `tapedeck_${name}`,
      help,
      labelNames,
      registers: [],
      collect() {
        this.remove({}); // a gauge without labels starts at 0, which would be reported as a value
        for (const [labels, value] of read()) this.set(labels, value);
      },
    });
    this.registry.registerMetric(metric);
  }

  counter(name: string, help: string, read: Read, ...labelNames: string[]): void {
    const metric = new Counter({
      name: `tapedeck_${name}`,
      help,
      labelNames,
      registers: [],
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
    this.registry.registerMetric(metric);
  }

  histogram(name: string, help: string, read: ReadDurations): void {
    this.registry.registerMetric(new CountedHistogram(`tapedeck_${name}`, help, read));
  }
}

/**
 * A histogram of values counted elsewhere. Observing a value in the library's own histogram takes too long.
 */
class CountedHistogram extends Histogram {
  private readonly described: { readonly name: string; readonly help: string };
  private readonly read: ReadDurations;

  constructor(name: string, help: string, read: ReadDurations) {
    super({ name, help, buckets: [...DURATION_BOUNDS_SECONDS], registers: [] });
    this.described = { name, help };
    this.read = read;
  }

  override get() {
    const { name } = this.described;
    const values: { metricName: string; labels: Record<string, string>; value: number }[] = [];
    for (const [labels, { counts, sumSeconds }] of this.read()) {
      let count = 0;
      for (const [i, n] of counts.entries()) {
        count += n;
        const le = String(DURATION_BOUNDS_SECONDS[i] ?? '+Inf');
        values.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: count });
      }
      values.push({ metricName: `${name}_sum`, labels: { ...labels }, value: sumSeconds });
      values.push({ metricName: `${name}_count`, labels: { ...labels }, value: count });
    }
    // The library's types declare a number here, but its code expects a string.
    const type = 'histogram' as unknown as MetricType;
    const collect = (): void => {};
    return Promise.resolve({
      ...this.described,
      type,
      aggregator: 'sum' as const,
      values,
      collect,
    });
  }

  /** The registry calls this instead of `get` where it exists. */
  getForPromString(): ReturnType<CountedHistogram['get']> {
    return this.get();
  }
}

/**
 * prom-client requests the heap spaces to find out whether they are available. Bun walks the whole heap for
 * them, which adds nearly a second to a start with a large market. The figures are not used.
 */
function withoutHeapSpaces(act: () => void): void {
  const { getHeapSpaceStatistics } = v8;
  v8.getHeapSpaceStatistics = () => {
    throw Object.assign(new Error('left out'), { code: 'ERR_NOT_IMPLEMENTED' }); // prom-client expects this error
  };
  try {
    act();
  } finally {
    v8.getHeapSpaceStatistics = getHeapSpaceStatistics;
  }
}
