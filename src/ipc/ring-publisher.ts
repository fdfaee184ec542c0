/** Ring publisher: publishes each batch to the ring in shared memory. */

import { acceptBehind, NO_LAG } from '../base/accepting';
import type { Clock } from '../base/clock';
import type { EventRun } from '../base/contracts/batch';
import type {
  PublishedEvents,
  Publisher,
  PublisherLag,
  PublisherStart,
} from '../base/contracts/publisher';
import { StartFault } from '../base/start-fault';
import { createRingFile, type RingFile } from './ring-file';
import { DOUBLE } from './ring-layout';
import { RingWriter } from './ring-writer';

export interface RingSettings {
  readonly path: string;
  readonly group?: number | undefined;
  readonly slots: number;
  /** Maximum number of instruments. */
  readonly entries: number;
}

export class RingPublisher implements Publisher {
  readonly name = 'ring';
  private readonly file: RingFile;
  private readonly writer: RingWriter;
  private readonly clock: Clock;
  private isClosed = false;

  static open(settings: RingSettings, epoch: number, clock: Clock): RingPublisher | StartFault {
    const file = createRingFile({ ...settings, epoch, time: clock.now() });
    return file instanceof StartFault ? file : new RingPublisher(file, settings, clock);
  }

  private constructor(file: RingFile, settings: RingSettings, clock: Clock) {
    this.file = file;
    this.writer = new RingWriter(file.words, settings);
    this.clock = clock;
  }

  /** Records written so far. */
  get records(): number {
    return this.writer.position;
  }

  open({ newest, lastSeq }: PublisherStart): number {
    this.writer.hydrate(newest, lastSeq);
    return lastSeq;
  }

  accept(batch: EventRun & { readonly epoch?: number }): 'taken' {
    const { doubles } = this.file.words;
    // In a cluster another leader may continue the numbering.
    if (batch.epoch !== undefined && batch.epoch !== doubles[DOUBLE.epoch]) {
      doubles[DOUBLE.epoch] = batch.epoch;
    }
    this.writer.accept(batch);
    return 'taken';
  }

  behindBy(): PublisherLag {
    return NO_LAG;
  }

  catchUp(position: number, events: PublishedEvents): Promise<number> {
    return acceptBehind(position, events, (run) => this.writer.accept(run));
  }

  beat(): void {
    this.writer.beat(this.clock.now().millis);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.writer.end();
    this.file.remove();
  }
}
