/**
 * The reader of the push cases: a process subscribed to ticks, trades and books of all instruments of
 * a server over a real socket. Latency is from the time that the server stamped on what it received
 * to the arrival of the frame here; both are wall time carried on by the monotonic clock.
 */

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { percentile } from './harness';

export interface ReaderJob {
  readonly url: string;
  /** Begins and ends a measurement, or gives the figures of all of them together. */
  readonly act: 'begin' | 'end' | 'sum';
}

export interface ReaderDone {
  readonly messages: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

interface Reading {
  isOn: boolean;
  samples: number[];
  readonly all: number[];
}

const readings = new Map<string, Reading>();

async function open(url: string): Promise<Reading> {
  const reading: Reading = { isOn: false, samples: [], all: [] };
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, [SUBPROTOCOL_MSGPACK]);
  socket.binaryType = 'arraybuffer';
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  const topics = ['tick:*', 'trade:*', 'book:*'];
  socket.onmessage = ({ data }): void => {
    const nowMs = performance.timeOrigin + performance.now();
    for (const message of decodeFrame(new Uint8Array(data as ArrayBuffer))) {
      if (isFault(message)) throw new Error(message.message);
      if (!reading.isOn) continue;
      const { type } = message;
      if (type !== 'tick' && type !== 'trade' && type !== 'book') continue;
      const { receiveTime } = message;
      const sentMs = receiveTime.seconds * 1000 + receiveTime.nanosOfSecond / 1e6;
      reading.samples.push(nowMs - sentMs);
    }
  };
  const request = { type: 'subscribe', id: 1, topics, intervalMs: null } as const;
  socket.send(new FrameEncoder().encode([request]));
  readings.set(url, reading);
  return reading;
}

function figures(samples: readonly number[]): ReaderDone {
  const sorted = Float64Array.from(samples).sort();
  const at = (percent: number): number => percentile(sorted, percent);
  return { messages: sorted.length, p50: at(50), p99: at(99), p999: at(99.9), max: at(100) };
}

async function run({ url, act }: ReaderJob): Promise<void> {
  const reading = readings.get(url) ?? (await open(url));
  let done = figures([0]);
  if (act === 'begin') {
    reading.samples = [];
    reading.isOn = true;
  } else if (act === 'end') {
    reading.isOn = false;
    done = figures(reading.samples);
    for (const sample of reading.samples) reading.all.push(sample);
  } else {
    done = figures(reading.all);
  }
  process.send!(done);
}

process.on('message', (job: ReaderJob) => void run(job));
process.on('disconnect', () => process.exit(0));
