/**
 * Verify replay: all of a journal from its first record on, as one recovery from nothing.
 *
 * Each record is held against those before it (`journal/record-checks.ts`); the commands of venues are
 * carried out again and must give what is on record; where a checkpoint lies on the way, the market that
 * it restores must be the one that stands there. Behind a gap that the market did not go on over, the
 * state is not known until the next checkpoint, from which another market goes on.
 * Bounded: one page of rows, two markets.
 */

import type { BatchEvent } from '../protocol/records';
import type { CheckpointRow } from './journal/notes';
import type { JournalReading } from './journal/reading';
import { RecordChecks } from './journal/record-checks';
import { KIND, seqOf } from './journal/schema';
import { readCheckpoint } from './market/checkpoint';
import { Market, type MarketOptions } from './market/market';
import { stateHash } from './market/state-hash';

/**
 * @param continued where gaps end that the market went on over
 * @param onRecords told of the records read so far
 * @returns the market at its end; or, as a string, the first fault
 */
export function replayJournal(
  reading: JournalReading,
  limits: MarketOptions,
  continued: ReadonlySet<number>,
  onRecords: (records: number) => void,
): Market | string {
  return new Walk(reading, limits, continued, onRecords).run();
}

type Item =
  | { readonly type: 'event'; readonly event: BatchEvent }
  | { readonly type: 'checkpoint'; readonly checkpoint: CheckpointRow }
  /** What stood before is not what the records go on from. */
  | { readonly type: 'break' };

class Walk {
  private readonly reading: JournalReading;
  private readonly limits: MarketOptions;
  private readonly continued: ReadonlySet<number>;
  private readonly onRecords: (records: number) => void;
  private readonly checkpoints: CheckpointRow[];
  private market: Market;
  private seq = 0;
  private brokenAt: number | undefined;
  private fault: string | undefined;

  constructor(
    reading: JournalReading,
    limits: MarketOptions,
    continued: ReadonlySet<number>,
    onRecords: (records: number) => void,
  ) {
    this.reading = reading;
    this.limits = limits;
    this.continued = continued;
    this.onRecords = onRecords;
    this.market = new Market(limits);
    this.checkpoints = [...reading.checkpoints];
  }

  run(): Market | string {
    const items = this.items();
    try {
      let checkpoint: CheckpointRow | null | undefined = null;
      while (checkpoint !== undefined) {
        this.market = new Market(this.limits);
        this.brokenAt = undefined;
        const start = checkpoint === null ? null : readCheckpoint(checkpoint.state);
        this.market.restore(start, this.stretch(items));
        checkpoint = this.brokenAt === undefined ? undefined : this.nextCheckpoint(items);
      }
    } catch (e) {
      const { message } = e as Error;
      this.fault ??= message.startsWith('record ') ? message : `record ${this.seq}: ${message}`;
    }
    if (this.fault === undefined && this.brokenAt !== undefined) {
      return `no checkpoint tells the state behind the gap that ends at ${this.brokenAt}`;
    }
    return this.fault ?? this.market;
  }

  /** The events up to the next break, as recovery takes them. */
  private *stretch(items: Iterator<Item, void>): Iterable<BatchEvent> {
    for (let next = items.next(); next.done !== true; next = items.next()) {
      const item = next.value;
      if (item.type === 'break') {
        this.brokenAt = this.seq;
        return;
      }
      if (item.type === 'event') {
        yield item.event;
        continue;
      }
      this.fault = this.checkpointFault(item.checkpoint); // the market has taken all before it
      if (this.fault !== undefined) return;
    }
  }

  private nextCheckpoint(items: Iterator<Item, void>): CheckpointRow | undefined {
    for (let next = items.next(); next.done !== true; next = items.next()) {
      if (next.value.type === 'checkpoint') return next.value.checkpoint;
    }
    return undefined;
  }

  /** Everything in its order, up to the first fault. */
  private *items(): Generator<Item, void> {
    const checks = new RecordChecks(this.reading.instruments, (to) => this.continued.has(to));
    let records = 0;
    for (const rows of this.reading.pages()) {
      for (const row of rows) {
        const seq = seqOf(row.id);
        yield* this.checkpointsBefore(seq);
        const event = checks.take(row);
        if (typeof event === 'string') {
          this.fault = event;
          return;
        }
        this.seq = seq;
        if (event !== null) {
          records += 1;
          yield { type: 'event', event };
        } else if (row.kind === KIND.gap && !this.continued.has(seq)) {
          yield { type: 'break' };
        }
      }
      this.onRecords(records);
    }
    yield* this.checkpointsBefore(Infinity);
    this.fault ??= checks.finish();
  }

  /** A checkpoint stands behind all else at its place but the end of an epoch. */
  private *checkpointsBefore(seq: number): Generator<Item> {
    while (this.checkpoints.length > 0 && this.checkpoints[0]!.seq < seq) {
      yield { type: 'checkpoint', checkpoint: this.checkpoints.shift()! };
    }
  }

  /** What is wrong with a checkpoint at the place where the market stands. */
  private checkpointFault({ seq, state }: CheckpointRow): string | undefined {
    try {
      const restored = new Market(this.limits);
      restored.restore(readCheckpoint(state), []);
      if (stateHash(restored) === stateHash(this.market)) return undefined;
      return `the checkpoint at ${seq} is not the state behind record ${seq}`;
    } catch (e) {
      return `the checkpoint at ${seq} does not read: ${(e as Error).message}`;
    }
  }
}
