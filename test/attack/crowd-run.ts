/**
 * Crowd run: many readers behind one address resume from the journal at once; beside them are readers that missed
 * little, readers of another client, and some that never read. It records what each got, and when.
 */

import { decodeFrame, FrameEncoder, isFault } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { instrument, tape, trade } from '../support/feed';
import { RawSocket, rawFrame } from './raw-socket';
import { keyOf, Target } from './target';
import { until } from '../support/until';

export interface CrowdShape {
  readonly readers: number;
  /** How many trades the crowd missed. */
  readonly trades: number;
  /** How many trades the others missed, which is more than memory has. */
  readonly fewTrades: number;
  /** Readers that ask before the crowd and read nothing. */
  readonly standing: number;
  readonly heartbeatMs: number;
  readonly playbacksMax: number;
  /** Whether each message is checked; otherwise messages are only counted. */
  readonly isChecked: boolean;
}

export interface CrowdResult {
  readonly crowd: readonly Resumer[];
  /** One of the address of the crowd, and one of another client; they connect when the crowd waits. */
  readonly late: Resumer;
  readonly stranger: Resumer;
  /** How many of the crowd had everything when these two had. */
  readonly doneBeforeLate: number;
  readonly doneBeforeStranger: number;
  readonly defects: readonly string[];
}

const SYMBOL = 'ACME';
const TOPIC = `trade:${SYMBOL}`;
const TAPE_TRADES = 10_000;
const encoder = new FrameEncoder();

/** One resume over its own connection, and its outcome. */
export class Resumer {
  /** Time from its request to the first `queued`, in ms; NaN: none yet. */
  wordMs = NaN;
  dataMs = NaN;
  doneMs = NaN;
  /** The longest time without any message. */
  silentMs = 0;
  queued: number[] = [];
  trades = 0;
  resets = 0;
  end = '';
  /** Rules that were broken. */
  readonly complaints: string[] = [];
  private socket!: RawSocket;
  private readonly isChecked: boolean;
  private lastSeq = 0;
  private askedMs = 0;
  private heardMs = 0;
  private finish: () => void = () => {};

  private constructor(isChecked: boolean) {
    this.isChecked = isChecked;
  }

  static async open(url: string, isChecked: boolean, key?: string): Promise<Resumer> {
    const reader = new Resumer(isChecked);
    const header = key === undefined ? '' : `Authorization: Bearer ${key}\r\n`;
    reader.socket = await RawSocket.open(url, 'tapedeck.v1.msgpack', header, {
      message: (payload) => reader.frame(payload),
      ping: (payload, socket) => socket.write(rawFrame(10, payload)),
      pong: () => {},
      close: (code, reason) => (reader.end = `${code} ${reason}`),
      end: () => reader.finish(),
      wrong: (what) => reader.complaints.push(what),
    });
    return reader;
  }

  /** Resolves when the resume is answered, or the connection is cut. */
  resume(epoch: number, seq: number): Promise<void> {
    this.askedMs = performance.now();
    this.heardMs = this.askedMs;
    this.lastSeq = seq;
    const done = new Promise<void>((resolve) => (this.finish = resolve));
    const request: Message = {
      type: 'resume',
      id: 1,
      epoch,
      seq,
      topics: [TOPIC],
      newest: null,
      positions: null,
    };
    this.socket.write(rawFrame(2, encoder.encode([request])));
    return done;
  }

  stand(): void {
    this.socket.pause();
  }

  drop(): void {
    this.socket.drop();
  }

  private frame(payload: Buffer): void {
    if (this.askedMs === 0 || !Number.isNaN(this.doneMs)) return;
    const nowMs = performance.now();
    this.silentMs = Math.max(this.silentMs, nowMs - this.heardMs);
    this.heardMs = nowMs;
    if (Number.isNaN(this.wordMs)) this.wordMs = nowMs - this.askedMs;
    const isLong = (payload[0]! & 0xf0) !== 0x90;
    const [count, at] = isLong ? [payload.readUInt16BE(1), 3] : [payload[0]! & 15, 1];
    const isPlain = payload[at + 1] === 50 && payload.readUInt16BE(payload.length - 2) !== 0xc0c0;
    if (this.isChecked || !isPlain) this.decode(payload, nowMs - this.askedMs);
    else this.took(count, nowMs - this.askedMs);
  }

