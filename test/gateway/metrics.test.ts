/** Metrics and readiness: what they make of what the stages tell, and those of a real server. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { Metrics, type JournalFigures, type MetricSources } from '../../src/gateway/metrics';
import { readyResponse, reasonsNotReady } from '../../src/gateway/readiness';
import { book, instrument, tape, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="[^"\\\n]*",?)*)\})? (\S+)$/;

/** The samples of a text in the form of Prometheus, by name and labels. @throws Error on any other */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const kinds = new Map<string, string>();
  for (const line of text.split('\n')) {
    const kind = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    if (kind !== null) kinds.set(kind[1]!, kind[2]!);
    if (line === '' || line.startsWith('# ')) continue;
    const [, name, labels, value] = SAMPLE.exec(line) ?? [];
    if (name === undefined || Number.isNaN(Number(value))) throw new Error(`no sample: ${line}`);
    if (!kinds.has(name)) throw new Error(`a sample without a type: ${line}`);
    const key = labels === undefined || labels === '' ? name : `${name}{${labels}}`;
    if (samples.has(key)) throw new Error(`a sample twice: ${line}`);
    samples.set(key, Number(value));
  }
  for (const [name, kind] of kinds) {
    if (name.startsWith('tapedeck_')) expect([name, kind === 'counter']).toEqual([name, name.endsWith('_total')]); // prettier-ignore
  }
  return samples;
}

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
};

function sources(more: Partial<MetricSources> = {}): MetricSources {
  const outcomes = { hits: 1, absent: 2, expired: 3, stale: 4 };
  return {
    version: '1.2.3',
    tiers: { l1: { tick: outcomes }, l2: {}, live: {}, l3: { bars: 9 } },
    memtableEvents: () => 10,
    journal: () => OK,
    sessions: () => 11,
    lanes: () => ({ lagging: 2, lagged: 5, conflated: 60, dropped: 7, gaps: 4, resets: 3 }),
    plays: () => ({ open: 16, waiting: 17 }),
    instruments: () => 12,
    lastSeq: () => 13,
    published: { batches: 14, events: 15 },
    ...more,
  };
}

describe('metrics', () => {
  test('tell what the stages tell at that time', async () => {
    let sessions = 11;
    const metrics = new Metrics(sources({ sessions: () => sessions }));
    const own = (all: Map<string, number>) =>
      Object.fromEntries([...all].filter(([name]) => name.startsWith('tapedeck_')));
    const first = own(parse(await metrics.text()));
    expect(first).toEqual({
      'tapedeck_info{version="1.2.3"}': 1,
      'tapedeck_sessions': 11,
      'tapedeck_sessions_lagging': 2,
      'tapedeck_push_lagged_total': 5,
      'tapedeck_plays{state="open"}': 16,
      'tapedeck_plays{state="waiting"}': 17,
      'tapedeck_push_conflated_total': 60,
      'tapedeck_push_dropped_total': 7,
      'tapedeck_push_gaps_total': 4,
      'tapedeck_push_resets_total': 3,
      'tapedeck_instruments': 12,
      'tapedeck_last_seq': 13,
      'tapedeck_events_total': 15,
      'tapedeck_batches_total': 14,
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
      'tapedeck_journal_rows_total': 3,
      'tapedeck_journal_commits_total': 4,
      'tapedeck_journal_failures_total': 5,
      'tapedeck_journal_holes_total': 6,
      'tapedeck_journal_hole_records_total': 7,
    });
    sessions = 3;
    expect(own(parse(await metrics.text()))).toEqual({ ...first, tapedeck_sessions: 3 });
  });

  test.each(['failing', 'hole'] as const)('name the state of a journal: %s', async (state) => {
    const metrics = new Metrics(sources({ journal: () => ({ ...OK, state }) }));
    const samples = parse(await metrics.text());
    for (const each of ['ok', 'failing', 'hole']) {
      expect(samples.get(`tapedeck_journal_state{state="${each}"}`)).toBe(each === state ? 1 : 0);
    }
  });
});

describe('readiness', () => {
  test.each([
    ['failing', 'database or disk is full', 'journal-failing', 'the journal cannot be written: database or disk is full'], // prettier-ignore
    ['failing', '', 'journal-failing', 'the journal cannot be written'],
    ['hole', 'from 5 to 9', 'journal-hole', 'records were given up and are not in the journal: from 5 to 9'], // prettier-ignore
  ] as const)('%s "%s" is %s', async (state, reason, code, message) => {
    const response = readyResponse(reasonsNotReady({ state, reason }, false));
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ ready: false, reasons: [{ code, message }] });
  });

  test('ok is 200', async () => {
    const response = readyResponse(reasonsNotReady({ state: 'ok', reason: '' }, false));
    expect([response.status, await response.json()]).toEqual([200, { ready: true }]);
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
    return parse(await response.text());
  };

  test('what happens shows in its metrics', async () => {
    const before = await scrape();
    expect(before.get('process_resident_memory_bytes')).toBeGreaterThan(0);
    expect(before.get('nodejs_eventloop_lag_p99_seconds')).toBeNumber();
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
      // prettier-ignore
      expect((await server.get(`/v1/${path}`)).status).toBe(200);
    }
    const after = await scrape();
    const moved = [...after].filter(([name, value]) => value !== before.get(name));
    const own = Object.fromEntries(moved.filter(([name]) => /^tapedeck_(?!journal)/.test(name)));
    const events = after.get('tapedeck_last_seq')! - before.get('tapedeck_last_seq')!;
    expect(events).toBeGreaterThan(4); // besides what was given: tick, quote, state, snapshot
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

  test('is ready', async () => {
    const response = await server.get('/readyz');
    expect([response.status, await response.json()]).toEqual([200, { ready: true }]);
  });
});
