/**
 * Records: what a line of a recording becomes, and the collector that decoders write to.
 *
 * Invariant: each line has one outcome. It is read (a record), skipped for a reason, or refused with a code; `lines` is
 * the sum of the three.
 */

import type { SourceEvent } from '../../../protocol/messages';
import type { Nanos } from '../../../protocol/time';
import { recordingFault, type LineFault, type RecordingFault } from './faults';

export type { SourceEvent };

/** The content of one line. */
export interface Recorded {
  /** Counted from 1. */
  readonly line: number;
  /** When the recorder received it; `Nanos.ZERO` if neither the line nor one before it says. */
  readonly receiveTime: Nanos;
  /** At least one. */
  readonly events: readonly SourceEvent[];
}

/** The content of one piece of the file; both lists are in the order of the file. */
export interface RecordedBatch {
  readonly records: readonly Recorded[];
  readonly faults: readonly RecordingFault[];
}

export interface Counts {
  /** Lines with an outcome, blank ones included. */
  lines: number;
  /** Lines with events. */
  read: number;
  events: number;
  /** Lines without a source event, or with a message that the server derives itself. */
  skipped: number;
  /** Lines that were refused. */
  refused: number;
  /** By reason; at most `REASONS_MAX` of them. */
  readonly skippedBy: Readonly<Record<string, number>>;
  /** By code. */
  readonly refusedBy: Readonly<Record<string, number>>;
}

/** Reasons come from the file, so further ones are counted together. */
const REASONS_MAX = 32;
const OTHER_REASON = 'other';
/** Names that are reported once each; beyond these each line is reported. */
const NAMES_MAX = 10_000;

/** Collects what decoders find; `take` returns it and starts a new collection. */
export class Collector {
  /** The fault that stopped reading. */
  stoppedBy: RecordingFault | undefined;
  private readonly tally = { lines: 0, read: 0, events: 0, skipped: 0, refused: 0 };
  private readonly skippedBy = new Map<string, number>();
  private readonly refusedBy = new Map<string, number>();
  private readonly names = new Set<string>();
  private records: Recorded[] = [];
  private faults: RecordingFault[] = [];
  private readonly file: string;
  private readonly stopOnFault: boolean;

  constructor(file: string, onFault: 'stop' | 'skip') {
    this.file = file;
    this.stopOnFault = onFault === 'stop';
  }

  get counts(): Readonly<Counts> {
    const { skippedBy, refusedBy } = this;
    return {
      ...this.tally,
      skippedBy: Object.fromEntries(skippedBy),
      refusedBy: Object.fromEntries(refusedBy),
    };
  }

  record(line: number, receiveTime: Nanos, events: readonly SourceEvent[]): void {
    this.tally.lines += 1;
    this.tally.read += 1;
    this.tally.events += events.length;
    this.records.push({ line, receiveTime, events });
  }

  /** @param reason a word, such as the kind of the message */
  skip(reason: string): void {
    this.tally.lines += 1;
    this.tally.skipped += 1;
    const known = this.skippedBy.has(reason) || this.skippedBy.size < REASONS_MAX;
    count(this.skippedBy, known ? reason : OTHER_REASON);
  }

  /** Refuses a line. @returns whether to continue */
  refuse(line: number, fault: LineFault): 'stop' | 'go-on' {
    this.tally.lines += 1;
    this.tally.refused += 1;
    count(this.refusedBy, fault.code);
    if (fault.name !== undefined) {
      if (this.names.has(fault.name)) return 'go-on';
      if (this.names.size < NAMES_MAX) this.names.add(fault.name);
    }
    const full = this.add(line, fault);
    if (!this.stopOnFault || fault.code === 'unusable-symbol') return 'go-on';
    this.stoppedBy ??= full;
    return 'stop';
  }

  /** The file cannot be read further. */
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
    this.faults.push(full);
    return full;
  }
}

export function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Turns lines into records; it keeps what a line needs of the lines around it. */
export interface Decoder {
  /** Takes one line without its line feed. It becomes a record, a skip or a refusal, now or later. */
  line(text: string, line: number, into: Collector): void;
  /** Takes a line that is not text. */
  fault(fault: LineFault, line: number, into: Collector): void;
  /** Ends the recording: lines that wait are decided now. */
  end(into: Collector): void;
}
