/** Answers are compressed for clients that accept it, and have the same content. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';

import { codingOf, Compression } from '../../src/gateway/rest/compression';
import { book, instrument, tape, trade } from '../support/feed';
import { readSeed } from '../support/seed';
import { PUBLISH_KEY, ServerProcess, TRADE_KEY } from '../support/tapedeck-process';

const DECODERS = { zstd: zstdDecompressSync, br: brotliDecompressSync, gzip: gunzipSync } as const;

describe('which codings a client accepts', () => {
  test.each([
    [null, null],
    ['', null],
    ['identity', null],
    ['gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip, deflate, br', 'br'],
    ['gzip;q=1.0, br;q=0.5, zstd;q=0.1', 'gzip'],
    ['br;q=0, gzip', 'gzip'],
    ['br; q=0.000, gzip ; q=0.001', 'gzip'],
    ['gzip;q=0', null],
    ['*', 'zstd'],
    ['*;q=0', null],
    ['zstd;q=0, *', 'br'],
    ['deflate, snappy', null],
    ['gzip;q=nonsense', null],
    ['gzip;q=2', null],
    [',,;;,gzip', 'gzip'],
  ])('%j: %j', (accepted, coding) => {
    expect(codingOf(accepted)).toBe(coding as ReturnType<typeof codingOf>);
  });

  test('any header text can be parsed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (accepted) => {
        expect([null, 'zstd', 'br', 'gzip']).toContain(codingOf(accepted));
      }),
      { seed: readSeed(), numRuns: 2_000 },
    );
  });
});

test('answers beyond the limit of parallel compressions are sent uncompressed, and none is lost', async () => {
  const compression = new Compression();
  const body = JSON.stringify(Array.from({ length: 5_000 }, (_, i) => i));
  const headers = { 'accept-encoding': 'gzip' };
  const asked = Array.from({ length: 40 }, () =>
    compression.of(new Request('http://x/', { headers }), body, new Response(body)),
  );
  const codings: (string | null)[] = [];
  for (const response of await Promise.all(asked)) {
    const coding = response.headers.get('content-encoding');
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect(new TextDecoder().decode(coding === null ? bytes : gunzipSync(bytes))).toBe(body);
    expect(response.headers.get('vary')).toBe('accept-encoding');
    codings.push(coding);
  }
  expect(codings.filter((coding) => coding === 'gzip')).toHaveLength(8);
  const after = await compression.of(
    new Request('http://x/', { headers }),
    body,
    new Response(body),
  );
  expect(after.headers.get('content-encoding')).toBe('gzip');
});

describe('over REST', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    server = await ServerProcess.start();
    const trades = Array.from({ length: 200 }, (_, i) => trade('ACME', `${i + 1}.00`, '1'));
    const bids = Array.from({ length: 200 }, (_, i) => [`${1_000 - i}.00`, '1'] as const);
    const deep = book('ACME', 'snapshot', bids, []);
    expect((await server.ingest(tape(instrument('ACME'), ...trades, deep))).status).toBe(200);
  });
  afterAll(() => server.remove());

  const LONG = [
    '/v1/trades/ACME?limit=150',
    '/v1/ticks/ACME?from=0&limit=150',
    '/v1/orderbook/ACME?depth=150',
    '/openapi.json',
    '/metrics',
  ];

  async function raw(
    path: string,
    coding: string,
  ): Promise<{ headers: Headers; bytes: Uint8Array<ArrayBuffer>; status: number }> {
    const init = { headers: { 'accept-encoding': coding }, decompress: false };
    const response = await server.get(path, init);
    const { headers, status } = response;
    return { headers, status, bytes: new Uint8Array(await response.arrayBuffer()) };
  }

  test.each(
    LONG.flatMap((path) => (['zstd', 'br', 'gzip'] as const).map((c) => [path, c] as const)),
  )('%s as %s', async (path, coding) => {
    const plain = await raw(path, 'identity');
    const packed = await raw(path, coding);
    expect([plain.status, packed.status]).toEqual([200, 200]);
    expect(packed.headers.get('content-encoding')).toBe(coding);
    expect(packed.bytes.length).toBeLessThan(plain.bytes.length / 2);
    for (const name of ['content-type', 'cache-control', 'x-content-type-options', 'vary']) {
      expect([name, packed.headers.get(name)]).toEqual([name, plain.headers.get(name)]);
    }
    expect(plain.headers.get('vary')).toBe('accept-encoding');
    expect(plain.headers.get('content-encoding')).toBeNull();
    const text = new TextDecoder().decode(DECODERS[coding](packed.bytes));
    if (path === '/metrics') return expect(text).toContain('tapedeck_info');
    const stable = (json: string): unknown => ({ ...(JSON.parse(json) as object), ageMs: 0 });
    expect(stable(text)).toEqual(stable(new TextDecoder().decode(plain.bytes)));
  });

  test('short answers are not compressed', async () => {
    for (const path of ['/v1/tick/ACME', '/v1/stats/ACME', '/healthz', '/v1/tick/NONE']) {
      const { headers } = await raw(path, 'gzip, br, zstd');
      expect([path, headers.get('content-encoding')]).toEqual([path, null]);
    }
  });

  test('an answer for a single client; a compressed answer is counted once', async () => {
    const headers = { 'authorization': `Bearer ${TRADE_KEY}`, 'accept-encoding': 'gzip' };
    expect((await server.get('/v1/orders', { headers })).status).toBe(200);
    const refused = await server.get('/v1/orders', {
      headers: { authorization: `Bearer ${PUBLISH_KEY}` },
    });
    expect(refused.status).toBe(403);
    await (await server.get('/v1/instruments', { headers })).text();
    const metrics = await (await server.get('/metrics')).text();
    expect(/rest_requests_total\{[^}]*status="101"/.test(metrics)).toBe(false);
    expect(metrics).toMatch(
      /rest_requests_total\{route="GET \/v1\/trades\/:symbol",status="200"\} [1-9]/,
    );
  });
});
