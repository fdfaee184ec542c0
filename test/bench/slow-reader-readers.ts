/**
 * Readers of the bench `slow-reader`: a process with some that keep up, or with some that read a limited number of
 * bytes a second. Each is on ticks, trades and book of one instrument. Age is from the time that the server wrote
 * into a message on receipt to the time when the reader reads it; both are wall time.
 */

import { constants, setPriority } from 'node:os';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { percentile } from './harness';
import { SYMBOLS } from './journal-rows';
import { PacedSocket } from './slow-reader-socket';

/** `enter` opens the readers; `begin` and `end` delimit a measurement; `leave` closes them. */
export type ReadersJob =
  | {
      readonly act: 'enter';
      readonly url: string;
      readonly count: number;
      /** null: without a limit. */
      readonly bytesPerSecond: number | null;
    }
  | { readonly act: 'begin' }
  | {
      readonly act: 'end';
      /** For each session, the wall time at which the server recognised it as slow; null: everything is measured. */
      readonly sinceMs: Readonly<Record<string, number>> | null;
    }
  | { readonly act: 'leave' };

export interface Ages {
  readonly messages: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface ReadersDone {
  /** Sessions of these readers. */
  readonly names: readonly string[];
  readonly all: Ages;
  readonly trade: Ages;
  /** Ticks and books. */
  readonly state: Ages;
  /** Like those, but after everything was read that was in flight when the session was recognised as slow. */
  readonly laterTrade: Ages;
  readonly laterState: Ages;
  /** Trades that gaps declared; sessions that were closed. */
  readonly missed: number;
  readonly closed: number;
  /** For each session, the longest time between two messages of ticks or books, in ms. */
  readonly silenceMs: number;
  readonly bytesRead: number;
}

/** One frame in this many is decoded, so that readers that keep up cost little. */
const FRAMES_PER_SAMPLE = 8;
/** What was in flight is read within this time. */
const LATER_MS = 4_000;
const KINDS = ['trade', 'tick', 'book'];

let isOn = false;

class Reader {
  name = '';
  missed = 0;
  isReady = false;
  isClosed = false;
  /** Flat: time of reading, age, kind. */
  samples: number[] = [];
  end: () => void = () => {};

  readonly take = (m: Message): void => {
    if (m.type === 'welcome') this.name = m.session;
    else if (m.type === 'ack') this.isReady = true;
    else if (m.type === 'gap') this.missed += m.count;
    if (!isOn || (m.type !== 'tick' && m.type !== 'trade' && m.type !== 'book')) return;
    const nowMs = performance.timeOrigin + performance.now();
    const { seconds, nanosOfSecond } = m.receiveTime;
    this.samples.push(nowMs, nowMs - seconds * 1000 - nanosOfSecond / 1e6, KINDS.indexOf(m.type));
  };
}

let readers: Reader[] = [];
let slow: PacedSocket[] = [];

function topicsOf(i: number): string[] {
  const symbol = SYMBOLS[i % SYMBOLS.length]!;
  return [`tick:${symbol}`, `trade:${symbol}`, `book:${symbol}`];
}

function openSlow(url: string, i: number, bytesPerSecond: number): Reader {
  const reader = new Reader();
  const socket = new PacedSocket(url, bytesPerSecond, reader.take);
  reader.end = (): void => socket.end();
  socket.subscribe(topicsOf(i));
  slow.push(socket);
  return reader;
}

function openQuick(url: string, i: number): Reader {
  const reader = new Reader();
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, [SUBPROTOCOL_MSGPACK]);
  socket.binaryType = 'arraybuffer';
  socket.onopen = (): void => {
    const request = { type: 'subscribe', id: 1, topics: topicsOf(i), intervalMs: null } as const;
    socket.send(new FrameEncoder().encode([request]));
  };
  socket.onclose = (): void => void (reader.isClosed = true);
  reader.end = (): void => socket.close();
  let frames = i;
  socket.onmessage = ({ data }): void => {
    if (reader.isReady && ++frames % FRAMES_PER_SAMPLE !== 0) return;
    for (const message of decodeFrame(new Uint8Array(data as ArrayBuffer))) {
      if (isFault(message)) throw new Error(message.message);
      reader.take(message);
    }
  };
  return reader;
}

async function enter(job: Extract<ReadersJob, { act: 'enter' }>): Promise<void> {
  const { url, count, bytesPerSecond } = job;
  // Slow readers stand for other machines: they must not take this one from the server.
  if (bytesPerSecond !== null) setPriority(constants.priority.PRIORITY_LOW);
  for (let i = 0; i < count; i++) {
    readers.push(bytesPerSecond === null ? openQuick(url, i) : openSlow(url, i, bytesPerSecond));
  }
  while (!readers.every(({ isReady }) => isReady)) await Bun.sleep(5);
}

function figures(samples: readonly number[]): Ages {
  const sorted = Float64Array.from(samples).sort();
  const at = (percent: number): number => (sorted.length === 0 ? 0 : percentile(sorted, percent));
  return { messages: sorted.length, p50: at(50), p99: at(99), max: at(100) };
}

function report(sinceMs: Readonly<Record<string, number>> | null): ReadersDone {
  const ages: number[][] = KINDS.map(() => []);
  const later: number[][] = KINDS.map(() => []);
  let silenceMs = 0;
  for (const { name, samples } of readers) {
    const fromMs = sinceMs === null ? 0 : (sinceMs[name] ?? Infinity);
    let stateMs = fromMs;
    for (let i = 0; i < samples.length; i += 3) {
      const [atMs, ageMs, kind] = [samples[i]!, samples[i + 1]!, samples[i + 2]!];
      if (atMs < fromMs) continue;
      ages[kind]!.push(ageMs);
      if (atMs > fromMs + LATER_MS) later[kind]!.push(ageMs);
      if (kind === 0) continue;
      if (stateMs > 0) silenceMs = Math.max(silenceMs, atMs - stateMs);
      stateMs = atMs;
    }
    const nowMs = performance.timeOrigin + performance.now();
    if (stateMs > 0 && stateMs < nowMs) silenceMs = Math.max(silenceMs, nowMs - stateMs);
  }
  return {
    names: readers.map(({ name }) => name),
    all: figures(ages.flat()),
    trade: figures(ages[0]!),
    state: figures(ages.slice(1).flat()),
    laterTrade: figures(later[0]!),
    laterState: figures(later.slice(1).flat()),
    missed: readers.reduce((sum, { missed }) => sum + missed, 0),
    closed:
      readers.filter(({ isClosed }) => isClosed).length +
      slow.filter(({ closeCode }) => closeCode !== undefined).length,
    silenceMs,
    bytesRead: slow.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
  };
}

async function run(job: ReadersJob): Promise<void> {
  if (job.act === 'enter') await enter(job);
  isOn = job.act === 'begin';
  if (isOn) for (const reader of readers) reader.samples = [];
  const done = report(job.act === 'end' ? job.sinceMs : null);
  if (job.act === 'leave') {
    for (const reader of readers) reader.end();
    readers = [];
    slow = [];
  }
  process.send!(done);
}

process.on('message', (job: ReadersJob) => void run(job));
process.on('disconnect', () => process.exit(0));
