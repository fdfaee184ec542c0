/**
 * Metrics: the content of `GET /metrics`, in the text format of Prometheus.
 *
 * Nothing is counted here. The stages keep their own counts, which are read on request, so a metric costs
 * next to nothing between two requests. An answer spans several turns of the event loop.
 * Bounded: labels are stages, kinds, tiers, queries, states, routes and codes of the tables, never symbols
 * or clients.
 */

import { MEMBER_STATES, type ClusterStatus } from '../../base/contracts/cluster';
import type { CheckpointFigures, JournalFigures } from '../../base/contracts/figures';
import type { Durations } from '../../base/durations';
import type { PublisherLag } from '../../base/contracts/publisher';
import {
  MetricRegistry,
  type Labels,
  type Pause,
  type Read,
  type ReadDurations,
} from './metric-registry';

/** Outcomes of the queries to a tier. */
interface Outcomes {
  readonly hits: number;
  readonly absent: number;
  readonly expired: number;
  readonly stale: number;
}

type OutcomesByQuery = Readonly<Record<string, Outcomes>>;

interface SentFigures {
  readonly frames: number;
  readonly messages: number;
  readonly bytes: number;
}

/** Outcomes of the messages of a kind of topic since the start. */
export interface KindFigures {
  readonly sent: SentFigures;
  /** Messages that were replaced by a later one. */
  readonly conflated: number;
  /** Messages that gaps declared as missing, and the number of gaps. */
  readonly dropped: number;
  readonly gaps: number;
  /** Topics that a reader was notified to reset. */
  readonly resets: number;
}

/** What the metrics read from the stages. */
export interface MetricSources {
  /**
   * Counts what needs several turns of the event loop.
   * @returns a pause that is called between two metrics
   */
  readonly begin: () => Promise<Pause>;
  readonly version: string;
  readonly tiers: {
    readonly l1: OutcomesByQuery;
    readonly l2: OutcomesByQuery;
    readonly live: OutcomesByQuery;
    /** Queries by kind. */
    readonly l3: Readonly<Record<string, number>>;
  };
  readonly memtableEvents: () => number;
  readonly journal: () => JournalFigures;
  /** Latency of each batch, from the arrival of its oldest event. */
  /** Labels: `stage` (`turn`, `wire`, `journal`), and `shard` where shards have names. */
  readonly stages: Iterable<readonly [Labels, Durations]>;
  readonly commits: Iterable<readonly [Labels, Durations]>;
  /** Delay of a timer beyond its due time. */
  readonly loopLag: Durations;
  /** One entry per kind that has occurred. */
  readonly turns: { readonly durations: ReadonlyMap<string, Durations> };
  readonly checkpoints: () => CheckpointFigures;
  readonly recovery: { readonly ms: number; readonly records: number };
  readonly sessions: () => number;
  /** Sessions that do not keep up now, and how often a session has left the native topics. */
  readonly lanes: () => { readonly lagging: number; readonly lagged: number };
  readonly kinds: Readonly<Record<string, KindFigures>>;
  /** What was sent to single sessions. */
  readonly own: SentFigures;
  /** Blocks of the journal whose content failed verification. */
  readonly damagedBlocks: () => number;
  /** Bars that late trades changed after the bars had ended. */
  readonly revisions: { readonly revised: number; readonly dropped: number };
  /** Bytes held for readers: in the logs of topics, and in total. */
  readonly waiting: () => { readonly logBytes: number; readonly bytes: number };
  /** Bytes held because of clients, by kind; sessions closed for that, and requests refused. */
  readonly account: {
    readonly ofKind: Readonly<Record<string, number>>;
    readonly counts: { readonly shed: number; readonly refused: number };
  };
  /** Work charged to clients, in microseconds. */
  readonly work: Readonly<Record<'keys' | 'others' | 'sources', number>>;
  readonly stream: {
    readonly received: {
      readonly frames: number;
      readonly messages: number;
      readonly bytes: number;
    };
    readonly refusals: ReadonlyMap<string, number>;
    readonly closes: ReadonlyMap<string, number>;
    readonly opened: number;
  };
  readonly rest: {
    readonly requests: ReadonlyMap<string, ReadonlyMap<number, number>>;
    readonly durations: ReadonlyMap<string, Durations>;
  };
  /** Replays and resumes from the journal: under way, and waiting for others to end. */
  readonly playbacks: () => { readonly open: number; readonly waiting: number };
  /** Receivers of each batch, by name. */
  readonly publishers: () => Iterable<
    readonly [
      name: string,
      {
        readonly isActive: boolean;
        readonly batches: number;
        readonly failures: number;
        readonly records: number | null;
        readonly behind: PublisherLag;
      },
    ]
  >;
  readonly feeds: () => {
    readonly instruments: number;
    readonly stale: number;
    readonly silenceMsMax: number;
  };
  /** Outcomes of the events of all sources since the start. */
  readonly intake: () => Readonly<Record<IntakeCount, number>>;
  /** Bytes of the journal on disk, and free bytes there; null where unknown. */
  readonly disk: () => { readonly journalBytes: number; readonly freeBytes: number | null };
  readonly instruments: () => number;
  /** Newest sequence number, of each shard. */
  readonly lastSeqs: Read;
  /** Undefined: the server is no member of a cluster. */
  readonly cluster?: (() => readonly ClusterStatus[]) | undefined;
  /** Batches and events that were published since the start. */
  readonly published: { readonly batches: number; readonly events: number };
}

