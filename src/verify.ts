/**
 * Verify: whether a journal is sound, from its pages to the market that follows from it.
 *
 * In this order: the structure of the file, the epochs, every record against those before it
 * (`journal/record-checks.ts`), and all of them as one recovery from nothing, in which the commands of
 * venues are carried out again and must give what is on record. Where a checkpoint lies on the way, the
 * market that it restores must be the one that stands there.
 */

import type { BatchEvent } from '../protocol/records';
import type { CheckpointRow, EpochRow, JournalReading } from './journal/reading';
import { RecordChecks } from './journal/record-checks';
import { readCheckpoint } from './market/checkpoint';
import { Market, type MarketOptions } from './market/market';
import { stateHash } from './market/state-hash';

export interface Verified {
  readonly records: number;
  /** 0 when there is no record. */
  readonly seqFirst: number;
  readonly seqLast: number;
  /** How many. */
  readonly epochs: number;
  /** As in `market/state-hash.ts`. */
  readonly stateHash: string;
}

/**
 * @param onPage told of the records read so far
 * @returns what stands in it; or, as a string, the first fault
 */
export function verifyJournal(
  reading: JournalReading,
  limits: MarketOptions,
  onPage: (records: number) => void = () => {},
): Verified | string {
  try {
    const structure = reading.structureFault();
    if (structure !== undefined) return `the file is damaged: ${structure}`;
    const epoch = epochFault(reading.epochs, reading.seqLast);
    if (epoch !== undefined) return epoch;
    return new Walk(reading, limits, onPage).run();
  } catch (e) {
    return `the file is damaged: ${(e as Error).message}`;
  }
}

/** Each epoch begins behind the one before it; only the newest may be open. */
function epochFault(epochs: readonly EpochRow[], seqLast: number): string | undefined {
  let end: number | null = 0;
  for (const { epoch, first_seq, last_seq, clean } of epochs) {
    const expected: number | null = end === null ? null : end + 1;
    if (expected === null) return `epoch ${epoch} begins while the one before it is open`;
    if (first_seq !== expected) return `epoch ${epoch} begins at ${first_seq}; expected ${expected}`; // prettier-ignore
    if (last_seq !== null && last_seq < first_seq - 1) {
      return `epoch ${epoch} ends at ${last_seq}, before it begins at ${first_seq}`;
    }
    if (clean !== 0 && (clean !== 1 || last_seq === null)) {
      return `epoch ${epoch} is marked ${clean}, and ends at ${String(last_seq)}`;
    }
    end = last_seq;
  }
  if (epochs.length === 0 && seqLast > 0) return 'no epoch is on record';
  if (end !== null && end !== seqLast) return `the newest epoch ends at ${end}; the records end at ${seqLast}`; // prettier-ignore
  return undefined;
}

class Walk {
  private readonly reading: JournalReading;
  private readonly limits: MarketOptions;
  private readonly onPage: (records: number) => void;
  private readonly market: Market;
  private readonly checkpoints: CheckpointRow[];
  private records = 0;
  private fault: string | undefined;

  constructor(reading: JournalReading, limits: MarketOptions, onPage: (records: number) => void) {
    this.reading = reading;
    this.limits = limits;
    this.onPage = onPage;
    this.market = new Market(limits);
    this.checkpoints = [...reading.checkpoints];
  }

  run(): Verified | string {
    let place = 0;
    try {
      this.market.restore(
        null,
        this.events((seq) => (place = seq)),
      );
    } catch (e) {
      const { message } = e as Error;
      this.fault ??= message.startsWith('record ') ? message : `record ${place}: ${message}`;
    }
    const { seqFirst, seqLast, epochs } = this.reading;
    this.fault ??= this.checkpointFault(seqLast) ?? this.strayCheckpoint();
    if (this.fault !== undefined) return this.fault;
    const hash = stateHash(this.market);
    return { records: this.records, seqFirst, seqLast, epochs: epochs.length, stateHash: hash };
  }

  /** The events as recovery takes them, up to the first fault. */
  private *events(at: (seq: number) => void): Iterable<BatchEvent> {
    const checks = new RecordChecks(this.reading.instruments);
    for (const rows of this.reading.pages()) {
      for (const row of rows) {
        // The market has taken all before this row.
        this.fault = this.checkpointFault(row.seq - 1);
        if (this.fault !== undefined) return;
        const event = checks.take(row);
        if (typeof event === 'string') {
          this.fault = event;
          return;
        }
        at(row.seq);
        yield event;
      }
      this.records += rows.length;
      this.onPage(this.records);
    }
    this.fault = checks.finish();
  }

  /** What is wrong with the checkpoint at this place, where the market stands. */
  private checkpointFault(seq: number): string | undefined {
    if (this.checkpoints[0]?.seq !== seq) return undefined;
    const { crc, state } = this.checkpoints.shift()!;
    if (Bun.hash.crc32(state) !== crc) return `the checkpoint at ${seq} has not its checksum`;
    try {
      const restored = new Market(this.limits);
      restored.restore(readCheckpoint(state), []);
      if (stateHash(restored) === stateHash(this.market)) return undefined;
      return `the checkpoint at ${seq} is not the state behind record ${seq}`;
    } catch (e) {
      return `the checkpoint at ${seq} does not read: ${(e as Error).message}`;
    }
  }

  private strayCheckpoint(): string | undefined {
    const stray = this.checkpoints[0];
    return stray && `there is a checkpoint at ${stray.seq}, but no such record`;
  }
}
