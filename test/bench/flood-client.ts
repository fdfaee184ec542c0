/**
 * The hostile client of the bench `flood`: it does one thing much faster than it may, and reconnects at once when
 * it is closed. It stands for another machine, so it costs little on this one: what it sends is made beforehand and
 * sent in even steps, and its process runs at a lower priority. What it receives is discarded.
 */

import type { Socket } from 'bun';
import { constants, setPriority } from 'node:os';

import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { FLOODS, type Flood, type Position } from './flood-kinds';
import { upgradeRequest } from './ws-frames';

export interface FloodJob extends Position {
  readonly url: string;
  /** A name in `FLOODS`. */
  readonly kind: string;
  readonly durationMs: number;
}

export interface FloodDone {
  readonly sentPerSecond: number;
  readonly connections: number;
}

const STEP_MS = 10;
/** A late step is not made up for: that would be an additional burst. */
const STEPS_AT_ONCE_MAX = 2;
/** Short connections that wait for an answer. */
const BRIEF_MAX = 64;
/** How long they stay after the first that was answered. */
const STAY_MS = 20;

/** One connection, which discards what it reads. */
class Hostile {
  private readonly flood: Flood;
  private readonly job: FloodJob;
  private readonly unit: Buffer;
  private socket: Socket | undefined;
  private isOpening = false;
  private isDrained = true;
  private isOver = false;
  private brief = 0;
  sent = 0;
  connections = 0;

  constructor(job: FloodJob) {
    this.job = job;
    this.flood = FLOODS[job.kind]!;
    this.unit = this.flood.unit(job);
  }

  /** Sends a number of units, as far as the connection accepts them. */
  step(units: number): void {
    if (this.flood.on === 'brief') {
      for (let i = 0; i < units && this.brief < BRIEF_MAX; i++) void this.visit();
    } else if (this.socket === undefined) void this.open();
    else if (this.isDrained && units > 0) {
      const data = Buffer.concat(Array.from({ length: units }, () => this.unit));
      this.sent += units;
      this.isDrained = this.socket.write(data) === data.length;
    }
  }

  end(): void {
    this.isOver = true;
    this.socket?.terminate();
  }

  private connect(data: (socket: Socket) => void, closed: () => void): Promise<Socket> {
    const { hostname, port } = new URL(this.job.url);
    this.connections += 1;
    const socket = {
      data,
      close: closed,
      error: closed,
      drain: () => void (this.isDrained = true),
    };
    return Bun.connect({ hostname, port: Number(port), socket });
  }

  private async open(): Promise<void> {
    if (this.isOpening || this.isOver) return;
    this.isOpening = true;
    const gone = (): void => void (this.socket = undefined);
    const socket = await this.connect(() => {}, gone);
    this.isOpening = false;
    const { on, key } = this.flood;
    if (on === 'stream') socket.write(upgradeRequest('/v1/stream', SUBPROTOCOL_MSGPACK, key));
    if (this.flood.opening !== undefined) socket.write(this.flood.opening);
    this.isDrained = true;
    this.socket = socket;
  }

  /** Connects, sends its request, and leaves when it was answered. */
  private async visit(): Promise<void> {
    this.brief += 1;
    const gone = (): void => void (this.brief -= 1);
    const socket = await this.connect(
      (open) => void setTimeout(() => open.terminate(), STAY_MS),
      gone,
    );
    socket.write(upgradeRequest('/v1/stream', SUBPROTOCOL_MSGPACK));
    socket.write(this.unit);
    this.sent += 1;
  }
}

async function run(job: FloodJob): Promise<void> {
  setPriority(constants.priority.PRIORITY_LOW);
  const { perSecond, of, connections = 1 } = FLOODS[job.kind]!;
  const hostile = Array.from({ length: connections }, () => new Hostile(job));
  const perStep = (perSecond * STEP_MS) / 1000 / of / connections;
  const startMs = performance.now();
  let due = 0;
  for (let step = 1; performance.now() - startMs < job.durationMs; step++) {
    due = Math.min(due + perStep, Math.max(1, perStep * STEPS_AT_ONCE_MAX));
    for (const one of hostile) one.step(Math.floor(due));
    due %= 1;
    await Bun.sleep(Math.max(0, startMs + step * STEP_MS - performance.now()));
  }
  for (const one of hostile) one.end();
  const seconds = job.durationMs / 1000;
  process.send!({
    sentPerSecond: (sumOf(hostile, 'sent') * of) / seconds,
    connections: sumOf(hostile, 'connections'),
  } satisfies FloodDone);
}

function sumOf(hostile: readonly Hostile[], figure: 'sent' | 'connections'): number {
  return hostile.reduce((sum, one) => sum + one[figure], 0);
}

process.on('message', (job: FloodJob) => void run(job));
process.on('disconnect', () => process.exit(0));