const INTAKE = [
  ['repeated', 'Events of sources that were dropped because they had been sent before'],
  ['waiting', 'Book events of sources that have no effect until a snapshot arrives'],
  ['late', 'Late trades of sources, which change only past bars'],
  ['ahead', 'Events of sources whose time was ahead of their receipt'],
  ['renumbered', 'How often the numbers of a source began again'],
  ['missed', 'Messages of sources that are known to be missing'],
] as const;

const CLUSTER_FIGURES = [
  ['gauge', 'up', '1 while there is a connection to NATS', 'isConnected', 1],
  [
    'gauge',
    'behind_seconds',
    'How long this member has lacked events of the batch log; of a leader: how long its oldest event has waited for the log',
    'behindMs',
    1_000,
  ],
  ['gauge', 'silent_seconds', 'Time since the newest frame of the batch log', 'silentMs', 1_000],
  ['gauge', 'unlogged_events', 'Events of this leader that the log does not have', 'unlogged', 1],
  ['gauge', 'queued_bytes', 'Bytes of this leader that wait for the log', 'queuedBytes', 1],
  ['counter', 'takeovers_total', 'How often this process has taken over', 'takeovers', 1],
  ['counter', 'checkpoints_total', 'Checkpoints stored beside the log', 'checkpoints', 1],
  ['counter', 'frames_written_total', 'Frames appended as a leader', 'framesWritten', 1],
  ['counter', 'frames_read_total', 'Frames read as a follower', 'framesRead', 1],
  ['counter', 'resends_total', 'Frames that were sent again without an answer', 'resends', 1],
  ['counter', 'failures_total', 'Appends that the broker did not take', 'failures', 1],
  ['counter', 'repairs_total', 'How often missing frames were read again', 'repairs', 1],
  ['counter', 'holes_total', 'Ranges of the log that nobody had', 'holes', 1],
  ['counter', 'void_frames_total', 'Frames of replaced leaders', 'voided', 1],
  ['counter', 'damaged_frames_total', 'Frames with wrong bytes', 'damaged', 1],
] as const;

