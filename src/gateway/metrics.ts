/**
 * Metrics: what `GET /metrics` tells, in the text form of Prometheus.
 *
 * Nothing is counted here: the stages keep their own counts, which are read when somebody asks, so a
 * metric costs nothing between two questions. Names begin with `tapedeck_` and end in their unit;
 * those of the process itself are prom-client's.
 * Bounded: labels are tiers, queries and states, never symbols or clients.
 */

import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

/** Outcomes of the questions to a tier. */
interface Outcomes {
  readonly hits: number;
  readonly absent: number;
  readonly expired: number;
  readonly stale: number;
}

type OutcomesByQuery = Readonly<Record<string, Outcomes>>;

/** State of the journal, as far as it is told. */
export interface JournalFigures {
  readonly state: 'ok' | 'failing' | 'hole';
  readonly waitingRows: number;
  readonly waitingBytes: number;
  readonly rows: number;
  readonly commits: number;
  readonly failures: number;
  readonly holes: number;
  readonly holeRecords: number;
  readonly committedSeq: number;
}

/** What the stages are asked for. */
export interface LaneFigures {
  /** Sessions that do not keep up now. */
  readonly lagging: number;
  /** Times that a session left the native topics. */
  readonly lagged: number;
  /** Messages that another one stood for. */
  readonly conflated: number;
  /** Messages that a gap declared, and such gaps. */
  readonly dropped: number;
  readonly gaps: number;
  /** Times that a reader was told to forget what it held. */
  readonly resets: number;
}

export interface MetricSources {
  readonly version: string;
  readonly tiers: {
    readonly l1: OutcomesByQuery;
    readonly l2: OutcomesByQuery;
    readonly live: OutcomesByQuery;
    /** Questions by their kind. */
    readonly l3: Readonly<Record<string, number>>;
  };
  memtableEvents(): number;
  journal(): JournalFigures;
  sessions(): number;
  /** What became of messages to slow readers since the start. */
  lanes(): LaneFigures;
  /** Replays, and resumes out of the journal: under way, and waiting for others to end. */
  plays(): { readonly open: number; readonly waiting: number };
  instruments(): number;
  /** Newest place in the numbering. */
  lastSeq(): number;
  /** What went on to readers since the start. */
  readonly published: { readonly batches: number; readonly events: number };
}

type Labels = Readonly<Record<string, string>>;
type Read = () => Iterable<readonly [labels: Labels, value: number]>;

/** Of prom-client's own: what has no meaning outside Node, and what is no number before a first sample. */
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
];
/** How often the lag of the event loop is sampled. */
const LAG_EVERY_MS = 50;

export class Metrics {
  readonly contentType: string;
  private readonly registry = new Registry();

  constructor(sources: MetricSources) {
    const { registry } = this;
    this.contentType = registry.contentType;
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_EVERY_MS });
    for (const name of LEFT_OUT) registry.removeSingleMetric(name);
    this.addServer(sources);
    this.addTiers(sources);
    this.addJournal(sources);
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }

  private addServer(sources: MetricSources): void {
    this.gauge('info', 'Version of Tapedeck', () => [[{ version: sources.version }, 1]], 'version');
    this.gauge('sessions', 'WebSocket sessions', () => [[{}, sources.sessions()]]);
    this.gauge('sessions_lagging', 'Sessions that do not keep up', () => [[{}, sources.lanes().lagging]]); // prettier-ignore
    const lanes = [
      ['lagged_total', 'Times that a session fell behind', 'lagged'],
      ['conflated_total', 'Messages that another one stood for', 'conflated'],
      ['dropped_total', 'Messages that a gap declared', 'dropped'],
      ['gaps_total', 'Gaps told to slow readers', 'gaps'],
      ['resets_total', 'Resets told to readers that could not resume', 'resets'],
    ] as const;
    for (const [name, help, figure] of lanes) {
      this.counter(`push_${name}`, help, () => [[{}, sources.lanes()[figure]]]);
    }
    const plays: Read = () => {
      const { open, waiting } = sources.plays();
      return [
        [{ state: 'open' }, open],
        [{ state: 'waiting' }, waiting],
      ];
    };
    this.gauge('plays', 'Replays, and resumes out of the journal', plays, 'state');
    this.gauge('instruments', 'Instruments', () => [[{}, sources.instruments()]]);
    this.gauge('last_seq', 'Newest place in the numbering', () => [[{}, sources.lastSeq()]]);
    const { published } = sources;
    this.counter('events_total', 'Events published', () => [[{}, published.events]]);
    this.counter('batches_total', 'Batches published', () => [[{}, published.batches]]);
  }

  private addTiers(sources: MetricSources): void {
    const { l3, ...others } = sources.tiers;
    const each = function* (): Iterable<readonly [Labels, Outcomes]> {
      for (const [tier, queries] of Object.entries(others)) {
        for (const [query, outcomes] of Object.entries(queries)) yield [{ tier, query }, outcomes];
      }
    };
    const hits: Read = function* () {
      for (const [labels, outcomes] of each()) yield [labels, outcomes.hits];
    };
    const misses: Read = function* () {
      for (const [labels, { hits: _, ...reasons }] of each()) {
        for (const [reason, n] of Object.entries(reasons)) yield [{ ...labels, reason }, n];
      }
    };
    const questions: Read = function* () {
      for (const [query, n] of Object.entries(l3)) yield [{ query }, n];
    };
    this.counter('tier_hits_total', 'Answers of a tier', hits, 'tier', 'query');
    this.counter('tier_misses_total', 'What a tier passed on', misses, 'tier', 'query', 'reason');
    this.counter('history_questions_total', 'Questions to the journal (L3)', questions, 'query');
    this.gauge('memtable_events', 'Events in L2', () => [[{}, sources.memtableEvents()]]);
  }

  private addJournal(sources: MetricSources): void {
    const states: Read = () =>
      (['ok', 'failing', 'hole'] as const).map((state) => [
        { state },
        sources.journal().state === state ? 1 : 0,
      ]);
    this.gauge('journal_state', '1 for the state that the journal is in', states, 'state');
    const figures = [
      ['gauge', 'waiting_rows', 'Rows that wait for a commit', 'waitingRows'],
      ['gauge', 'waiting_bytes', 'Size of what waits for a commit', 'waitingBytes'],
      ['gauge', 'committed_seq', 'Place up to which it is committed', 'committedSeq'],
      ['counter', 'rows_total', 'Rows committed', 'rows'],
      ['counter', 'commits_total', 'Commits', 'commits'],
      ['counter', 'failures_total', 'Writes that the disk refused', 'failures'],
      ['counter', 'holes_total', 'Runs of records that were given up', 'holes'],
      ['counter', 'hole_records_total', 'Records that were given up', 'holeRecords'],
    ] as const;
    for (const [kind, name, help, figure] of figures) {
      this[kind](`journal_${name}`, help, () => [[{}, sources.journal()[figure]]]);
    }
  }

  private gauge(name: string, help: string, read: Read, ...labelNames: string[]): void {
    const metric = new Gauge({
      name: `tapedeck_${name}`,
      help,
      labelNames,
      registers: [],
      collect() {
        for (const [labels, value] of read()) this.set(labels, value);
      },
    });
    this.registry.registerMetric(metric);
  }

  private counter(name: string, help: string, read: Read, ...labelNames: string[]): void {
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
}
