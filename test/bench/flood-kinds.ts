/**
 * The floods of the bench `flood`: what a hostile client sends, and how much. Where there is a limit a second, it
 * sends five times the limit; otherwise what a single client would hardly ever ask for.
 */

import { FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { settings } from './generated-market';
import { testKey, type TestKey } from '../support/tapedeck-process';
import { bearer, clientFrame, OPCODE } from './ws-frames';

/** The position of the server at the beginning. */
export interface Position {
  readonly epoch: number;
  readonly seq: number;
}

export interface Flood {
  /** What is sent repeatedly. */
  unit(position: Position): Buffer;
  /** How many requests or frames are in a unit. */
  readonly of: number;
  readonly perSecond: number;
  /** `stream`: on a WebSocket; `http`: requests one after the other; `brief`: each on its own WebSocket. */
  readonly on: 'stream' | 'http' | 'brief';
  /** For `http`: the path. */
  readonly asks?: string;
  /** For `stream`: what a connection sends first. */
  readonly opening?: Buffer;
  /** The key that it presents, if any. */
  readonly key?: string;
  /** How many connections share what is sent; by default one. */
  readonly connections?: number;
}

export const FLOOD_SYMBOLS: readonly string[] = Array.from({ length: 50 }, (_, i) => `SYM${i}`);
export const FLOOD_VENUE = 'ACME';
/** The key of the readers' source, and keys of hostile clients; a client without one may only read. */
export const FLOOD_KEYS: readonly TestKey[] = [
  { name: 'feed', roles: ['publish'] },
  { name: 'trader', roles: ['trade'] },
  { name: 'recorder', roles: ['publish'] },
];
const TRADER = testKey('trader');
const RECORDER = testKey('recorder');

const OVER = 5;
const { messagesPerSecond, bytesPerSecond, ordersPerSecond } = settings().limits;
/** A frame of this length has a head of eight bytes. */
const LARGE_BYTES = 60_000;
const BACK = 60_000;
const topics = FLOOD_SYMBOLS.map((symbol) => `tick:${symbol}`);

function frame(...messages: Message[]): Buffer {
  return clientFrame(OPCODE.binary, Uint8Array.from(new FrameEncoder().encode(messages)));
}

function times(count: number, ...messages: Message[]): Message[] {
  return Array.from({ length: count }, () => messages).flat();
}

function get(asks: string, key = ''): Pick<Flood, 'unit' | 'of' | 'on' | 'asks' | 'key'> {
  const request = Buffer.from(`GET ${asks} HTTP/1.1\r\nHost: localhost\r\n${bearer(key)}\r\n`);
  return { unit: () => request, of: 1, on: 'http', asks, key };
}

function post(
  path: string,
  body: Buffer,
  { bytes = body.length, key = '' } = {},
): Pick<Flood, 'unit' | 'of' | 'on'> {
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${bearer(key)}Content-Length: ${bytes}\r\n\r\n`;
  const request = Buffer.concat([Buffer.from(head), body]);
  return { unit: () => request, of: 1, on: 'http' };
}

/** A number of frames that only the WebSocket layer handles. */
function control(count: number, opcode: number, isLast = true): Buffer {
  const one = clientFrame(opcode, new Uint8Array());
  if (!isLast) one[0]! &= 0x7f;
  return Buffer.concat(Array.from({ length: count }, () => one));
}

const CONTINUATION = 0;
const CONTROL_FRAMES = 1_000;
const FEED_BYTES = 4_000_000;
const ping: Message = { type: 'ping', id: 1, time: Nanos.ZERO };
const subscribe: Message = { type: 'subscribe', id: 1, topics, intervalMs: null };
const unsubscribe: Message = { type: 'unsubscribe', id: 1, topics };
const order: Message = {
  type: 'order',
  id: 1,
  symbol: FLOOD_VENUE,
  clientOrderId: '',
  side: 'buy',
  kind: 'limit',
  timeInForce: 'ioc',
  postOnly: false,
  price: 9_000,
  quantity: 1,
};
const wild: Message = { type: 'subscribe', id: 1, topics: ['tick:*'], intervalMs: null };
const unwild: Message = { type: 'unsubscribe', id: 1, topics: ['tick:*'] };
const stranger = Buffer.from(
  `GET /v1/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer tk_000000000000_${'A'.repeat(43)}\r\n\r\n`,
);
const nothing = { from: null, to: null, toSeq: null, speed: null } as const;

export const FLOODS: Readonly<Record<string, Flood>> = {
  // What the machine does without any flood: the others are compared with it.
  'nothing': { unit: () => frame(ping), of: 1, perSecond: 0, on: 'stream' },
  'messages': {
    unit: () => frame(...times(100, ping)),
    of: 100,
    perSecond: OVER * messagesPerSecond,
    on: 'stream',
  },
  'bytes': {
    unit: () => clientFrame(OPCODE.binary, new Uint8Array(LARGE_BYTES)),
    of: LARGE_BYTES,
    perSecond: OVER * bytesPerSecond,
    on: 'stream',
  },
  'subscriptions': {
    unit: () => frame(subscribe, unsubscribe),
    of: 2,
    perSecond: 2_000,
    on: 'stream',
  },
  'orders': {
    unit: () => frame(...times(10, order)),
    of: 10,
    perSecond: OVER * ordersPerSecond,
    on: 'stream',
    key: TRADER,
  },
  'malformed frames': {
    unit: () => clientFrame(OPCODE.binary, new Uint8Array(100).fill(0xc1)),
    of: 1,
    perSecond: 10_000,
    on: 'stream',
  },
  'REST ticks': { ...get('/v1/tick/SYM0'), perSecond: 5_000 },
  // One after the other: a second request before the answer ends the connection.
  'REST history': { ...get('/v1/ticks/SYM0?limit=1000'), perSecond: 100 },
  'connections': { unit: () => frame(ping), of: 1, perSecond: 500, on: 'brief' },
  'resumes': {
    unit: ({ epoch, seq }) =>
      frame({
        type: 'resume',
        id: 1,
        epoch,
        seq: Math.max(0, seq - BACK),
        topics,
        newest: null,
        positions: null,
      }),
    of: 1,
    perSecond: 50,
    on: 'brief',
  },
  'replays': {
    unit: ({ seq }) =>
      frame({
        type: 'replay',
        id: 1,
        action: 'start',
        topics,
        fromSeq: Math.max(1, seq - BACK),
        ...nothing,
        shard: null,
      }),
    of: 1,
    perSecond: 50,
    on: 'brief',
  },
  'empty frames': {
    unit: () =>
      Buffer.concat(
        Array.from({ length: CONTROL_FRAMES }, () =>
          clientFrame(OPCODE.binary, Uint8Array.of(0x90)),
        ),
      ),
    of: CONTROL_FRAMES,
    perSecond: 1_000_000,
    on: 'stream',
  },
  'pings': {
    unit: () => control(CONTROL_FRAMES, OPCODE.ping),
    of: CONTROL_FRAMES,
    perSecond: 1_000_000,
    on: 'stream',
  },
  'pongs': {
    unit: () => control(CONTROL_FRAMES, OPCODE.pong),
    of: CONTROL_FRAMES,
    perSecond: 1_000_000,
    on: 'stream',
  },
  // About what a gigabit connection carries; the server is not called for any of them.
  'empty fragments': {
    opening: control(1, OPCODE.binary, false),
    unit: () => control(10 * CONTROL_FRAMES, CONTINUATION, false),
    of: 10 * CONTROL_FRAMES,
    perSecond: 20_000_000,
    on: 'stream',
  },
  'twenty busy connections': {
    unit: () => frame(...times(100, ping)),
    of: 100,
    perSecond: 20 * messagesPerSecond,
    on: 'stream',
    connections: 20,
  },
  'subscriptions to everything': {
    unit: () => frame(wild, unwild),
    of: 2,
    perSecond: 1_000,
    on: 'stream',
  },
  'REST metrics': { ...get('/metrics'), perSecond: 200 },
  'REST instruments': { ...get('/v1/instruments'), perSecond: 200 },
  'REST orders': { ...get('/v1/orders?limit=1000', TRADER), perSecond: 1_000 },
  'REST trades of the past': { ...get('/v1/trades/SYM0?limit=1000&next=50000'), perSecond: 50 },
  'REST bars': { ...get('/v1/bars/SYM0?interval=1m&limit=1000'), perSecond: 50 },
  'keys that are none': { unit: () => stranger, of: 1, perSecond: 5_000, on: 'http' },
  'line feeds': {
    ...post('/v1/ingest', Buffer.alloc(FEED_BYTES, '\n'), { key: RECORDER }),
    perSecond: 10,
  },
  'bodies without the role': {
    ...post('/v1/admin/instruments', Buffer.alloc(LARGE_BYTES, ' '), { bytes: 16_000_000 }),
    perSecond: 500,
  },
};