const CLUSTER_PUBLISHES = [
  ['gauge', 'publishes_waiting_events', 'Events that wait for the leader', 'waiting'],
  ['counter', 'publishes_taken_total', 'Publishes here that a leader has taken', 'taken'],
  ['counter', 'publishes_refused_total', 'Publishes here that were refused', 'refused'],
  ['counter', 'publishes_unknown_total', 'Publishes here whose outcome is not known', 'unknown'],
  ['gauge', 'remote_sources', 'Sources of other members, at this leader', 'remoteSources'],
  ['counter', 'remote_publishes_total', 'Publishes of other members', 'remoteEntries'],
  [
    'counter',
    'remote_repeats_total',
    'Messages of other members that came again',
    'remoteRepeated',
  ],
  [
    'counter',
    'remote_expired_total',
    'How often the sources of a silent member were released',
    'remoteExpired',
  ],
] as const;

type IntakeCount = (typeof INTAKE)[number][0];

export class Metrics {
  readonly contentType: string;
  private readonly registry = new MetricRegistry();
  private readonly begin: MetricSources['begin'];

  constructor(sources: MetricSources) {
    this.begin = sources.begin;
    this.contentType = this.registry.contentType;
    this.addServer(sources);
    this.addStages(sources);
    this.addSessions(sources);
    this.addKinds(sources);
    this.addHeld(sources);
    this.addClients(sources);
    this.addStream(sources);
    this.addRest(sources);
    this.addTiers(sources);
    this.addJournal(sources);
    this.addPublishers(sources);
    if (sources.cluster !== undefined) this.addCluster(sources.cluster);
  }

  async text(): Promise<string> {
    return this.registry.text(await this.begin());
  }

  private addServer(sources: MetricSources): void {
    const { registry } = this;
    const { published, version, feeds } = sources;
    registry.gauge('info', 'Version of Tapedeck', () => [[{ version }, 1]], 'version');
    registry.gauge('instruments', 'Instruments', () => [[{}, sources.instruments()]]);
    registry.gauge('feed_instruments', 'Feed instruments', () => [[{}, feeds().instruments]]);
    registry.gauge(
      'stale_feed_instruments',
      'Feed instruments that have been silent for longer than feedStaleMs',
      () => [[{}, feeds().stale]],
    );
    registry.gauge(
      'feed_silence_max_seconds',
      'How long the feed instrument has been silent that has been silent longest',
      () => [[{}, feeds().silenceMsMax / 1_000]],
    );
    registry.gauge('last_seq', 'Newest sequence number', sources.lastSeqs);
    registry.counter('events_total', 'Events published', () => [[{}, published.events]]);
    registry.counter('batches_total', 'Batches published', () => [[{}, published.batches]]);
    for (const [count, help] of INTAKE) {
      registry.counter(`intake_${count}_total`, help, () => [[{}, sources.intake()[count]]]);
    }
  }

  private addStages({ stages, commits, loopLag, turns }: MetricSources): void {
    const help =
      'For each batch, time from the arrival of its oldest event to its turn, to its push to readers, and to its commit';
    const { registry } = this;
    registry.histogram('stage_seconds', help, () => stages);
    registry.histogram(
      'journal_commit_seconds',
      'Duration of a transaction of the journal, in its thread',
      () => commits,
    );
    registry.histogram(
      'loop_turn_seconds',
      'Duration of a turn of the event loop, by its work',
      () => [...turns.durations].map(([turn, durations]) => [{ turn }, durations]),
    );
    registry.histogram('event_loop_lag_seconds', 'How late a timer of 20 ms was', () => [
      [{}, loopLag],
    ]);
  }

  private addSessions(sources: MetricSources): void {
    const { registry } = this;
    const { revisions } = sources;
    registry.gauge('sessions', 'WebSocket sessions', () => [[{}, sources.sessions()]]);
    registry.gauge('lagging_sessions', 'Sessions that do not keep up', () => [
      [{}, sources.lanes().lagging],
    ]);
    registry.counter('push_lagged_total', 'How often a session fell behind', () => [
      [{}, sources.lanes().lagged],
    ]);
    registry.counter(
      'bar_revisions_total',
      'Past bars that changed and were published again',
      () => [[{}, revisions.revised]],
    );
    registry.counter(
      'bar_revisions_dropped_total',
      'Past bars that changed and were not published again',
      () => [[{}, revisions.dropped]],
    );
  }