  private took(count: number, ms: number): void {
    if (Number.isNaN(this.dataMs)) this.dataMs = ms;
    this.trades += count;
  }

  private decode(payload: Uint8Array, ms: number): void {
    for (const m of decodeFrame(payload)) {
      if (isFault(m)) this.complaints.push(m.message);
      else if (m.type === 'trade') {
        if (this.isChecked && m.prevSeq > this.lastSeq)
          this.complaints.push(`${m.seq} names ${m.prevSeq} after ${this.lastSeq}`);
        if (this.isChecked && m.seq <= this.lastSeq) this.complaints.push(`${m.seq} comes again`);
        this.lastSeq = m.seq;
        this.took(1, ms);
      } else if (m.type === 'queued') {
        if (!Number.isNaN(this.dataMs)) this.complaints.push('queued after its first message');
        if (m.ahead > (this.queued.at(-1) ?? Infinity))
          this.complaints.push(`${m.ahead} ahead, after ${this.queued.at(-1)}`);
        this.queued.push(m.ahead);
      } else if (m.type === 'reset') this.resets += 1;
      else if (m.type === 'error') this.complaints.push(m.message);
      else if (m.type === 'ack') {
        this.doneMs = ms;
        this.finish();
      }
    }
  }
}

export async function runCrowd(shape: CrowdShape): Promise<CrowdResult> {
  const { readers, trades, fewTrades, heartbeatMs, playbacksMax, isChecked } = shape;
  // This test is about the order of reading the journal, not about the share of the loop that one address has.
  const config = `
[cache]
memtableEventsMax = 1000
[push]
heartbeatMs = ${heartbeatMs}
pongMs = 60000
[limits]
playbacksMax = ${playbacksMax}
playbacksPerClientMax = ${playbacksMax / 2}
sessionsPerAddressMax = 10000
workPerSecond = 1000000000
`;
  const target = await Target.start({ config });
  const all: Resumer[] = [];
  try {
    await target.ingest(tape(instrument(SYMBOL)));
    const open = async (key?: string): Promise<Resumer> => {
      all.push(await Resumer.open(target.url, isChecked, key));
      return all.at(-1)!;
    };
    for (let left = trades; left > 0; left -= TAPE_TRADES) {
      const some = Array.from({ length: Math.min(left, TAPE_TRADES) }, () =>
        trade(SYMBOL, '10.00', '0.001'),
      );
      await target.ingest(tape(...some));
    }
    const { epoch, seq: lastSeq } = await position(target.url);
    // Each trade has a tick.
    const few = lastSeq - 2 * fewTrades;
    for (let i = 0; i < shape.standing; i++) {
      const reader = await open();
      void reader.resume(epoch, 1);
      reader.stand();
    }
    const crowd: Resumer[] = [];
    for (let i = 0; i < readers; i++) crowd.push(await open());
    const [late, stranger] = [await open(), await open(keyOf('read'))];
    const done = crowd.map((reader, i) => reader.resume(epoch, 1 + 2 * (i % 50)));
    const count = (): number => crowd.filter(({ doneMs }) => !Number.isNaN(doneMs)).length;
    await until(() => crowd.some((reader) => !Number.isNaN(reader.dataMs)));
    let [doneBeforeLate, doneBeforeStranger] = [0, 0];
    const beside = [
      late.resume(epoch, few).then(() => (doneBeforeLate = count())),
      stranger.resume(epoch, few).then(() => (doneBeforeStranger = count())),
    ];
    await Promise.all([...done, ...beside]);
    return { crowd, late, stranger, doneBeforeLate, doneBeforeStranger, defects: target.defects };
  } finally {
    for (const reader of all) reader.drop();
    await target.remove();
  }
}

async function position(url: string): Promise<{ epoch: number; seq: number }> {
  const { promise, resolve } = Promise.withResolvers<{ epoch: number; seq: number }>();
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, ['tapedeck.v1.msgpack']);
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => {
    for (const m of decodeFrame(new Uint8Array(data)))
      if (!isFault(m) && m.type === 'welcome') resolve(m);
  });
  const { epoch, seq } = await promise;
  socket.close();
  return { epoch, seq };
}
