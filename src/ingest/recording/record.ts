/**
 * Records: what a line of a recording becomes, and the place where decoders put it.
 */

import type { SourceEvent } from '../../../protocol/messages';
import type { Nanos } from '../../../protocol/time';
import { recordingFault, type LineFault, type RecordingFault } from './faults';

export type { SourceEvent };

/** What one line holds. */
export interface Recorded {
  /** Counted from 1. */
  readonly line: number;
  /** When the recorder received it; `Nanos.ZERO` when neither the line nor one before it says. */
  readonly receiveTime: Nanos;
  /** At least one. */
  readonly events: readonly SourceEvent[];
}

/** What one piece of the file holds, both lists in the order of the file. */
export interface RecordedBatch {
  readonly records: readonly Recorded[];
  readonly faults: readonly RecordingFault[];
}

export interface Counts {
  /** Lines seen, blank ones included. */
  lines: number;
  events: number;
  /** Lines that hold nothing a source says: blank, or of a derived or unknown kind. */
  skipped: number;
  /** Lines or parts of the file that are damaged. */
  faults: number;
}

/** Collects what decoders find; `take` hands it on and starts anew. */
export class Collector {
  readonly counts: Counts = { lines: 0, events: 0, skipped: 0, faults: 0 };
  /** Set once by the fault that ends the reading. */
  stoppedBy: RecordingFault | undefined;
  private records: Recorded[] = [];
  private faults: RecordingFault[] = [];
  private readonly file: string;
  private readonly stopOnFault: boolean;

  constructor(file: string, onFault: 'stop' | 'skip') {
    this.file = file;
    this.stopOnFault = onFault === 'stop';
  }

  record(line: number, receiveTime: Nanos, events: readonly SourceEvent[]): void {
    this.counts.events += events.length;
    this.records.push({ line, receiveTime, events });
  }

  skip(): void {
    this.counts.skipped += 1;
  }

  /** A line is damaged: whether to read on. */
  fault(line: number, fault: LineFault): 'stop' | 'go-on' {
    const full = this.add(line, fault);
    if (!this.stopOnFault) return 'go-on';
    this.stoppedBy ??= full;
    return 'stop';
  }

  /** The file cannot be read on. */
  fatal(line: number, fault: LineFault): void {
    const full = this.add(line, fault);
    this.stoppedBy ??= full;
  }

  take(): RecordedBatch {
    const { records, faults } = this;
    this.records = [];
    this.faults = [];
    return { records, faults };
  }

  private add(line: number, fault: LineFault): RecordingFault {
    const full = recordingFault(this.file, line, fault);
    this.counts.faults += 1;
    this.faults.push(full);
    return full;
  }
}

/** Turns lines into records; it keeps what a line needs of those before it. */
export interface Decoder {
  /** One line without its line feed. Puts records, faults and skips into the collector. */
  line(text: string, line: number, into: Collector): void;
  /** The recording is over. */
  end(into: Collector): void;
}