  /** Messages sent and not sent, by kind of topic. */
  private addKinds({ kinds, own }: MetricSources): void {
    const { registry } = this;
    const lost = [
      ['conflated', 'Messages that were replaced by a later one, by kind of topic'],
      ['dropped', 'Messages that a gap declared, by kind of topic'],
      ['gaps', 'Gaps declared to slow readers, by kind of topic'],
      ['resets', 'Topics that were reset for a reader, by kind of topic'],
    ] as const;
    for (const [figure, help] of lost) {
      const read: Read = () => Object.entries(kinds).map(([kind, own]) => [{ kind }, own[figure]]);
      registry.counter(`push_${figure}_total`, help, read, 'kind');
    }
    const sent = [
      ['frames', 'Frames to readers, by kind of topic; session: frames to one session alone'],
      [
        'messages',
        'Messages to readers, by kind of topic; without those of frames that were made from the journal',
      ],
      ['bytes', 'Bytes of frames to readers, by kind of topic'],
    ] as const;
    for (const [figure, help] of sent) {
      const read: Read = () => [
        ...Object.entries(kinds).map(([kind, { sent }]) => [{ kind }, sent[figure]] as const),
        [{ kind: 'session' }, own[figure]],
      ];
      registry.counter(`push_${figure}_total`, help, read, 'kind');
    }
  }

  private addHeld({ waiting, account }: MetricSources): void {
    const { registry } = this;
    registry.gauge(
      'push_log_bytes',
      'Approximate size of the logs of topics, which hold messages for readers that do not keep up',
      () => [[{}, waiting().logBytes]],
    );
    registry.gauge(
      'push_waiting_bytes',
      'Approximate size of what waits for readers: the logs of topics, counted once, and the answers and socket buffers of each session',
      () => [[{}, waiting().bytes]],
    );
    const { ofKind, counts } = account;
    const held: Read = () => Object.entries(ofKind).map(([kind, bytes]) => [{ kind }, bytes]);
    registry.gauge('client_bytes', 'Approximate memory held for clients, by kind', held, 'kind');
    registry.counter(
      'client_bytes_shed_total',
      'Sessions closed and held deltas dropped because clients held too much memory',
      () => [[{}, counts.shed]],
    );
    registry.counter(
      'client_bytes_refused_total',
      'Requests refused because clients held too much memory',
      () => [[{}, counts.refused]],
    );
  }

  private addClients(sources: MetricSources): void {
    const { registry } = this;
    const work: Read = () => Object.entries(sources.work).map(([of, us]) => [{ of }, us / 1e6]);
    registry.counter(
      'client_work_seconds_total',
      'Work that was accounted to clients, by share',
      work,
      'of',
    );
    const playbacks: Read = () => {
      const { open, waiting } = sources.playbacks();
      return [
        [{ state: 'open' }, open],
        [{ state: 'waiting' }, waiting],
      ];
    };
    registry.gauge('plays', 'Replays, and resumes from the journal', playbacks, 'state');
  }

  private addStream({ stream }: MetricSources): void {
    const { registry } = this;
    const received = [
      ['frames', 'Frames from clients'],
      ['messages', 'Messages from clients'],
      ['bytes', 'Bytes of frames from clients'],
    ] as const;
    for (const [figure, help] of received) {
      registry.counter(`stream_received_${figure}_total`, help, () => [
        [{}, stream.received[figure]],
      ]);
    }
    const by = (counts: ReadonlyMap<string, number>): Read => {
      return () => Array.from(counts, ([code, n]) => [{ code }, n] as const);
    };
    registry.counter(
      'stream_refusals_total',
      'Errors sent to clients, by code',
      by(stream.refusals),
      'code',
    );
    registry.counter('stream_opened_total', 'Connections that were opened', () => [
      [{}, stream.opened],
    ]);
    registry.counter(
      'stream_closed_total',
      'Connections that ended, by close code',
      by(stream.closes),
      'code',
    );
  }

