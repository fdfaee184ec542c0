/**
 * Import run: the records of recordings into a sink. Each record is converted to the scales of the target, submitted,
 * and accounted for.
 */

import type { SourceEvent, Trade } from '../../protocol/messages';
import type { Clock } from '../base/clock';
import { Conversion } from '../ingest/recording/conversion';
import {
  describeRecordingFault,
  lineFault,
  recordingFault,
  type LineFault,
  type RecordingFault,
} from '../ingest/recording/faults';
import { paced, type Speed } from '../ingest/recording/paced';
import type { Recorded, RecordedBatch } from '../ingest/recording/record';
import type { Recording } from '../ingest/recording/recording';
import { ImportNumbering } from './import-numbering';
import { ImportSummary, type BookWarning } from './import-summary';
import type { Sink } from './import-sink';

export interface RunOptions {
  readonly onFault: 'stop' | 'skip';
  /** Whether the numbers of the recordings continue those of the target, without a comparison. */
  readonly continues: boolean;
  readonly speed: Speed;
  readonly clock: Clock;
  /** Takes the faults that do not end it. */
  readonly report: (text: string) => void;
}

/** A record as it was read and as it is submitted, and how many events were left out as already present. */
interface Handed {
  readonly read: Recorded;
  readonly record: Recorded;
  readonly repeated: number;
}

/** Most names whose faults are reported once each. */
const NAMES_MAX = 10_000;

export class ImportRun {
  readonly summary = new ImportSummary();
  private readonly sink: Sink;
  private readonly options: RunOptions;
  private readonly conversion: Conversion;
  private readonly numbering: ImportNumbering;
  /** Symbols with book events, and whether a snapshot was among them. */
  private readonly books = new Map<string, boolean>();
  private readonly names = new Set<string>();
  private isStopped = false;
  /** Events submitted and refused over all recordings, and when a record was last submitted. */
  readonly counts = { submitted: 0, refused: 0, lastMs: null as number | null };
  /** Lines of the present recording that were submitted or refused, and their events. */
  private done = { lines: 0, events: 0 };

  constructor(sink: Sink, options: RunOptions) {
    this.sink = sink;
    this.options = options;
    this.conversion = new Conversion((symbol) => sink.definitionOf(symbol));
    this.numbering = new ImportNumbering(sink, options.continues);
  }

  /** Takes no more batches of the recording that is read. */
  stop(): void {
    this.isStopped = true;
  }

  /** @returns what ended it early; @throws TapedeckError when the connection fails */
  async take(recording: Recording): Promise<RecordingFault | undefined> {
    const { speed, clock, report } = this.options;
    this.done = { lines: 0, events: 0 };
    let ended: RecordingFault | undefined;
    try {
      await this.sink.begin();
      this.numbering.begin();
      const ahead = readAhead(recording, (record) => this.numbering.foresee(record));
      for await (const batch of paced(ahead, { speed, clock })) {
        this.reportAll(batch, recording);
        ended = await this.takeBatch(batch, recording.path);
        if (ended !== undefined || this.isStopped) break;
      }
    } finally {
      const progress = recording.progress();
      this.summary.addReading(progress);
      // What was read ahead and not submitted.
      this.summary.leave(progress.read - this.done.lines, progress.events - this.done.events);
    }
    if (recording.note !== undefined) report(`${recording.path}: ${recording.note}`);
    if (this.isStopped) return undefined;
    return ended ?? recording.stoppedBy ?? nothingTaken(recording);
  }

  /** Notes which books are incomplete at the end. */
  async judgeBooks(): Promise<void> {
    const warnings: BookWarning[] = [];
    for (const [symbol, hadSnapshot] of this.books) {
      if ((await this.sink.bookOf(symbol)) !== 'incomplete') continue;
      warnings.push({ symbol, book: hadSnapshot ? 'lost' : 'never' });
    }
    this.summary.books = warnings;
  }

  private async number(read: Recorded, converted: Recorded): Promise<Handed> {
    const { conversion } = this;
    const { record, repeated } = await this.numbering.number(
      converted,
      (symbol) => conversion.definitionOf(symbol),
      (trade) => {
        const event = conversion.event(trade);
        return 'code' in event ? undefined : (event as Trade);
      },
    );
    return { read, record, repeated };
  }

