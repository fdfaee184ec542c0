/** Readiness: what follows from the reports of the stages, and from a feed that has gone silent. */

import { describe, expect, setDefaultTimeout, test } from 'bun:test';

import { Nanos } from '../../protocol/time';
import { ManualClock } from '../../src/base/clock';
import { Freshness } from '../../src/app/freshness';
import { clusterStatus } from '../support/cluster-status';
import { finished } from '../support/finished';
import { readiness, readyResponse, type StaleFeeds } from '../../src/gateway/metrics/readiness';
import { instrument, tape, trade } from '../support/feed';
import { ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(60_000);
const OK = { state: 'ok', reason: '' } as const;
const STALE: StaleFeeds = { count: 1, feeds: [{ symbol: 'ACME', since: '5' }], isUnready: false };
const STALE_FEED = {
  code: 'feed-stale',
  message: 'no event of these feed instruments has arrived for longer than feedStaleMs',
  count: 1,
  feeds: STALE.feeds,
};

async function answered(response: Response): Promise<[number, unknown]> {
  return [response.status, await response.json()];
}

describe('readiness', () => {
  test.each([
    [
      'failing',
      'database or disk is full',
      'journal-failing',
      'the journal cannot be written: database or disk is full',
    ],
    ['failing', '', 'journal-failing', 'the journal cannot be written'],
    [
      'hole',
      'from 5 to 9',
      'journal-hole',
      'records were given up and are not in the journal: from 5 to 9',
    ],
  ] as const)('%s "%s" is %s', async (state, reason, code, message) => {
    const response = readyResponse(readiness({ journal: { state, reason }, isStopping: false }));
    const body = { ready: false, reasons: [{ code, message }] };
    expect(await answered(response)).toEqual([503, body]);
  });

  test('ok is 200', async () => {
    const response = readyResponse(readiness({ journal: OK, isStopping: false }));
    expect(await answered(response)).toEqual([200, { ready: true }]);
  });

  test('a stale feed is a warning, or a reason where the settings say so', async () => {
    const warned = readyResponse(readiness({ journal: OK, isStopping: false, stale: STALE }));
    expect(await answered(warned)).toEqual([200, { ready: true, warnings: [STALE_FEED] }]);
    const refused = readyResponse(
      readiness({ journal: OK, isStopping: false, stale: { ...STALE, isUnready: true } }),
    );
    expect(await answered(refused)).toEqual([503, { ready: false, reasons: [STALE_FEED] }]);
  });

  test('all reasons are listed, not only the first', async () => {
    const response = readyResponse(
      readiness({ journal: { state: 'hole', reason: '' }, isStopping: true, stale: STALE }),
    );
    const [status, body] = await answered(response);
    const codes = (body as { reasons: { code: string }[] }).reasons.map(({ code }) => code);
    expect([status, codes]).toEqual([503, ['shutting-down', 'journal-hole']]);
    expect(body).toMatchObject({ warnings: [STALE_FEED] });
  });
});

describe('readiness of a member of a cluster', () => {
  const of = (...status: Parameters<typeof clusterStatus>) => {
    const cluster = { shards: [clusterStatus(...status)], behindMsMax: 2_000 };
    const { reasons, warnings } = readiness({ journal: OK, isStopping: false, cluster });
    return [reasons.map(({ code }) => code), warnings.map(({ code }) => code)];
  };

  test('follows from how long it has lacked events', () => {
    expect(of({ behindMs: 2_000 })).toEqual([[], []]);
    expect(of({ behindMs: 2_001 })).toEqual([['cluster-behind'], []]);
    const cluster = { shards: [clusterStatus({ behindMs: 7_250 })], behindMsMax: 2_000 };
    expect(readiness({ journal: OK, isStopping: false, cluster }).reasons).toEqual([
      {
        code: 'cluster-behind',
        message:
          'this member lacks events of the batch log for 7.3 s; at most 2.0 s are allowed (cluster.behindMsMax)',
      },
    ]);
  });

  test('a log without a leader, and a leader without a log, are warnings', () => {
    expect(of({}, { silentMs: 2_500 })).toEqual([[], ['cluster-no-leader']]);
    expect(of({}, { isConnected: false })).toEqual([[], ['cluster-disconnected']]);
    const late = { state: 'leading', behindMs: 5_000 } as const;
    expect(of(late, { isConnected: false })).toEqual([
      [],
      ['cluster-disconnected', 'cluster-log-behind'],
    ]);
  });

  test('a member that begins again is not ready', () => {
    expect(of({ state: 'lost' })).toEqual([['cluster-lost'], []]);
  });
});

describe('freshness', () => {
  const clock = new ManualClock();
  const seconds = (n: number): number => n * 1e9;
  const feed = (symbol: string, heardAt: Nanos | null) => ({ definition: { symbol }, heardAt });
  const config = (feedStaleMs: number, own: Record<string, number> = {}) => ({
    market: { feedStaleMs, feedStaleIs: 'warning' },
    instruments: Object.entries(own).map(([symbol, ms]) => ({ symbol, feedStaleMs: ms })),
  });

  test('each feed has its own bound or the common one; 0 is never; the longest silent come first', () => {
    const t0 = clock.now();
    const feeds = [feed('A', t0), feed('B', t0.plus(seconds(-5))), feed('NEVER', null)];
    const fresh = new Freshness(() => feeds, clock, config(10_000));
    expect(fresh.stale()).toBeUndefined();
    clock.advance(seconds(6));
    expect(fresh.stale()).toMatchObject({ count: 1, feeds: [{ symbol: 'B' }], isUnready: false });
    clock.advance(seconds(5));
    const since = String(t0);
    expect(fresh.stale()?.feeds).toEqual([
      { symbol: 'B', since: String(t0.plus(seconds(-5))) },
      { symbol: 'A', since },
      { symbol: 'NEVER', since }, // since the start
    ]);
    expect(finished(fresh.figures())).toEqual({ instruments: 3, stale: 3, silenceMsMax: 16_000 });
    fresh.configure(config(10_000, { A: 0, B: 60_000 }));
    expect(fresh.stale()?.feeds.map(({ symbol }) => symbol)).toEqual(['NEVER']);
    fresh.configure(config(0, { A: 1_000 }));
    expect(fresh.stale()?.feeds.map(({ symbol }) => symbol)).toEqual(['A']);
    fresh.configure(config(0));
    expect(fresh.stale()).toBeUndefined();
    expect(finished(fresh.figures())).toMatchObject({ stale: 0, silenceMsMax: 16_000 });
  });

  test('an answer lists a bounded number, and counts all', () => {
    const feeds = Array.from({ length: 1_000 }, (_, i) => feed(`S${i}`, clock.now()));
    const fresh = new Freshness(() => feeds, clock, config(1));
    clock.advance(seconds(1));
    const stale = fresh.stale()!;
    expect([stale.count, stale.feeds.length]).toEqual([1_000, 20]);
  });
});

describe('a real server', () => {
  test('repeated events of a source do not count as fresh, new ones do', async () => {
    const server = await ServerProcess.start({ config: '[market]\nfeedStaleMs = 250\n' });
    const publish = async (seq: number): Promise<void> => {
      const event = trade('SAME', '1.00', '1', { seq, prevSeq: seq - 1 });
      expect((await server.ingest(tape(instrument('SAME'), event))).status).toBe(200);
    };
    const since = async (): Promise<string | undefined> => {
      const [, body] = await ready(server);
      const [warning] = (body['warnings'] ?? []) as { feeds: { since: string }[] }[];
      return warning?.feeds[0]!.since;
    };
    try {
      await publish(7);
      let first = await since();
      for (; first === undefined; first = await since()) await publish(7);
      await publish(7);
      expect(await since()).toBe(first);
      await publish(8);
      const next = await until(async () => {
        const value = await since();
        return value !== first && value;
      }, 'silent since a later time');
      expect(BigInt(next)).toBeGreaterThan(BigInt(first));
    } finally {
      await server.remove();
    }
  });

  const ready = async (server: ServerProcess): Promise<[number, Record<string, unknown>]> => {
    return (await answered(await server.get('/readyz'))) as [number, Record<string, unknown>];
  };

  test('a silent feed is reported until it sends again, and its own bound counts', async () => {
    const server = await ServerProcess.start({
      config: `[market]\nfeedStaleMs = 300\nfeedStaleIs = "not-ready"\n
[[instruments]]\nsymbol = "CALM"\nmarket = "feed"\npriceScale = 2\nquantityScale = 3\nfeedStaleMs = 0\n`,
    });
    try {
      const publish = (): Promise<Response> =>
        server.ingest(
          tape(
            instrument('BUSY'),
            trade('BUSY', '1.00', '1'),
            instrument('CALM', { priceIncrement: '0.01', quantityIncrement: '0.001' }),
            trade('CALM', '1.00', '1'),
          ),
        );
      const before = BigInt(Date.now()) * 1_000_000n;
      expect((await publish()).status).toBe(200);
      let [status, body] = await until(async () => {
        const answer = await ready(server);
        return answer[0] !== 200 && answer;
      }, 'not ready');
      expect([status, body]).toMatchObject([
        503,
        { ready: false, reasons: [{ code: 'feed-stale', count: 1, feeds: [{ symbol: 'BUSY' }] }] },
      ]);
      const [reason] = body['reasons'] as { feeds: { since: string }[] }[];
      expect(BigInt(reason!.feeds[0]!.since) - before).toBeGreaterThan(-1_000_000_000n);
      expect((await server.get('/healthz')).status).toBe(200);
      const text = await (await server.get('/metrics')).text();
      expect(text).toMatch(/^tapedeck_stale_feed_instruments 1$/m);
      // It is silent from its last message on, so each answer may be stale again; one of them is not.
      do {
        await publish();
        [status, body] = await ready(server);
      } while (status !== 200);
      expect(body).toEqual({ ready: true });
    } finally {
      await server.remove();
    }
  });

  test('by default silence neither makes it unready nor is reported', async () => {
    const server = await ServerProcess.start();
    await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
    await Bun.sleep(400);
    expect(await ready(server)).toEqual([200, { ready: true }]);
    await server.remove();
  });

  test('no request is answered before the recovery is complete', async () => {
    const first = await ServerProcess.start();
    const lines = tape(
      instrument('ACME'),
      ...Array.from({ length: 20_000 }, () => trade('ACME', '1.00', '1')),
    );
    expect((await first.ingest(lines)).status).toBe(200);
    await first.stop('SIGKILL');
    const port = new URL(first.url).port;
    let isUp = false;
    const starting = ServerProcess.start({ data: first.data, keys: null, args: ['--port', port] });
    const answers: string[] = [];
    while (!isUp) {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
      if (answer === null) await Bun.sleep(2);
      else {
        const tick = await fetch(`http://127.0.0.1:${port}/v1/tick/ACME`);
        const { volume } = (await tick.json()) as { volume: string };
        answers.push(`${answer.status} ${volume}`);
        isUp = true;
      }
    }
    expect(answers).toEqual(['200 20000.000']);
    const second = await starting;
    expect(await (await second.get('/metrics')).text()).toMatch(
      /^tapedeck_recovery_records [1-9]\d{4}$/m,
    );
    await second.remove();
    await first.remove();
  });
});