  private addRest({ rest }: MetricSources): void {
    const requests: Read = function* () {
      for (const [route, statuses] of rest.requests) {
        for (const [status, n] of statuses) yield [{ route, status: String(status) }, n];
      }
    };
    const help =
      'Requests that were answered, by route and status; none: requests that reached no handler';
    this.registry.counter('rest_requests_total', help, requests, 'route', 'status');
    const timed = 'Duration of requests that wait for the journal, a body or a turn, by route';
    this.registry.histogram('rest_request_seconds', timed, () =>
      Array.from(rest.durations, ([route, durations]) => [{ route }, durations] as const),
    );
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
    const { registry } = this;
    registry.counter('tier_hits_total', 'Answers of a tier, by query', hits, 'tier', 'query');
    registry.counter(
      'tier_misses_total',
      'Queries that a tier passed on, and why',
      misses,
      'tier',
      'query',
      'reason',
    );
    registry.counter('history_questions_total', 'Queries to the journal (L3)', questions, 'query');
    registry.gauge('memtable_events', 'Events in the memtable (L2)', () => [
      [{}, sources.memtableEvents()],
    ]);
  }

  private addJournal(sources: MetricSources): void {
    const { registry } = this;
    const { journal, recovery, disk, damagedBlocks } = sources;
    const states: Read = () =>
      (['ok', 'failing', 'hole'] as const).map((state) => [
        { state },
        journal().state === state ? 1 : 0,
      ]);
    registry.gauge('journal_state', '1 for the state that the journal is in', states, 'state');
    const figures = [
      ['gauge', 'waiting_rows', 'Rows that wait for a commit', 'waitingRows'],
      ['gauge', 'waiting_bytes', 'Size of what waits for a commit', 'waitingBytes'],
      [
        'gauge',
        'committed_seq',
        'Sequence number up to which the journal is committed',
        'committedSeq',
      ],
      [
        'gauge',
        'lag_records',
        'Sequence numbers that were assigned and are not committed',
        'lagRecords',
      ],
      ['counter', 'rows_total', 'Rows committed to the journal', 'rows'],
      ['counter', 'commits_total', 'Commits of the journal', 'commits'],
      ['counter', 'failures_total', 'Writes of the journal that the disk refused', 'failures'],
      [
        'counter',
        'holes_total',
        'Ranges of records that were given up because the queue was full',
        'holes',
      ],
      ['counter', 'hole_records_total', 'Records that were given up', 'holeRecords'],
    ] as const;
    registry.gauge('journal_damaged_blocks', 'Damaged blocks that readers found', () => [
      [{}, damagedBlocks()],
    ]);
    for (const [kind, name, help, figure] of figures) {
      registry[kind](`journal_${name}`, help, () => [[{}, journal()[figure]]]);
    }
    registry.gauge('journal_lag_seconds', 'Age of the oldest uncommitted batch', () => [
      [{}, journal().lagMs / 1_000],
    ]);
    registry.gauge('journal_size_bytes', 'Size of the journal on disk', () => [
      [{}, disk().journalBytes],
    ]);
    const free: Read = () => {
      const { freeBytes } = disk();
      return freeBytes === null ? [] : [[{}, freeBytes]];
    };
    registry.gauge('journal_disk_free_bytes', 'Free space on the file system of the journal', free);
    this.addCheckpoints(sources);
    registry.gauge('recovery_seconds', 'How long the start took to read the journal', () => [
      [{}, recovery.ms / 1_000],
    ]);
    registry.gauge('recovery_records', 'Records after the checkpoint that the start read', () => [
      [{}, recovery.records],
    ]);
  }

