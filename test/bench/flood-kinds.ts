/**
 * The floods of the bench `flood`: what a hostile client sends, and how much of it. Of what has a limit
 * a second, five times the limit; else what a single client would hardly ever ask for.
 */

import { FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { settings } from './generated-market';
import { clientFrame, OPCODE } from './ws-frames';

/** Where the server stands when it begins. */
export interface Place {
  readonly epoch: number;
  readonly seq: number;
}

export interface Flood {
  /** What is sent, over and over. */
  unit(place: Place): Buffer;
  /** How many of its things are in a unit. */
  readonly of: number;
  readonly perSecond: number;
  /** `stream`: on a WebSocket; `http`: requests one behind the other; `brief`: each on a WebSocket of its own. */
  readonly on: 'stream' | 'http' | 'brief';
  /** Of `http`: the path. */
  readonly asks?: string;
}

export const FLOOD_SYMBOLS: readonly string[] = Array.from({ length: 50 }, (_, i) => `SYM${i}`);
export const FLOOD_VENUE = 'ACME';

const OVER = 5;
const { messagesPerSecond, publishBytesPerSecond, ordersPerSecond } = settings().limits;
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

function get(asks: string): Pick<Flood, 'unit' | 'of' | 'on' | 'asks'> {
  const request = Buffer.from(`GET ${asks} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return { unit: () => request, of: 1, on: 'http', asks };
}

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
const nothing = { from: null, to: null, toSeq: null, speed: null } as const;

export const FLOODS: Readonly<Record<string, Flood>> = {
  // What the machine makes of no flood at all: the others are to be seen beside it.
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
    perSecond: OVER * publishBytesPerSecond,
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
  },
  'malformed frames': {
    unit: () => clientFrame(OPCODE.binary, new Uint8Array(100).fill(0xc1)),
    of: 1,
    perSecond: 10_000,
    on: 'stream',
  },
  'REST ticks': { ...get('/v1/tick/SYM0'), perSecond: 5_000 },
  // One behind the other: a second one before the answer ends the connection.
  'REST history': { ...get('/v1/ticks/SYM0?limit=1000'), perSecond: 100 },
  'connections': { unit: () => frame(ping), of: 1, perSecond: 500, on: 'brief' },
  'resumes': {
    unit: ({ epoch, seq }) => frame({ type: 'resume', id: 1, epoch, seq: Math.max(0, seq - BACK), topics, newest: null }), // prettier-ignore
    of: 1,
    perSecond: 50,
    on: 'brief',
  },
  'replays': {
    unit: ({ seq }) => frame({ type: 'replay', id: 1, action: 'start', topics, fromSeq: Math.max(1, seq - BACK), ...nothing }), // prettier-ignore
    of: 1,
    perSecond: 50,
    on: 'brief',
  },
};
