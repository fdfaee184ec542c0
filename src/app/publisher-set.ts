/**
 * Publisher set: all publishers of a server. Each batch goes to each of them, in the order in which they were added.
 *
 * A publisher that throws is taken out of service and reported; the others and the market go on. What a required one
 * throws goes on to the caller, so a broken invariant ends the process. One that opens slowly or refuses a batch
 * catches up from its position, and then takes batches again.
 */

import type { EventRun } from '../base/contracts/batch';
import type {
  PublishedEvents,
  Publisher,
  PublisherLag,
  PublisherStart,
} from '../base/contracts/publisher';

/** What a publisher has done. */
export interface PublisherCounts {
  /** Batches that it was given. */
  readonly batches: number;
  /** Calls of it that threw; the first one takes it out of service. */
  readonly failures: number;
  readonly isActive: boolean;
  /** Written to shared memory; null: it has none. */
  readonly records: number | null;
  readonly behind: PublisherLag;
}

interface Member<B extends EventRun> {
  readonly publisher: Publisher<B>;
  batches: number;
  failures: number;
  isOut: boolean;
  /** The position from which it catches up; null while it takes batches. */
  position: number | null;
}

export interface PublisherSetOptions {
  /** Called when a publisher is taken out of service. */
  readonly failed: (name: string, error: unknown) => void;
  /** The events that were published, up to a sequence number. */
  readonly read: (position: number, upTo: number) => ReturnType<PublishedEvents['read']>;
}

export class PublisherSet<B extends EventRun> {
  /** Those that take batches. A change makes a new list, so an iteration may go on. */
  private active: readonly Member<B>[] = [];
  private readonly all: Member<B>[] = [];
  private readonly options: PublisherSetOptions;
  /** The newest position that was published. */
  private lastSeq = 0;
  private readonly events: PublishedEvents;

  constructor(options: PublisherSetOptions) {
    this.options = options;
    this.events = {
      read: (position) =>
        position >= this.lastSeq ? undefined : options.read(position, this.lastSeq),
    };
  }

  get names(): string[] {
    return this.active.map(({ publisher }) => publisher.name);
  }

  /** By name, in the order of the set, including those out of service. */
  counts(): [name: string, counts: PublisherCounts][] {
    return this.all.map((member) => {
      const { publisher, batches, failures } = member;
      return [
        publisher.name,
        {
          batches,
          failures,
          isActive: this.active.includes(member),
          records: publisher.records ?? null,
          behind: this.behind(member),
        },
      ];
    });
  }

  /** Opens a publisher with the state at the newest position. */
  add(publisher: Publisher<B>, start: PublisherStart): void {
    this.lastSeq = Math.max(this.lastSeq, start.lastSeq);
    const member: Member<B> = { publisher, batches: 0, failures: 0, isOut: false, position: 0 };
    this.all.push(member);
    this.try(member, () => {
      const opened = publisher.open(start);
      if (typeof opened === 'number') this.enter(member, opened);
      else void this.later(member, opened);
    });
  }

  accept(batch: B): void {
    this.lastSeq = batch.lastSeq;
    let fatal: unknown;
    for (const member of this.active) {
      member.batches += 1;
      try {
        if (member.publisher.accept(batch) === 'full') this.leave(member, batch);
      } catch (e) {
        if (member.publisher.isRequired === true) fatal = e;
        else this.drop(member, e);
      }
    }
    if (fatal !== undefined) throw fatal;
  }

  beat(): void {
    for (const member of this.active) this.try(member, () => member.publisher.beat());
  }

  /** Closes all of them; resolves when they have ended. */
  async close(): Promise<void> {
    this.active = [];
    const closing = this.all.filter(({ isOut }) => !isOut);
    for (const member of closing) member.isOut = true;
    await Promise.all(closing.map((member) => this.end(member)));
  }

  /** It is open, or has caught up to a position: takes batches if that is the newest, else catches up. */
  private enter(member: Member<B>, position: number): void {
    member.position = position;
    if (member.isOut) return;
    if (position < this.lastSeq) return void this.later(member, this.catchUp(member, position));
    member.position = null;
    this.active = this.all.filter(({ isOut, position }) => !isOut && position === null);
  }

  private async catchUp({ publisher }: Member<B>, position: number): Promise<number> {
    const reached = await publisher.catchUp(position, this.events);
    if (reached > position) return reached;
    throw new Error(`it does not catch up from position ${position}`);
  }

  /** Enters it when its position is known. */
  private async later(member: Member<B>, position: Promise<number>): Promise<void> {
    try {
      this.enter(member, await position);
    } catch (e) {
      if (member.isOut) return;
      if (member.publisher.isRequired === true) throw e;
      this.drop(member, e);
    }
  }

  /** It did not take a batch. */
  private leave(member: Member<B>, batch: B): void {
    this.active = this.active.filter((other) => other !== member);
    const before = batch.lastSeq - batch.events.length;
    member.position = before;
    void this.later(member, this.catchUp(member, before));
  }

  private behind({ publisher, position, isOut }: Member<B>): PublisherLag {
    const { events, ms } = publisher.behindBy();
    const missed = position === null || isOut ? 0 : this.lastSeq - position;
    return { events: events + missed, ms };
  }

  private try(member: Member<B>, act: () => void): void {
    try {
      act();
    } catch (e) {
      if (member.publisher.isRequired === true) throw e;
      this.drop(member, e);
    }
  }

  private drop(member: Member<B>, error: unknown): void {
    member.failures += 1;
    member.isOut = true;
    this.active = this.active.filter((other) => other !== member);
    this.options.failed(member.publisher.name, error);
    void this.end(member);
  }

  private async end(member: Member<B>): Promise<void> {
    const { publisher } = member;
    try {
      await publisher.close();
    } catch (e) {
      member.failures += 1;
      this.options.failed(publisher.name, e);
    }
  }
}
