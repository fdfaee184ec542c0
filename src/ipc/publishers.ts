/**
 * Publishers: everyone who is handed each batch as it is shown: the lanes of WebSocket sessions, the
 * ring, iceoryx2. Each can be left out. One that throws is put out of service and told of; it never
 * holds up the others, nor the market. The lanes alone are required: a broken invariant of theirs ends
 * the process, as everywhere.
 */

import type { MarketEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';

/** A run of events as published. */
export interface PublishedBatch {
  readonly lastSeq: number;
  readonly events: readonly BatchEvent[];
}

export interface Publisher<B extends PublishedBatch = PublishedBatch> {
  /** For messages to whoever runs the server. */
  readonly name: string;
  /** Without it there is no server: what it throws goes on to the caller, behind the others' turn. */
  readonly isRequired?: boolean;
  /** Takes the state of the time before on, up to place `lastSeq`. */
  hydrate(events: readonly MarketEvent[], lastSeq: number): void;
  accept(batch: B): void;
  /** Called several times a second: a sign of life for its readers. */
  beat(): void;
  /** Nothing more comes. */
  close(): void;
}

export class Publishers<B extends PublishedBatch = PublishedBatch> {
  private active: Publisher<B>[] = [];
  /** Told of one that was put out of service. */
  private readonly failed: (name: string, error: unknown) => void;

  constructor(failed: (name: string, error: unknown) => void) {
    this.failed = failed;
  }

  /** Each batch goes to them in the order in which they were added. */
  add(publisher: Publisher<B>): void {
    this.active.push(publisher);
  }

  get names(): string[] {
    return this.active.map(({ name }) => name);
  }

  hydrate(events: readonly MarketEvent[], lastSeq: number): void {
    this.each((publisher) => publisher.hydrate(events, lastSeq));
  }

  accept(batch: B): void {
    let fatal: unknown;
    for (let i = 0; i < this.active.length; i++) {
      const publisher = this.active[i]!;
      try {
        publisher.accept(batch);
      } catch (e) {
        if (publisher.isRequired === true) {
          fatal = e;
        } else {
          this.drop(publisher, e);
          i -= 1;
        }
      }
    }
    if (fatal !== undefined) throw fatal;
  }

  beat(): void {
    this.each((publisher) => publisher.beat());
  }

  close(): void {
    this.each((publisher) => publisher.close());
    this.active = [];
  }

  private each(act: (publisher: Publisher<B>) => void): void {
    for (const publisher of this.active) {
      // `drop` replaces the list, and does not change this one.
      try {
        act(publisher);
      } catch (e) {
        if (publisher.isRequired === true) throw e;
        this.drop(publisher, e);
      }
    }
  }

  private drop(publisher: Publisher<B>, error: unknown): void {
    this.active = this.active.filter((other) => other !== publisher);
    this.failed(publisher.name, error);
    try {
      publisher.close();
    } catch (e) {
      this.failed(publisher.name, e);
    }
  }
}
