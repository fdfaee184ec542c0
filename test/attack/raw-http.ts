/**
 * Raw HTTP: sends requests as bytes over a kept connection, because an HTTP client corrects what it sends; returns
 * answers as received. One request at a time. Bounded: an answer that does not arrive ends the test.
 */

import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const ANSWER_MS_MAX = 60_000;

export class RawHttp {
  private readonly host: string;
  private readonly port: number;
  private socket: Socket | null = null;
  private received: Buffer = Buffer.alloc(0);
  private wake: () => void = () => {};
  private isOver = false;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.host = hostname;
    this.port = Number(port);
  }

  /** @returns undefined when the connection was closed without an answer */
  async ask(request: string | Buffer, isHead = false): Promise<RawAnswer | undefined> {
    const socket = (this.socket ??= this.open());
    socket.write(request);
    const answer = await this.answer(isHead);
    if (answer === undefined || answer.headers.get('connection') === 'close' || this.isOver) {
      this.close();
    }
    return answer;
  }

  close(): void {
    this.socket?.destroy();
    this.socket = null;
  }

  private open(): Socket {
    this.received = Buffer.alloc(0);
    this.isOver = false;
    const socket = connect(this.port, this.host);
    socket.on('data', (bytes: Buffer) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.socket !== socket) return;
      this.isOver = true;
      this.wake();
    });
    return socket;
  }

  private async answer(isHead: boolean): Promise<RawAnswer | undefined> {
    for (;;) {
      const found = readAnswer(this.received, isHead);
      if (found !== undefined) {
        this.received = this.received.subarray(found.length);
        if (found.answer.status === 100) continue; // to go on; the final answer follows it
        return found.answer;
      }
      if (this.isOver) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.wake = resolve;
      const timer = setTimeout(() => {
        this.isOver = true;
        resolve();
      }, ANSWER_MS_MAX);
      await promise;
      clearTimeout(timer);
    }
  }
}

/** The first complete answer in the received bytes; undefined while it is incomplete. */
export function readAnswer(
  bytes: Buffer,
  isHead: boolean,
): { readonly answer: RawAnswer; readonly length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const status = Number(/^HTTP\/1\.1 (\d{3})\b/.exec(first)?.[1] ?? 0);
  const size = isHead ? 0 : Number(headers.get('content-length') ?? 0);
  const from = end + 4;
  if (bytes.length < from + size) return undefined;
  const body = bytes.subarray(from, from + size).toString();
  return { answer: { status, headers, body }, length: from + size };
}
