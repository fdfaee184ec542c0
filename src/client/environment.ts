/**
 * Environment: what the SDK uses of its machine, so that a test can replace it: sockets, timers, randomness. Browsers,
 * Bun and Node from 22 on have all of it.
 */

import { SystemClock, type Clock } from '../base/clock';
import { Prng } from '../base/prng';

/** What the SDK needs of a WebSocket. */
export interface SocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly protocol: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

export interface Timers {
  /** Calls back once, after `ms` milliseconds. */
  set(callback: () => void, ms: number): unknown;
  clear(timer: unknown): void;
}

export interface Environment {
  readonly WebSocket: SocketConstructor;
  readonly timers: Timers;
  readonly clock: Clock;
  /** 0 ≤ x < 1, for the random part of a wait. */
  readonly random: () => number;
  /** A text that no other client of this server uses, for client order ids. */
  readonly clientName: string;
}

const SYSTEM_TIMERS: Timers = {
  set: (callback, ms) => setTimeout(callback, ms),
  clear: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

/**
 * The machine's environment, except for the given parts. The randomness spreads clients that lost their server at
 * the same time; for that it is enough that they were created at different times.
 * @throws Error if there is no WebSocket, as in Node before 22
 */
export function environmentOf(given: Partial<Environment> = {}): Environment {
  const WebSocket =
    given.WebSocket ?? (globalThis.WebSocket as unknown as SocketConstructor | undefined);
  if (WebSocket === undefined) {
    throw new Error(
      'there is no WebSocket here: Node from 22 on has one, or pass options.WebSocket',
    );
  }
  const clock = given.clock ?? new SystemClock();
  const now = clock.now();
  const prng = new Prng(now.lo * 2_097_152 + (now.hi & 0x1f_ffff));
  return {
    WebSocket,
    timers: given.timers ?? SYSTEM_TIMERS,
    clock,
    random: given.random ?? (() => prng.unit()),
    clientName:
      given.clientName ??
      `${now.hi.toString(36)}${now.lo.toString(36)}${prng.uint32().toString(36)}`,
  };
}

/** Runs code of the application; its exception is reported separately and stops nothing here. */
export function guarded(run: () => void): void {
  try {
    run();
  } catch (e) {
    queueMicrotask(() => {
      throw e;
    });
  }
}

export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** `Promise.withResolvers`, which browsers from before 2024 lack. */
export function deferred<T>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle! };
}
