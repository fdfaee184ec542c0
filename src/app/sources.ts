/** Sources: remote publishers. Each WebSocket connection is a source, and so are all the requests of one key. */

import { fault } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import type { ByteAccount } from '../base/byte-account';
import type { Clock } from '../base/clock';
import type { SourceEntry } from '../base/contracts/core';
import type { IngestSource, IngestStatus } from '../base/contracts/ingest';
import type { SubmitOptions, SubmitResult } from '../base/contracts/submission';
import { eventBytes } from '../base/event-bytes';
import type { Timer } from '../base/turn-meter';

/** How long a source that comes by requests may be silent. It has no connection whose end the server would see. */
export interface RequestSilence {
  /** For this long after its last request no other source may feed its instruments. */
  readonly requestsHoldMs: number;
  /** After this long it is gone. At least `requestsHoldMs`. */
  readonly requestsIdleMs: number;
}

/** The answer to what comes before the start or after the stop. */
const NOT_RUNNING: SubmitResult = {
  index: -1,
  fault: fault('shutting-down', 'the server is being stopped'),
};

/** The client (key or address) that each source counts for, where a limit holds per client. */
export class SourceClients {
  private readonly clients = new Map<number, () => string>();
  private count = 0;

  /** A new source. @param client which may change */
  add(client: () => string): number {
    this.clients.set(++this.count, client);
    return this.count;
  }

  /** Empty: none is known. */
  of(source: number): string {
    return this.clients.get(source)?.() ?? '';
  }

  delete(source: number): void {
    this.clients.delete(source);
  }
}

export class Sources implements IngestSource {
  readonly name = 'publishers';
  private readonly entry: SourceEntry;
  private readonly silence: RequestSilence;
  private readonly clock: Clock;
  private readonly account: ByteAccount;
  private readonly clients: SourceClients;
  /** The source of each key that publishes by requests, until it is gone. */
  private readonly ofKeys = new Map<string, { id: number; timer: Timer }>();
  private state: IngestStatus['state'] = 'idle';
  private submitted = 0;
  private refused = 0;
  private lastMs: number | null = null;
  /** Submissions without an answer yet, and what is called when there are none. */
  private waiting = 0;
  private settled: (() => void)[] = [];

  constructor(
    entry: SourceEntry,
    silence: RequestSilence,
    clock: Clock,
    account: ByteAccount,
    clients: SourceClients,
  ) {
    this.clients = clients;
    this.entry = entry;
    this.silence = silence;
    this.clock = clock;
    this.account = account;
  }

  start(): void {
    this.state = 'running';
  }

  stop(): Promise<void> {
    for (const { timer } of this.ofKeys.values()) clearTimeout(timer);
    this.state = 'stopped';
    return new Promise((resolve) => {
      if (this.waiting === 0) resolve();
      else this.settled.push(resolve);
    });
  }

  status(): IngestStatus {
    const { state, submitted, refused, lastMs } = this;
    const silentMs = lastMs === null ? null : this.clock.monotonicMs() - lastMs;
    return { state, reason: '', submitted, refused, silentMs };
  }

  /** A new source. @param client its client for limits of clients, which may change */
  nextId(client: () => string): number {
    return this.clients.add(client);
  }

  /** Submits events of a source. `done` is called once, when they are in the journal or refused. */
  submit(
    id: number,
    events: readonly SourceEvent[],
    done: (result: SubmitResult) => void,
    options: SubmitOptions,
  ): void {
    if (this.state !== 'running') return done(NOT_RUNNING);
    this.submitted += events.length;
    this.waiting += 1;
    this.lastMs = this.clock.monotonicMs();
    const answered = (result: SubmitResult): void => {
      this.waiting -= 1;
      if ('fault' in result) this.noteRefused(events, result, options);
      done(result);
      if (this.waiting > 0) return;
      for (const resolve of this.settled.splice(0)) resolve();
    };
    this.entry.submit(id, events, answered, options);
  }

  private noteRefused(
    events: readonly SourceEvent[],
    { index, fault: { code } }: Extract<SubmitResult, { index: number }>,
    { owner = '' }: SubmitOptions,
  ): void {
    this.refused += events.length;
    if (code === 'symbol-in-use') this.entry.claim?.(owner, events[index]?.symbol ?? '');
  }

  /**
   * Submits the events of a request. Resolves when they are in the journal or refused.
   * @param continues whether the source's own sequence numbers continue those of a source before it
   */
  submitRequest(
    key: string,
    events: readonly SourceEvent[],
    continues = false,
  ): Promise<SubmitResult> {
    const meter = this.account.open(key);
    const bytes = eventBytes(events);
    if (!meter.take('publishes', bytes)) {
      meter.close();
      const message = `${bytes} bytes of events exceed what may wait now`;
      return Promise.resolve({ index: -1, fault: fault('overloaded', message) });
    }
    const known = this.ofKeys.get(key);
    clearTimeout(known?.timer);
    const id = known?.id ?? this.nextId(() => key);
    if (this.state === 'running') this.ofKeys.set(key, { id, timer: this.yieldLater(key, id) });
    return new Promise((resolve) => {
      const done = (result: SubmitResult): void => {
        meter.set('publishes', 0);
        meter.close();
        resolve(result);
      };
      this.submit(id, events, done, { owner: key, continues, isDecimal: true });
    });
  }

  /** The source of this key holds its instruments for a while, and ends later. */
  private yieldLater(key: string, id: number): Timer {
    const { requestsHoldMs, requestsIdleMs } = this.silence;
    const { turns } = this.clock;
    return turns.later('sources', requestsHoldMs, () => {
      this.entry.yield(id, key);
      const timer = turns.later('sources', requestsIdleMs - requestsHoldMs, () => {
        this.ofKeys.delete(key);
        this.release(id);
      });
      this.ofKeys.set(key, { id, timer });
    });
  }

  /**
   * A source has gone; most that go have fed nothing. Other sources may feed its instruments at once, or behind what
   * of it still waits. That the instruments are stale is announced for some of them in each turn.
   */
  release(id: number): void {
    const owner = this.clients.of(id);
    this.clients.delete(id);
    this.entry.release(id, owner);
  }
}
