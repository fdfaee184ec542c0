/**
 * A TCP proxy that imitates a slow connection: limited bytes a second for each direction and connection, a delay,
 * bursts, stalls and cuts. It reads no more from the sender than it has passed on, so the kernel hides only as much
 * of the slowness as fits into the socket of the sender.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

const STEP_MS = 5;

export interface LineOptions {
  /** Infinity: without a limit. */
  readonly bytesPerSecond?: number;
  /** In each direction. */
  readonly delayMs?: number;
  /** How much passes at once after a pause. */
  readonly burstBytes?: number;
}

/** One direction of one connection. */
class Lane {
  private readonly from: Socket;
  private readonly to: Socket;
  private readonly line: SlowLine;
  private readonly waiting: { readonly data: Buffer; readonly atMs: number }[] = [];
  private allowed = 0;
  private stepMs = performance.now();

  constructor(from: Socket, to: Socket, line: SlowLine) {
    this.from = from;
    this.to = to;
    this.line = line;
    from.setNoDelay(true);
    from.on('data', (data: Buffer) => {
      if (this.line.isLost) return;
      this.waiting.push({ data, atMs: performance.now() });
      if (this.line.bytesPerSecond < Infinity) from.pause();
      this.step();
    });
  }

  /** Whether data is on its way to an end that is still connected. */
  get isUnderWay(): boolean {
    return this.waiting.length > 0 && !this.to.destroyed;
  }

  step(): void {
    const { line, waiting } = this;
    const nowMs = performance.now();
    const { bytesPerSecond } = line;
    const share = (bytesPerSecond * (nowMs - this.stepMs)) / 1_000;
    // An unused share of the last step is lost, except for the burst.
    this.allowed = Math.min(this.allowed + share, share + line.burstBytes + 1);
    this.stepMs = nowMs;
    if (line.isStalled) return;
    while (waiting.length > 0 && this.allowed >= 1) {
      const { data, atMs } = waiting[0]!;
      if (nowMs < atMs + line.delayMs) return;
      const count = Math.min(data.length, Math.floor(this.allowed));
      this.to.write(data.subarray(0, count));
      line.passedBytes += count;
      this.allowed -= count;
      if (count < data.length) waiting[0] = { data: data.subarray(count), atMs };
      else waiting.shift();
    }
    if (waiting.length === 0) this.from.resume();
  }
}

export class SlowLine {
  bytesPerSecond: number;
  delayMs: number;
  readonly burstBytes: number;
  isStalled = false;
  /** Nothing arrives any more on either side, and neither end learns that the other has ended. */
  isLost = false;
  /** In both directions. */
  passedBytes = 0;
  connections = 0;
  private readonly server: Server;
  private readonly pairs = new Map<Socket, Socket>();
  private readonly lanes = new Set<Lane>();
  /** Connections that end when everything in flight has arrived. */
  private ending = new Set<() => void>();
  private readonly timer: ReturnType<typeof setInterval>;

  private constructor(target: URL, options: LineOptions) {
    this.bytesPerSecond = options.bytesPerSecond ?? Infinity;
    this.delayMs = options.delayMs ?? 0;
    this.burstBytes = options.burstBytes ?? 0;
    this.server = createServer((near) => {
      const far = connect(Number(target.port), target.hostname);
      this.connections += 1;
      this.pairs.set(near, far);
      const lanes = [new Lane(far, near, this), new Lane(near, far, this)];
      for (const lane of lanes) this.lanes.add(lane);
      const end = (): void => {
        if (this.isLost) return;
        // What was sent before an end arrives before it.
        if (lanes.some(({ isUnderWay }) => isUnderWay)) return void this.ending.add(end);
        for (const lane of lanes) this.lanes.delete(lane);
        this.pairs.delete(near);
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) socket.on('error', end).on('close', end);
    });
    this.timer = setInterval(() => {
      for (const lane of this.lanes) lane.step();
      const { ending } = this;
      this.ending = new Set();
      for (const end of ending) end();
    }, STEP_MS);
  }

  static async to(url: string, options: LineOptions = {}): Promise<SlowLine> {
    const line = new SlowLine(new URL(url), options);
    await new Promise<void>((resolve) => {
      line.server.listen(0, '127.0.0.1', resolve);
    });
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  /** Cuts all connections without notice, in the middle of what is in flight. */
  cutAll(): void {
    for (const [near, far] of this.pairs) {
      near.destroy();
      far.destroy();
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.isLost = false;
    this.cutAll();
    this.server.close();
  }
}
