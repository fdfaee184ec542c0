/**
 * Wires: how a model server is reached. Over a real WebSocket of Bun, or inside this process, where time stands
 * still until the test advances it, so every run of a seed is the same.
 */

import type { Server, ServerWebSocket } from 'bun';

import {
  decodeFrame,
  decodeTextFrame,
  encodeTextFrame,
  FrameEncoder,
  isFault,
} from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import type { SocketConstructor, SocketLike, Timers } from '../../src/client/environment';
import type { ModelServer, Peer } from './model-server';

/** What a wire leads to. */
export type WireServer = Pick<ModelServer, 'open' | 'take' | 'gone'>;

const scalesOf = () => ({ priceScale: 2, quantityScale: 3 });

interface Data {
  readonly text: boolean;
  peer?: Peer;
}

/** A model server on a real port. */
export class RealWire {
  readonly url: string;
  private readonly server: Server<Data>;

  constructor(model: WireServer) {
    const encoder = new FrameEncoder();
    this.server = Bun.serve<Data>({
      port: 0,
      hostname: '127.0.0.1',
      fetch(request, server) {
        const protocol = request.headers.get('sec-websocket-protocol') ?? '';
        const text = protocol.endsWith('json');
        const headers = { 'sec-websocket-protocol': protocol };
        return server.upgrade(request, { headers, data: { text } })
          ? undefined
          : new Response('no');
      },
      websocket: {
        open(socket: ServerWebSocket<Data>) {
          const { text } = socket.data;
          socket.data.peer = model.open({
            send: (messages) =>
              void socket.send(
                text ? encodeTextFrame(messages, scalesOf) : encoder.encode(messages),
              ),
            close: (code, reason) => socket.close(code, reason),
            cut: () => socket.terminate(),
          });
        },
        message(socket, data) {
          const messages =
            typeof data === 'string' ? decodeTextFrame(data, scalesOf) : decodeFrame(data);
          for (const message of messages) {
            if (isFault(message)) throw new Error(`the client sent ${message.message}`);
            model.take(socket.data.peer!, message);
          }
        },
        close(socket) {
          if (socket.data.peer !== undefined) model.gone(socket.data.peer);
        },
      },
    });
    this.url = this.server.url.href;
  }

  async stop(): Promise<void> {
    await this.server.stop(true);
  }
}

/** Timers that stand still until the test advances them. */
export class ManualTimers implements Timers {
  nowMs = 0;
  /** The requested waits, in order. */
  readonly waits: number[] = [];
  private readonly pending = new Map<number, { at: number; callback: () => void }>();
  private lastId = 0;

  set(callback: () => void, ms: number): number {
    this.waits.push(ms);
    this.pending.set((this.lastId += 1), { at: this.nowMs + ms, callback });
    return this.lastId;
  }

  clear(timer: unknown): void {
    this.pending.delete(timer as number);
  }

  get count(): number {
    return this.pending.size;
  }

  /** Advances the time, calls back in order, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.nowMs + ms;
    for (;;) {
      let next: [number, { at: number; callback: () => void }] | undefined;
      for (const entry of this.pending) {
        if (entry[1].at <= until && (next === undefined || entry[1].at < next[1].at)) next = entry;
      }
      if (next === undefined) break;
      this.pending.delete(next[0]);
      this.nowMs = Math.max(this.nowMs, next[1].at);
      next[1].callback();
      await settled();
    }
    this.nowMs = until;
    await settled();
  }
}

/** Lets everything run that is ready. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Sockets that lead to a model in this process; frames pass through the real codec at once. */
export function localWire(model: WireServer, isUp: () => boolean = () => true): SocketConstructor {
  return class LocalSocket implements SocketLike {
    binaryType = '';
    readyState = 0;
    readonly protocol = '';
    onopen: SocketLike['onopen'] = null;
    onmessage: SocketLike['onmessage'] = null;
    onclose: SocketLike['onclose'] = null;
    onerror: SocketLike['onerror'] = null;
    private peer: Peer | undefined;
    private isCut = false;
    private readonly encoder = new FrameEncoder();

    constructor() {
      queueMicrotask(() => {
        if (this.readyState === 3) return; // closed before it was open
        if (!isUp()) return this.end(1006, '');
        this.readyState = 1;
        this.peer = model.open({
          send: (messages) => this.deliver(messages),
          close: (code, reason) => queueMicrotask(() => this.end(code, reason)),
          cut: () => this.cut(),
        });
      });
    }

    send(data: string | Uint8Array<ArrayBuffer>): void {
      for (const message of decodeFrame(data as Uint8Array)) {
        if (isFault(message)) throw new Error(`the client sent ${message.message}`);
        if (this.readyState === 1 && !this.isCut) model.take(this.peer!, message);
      }
    }

    close(code = 1005, reason = ''): void {
      this.end(code, reason);
    }

    /** As on a network: what was sent arrives later, in order. */
    private deliver(messages: readonly Message[]): void {
      const data = this.encoder.encode(messages).buffer;
      queueMicrotask(() => {
        if (this.readyState === 1 && !this.isCut) this.onmessage?.({ data });
      });
    }

    /** What is in flight is lost; the end is noticed later, like any event of a socket. */
    private cut(): void {
      this.isCut = true;
      if (this.peer !== undefined) model.gone(this.peer);
      queueMicrotask(() => this.end(1006, ''));
    }

    private end(code: number, reason: string): void {
      if (this.readyState === 3) return;
      this.readyState = 3;
      if (this.peer !== undefined) model.gone(this.peer);
      this.onclose?.({ code, reason });
    }
  };
}
