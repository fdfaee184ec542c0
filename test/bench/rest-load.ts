/**
 * The load of the bench `rest`: a separate process that requests one route over keep-alive connections, one request
 * at a time on each, and counts the answers. It uses raw sockets, because an HTTP client costs more than the server
 * that is to be measured. Its parent sends jobs and receives the counts.
 */

import type { Socket } from 'bun';

export interface LoadJob {
  readonly hostname: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly durationMs: number;
}

export interface LoadDone {
  readonly requests: number;
  readonly elapsedMs: number;
}

const CARRIAGE_RETURN = 13;
const LENGTH_HEADER = 'content-length: ';

/** Counts the answers of one server, whose headers are in the same order every time. */
class Load {
  requests = 0;
  private stopping = false;
  private readonly request: Buffer;
  private lengthAt = -1;

  constructor({ hostname, port, path }: LoadJob) {
    this.request = Buffer.from(
      `GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: keep-alive\r\n\r\n`,
    );
  }

  async run({ hostname, port, connections, durationMs }: LoadJob): Promise<LoadDone> {
    const sockets: Socket<{ missing: number }>[] = [];
    for (let i = 0; i < connections; i++) {
      sockets.push(
        await Bun.connect<{ missing: number }>({
          hostname,
          port,
          data: { missing: 0 },
          socket: { data: (socket, bytes) => this.take(socket, bytes) },
        }),
      );
    }
    const startMs = performance.now();
    for (const socket of sockets) socket.write(this.request);
    await Bun.sleep(durationMs);
    const done = { requests: this.requests, elapsedMs: performance.now() - startMs };
    this.stopping = true;
    await Bun.sleep(10); // what is in flight arrives, and does not disturb the next job
    for (const socket of sockets) socket.end();
    return done;
  }

  private take(socket: Socket<{ missing: number }>, bytes: Buffer): void {
    const state = socket.data;
    if (state.missing === 0) state.missing = this.lengthOf(bytes);
    state.missing -= bytes.length;
    if (state.missing > 0) return;
    this.requests += 1;
    if (!this.stopping) socket.write(this.request);
  }

  /** The length of the answer that begins here, head and body. */
  private lengthOf(bytes: Buffer): number {
    if (this.lengthAt < 0) {
      const head = bytes.toString('latin1');
      if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`not an answer: ${head}`);
      this.lengthAt = head.toLowerCase().indexOf(LENGTH_HEADER) + LENGTH_HEADER.length;
    }
    let length = 0;
    let at = this.lengthAt;
    for (; bytes[at] !== CARRIAGE_RETURN; at++) length = length * 10 + bytes[at]! - 48;
    if (!Number.isInteger(length)) throw new Error('an answer in pieces, or of another form');
    return bytes.indexOf('\r\n\r\n', at) + 4 + length;
  }
}

async function answer(job: LoadJob): Promise<void> {
  process.send!(await new Load(job).run(job));
}

process.on('message', (job: LoadJob) => void answer(job));
process.on('disconnect', () => process.exit(0));
