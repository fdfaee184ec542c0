/** The resumers of the bench `resume-storm`: each connects, resumes, receives what it missed, and leaves. */

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { percentile } from './harness';
import { topicsOf } from './spread';

export interface StormJob {
  readonly url: string;
  readonly topics: readonly string[];
  /** 0: none connect. */
  readonly perSecond: number;
  /** How many seqs back they resume from. */
  readonly back: number;
  readonly durationMs: number;
}

export interface StormDone {
  readonly resumedPerSecond: number;
  readonly messagesPerSecond: number;
  readonly resets: number;
  /** From the request to its answer, in ms. */
  readonly p50: number;
  readonly p99: number;
}

const encoder = new FrameEncoder();

async function storm(job: StormJob): Promise<StormDone> {
  const waits: number[] = [];
  const sum = { messages: 0, resets: 0 };
  const under: Promise<void>[] = [];
  const startMs = performance.now();
  for (let i = 0; job.perSecond > 0; i++) {
    const dueMs = startMs + (i * 1000) / job.perSecond;
    if (dueMs > startMs + job.durationMs) break;
    await Bun.sleep(Math.max(0, dueMs - performance.now()));
    under.push(resume(job, topicsOf(job.topics, i), waits, sum));
  }
  await Promise.all(under);
  const seconds = Math.max(1e-3, (performance.now() - startMs) / 1000);
  const sorted = waits.toSorted((a, b) => a - b);
  const at = (percent: number): number => (sorted.length === 0 ? 0 : percentile(sorted, percent));
  return {
    resumedPerSecond: waits.length / seconds,
    messagesPerSecond: sum.messages / seconds,
    resets: sum.resets,
    p50: at(50),
    p99: at(99),
  };
}

function resume(
  { url, back }: StormJob,
  topics: string[],
  waits: number[],
  sum: { messages: number; resets: number },
): Promise<void> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, [SUBPROTOCOL_MSGPACK]);
  socket.binaryType = 'arraybuffer';
  let askedMs = 0;
  const take = (m: Message): void => {
    if (m.type === 'welcome') {
      askedMs = performance.now();
      const seq = Math.max(0, m.seq - back);
      socket.send(
        encoder.encode([
          { type: 'resume', id: 1, epoch: m.epoch, seq, topics, newest: null, positions: null },
        ]),
      );
    } else if (m.type === 'ack') {
      waits.push(performance.now() - askedMs);
      socket.close();
    } else if (m.type === 'reset') sum.resets += 1;
    else if (m.type === 'tick') sum.messages += 1;
  };
  return new Promise((resolve, reject) => {
    socket.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => {
      for (const m of decodeFrame(new Uint8Array(data))) {
        if (isFault(m) || m.type === 'error') reject(new Error(m.message));
        else take(m);
      }
    });
    socket.addEventListener('close', () => resolve());
  });
}

async function run(job: StormJob): Promise<void> {
  process.send!(await storm(job));
}

process.on('message', (job: StormJob) => void run(job));
process.on('disconnect', () => process.exit(0));
