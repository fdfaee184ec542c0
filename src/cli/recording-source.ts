/** Recording source: recordings, one after the other, into a sink. It is what `import` runs. */

import type { IngestSource, IngestStatus } from '../base/contracts/ingest';
import type { Clock } from '../base/clock';
import { describeRecordingFault, type RecordingFault } from '../ingest/recording/faults';
import {
  openRecording,
  type Recording,
  type RecordingOptions,
} from '../ingest/recording/recording';
import type { ImportRun } from './import-run';
import { showProgress } from './progress';

export class RecordingSource implements IngestSource {
  readonly name = 'recording';
  /** Resolves when everything is imported, or with the fault that ended it early; rejects when the connection to a server fails. */
  readonly ended: Promise<RecordingFault | undefined>;
  private readonly files: readonly string[];
  private readonly run: ImportRun;
  private readonly reading: RecordingOptions;
  private readonly clock: Clock;
  private readonly end = Promise.withResolvers<RecordingFault | undefined>();
  private state: IngestStatus['state'] = 'idle';
  private reason = '';

  constructor(files: readonly string[], run: ImportRun, reading: RecordingOptions, clock: Clock) {
    this.files = files;
    this.run = run;
    this.reading = reading;
    this.clock = clock;
    this.ended = this.end.promise;
  }

  start(): void {
    this.state = 'running';
    this.runAll().then(this.end.resolve, (e: unknown) => {
      this.fail(String(e));
      this.end.reject(e);
    });
  }

  async stop(): Promise<void> {
    if (this.state === 'idle') this.end.resolve(undefined);
    if (this.state === 'running' || this.state === 'idle') this.state = 'stopped';
    this.run.stop();
    await this.ended.catch(() => {});
  }

  status(): IngestStatus {
    const { state, reason, clock } = this;
    const { submitted, refused, lastMs } = this.run.counts;
    const silentMs = lastMs === null ? null : clock.monotonicMs() - lastMs;
    return { state, reason, submitted, refused, silentMs };
  }

  private async runAll(): Promise<RecordingFault | undefined> {
    let fault: RecordingFault | undefined;
    for (const file of this.files) {
      if (this.state === 'stopped') return undefined;
      const recording = await openRecording(file, this.reading);
      fault = 'code' in recording ? recording : await this.pour(recording);
      if (fault !== undefined) break;
    }
    await this.run.judgeBooks();
    if (fault !== undefined) this.fail(describeRecordingFault(fault));
    else if (this.state === 'running') this.state = 'ended';
    return fault;
  }

  private async pour(recording: Recording): Promise<RecordingFault | undefined> {
    const progress = showProgress(recording.path, this.clock, () => recording.progress());
    try {
      return await this.run.take(recording);
    } finally {
      progress.stop();
    }
  }

  private fail(reason: string): void {
    this.state = 'failed';
    this.reason = reason;
  }
}
