/**
 * NATS link: a connection to NATS on which every question ends: with its answer, when the connection is lost, or when
 * its time is over. The client alone would let a question wait for a server that is gone.
 */

import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node';

import type { Clock } from '../base/clock';
import { ok, unavailable, type Answer } from './broker';

/** What the client calls an error with the code 503: nobody took the message. There is no leader, or no stream. */
const NOBODY = 'no leader of the stream answers';

/** Why something failed, in a few words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { name, message } = error;
  const cause = error.cause instanceof Error ? error.cause.name : '';
  if (name === 'TimeoutError') return 'no answer in time';
  if (cause === 'NoResponders' || name === 'NoResponders') return NOBODY;
  if (name === 'JetStreamNotEnabled') return NOBODY;
  return message === '' ? name : message;
}

export class NatsLink {
  readonly nc: NatsConnection;
  readonly clock: Clock;
  readonly requestMs: number;
  private isUp = true;
  /** Ends what is under way. */
  private readonly pending = new Set<(reason: string) => void>();
  private readonly reconnected = new Set<() => void>();

  constructor(nc: NatsConnection, clock: Clock, requestMs: number) {
    this.nc = nc;
    this.clock = clock;
    this.requestMs = requestMs;
    void this.watch();
  }

  get isConnected(): boolean {
    return this.isUp && !this.nc.isClosed();
  }

  /** The most bytes of a message, with its headers; 0 while it is not known. */
  get payloadBytesMax(): number {
    return this.nc.info?.max_payload ?? 0;
  }

  /** Calls back when the connection is there again. Returns what ends that. */
  onReconnect(act: () => void): () => void {
    this.reconnected.add(act);
    return () => void this.reconnected.delete(act);
  }

  /**
   * What the work resolves to, unless the connection is lost or the time is over before.
   * @param begin is not called while there is no connection: what the client sends then vanishes
   */
  ask<T>(begin: () => Promise<T>, limitMs = this.requestMs): Promise<Answer<T>> {
    if (!this.isConnected) return Promise.resolve(unavailable('not connected'));
    return new Promise((resolve) => {
      const end = (answer: Answer<T>): void => {
        if (!this.pending.delete(lose)) return;
        clearTimeout(timer);
        this.clock.turns.whole('cluster', () => resolve(answer));
      };
      const lose = (reason: string): void => end(unavailable(reason));
      this.pending.add(lose);
      const timer = this.clock.turns.later('cluster', limitMs, () => lose('no answer in time'));
      begin().then(
        (value) => end(ok(value)),
        (e: unknown) => lose(reasonOf(e)),
      );
    });
  }

  /** One message, and the data of its answer. */
  request(subject: string, data: Uint8Array, headers: MsgHdrs): Promise<Answer<Uint8Array>> {
    // The client's own limit is behind ours, which also sees a lost connection.
    const timeout = this.requestMs * 2;
    return this.ask(async () => (await this.nc.request(subject, data, { headers, timeout })).data);
  }

  async close(): Promise<void> {
    this.lose('the connection is closed');
    await this.nc.close();
  }

  private lose(reason: string): void {
    for (const end of this.pending) end(reason);
  }

  private async watch(): Promise<void> {
    for await (const { type } of this.nc.status()) {
      if (type === 'disconnect' || type === 'close') {
        this.isUp = false;
        this.lose('the connection was lost');
      } else if (type === 'reconnect') {
        this.isUp = true;
        this.clock.turns.run('cluster', () => {
          for (const act of this.reconnected) act();
        });
      }
    }
  }
}
