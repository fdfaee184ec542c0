/**
 * Every limit in the table of the documents, against a WebSocket client that exceeds it: the answer has the
 * documented code, the connection is kept where that does no harm, others are not affected, and afterwards service
 * is normal. Limits that a WebSocket cannot exceed are listed, so that none is forgotten.
 */

import { afterEach, expect, setDefaultTimeout, test } from 'bun:test';
import type { TObject } from '@sinclair/typebox';

import { ConfigSchema } from '../../src/config/schema';
import { instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { keyOf, Target } from './target';
import { Watcher } from './watcher';

setDefaultTimeout(120_000);

interface Case {
  readonly limit: string;
  readonly settings: string;
  /** Settings of other sections. */
  readonly more?: string;
  /** Whose key the client presents; by default one with all roles. */
  readonly as?: 'read';
  /** Sends more than the limit allows. */
  readonly flood: (client: StreamClient, target: Target) => Promise<void> | void;
  readonly code: string;
  /** The close code that follows; undefined: the connection is kept. */
  readonly close?: number;
}

const TOPICS = ['trade:ACME', 'book:ACME', 'bbo:ACME', 'tick:ACME', 'bar:ACME:1s', 'bar:ACME:1m'];
const NONE = { from: null, to: null, fromSeq: 1, toSeq: null, speed: 1 };
const ping = (id: number): unknown => ({ type: 'ping', id, time: '1' });
const times = (count: number, make: (i: number) => unknown): unknown[] =>
  Array.from({ length: count }, (_, i) => make(i));

const CASES: readonly Case[] = [
  {
    limit: 'messagesPerSecond',
    settings: 'messagesPerSecond = 50',
    flood: (client) => client.send(...times(90, ping)),
    code: 'limit-reached',
  },
  {
    limit: 'messagesPerSecond',
    settings: 'messagesPerSecond = 20',
    flood: (client) => client.send(...times(500, ping)),
    code: 'limit-reached',
    close: 4020,
  },
  ...(['bytesPerSecond', 'publishBytesPerSecond'] as const).flatMap((limit): Case[] => {
    const sends = (frames: number) => (client: StreamClient) => {
      for (let i = 0; i < frames; i++) client.send(...times(40, ping));
    };
    const both = {
      limit,
      code: 'limit-reached',
      ...(limit === 'bytesPerSecond' && { as: 'read' as const }),
    };
    return [
      { ...both, settings: `${limit} = 4096`, flood: sends(40) },
      { ...both, settings: `${limit} = 2048`, flood: sends(400), close: 4020 },
    ];
  }),
  {
    limit: 'ordersPerSecond',
    settings: 'ordersPerSecond = 5',
    flood: (client) =>
      client.send(
        ...times(60, (id) => ({
          type: 'cancel',
          id,
          symbol: 'DESK',
          orderId: 999,
          clientOrderId: null,
        })),
      ),
    code: 'limit-reached',
  },
  {
    limit: 'topicsMax',
    settings: 'topicsMax = 5',
    flood: (client) => client.send({ type: 'subscribe', id: 1, topics: TOPICS, intervalMs: null }),
    code: 'too-many-topics',
  },
  {
    limit: 'frameBytesMax',
    settings: 'frameBytesMax = 4096',
    flood: (client) => client.raw(client.text ? ' '.repeat(4_097) : new Uint8Array(4_097)),
    code: 'frame-too-large',
    close: 1009,
  },
  ...(['playbacksMax', 'playbacksPerClientMax'] as const).map((limit): Case => ({
    limit,
    settings: `${limit} = 1`,
    flood: async (client, target) => {
      // It takes as long as the recording did, but no single wait is so long that the replay releases its slot.
      const moments = [0, 2, 4, 6].map((s) => ({ eventTime: `1700000000${s}00000000` }));
      await target.ingest(tape(...moments.map((time) => trade('ACME', '1.00', '1', time))));
      const key: Record<string, string> =
        limit === 'playbacksMax' ? {} : { authorization: `Bearer ${keyOf('all')}` };
      const other = await StreamClient.json(target.url, key);
      const start = { type: 'replay', id: 1, action: 'start', topics: ['trade:ACME'], ...NONE };
      other.send(start);
      await other.next('trade');
      client.send(start);
      await client.next('error');
      // Other clients have room.
      const stranger = await StreamClient.json(target.url);
      stranger.send(start);
      if (limit === 'playbacksPerClientMax') await stranger.next('trade');
      await stranger.close();
      await other.close();
    },
    code: limit === 'playbacksMax' ? 'overloaded' : 'limit-reached',
  })),
  {
    limit: 'waitingEventsMax',
    settings: 'waitingEventsMax = 10000\nframeBytesMax = 4194304',
    more: '[push]\nbacklogBytesMax = 16777216',
    flood: (client) =>
      client.send(
        ...times(12, (id) => ({
          type: 'publish',
          id,
          events: times(1_000, () => trade('PREY', '1.00', '0.001')),
        })),
      ),
    code: 'overloaded',
  },
  {
    limit: 'instrumentsMax',
    settings: 'instrumentsMax = 5',
    flood: (client) =>
      client.send(
        ...times(10, (id) => ({
          type: 'publish',
          id,
          events: [instrument(`MORE${id}`)],
          continues: null,
        })),
      ),
    code: 'too-many-instruments',
  },
  {
    limit: 'instrumentsPerKeyMax',
    settings: 'instrumentsPerKeyMax = 3',
    flood: (client) =>
      client.send(
        ...times(10, (id) => ({
          type: 'publish',
          id,
          events: [instrument(`MORE${id}`)],
          continues: null,
        })),
      ),
    code: 'too-many-instruments',
  },
  {
    limit: 'sessionsPerKeyMax',
    settings: 'sessionsPerKeyMax = 1',
    flood: async (client, target) => {
      const first = await StreamClient.json(target.url, {
        authorization: `Bearer ${keyOf('trade')}`,
      });
      client.send({ type: 'hello', version: 1, client: 'one more', key: keyOf('trade') });
      await client.closed;
      await first.settle();
      await first.close();
    },
    code: 'limit-reached',
    close: 4020,
  },
];

/** Limits that are enforced before there is a WebSocket, or only elsewhere. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  sessionsMax: 'the handshake; below',
  sessionsPerAddressMax: 'the handshake; below',
  helloMs: 'below',
  sessionsForKeysPercent: 'test/gateway/strangers.test.ts',
  controlFramesPerSecond: 'test/gateway/control-frames.test.ts',
  workPerSecond: 'test/gateway/reopening.test.ts',
  publishWorkPerSecond: 'publisher.test.ts',
  wrongKeysPerSecond: 'wrong-keys.test.ts',
  levelsMax: 'test/market/levels.test.ts',
  levelsPerKeyMax: 'test/market/levels.test.ts',
  pastBlocksMax: 'cuts, and refuses nothing',
  batchEventsMax: 'paces, and refuses nothing',
  playbackIdleMs: 'yields, and refuses nothing',
  playbackWaitMs: 'test/broadcast/idle-replays.test.ts',
  clientBytesMax: 'memory.test.ts',
  clientBytesPerClientMax: 'memory.test.ts',
  heldBytesMax: 'memory.test.ts',
  endedOrdersMax: 'forgets, and refuses nothing',
  openOrdersPerOwnerMax: 'test/orders/bounds.test.ts',
  openQuantityPerOwnerMax: 'test/orders/bounds.test.ts',
  fillsMax: 'parts, and refuses nothing',
  bookDepthMax: 'REST',
  tradesMax: 'REST',
  barsMax: 'REST',
  pastQueriesMax: 'REST',
  bodyBytesMax: 'REST',
  bodiesBytesMax: 'REST',
  requestSeconds: 'REST',
  requestsPerSecond: 'REST',
  localRequestsPerSecond: 'REST',
  waitingRequestsMax: 'REST',
  waitingRequestsPerClientMax: 'REST',
  pastQueriesPerClientMax: 'REST',
  barTradesMax: 'REST',
};

test('every limit is tested', () => {
  const settings = (ConfigSchema as unknown as TObject).properties['limits'] as TObject;
  const all = Object.keys(settings.properties);
  const known = new Set([...CASES.map(({ limit }) => limit), ...Object.keys(ELSEWHERE)]);
  expect(all.filter((name) => !known.has(name))).toEqual([]);
  expect([...known].filter((name) => !all.includes(name))).toEqual([]);
});

const targets: Target[] = [];
afterEach(async () => {
  for (const target of targets.splice(0)) await target.remove();
});

async function given(settings: string, more = ''): Promise<Target> {
  const venue = '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n';
  const target = await Target.start({ config: `${more}\n[limits]\n${settings}\n${venue}` });
  targets.push(target);
  return target;
}

test.each(CASES.map((c) => [c.settings.replace('\n', ', '), c] as const))('%s', async (_, c) => {
  const target = await given(c.settings, c.more);
  await target.ingest(tape(instrument('ACME'), instrument('PREY')));
  const witness = await Watcher.open(target.url, 'msgpack', 'witness');
  await witness.subscribe(['trade:ACME']);
  for (const form of FORMS) {
    const client = await StreamClient.open(target.url, form, {
      authorization: `Bearer ${keyOf(c.as ?? 'all')}`,
    });
    await c.flood(client, target);
    const isIt = (m: Seen): boolean => m.type === 'error' && m['code'] === c.code;
    expect(await client.find(isIt)).toMatchObject({ code: c.code });
    if (c.close === undefined) await served(client);
    else expect((await client.closed).code).toBe(c.close);
    if (client.ended === undefined) await client.close();
    // Others were not affected, and a new client is served.
    await target.ingest(tape(trade('ACME', '1.00', '0.001')));
    await witness.settle();
    expect([witness.isOpen, witness.complaints]).toEqual([true, []]);
    const next = await StreamClient.open(target.url, form);
    expect((await next.subscribe('trade:ACME')).at(-1)).toMatchObject({ type: 'ack' });
    await next.close();
  }
  expect(target.defects).toEqual([]);
});

/** Waits until a request on the same connection is served again. */
async function served(client: StreamClient): Promise<void> {
  for (let id = 1_000; id < 1_400; id++) {
    const at = client.seen.length;
    client.send({ type: 'subscribe', id, topics: ['trade:ACME'], intervalMs: null });
    const answer = await client.find(
      (m) => m['id'] === id || (m.type === 'error' && m['id'] === null),
      at,
    );
    if (answer.type === 'ack') return;
    await Bun.sleep(50);
  }
  throw new Error('the connection is not served any more');
}

test.each([
  ['sessionsMax = 2', 503, 'overloaded'],
  ['sessionsPerAddressMax = 2', 429, 'limit-reached'],
])(
  '%s: a flood of handshakes is refused, and there is room again when one has gone',
  async (settings, status, code) => {
    const target = await given(settings);
    await target.ingest(tape(instrument('ACME')));
    const first = await Watcher.open(target.url, 'msgpack');
    await first.subscribe(['trade:ACME']);
    const second = await StreamClient.open(target.url);
    const upgrade = {
      'upgrade': 'websocket',
      'connection': 'Upgrade',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version': '13',
    };
    const refusals = await Promise.all(
      times(100, () =>
        fetch(`${target.url}/v1/stream`, { headers: upgrade }),
      ) as Promise<Response>[],
    );
    for (const response of refusals) {
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ error: { code } });
    }
    await second.close();
    const third = await StreamClient.open(target.url);
    await third.settle();
    await target.ingest(tape(trade('ACME', '1.00', '0.001')));
    await first.settle();
    expect([first.isOpen, first.complaints]).toEqual([true, []]);
  },
);

test('helloMs = 300: a client that presents no key in time is closed, however much it sends', async () => {
  const target = await given('helloMs = 300', '[auth]\nrequireKey = true');
  const good = await StreamClient.open(target.url, undefined, {
    authorization: `Bearer ${keyOf('read')}`,
  });
  const strangers = await Promise.all(FORMS.map((form) => StreamClient.open(target.url, form)));
  const talk = setInterval(() => strangers.forEach((s) => s.send(ping(1))), 50);
  for (const stranger of strangers) expect((await stranger.closed).code).toBe(4001);
  clearInterval(talk);
  await good.settle();
});
