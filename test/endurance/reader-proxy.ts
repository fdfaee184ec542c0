/**
 * Reader proxy: the connection between a server and the reader under test. Its address stays the same while servers
 * are replaced behind it. It cuts connections after any number of bytes, stalls them and slows them down.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

const STEP_MS = 50;

interface Line {
  readonly near: Socket;
  readonly far: Socket;
  /** What the server has sent and the reader does not have yet. */
  waiting: Buffer[];
  /** Cut after this many more bytes have gone to the reader. */
  cutAfter: number;
}

export class ReaderProxy {
  /** Where servers listen; 0: nowhere. */
  target = 0;
  /** Bytes a second to each reader; 0: nothing passes. */
  bytesPerSecond = Infinity;
  bytes = 0;
  connections = 0;
  private readonly lines = new Set<Line>();
  private readonly server: Server;
  private readonly timer: ReturnType<typeof setInterval>;

  private constructor() {
    this.server = createServer((near) => this.open(near));
    this.timer = setInterval(() => this.step(), STEP_MS);
  }

  static async start(): Promise<ReaderProxy> {
    const proxy = new ReaderProxy();
    await new Promise<void>((resolve) => {
      proxy.server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as { port: number }).port}/v1/stream`;
  }

  /** Cuts every connection after this many more bytes have gone to the reader. */
  cutAfter(bytes: number): void {
    for (const line of this.lines) {
      line.cutAfter = bytes;
      if (bytes === 0) this.cut(line);
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.cutAfter(0);
    this.server.close();
  }

  private open(near: Socket): void {
    if (this.target === 0) {
      near.destroy();
      return;
    }
    this.connections += 1;
    const far = connect(this.target, '127.0.0.1');
    const line: Line = { near, far, waiting: [], cutAfter: Infinity };
    this.lines.add(line);
    for (const socket of [near, far]) {
      socket.on('error', () => this.cut(line));
      socket.on('close', () => this.cut(line));
    }
    near.pipe(far);
    far.on('data', (chunk: Buffer) => {
      line.waiting.push(chunk);
      if (this.bytesPerSecond === Infinity) this.give(line, Infinity);
      else far.pause();
    });
    near.on('drain', () => far.resume());
  }

  private step(): void {
    for (const line of this.lines) {
      if (line.near.writableNeedDrain) continue;
      this.give(line, Math.round((this.bytesPerSecond * STEP_MS) / 1000));
      if (line.waiting.length === 0 && !line.near.writableNeedDrain) line.far.resume();
    }
  }

  /** Gives the reader up to this many of the waiting bytes. */
  private give(line: Line, most: number): void {
    let left = Math.min(most, line.cutAfter);
    while (left > 0 && line.waiting.length > 0) {
      const [chunk] = line.waiting as [Buffer];
      const part = chunk.subarray(0, left);
      if (part.length === chunk.length) line.waiting.shift();
      else line.waiting[0] = chunk.subarray(part.length);
      left -= part.length;
      line.cutAfter -= part.length;
      this.bytes += part.length;
      if (!line.near.write(part)) line.far.pause();
    }
    if (line.cutAfter <= 0) this.cut(line);
  }

  private cut(line: Line): void {
    if (!this.lines.delete(line)) return;
    // What was given is still delivered; then the connection ends without notice.
    line.near.destroySoon();
    line.far.destroy();
  }
}
