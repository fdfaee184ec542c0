/** Metrics: how they are made from the figures of the stages, and those of a real server. */

import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';

import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import v8 from 'node:v8';

import { Durations } from '../../src/base/durations';
import type { JournalFigures } from '../../src/base/contracts/figures';
import { Metrics, type MetricSources } from '../../src/gateway/metrics/metrics';
import { clusterStatus } from '../support/cluster-status';
import { parseMetrics } from '../support/metrics-text';
import { book, instrument, tape, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';

const OK: JournalFigures = {
  state: 'ok',
  waitingRows: 1,
  waitingBytes: 2,
  rows: 3,
  commits: 4,
  failures: 5,
  holes: 6,
  holeRecords: 7,
  committedSeq: 8,
  lagRecords: 9,
  lagMs: 2_500,
};

function durations(...ms: number[]): Durations {
  const counted = new Durations();
  for (const each of ms) counted.observe(each);
  return counted;
}

function sources(more: Partial<MetricSources> = {}): MetricSources {
  const outcomes = { hits: 1, absent: 2, expired: 3, stale: 4 };
  return {
    begin: () => Promise.resolve(() => undefined),
    version: '1.2.3',
    tiers: { l1: { tick: outcomes }, l2: {}, live: {}, l3: { bars: 9 } },
    memtableEvents: () => 10,
    journal: () => OK,
    checkpoints: () => ({
      cycles: 80,
      pieces: 81,
      bytes: 82,
      tookMs: 83_000,
      ageMs: 84_000,
      tailRecords: 85,
    }),
    sessions: () => 11,
    stages: [
      [{ stage: 'turn' }, durations(0.02, 0.03, 40_000)],
      [{ stage: 'wire' }, durations(1)],
      [{ stage: 'journal' }, durations()],
    ],
    commits: [[{}, durations(2.5)]],
    loopLag: durations(-1),
    turns: { durations: new Map([['batch', durations(4, 6)]]) },
    recovery: { ms: 1_500, records: 18 },
    lanes: () => ({ lagging: 2, lagged: 5 }),
    kinds: {
      trade: {
        sent: { frames: 1, messages: 2, bytes: 3 },
        conflated: 60,
        dropped: 7,
        gaps: 4,
        resets: 3,
      },
    },
    own: { frames: 4, messages: 5, bytes: 6 },
    damagedBlocks: () => 78,
    revisions: { revised: 32, dropped: 33 },
    waiting: () => ({ logBytes: 19, bytes: 20 }),
    work: { keys: 82e6, others: 83e6, sources: 84e6 },
    account: { ofKind: { answers: 79 }, counts: { shed: 80, refused: 81 } },
    stream: {
      received: { frames: 21, messages: 22, bytes: 23 },
      refusals: new Map([['invalid-field', 24]]),
      closes: new Map([['1006', 25]]),
      opened: 26,
    },
    rest: {
      requests: new Map([
        [
          'GET /v1/tick/:symbol',
          new Map([
            [200, 27],
            [404, 28],
          ]),
        ],
      ]),
      durations: new Map([['POST /v1/orders', durations(3)]]),
    },
    publishers: () => [
      [
        'ring',
        {
          isActive: false,
          batches: 29,
          failures: 1,
          records: 30,
          behind: { events: 84, ms: 8_500 },
        },
      ],
      [
        'lanes',
        { isActive: true, batches: 31, failures: 0, records: null, behind: { events: 0, ms: 0 } },
      ],
    ],
    feeds: () => ({ instruments: 3, stale: 2, silenceMsMax: 4_500 }),
    playbacks: () => ({ open: 16, waiting: 17 }),
    intake: () => ({ repeated: 32, waiting: 33, late: 34, ahead: 35, renumbered: 36, missed: 37 }),
    disk: () => ({ journalBytes: 38, freeBytes: 39 }),
    instruments: () => 12,
    lastSeqs: () => [[{}, 13]],
    published: { batches: 14, events: 15 },
    ...more,
  };
}

test('making them does not walk the heap, which takes nearly a second with a large market', async () => {
  const asked = spyOn(v8, 'getHeapSpaceStatistics');
  const text = await new Metrics(sources()).text();
  expect(asked).not.toHaveBeenCalled();
  asked.mockRestore();
  expect(text).toContain('nodejs_heap_size_used_bytes');
  expect(text).not.toContain('heap_space');
});

describe('metrics', () => {
  test('have the figures of the stages at that time', async () => {
    let sessions = 11;
    const metrics = new Metrics(sources({ sessions: () => sessions }));
    const own = (all: Map<string, number>) =>
      Object.fromEntries(
        [...all].filter(([name]) => name.startsWith('tapedeck_') && !name.includes('_bucket')),
      );
    const first = own(parseMetrics(await metrics.text()));
    expect(first).toEqual({
      'tapedeck_info{version="1.2.3"}': 1,
      'tapedeck_sessions': 11,
      'tapedeck_lagging_sessions': 2,
      'tapedeck_push_lagged_total': 5,
      'tapedeck_journal_damaged_blocks': 78,
      'tapedeck_bar_revisions_total': 32,
      'tapedeck_bar_revisions_dropped_total': 33,
      'tapedeck_plays{state="open"}': 16,
      'tapedeck_plays{state="waiting"}': 17,
      'tapedeck_push_conflated_total{kind="trade"}': 60,
      'tapedeck_push_dropped_total{kind="trade"}': 7,
      'tapedeck_push_gaps_total{kind="trade"}': 4,
      'tapedeck_push_resets_total{kind="trade"}': 3,
      'tapedeck_push_frames_total{kind="trade"}': 1,
      'tapedeck_push_messages_total{kind="trade"}': 2,
      'tapedeck_push_bytes_total{kind="trade"}': 3,
      'tapedeck_push_frames_total{kind="session"}': 4,
      'tapedeck_push_messages_total{kind="session"}': 5,
      'tapedeck_push_bytes_total{kind="session"}': 6,
      'tapedeck_push_log_bytes': 19,
      'tapedeck_push_waiting_bytes': 20,
      'tapedeck_client_bytes{kind="answers"}': 79,
      'tapedeck_client_bytes_shed_total': 80,
      'tapedeck_client_bytes_refused_total': 81,
      'tapedeck_client_work_seconds_total{of="keys"}': 82,
      'tapedeck_client_work_seconds_total{of="others"}': 83,
      'tapedeck_client_work_seconds_total{of="sources"}': 84,
      'tapedeck_stream_received_frames_total': 21,
      'tapedeck_stream_received_messages_total': 22,
      'tapedeck_stream_received_bytes_total': 23,
      'tapedeck_stream_refusals_total{code="invalid-field"}': 24,
      'tapedeck_stream_closed_total{code="1006"}': 25,
      'tapedeck_stream_opened_total': 26,
      'tapedeck_rest_requests_total{route="GET /v1/tick/:symbol",status="200"}': 27,
      'tapedeck_rest_requests_total{route="GET /v1/tick/:symbol",status="404"}': 28,
      'tapedeck_rest_request_seconds_sum{route="POST /v1/orders"}': 0.003,
      'tapedeck_rest_request_seconds_count{route="POST /v1/orders"}': 1,
      'tapedeck_publisher_up{publisher="ring"}': 0,
      'tapedeck_publisher_up{publisher="lanes"}': 1,
      'tapedeck_publisher_batches_total{publisher="ring"}': 29,
      'tapedeck_publisher_batches_total{publisher="lanes"}': 31,
      'tapedeck_publisher_failures_total{publisher="ring"}': 1,
      'tapedeck_publisher_failures_total{publisher="lanes"}': 0,
      'tapedeck_publisher_records_total{publisher="ring"}': 30,
      'tapedeck_publisher_behind_events{publisher="ring"}': 84,
      'tapedeck_publisher_behind_events{publisher="lanes"}': 0,
      'tapedeck_publisher_behind_seconds{publisher="ring"}': 8.5,
      'tapedeck_publisher_behind_seconds{publisher="lanes"}': 0,
      'tapedeck_instruments': 12,
      'tapedeck_feed_instruments': 3,
      'tapedeck_stale_feed_instruments': 2,
      'tapedeck_feed_silence_max_seconds': 4.5,
      'tapedeck_last_seq': 13,
      'tapedeck_events_total': 15,
      'tapedeck_batches_total': 14,
      'tapedeck_stage_seconds_sum{stage="turn"}': 40.00005,
      'tapedeck_stage_seconds_count{stage="turn"}': 3,
      'tapedeck_stage_seconds_sum{stage="wire"}': 0.001,
      'tapedeck_stage_seconds_count{stage="wire"}': 1,
      'tapedeck_stage_seconds_sum{stage="journal"}': 0,
      'tapedeck_stage_seconds_count{stage="journal"}': 0,
      'tapedeck_journal_commit_seconds_sum': 0.0025,
      'tapedeck_journal_commit_seconds_count': 1,
      'tapedeck_event_loop_lag_seconds_sum': 0,
      'tapedeck_loop_turn_seconds_sum{turn="batch"}': 0.01,
      'tapedeck_loop_turn_seconds_count{turn="batch"}': 2,
      'tapedeck_event_loop_lag_seconds_count': 1,
      'tapedeck_tier_hits_total{tier="l1",query="tick"}': 1,
      'tapedeck_tier_misses_total{tier="l1",query="tick",reason="absent"}': 2,
      'tapedeck_tier_misses_total{tier="l1",query="tick",reason="expired"}': 3,
      'tapedeck_tier_misses_total{tier="l1",query="tick",reason="stale"}': 4,
      'tapedeck_history_questions_total{query="bars"}': 9,
      'tapedeck_memtable_events': 10,
      'tapedeck_journal_state{state="ok"}': 1,
      'tapedeck_journal_state{state="failing"}': 0,
      'tapedeck_journal_state{state="hole"}': 0,
      'tapedeck_journal_waiting_rows': 1,
      'tapedeck_journal_waiting_bytes': 2,
      'tapedeck_journal_committed_seq': 8,
      'tapedeck_journal_lag_records': 9,
      'tapedeck_journal_lag_seconds': 2.5,
      'tapedeck_journal_rows_total': 3,
      'tapedeck_journal_commits_total': 4,
      'tapedeck_journal_failures_total': 5,
      'tapedeck_journal_holes_total': 6,
      'tapedeck_journal_hole_records_total': 7,
      'tapedeck_intake_repeated_total': 32,
      'tapedeck_intake_waiting_total': 33,
      'tapedeck_intake_late_total': 34,
      'tapedeck_intake_ahead_total': 35,
      'tapedeck_intake_renumbered_total': 36,
      'tapedeck_intake_missed_total': 37,
      'tapedeck_journal_size_bytes': 38,
      'tapedeck_journal_disk_free_bytes': 39,
      'tapedeck_checkpoints_total': 80,
      'tapedeck_checkpoint_pieces_total': 81,
      'tapedeck_checkpoint_bytes_total': 82,
      'tapedeck_checkpoint_seconds': 83,
      'tapedeck_checkpoint_age_seconds': 84,
      'tapedeck_journal_tail_records': 85,
      'tapedeck_recovery_seconds': 1.5,
      'tapedeck_recovery_records': 18,
    });
    sessions = 3;
    expect(own(parseMetrics(await metrics.text()))).toEqual({ ...first, tapedeck_sessions: 3 });
  });

  test('of a member of a cluster have its state and its end of the log', async () => {
    const others = [{ name: 'core-a', state: 'leading' as const }, { isAway: true }];
    const status = clusterStatus({}, { appends: durations(2, 3) }, others);
    const samples = parseMetrics(await new Metrics(sources({ cluster: () => [status] })).text());
    const own = [...samples].filter(([name]) => /^tapedeck_cluster_(?!.*_bucket)/.test(name));
    expect(Object.fromEntries(own.map(([name, value]) => [name.slice(17), value]))).toEqual({
      'state{state="following"}': 1,
      'state{state="taking-over"}': 0,
      'state{state="leading"}': 0,
      'state{state="lost"}': 0,
      'state{state="stopped"}': 0,
      'members{presence="here"}': 2,
      'members{presence="away"}': 1,
      'up': 1,
      'behind_seconds': 91,
      'silent_seconds': 0.092,
      'unlogged_events': 93,
      'queued_bytes': 94,
      'takeovers_total': 95,
      'checkpoints_total': 96,
      'frames_written_total': 97,
      'frames_read_total': 98,
      'resends_total': 99,
      'failures_total': 100,
      'repairs_total': 101,
      'holes_total': 102,
      'void_frames_total': 103,
      'damaged_frames_total': 104,
      'publishes_waiting_events': 105,
      'publishes_taken_total': 106,
      'publishes_refused_total': 107,
      'publishes_unknown_total': 108,
      'remote_sources': 109,
      'remote_publishes_total': 110,
      'remote_repeats_total': 111,
      'remote_expired_total': 112,
      'append_seconds_sum': 0.005,
      'append_seconds_count': 2,
    });
  });

  test('of a member of a cluster are those of the reference', async () => {
    const reference = Bun.file(join(import.meta.dir, '../../src/docs/reference/observing.md'));
    const [, table] = /<!-- cluster-metrics:begin -->([\s\S]*)<!-- cluster-metrics:end -->/.exec(
      await reference.text(),
    )!;
    const rows = table!.matchAll(/^\| `(\S+)` +\|[^|]*\| (.*?) +\|$/gm);
    const text = await new Metrics(sources({ cluster: () => [clusterStatus()] })).text();
    const served = text.matchAll(/^# HELP tapedeck_(cluster_\S+) (.*)$/gm);
    const named = (all: Iterable<RegExpMatchArray>): string[] =>
      Array.from(all, ([, name, help]) => `${name} ${help}`).toSorted();
    expect(named(rows)).toEqual(named(served));
  });

  test('omit the figures of a disk that reports none', async () => {
    const disk = () => ({ journalBytes: 38, freeBytes: null });
    const samples = parseMetrics(await new Metrics(sources({ disk })).text());
    expect(samples.get('tapedeck_journal_size_bytes')).toBe(38);
    expect(samples.has('tapedeck_journal_disk_free_bytes')).toBe(false);
  });

  test('have durations as cumulative buckets, as Prometheus counts them', async () => {
    const samples = parseMetrics(await new Metrics(sources()).text());
    const at = (le: string): number | undefined =>
      samples.get(`tapedeck_stage_seconds_bucket{le="${le}",stage="turn"}`);
    expect(['0.00001', '0.000025', '0.00005', '10', '+Inf'].map(at)).toEqual([0, 1, 2, 2, 3]);
  });

  test.each(['failing', 'hole'] as const)('name the state of a journal: %s', async (state) => {
    const metrics = new Metrics(sources({ journal: () => ({ ...OK, state }) }));
    const samples = parseMetrics(await metrics.text());
    for (const each of ['ok', 'failing', 'hole']) {
      expect(samples.get(`tapedeck_journal_state{state="${each}"}`)).toBe(each === state ? 1 : 0);
    }
  });
});

describe('a real server', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    server = await ServerProcess.start();
  });
  afterAll(() => server.remove());

  const scrape = async (): Promise<Map<string, number>> => {
    const response = await server.get('/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toStartWith('text/plain; version=0.0.4');
    return parseMetrics(await response.text());
  };

  test('events appear in its metrics', async () => {
    const before = await scrape();
    expect(before.get('process_resident_memory_bytes')).toBeGreaterThan(0);
    expect(before.get('nodejs_eventloop_lag_p99_seconds')).toBeNumber();
    const files = ['', '-wal', '-shm'].map((end) => join(server.data, `journal.sqlite${end}`));
    const size = files.reduce((sum, path) => sum + Bun.file(path).size, 0);
    expect(before.get('tapedeck_journal_size_bytes')).toBe(size);
    const { blocks, bsize } = statfsSync(server.data);
    const free = before.get('tapedeck_journal_disk_free_bytes')!;
    expect([free > 0, free < blocks * bsize]).toEqual([true, true]);
    const client = await StreamClient.open(server.url);
    const given = tape(
      instrument('ACME'),
      book('ACME', 'snapshot', [['1.00', '1']], [['1.01', '1']]),
      trade('ACME', '1.01', '1'),
    );
    expect((await server.ingest(given)).status).toBe(200);
    for (const path of [
      'tick/ACME',
      'tick/ACME',
      'orderbook/ACME',
      'trades/ACME',
      'ticks/ACME',
      'bars/ACME?interval=1m',
    ]) {
      expect((await server.get(`/v1/${path}`)).status).toBe(200);
    }
    let after = await scrape();
    // An answer is kept for a short time.
    while (after.get('tapedeck_instruments') !== 1) after = await scrape();
    const moved = [...after].filter(([name, value]) => value !== before.get(name));
    const own = Object.fromEntries(
      moved.filter(([name]) =>
        /^tapedeck_(tier|history|memtable|events|batches|last|sessions|instruments)/.test(name),
      ),
    );
    const events = after.get('tapedeck_last_seq')! - before.get('tapedeck_last_seq')!;
    expect(events).toBeGreaterThan(4); // besides the events sent: tick, quote, status, snapshot
    expect(own).toEqual({
      'tapedeck_sessions': 1,
      'tapedeck_instruments': 1,
      'tapedeck_last_seq': expect.any(Number),
      'tapedeck_events_total': before.get('tapedeck_events_total')! + events,
      'tapedeck_batches_total': before.get('tapedeck_batches_total')! + 1,
      'tapedeck_memtable_events': events,
      'tapedeck_tier_hits_total{tier="l1",query="tick"}': 1,
      'tapedeck_tier_hits_total{tier="l2",query="tick"}': 1,
      'tapedeck_tier_hits_total{tier="l2",query="trades"}': 1,
      'tapedeck_tier_hits_total{tier="l2",query="ticks"}': 1,
      'tapedeck_tier_hits_total{tier="live",query="book"}': 1,
      'tapedeck_tier_misses_total{tier="l1",query="tick",reason="absent"}': 1,
      'tapedeck_tier_misses_total{tier="l1",query="book",reason="absent"}': 1,
      'tapedeck_history_questions_total{query="bars"}': 1,
    });
    await client.close();
  });
});
