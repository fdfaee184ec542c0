/**
 * Wire: a virtual socket with a pipe in each direction. What the server writes waits in the pipe until the client
 * reads it. The kernel buffers its first bytes, so the server sees only what exceeds them; past a limit the
 * connection is lost, as a real one is. A ping is answered when the client reads it.
 */

import type { ServerWebSocket } from 'bun';

import type { StreamConnection } from '../../src/gateway/ws/stream';
import type { Session } from '../../src/broadcast/sessions/session';

type Data = string | Uint8Array;

/** A ping, and the pong that returns its payload. */
interface Ping {
  readonly payload: Uint8Array;
}

/** What is in the pipe to the client. */
type Piped = Data | Ping | { readonly code: number };

export interface WireLimits {
  /** How much the kernel buffers before the server sees that data is held back. */
  readonly kernelBytes: number;
  readonly backlogBytesMax: number;
}

export class Wire {
  /** Native topics to which the server has subscribed it. */
  readonly native = new Set<string>();
  connection!: StreamConnection<Session>;
  session!: Session;
  /** `ending`: the server does not know yet that the client is gone; `ended`: it has released the socket. */
  server: 'open' | 'ending' | 'ended' = 'open';
  readonly remoteAddress = '';
  isClientGone = false;
  /** Called when the server has accepted a replay. */
  accepted: (id: number) => void = () => {};
  private readonly toClient: Piped[] = [];
  private readonly toServer: (Data | Ping)[] = [];
  private bytes = 0;
  private readonly limits: WireLimits;

  constructor(limits: WireLimits) {
    this.limits = limits;
  }

  /** The socket, as the server sees it. */
  asSocket(): ServerWebSocket<unknown> {
    return this as unknown as ServerWebSocket<unknown>;
  }

  // ── the server's side ────────────────────────────────────────────────────────────────────────

  send(data: Data): number {
    if (this.server !== 'open') return 0;
    if (this.getBufferedAmount() + data.length > this.limits.backlogBytesMax) {
      this.server = 'ending';
      return 0;
    }
    this.toClient.push(data);
    this.bytes += data.length;
    return this.getBufferedAmount() > 0 ? -1 : data.length;
  }

  ping(payload: Uint8Array): void {
    if (this.server === 'open') this.toClient.push({ payload: payload.slice() });
  }

  cork(send: () => void): void {
    send();
  }

  getBufferedAmount(): number {
    return Math.max(0, this.bytes - this.limits.kernelBytes);
  }

  subscribe(topic: string): void {
    if (this.server === 'open') this.native.add(topic);
  }

  unsubscribe(topic: string): void {
    if (this.server === 'open' && !this.native.delete(topic)) throw new Error(`not on ${topic}`);
  }

  close(code: number): void {
    if (this.server !== 'open') return;
    this.server = 'ending';
    this.toClient.push({ code });
  }

  terminate(): void {
    this.server = 'ending';
    this.toClient.length = 0;
    this.toClient.push({ code: 1006 });
  }

  /** The kernel reports the state of the socket to the server, and delivers what the client sent. */
  deliver(frames: number): void {
    while (this.server === 'open' && this.toServer.length > 0 && frames-- > 0) {
      const next = this.toServer.shift()!;
      if (isPing(next)) this.connection.pong(this.asSocket(), next.payload);
      else this.connection.message(this.asSocket(), next);
    }
    if (this.server === 'open' && this.isClientGone) this.server = 'ending';
    if (this.server === 'ending') this.end();
  }

  /** Ends the socket on the side of the server, for any reason. */
  end(): void {
    if (this.server === 'ended') return;
    this.server = 'ended';
    this.native.clear();
    this.connection.close(this.asSocket(), 1006);
  }

  // ── the client's side ────────────────────────────────────────────────────────────────────────

  publish(data: Data): void {
    this.toServer.push(data);
  }

  /** Pongs do not count: pings are sent all the time. */
  get hasMessages(): boolean {
    return this.toServer.some((data) => !isPing(data));
  }

  get isEmpty(): boolean {
    return this.toClient.length === 0;
  }

  /** The next frame; a number: closed with that code; undefined: nothing is there. */
  read(): Data | number | undefined {
    for (;;) {
      const next = this.toClient.shift();
      if (next !== undefined && isPing(next)) {
        this.toServer.push(next);
        continue;
      }
      if (next === undefined) return this.server === 'ended' ? 1006 : undefined;
      if (typeof next === 'object' && 'code' in next) return next.code;
      this.bytes -= next.length;
      return next;
    }
  }

  /** The client is gone; the server learns of it later, or never. */
  vanish(): void {
    this.toClient.length = 0;
    this.toServer.length = 0;
  }
}

function isPing(piped: Piped): piped is Ping {
  return typeof piped === 'object' && 'payload' in piped;
}
