/**
 * The source of the push cases: a process that publishes a generated market to servers, evenly paced. What it sends
 * is encoded beforehand, so that it costs little. Each server gets the same market from its beginning; a job
 * continues where the previous one on that server ended.
 */

import { decodeFrame, FrameEncoder, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { burstsOf, symbolsOf, type BurstShape } from './push-bursts';

export interface SourceJob extends BurstShape {
  readonly url: string;
  readonly eventsPerSecond: number;
  readonly durationMs: number;
  /** A key that may publish, for servers that need one. */
  readonly key?: string;
}

export interface SourceDone {
  readonly events: number;
  /** The longest delay of a frame behind its schedule. */
  readonly lateMs: number;
}

interface Feed {
  readonly socket: WebSocket;
  next: number;
}

let frames: Uint8Array<ArrayBuffer>[] = [];
const feeds = new Map<string, Feed>();

function makeFrames(job: SourceJob): void {
  const encoder = new FrameEncoder();
  frames = burstsOf(job).map((events, id) =>
    encoder.encode([{ type: 'publish', id, events, continues: null }]),
  );
}

async function openFeed(job: SourceJob): Promise<Feed> {
  const { url, key } = job;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, {
    protocols: [SUBPROTOCOL_MSGPACK],
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
  });
  socket.binaryType = 'arraybuffer';
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  const next = symbolsOf(job).length;
  const defined = new Promise<void>((resolve) => {
    socket.onmessage = ({ data }): void => {
      for (const message of decodeFrame(new Uint8Array(data as ArrayBuffer))) {
        if (!('type' in message)) throw new Error(message.message);
        if (message.type === 'error') throw new Error(message.message);
        if (message.type === 'ack' && message.id === next - 1) resolve();
      }
    };
  });
  for (const frame of frames.slice(0, next)) socket.send(frame);
  await defined;
  return { socket, next };
}

async function run(job: SourceJob): Promise<void> {
  if (frames.length === 0) makeFrames(job);
  const feed = feeds.get(job.url) ?? (await openFeed(job));
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