  private reportAll({ faults }: RecordedBatch, recording: Recording): void {
    for (const fault of faults) {
      if (fault !== recording.stoppedBy) this.options.report(describeRecordingFault(fault));
    }
  }

  /** @returns the fault that ends it */
  private async takeBatch(batch: RecordedBatch, file: string): Promise<RecordingFault | undefined> {
    const stops = this.options.onFault === 'stop';
    const handed: Handed[] = [];
    let unfit: { read: Recorded; fault: LineFault } | undefined;
    for (const read of batch.records) {
      const converted = this.conversion.convert(read);
      if (!('code' in converted)) {
        handed.push(await this.number(read, converted));
      } else if (stops) {
        unfit = { read, fault: converted };
        break;
      } else {
        this.refuse(read, converted, file);
      }
    }
    const ended = await this.hand(handed, file);
    if (ended !== undefined || unfit === undefined) return ended;
    return this.refuse(unfit.read, unfit.fault, file);
  }

  private async hand(handed: readonly Handed[], file: string): Promise<RecordingFault | undefined> {
    this.counts.lastMs = this.options.clock.monotonicMs();
    const intake = await this.sink.take(handed.map(({ record }) => record));
    this.summary.addIntake(intake.repeated, intake.waiting);
    for (const [i, { read, record, repeated }] of handed.slice(0, intake.reached).entries()) {
      const fault = intake.refused.get(i);
      if (fault !== undefined) {
        const full = this.refuse(read, fault, file);
        if (this.options.onFault === 'stop') return full;
        continue;
      }
      this.count(read);
      this.summary.addIntake(repeated, 0);
      this.noteBooks(record.events);
    }
    return undefined;
  }

  private count({ events }: Recorded): void {
    this.done.lines += 1;
    this.done.events += events.length;
    this.counts.submitted += events.length;
  }

  /** Counts a refused line. A line that ends the import is reported at its end. */
  private refuse(read: Recorded, fault: LineFault, file: string): RecordingFault {
    this.count(read);
    this.summary.refuse(fault.code, read.events.length);
    this.counts.refused += read.events.length;
    for (const event of read.events) {
      if (event.type === 'instrument') this.conversion.refuse(event.symbol, fault);
    }
    const full = recordingFault(file, read.line, fault);
    if (this.options.onFault === 'skip' && this.isNews(fault)) {
      this.options.report(describeRecordingFault(full));
    }
    return full;
  }

  private isNews({ name }: LineFault): boolean {
    if (name === undefined) return true;
    if (this.names.has(name)) return false;
    if (this.names.size < NAMES_MAX) this.names.add(name);
    return true;
  }

  private noteBooks(events: readonly SourceEvent[]): void {
    for (const event of events) {
      if (event.type !== 'book') continue;
      const had = this.books.get(event.symbol) === true;
      this.books.set(event.symbol, had || event.form === 'snapshot');
    }
  }
}

/** How many records are read ahead of the one that is taken. */
const AHEAD_RECORDS = 4_096;

/** The same batches; numbering notes the batches read ahead first. */
async function* readAhead(
  batches: AsyncIterable<RecordedBatch>,
  foresee: (record: Recorded) => void,
): AsyncGenerator<RecordedBatch, void, undefined> {
  const waiting: RecordedBatch[] = [];
  let records = 0;
  for await (const batch of batches) {
    for (const record of batch.records) foresee(record);
    waiting.push(batch);
    records += batch.records.length;
    while (records > AHEAD_RECORDS) {
      const next = waiting.shift()!;
      records -= next.records.length;
      yield next;
    }
  }
  yield* waiting;
}

/** A recording without any usable line is a fault, even if its first line looked right. */
function nothingTaken(recording: Recording): RecordingFault | undefined {
  const { lines, read, skippedBy, refusedBy } = recording.progress();
  if (read > 0) return undefined;
  const counts = Object.entries({ ...skippedBy, ...refusedBy });
  const what = counts.map(([reason, count]) => `${count} ${reason}`).join(', ');
  const message = `none of its ${lines} lines can be imported (${what})`;
  return recordingFault(recording.path, 0, lineFault('nothing-taken', message));
}
