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

/** What one of them has done. */
export interface PublisherCounts {
  batches: number;
  /** Calls of it that threw; the first puts it out of service. */
  failures: number;
  isActive: boolean;
  /** Written to shared memory; null of one that does not. */
  readonly records: number | null;
}

export interface Publisher<B extends PublishedBatch = PublishedBatch> {
  /** For messages to whoever runs the server. */
  readonly name: string;
  /** Without it there is no server: what it throws goes on to the caller, behind the others' turn. */
  readonly isRequired?: boolean;
  /** How many records it has written to shared memory, where it does. */
  readonly records?: number;
  /** Takes the state of the time before on, up to place `lastSeq`. */
  hydrate(events: readonly MarketEvent[], lastSeq: number): void;
  accept(batch: B): void;
  /** Called several times a second: a sign of life for its readers. */
  beat(): void;
  /** Nothing more comes. */
  close(): void;
}

interface Counted<B extends PublishedBatch> {
  readonly publisher: Publisher<B>;
  batches: number;
  failures: number;
}

export class Publishers<B extends PublishedBatch = PublishedBatch> {
  private active: Counted<B>[] = [];
  /** In the order in which they were added, those out of service among them. */
  private readonly all: Counted<B>[] = [];
  /** Told of one that was put out of service. */
  private readonly failed: (name: string, error: unknown) => void;

  constructor(failed: (name: string, error: unknown) => void) {
    this.failed = failed;
  }

  /** Each batch goes to them in the order in which they were added. */
  add(publisher: Publisher<B>): void {
    const counted = { publisher, batches: 0, failures: 0 };
    this.active.push(counted);
    this.all.push(counted);
  }

  get names(): string[] {
    return this.active.map(({ publisher }) => publisher.name);
  }

  /** By name. */
  counts(): [name: string, counts: PublisherCounts][] {
    return this.all.map((counted) => {
      const { publisher, batches, failures } = counted;
      const isActive = this.active.includes(counted);
      return [publisher.name, { batches, failures, isActive, records: publisher.records ?? null }];
    });
  }

  hydrate(events: readonly MarketEvent[], lastSeq: number): void {
    this.each((publisher) => publisher.hydrate(events, lastSeq));
  }

  accept(batch: B): void {
    let fatal: unknown;
    for (let i = 0; i < this.active.length; i++) {
      const counted = this.active[i]!;
      counted.batches += 1;
      try {
        counted.publisher.accept(batch);
      } catch (e) {
        if (counted.publisher.isRequired === true) {
          fatal = e;
        } else {
          this.drop(counted, e);
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
    for (const counted of this.active) {
      // `drop` replaces the list, and does not change this one.
      try {
        act(counted.publisher);
      } catch (e) {
        if (counted.publisher.isRequired === true) throw e;
        this.drop(counted, e);
      }
    }
  }

  private drop(counted: Counted<B>, error: unknown): void {
    const { publisher } = counted;
    counted.failures += 1;
    this.active = this.active.filter((other) => other !== counted);
    this.failed(publisher.name, error);
    try {
      publisher.close();
    } catch (e) {
      this.failed(publisher.name, e);
    }
  }
}