  private addCheckpoints({ checkpoints }: MetricSources): void {
    const { registry } = this;
    const figures = [
      ['counter', 's_total', 'Completed checkpoints', 'cycles', 1],
      ['counter', '_pieces_total', 'Pieces of the state that were captured', 'pieces', 1],
      ['counter', '_bytes_total', 'Size of these pieces before they were packed', 'bytes', 1],
      ['gauge', '_seconds', 'How long the newest checkpoint took', 'tookMs', 1_000],
      [
        'gauge',
        '_age_seconds',
        'Time since the newest checkpoint was completed; without one, since the start',
        'ageMs',
        1_000,
      ],
    ] as const;
    for (const [kind, name, help, figure, scale] of figures) {
      registry[kind](`checkpoint${name}`, help, () => [[{}, checkpoints()[figure] / scale]]);
    }
    registry.gauge('journal_tail_records', 'Records that a start would read again', () => [
      [{}, checkpoints().tailRecords],
    ]);
  }

  private addCluster(cluster: () => readonly ClusterStatus[]): void {
    const { registry } = this;
    const each =
      <T>(of: (status: ClusterStatus) => Iterable<readonly [Labels, T]>) =>
      (): (readonly [Labels, T])[] =>
        cluster().flatMap((status) => {
          const shard: Labels = status.shard === null ? {} : { shard: status.shard };
          return Array.from(of(status), ([labels, value]) => [{ ...labels, ...shard }, value]);
        });
    const states: Read = each(({ self }) =>
      MEMBER_STATES.map((state) => [{ state }, self.state === state ? 1 : 0]),
    );
    registry.gauge('cluster_state', '1 for the state of this member', states, 'state');
    const members: Read = each(({ members }) => {
      const away = members.filter(({ isAway }) => isAway).length;
      return [
        [{ presence: 'here' }, members.length - away],
        [{ presence: 'away' }, away],
      ];
    });
    registry.gauge('cluster_members', 'Members that are known, with this one', members, 'presence');
    for (const [kind, name, help, figure, scale] of CLUSTER_FIGURES) {
      const read: Read = each(({ log }) => [[{}, Number(log[figure]) / scale]]);
      registry[kind](`cluster_${name}`, help, read);
    }
    for (const [kind, name, about, figure] of CLUSTER_PUBLISHES) {
      const read: Read = each(({ publishes }) => [[{}, publishes[figure]]]);
      registry[kind](`cluster_${name}`, about, read);
    }
    const help = 'Of a leader: from sending a frame to the batch log to its answer';
    const appends: ReadDurations = each(({ log }) =>
      log.appends === null ? [] : [[{}, log.appends]],
    );
    registry.histogram('cluster_append_seconds', help, appends);
  }

  private addPublishers({ publishers }: MetricSources): void {
    const { registry } = this;
    const figures = [
      ['gauge', 'up', '1 while the publisher is in service; lanes: the WebSocket sessions'],
      ['counter', 'batches_total', 'Batches that the publisher was given'],
      [
        'counter',
        'failures_total',
        'Calls of the publisher that failed; the first takes it out of service',
      ],
      [
        'counter',
        'records_total',
        'Records written to shared memory, which is the position of the end of its ring',
      ],
      [
        'gauge',
        'behind_events',
        'Events that were published and have not reached the target of the publisher',
      ],
      ['gauge', 'behind_seconds', 'How long the oldest of them has waited in the publisher'],
    ] as const;
    for (const [kind, name, help] of figures) {
      const read: Read = function* () {
        for (const [publisher, counts] of publishers()) {
          const { isActive, batches, failures, records, behind } = counts;
          const value = {
            up: isActive ? 1 : 0,
            batches_total: batches,
            failures_total: failures,
            records_total: records,
            behind_events: behind.events,
            behind_seconds: behind.ms / 1_000,
          }[name];
          if (value !== null) yield [{ publisher }, value];
        }
      };
      registry[kind](`publisher_${name}`, help, read, 'publisher');
    }
  }
}
