/** Listen: opens the port, or says why that is impossible. */

import { StartFault } from '../base/start-fault';

/** Certificate (chain) and private key, in PEM. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
}

/** The suites of TLS 1.2 with forward secrecy; those of TLS 1.3 all have it. */
const CIPHERS = 'ECDHE+AESGCM:ECDHE+CHACHA20';

/** Elysia's application as far as it is used here. */
interface Listenable {
  listen(options: {
    hostname: string;
    port: number;
    tls?: Tls & { ciphers: string };
    websocket: object;
  }): unknown;
  readonly server: {
    readonly port?: number | undefined;
    readonly pendingRequests: number;
    stop(closeActive?: boolean): Promise<void>;
  } | null;
}

/** The part of a connection that handles pongs. */
interface Ponged {
  pong(socket: unknown, payload: Uint8Array): void;
}

/** Stands for the payload of a ping, which Bun has answered itself. */
const NONE = new Uint8Array();

/**
 * Elysia leaves the payload out, which identifies the ping that a pong answers. A ping of the client counts as a pong
 * that answers none.
 */
const CONTROL = {
  ping: (socket: { readonly data: Ponged }) => socket.data.pong(socket, NONE),
  pong: (socket: { readonly data: Ponged }, payload: Uint8Array) => {
    socket.data.pong(socket, payload);
  },
};

export interface Listening {
  readonly url: string;
  /** Requests that are being answered. */
  pendingRequests(): number;
  /** Accepts no further connections; existing ones stay open. */
  refuse(): void;
  /** Closes the existing connections too. */
  stop(): Promise<void>;
}

export function listen(
  app: Listenable,
  { host, port }: { readonly host: string; readonly port: number },
  tls: Tls | null,
): Listening | StartFault {
  try {
    app.listen({
      hostname: host,
      port,
      ...(tls !== null && { tls: { ...tls, ciphers: CIPHERS } }),
      websocket: CONTROL,
    });
  } catch (e) {
    const { code, message } = e as { code?: string; message: string };
    return code === 'EADDRINUSE'
      ? new StartFault(
          'port-in-use',
          `port ${port} on ${host} is in use`,
          'Stop what uses it, or give another port with --port.',
        )
      : new StartFault(
          'address-unavailable',
          `cannot listen on ${host}:${port}: ${message}`,
          'Give an address of this machine with --host and a port that you may use with --port.',
        );
  }
  const server = app.server!;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    url: `${tls === null ? 'http' : 'https'}://${shownHost}:${server.port}`,
    pendingRequests: () => server.pendingRequests,
    refuse: () => void server.stop(false),
    stop: () => server.stop(true),
  };
}
