/**
 * The source of the push cases: a process that publishes a generated market to servers, evenly paced.
 * What it sends is encoded beforehand, so that it takes little of the machine. Each server gets the
 * same market from its beginning; a job goes on where the one before on that server has ended.
 */

import { decodeFrame, FrameEncoder, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { SystemClock } from '../../src/base/clock';
import { generateMarket } from './generated-market';
import { SYMBOLS } from './journal-rows';

export interface SourceJob {
  readonly url: string;
  readonly eventsPerSecond: number;
  /** Of one frame. */
  readonly events: number;
  readonly durationMs: number;
  /** Of all jobs for a server. */
  readonly eventsMax: number;
}

export interface SourceDone {
  readonly events: number;
  /** The longest that a frame was sent behind its time. */
  readonly lateMs: number;
}

interface Feed {
  readonly socket: WebSocket;
  next: number;
}

let frames: Uint8Array<ArrayBuffer>[] = [];
const feeds = new Map<string, Feed>();

function makeFrames({ events, eventsMax }: SourceJob): void {
  const start = new SystemClock().now();
  const market = generateMarket({ symbols: SYMBOLS, events: eventsMax, seed: 3, start });
  const encoder = new FrameEncoder();
  // Definitions and snapshots in a frame of their own.
  const first = SYMBOLS.length * 2;
  frames = [encoder.encode([{ type: 'publish', id: 0, events: market.slice(0, first) }])];
  for (let i = first; i < market.length; i += events) {
    const some = market.slice(i, i + events);
    frames.push(encoder.encode([{ type: 'publish', id: frames.length, events: some }]));
  }
}

async function openFeed(url: string): Promise<Feed> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, [SUBPROTOCOL_MSGPACK]);
  socket.binaryType = 'arraybuffer';
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  socket.onmessage = ({ data }): void => {
    for (const message of decodeFrame(new Uint8Array(data as ArrayBuffer))) {
      if ('type' in message && message.type === 'error') throw new Error(message.message);
    }
  };
  socket.send(frames[0]!);
  return { socket, next: 1 };
}

async function run(job: SourceJob): Promise<void> {
  if (frames.length === 0) makeFrames(job);
  const feed = feeds.get(job.url) ?? (await openFeed(job.url));
  feeds.set(job.url, feed);
  const everyMs = (job.events * 1000) / job.eventsPerSecond;
  const count = Math.floor(job.durationMs / everyMs);
  const startMs = performance.now();
  let lateMs = 0;
  for (let i = 0; i < count;) {
    const nowMs = performance.now();
    for (; i < count && startMs + i * everyMs <= nowMs; i++) {
      lateMs = Math.max(lateMs, nowMs - (startMs + i * everyMs));
      feed.socket.send(frames[feed.next++]!);
    }
    await Bun.sleep(Math.max(0, startMs + i * everyMs - performance.now()));
  }
  process.send!({ events: count * job.events, lateMs } satisfies SourceDone);
}

process.on('message', (job: SourceJob) => void run(job));
process.on('disconnect', () => process.exit(0));
