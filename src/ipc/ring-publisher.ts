/** Ring publisher: the ring as one of those who are handed each batch (publishers.ts). */

import type { MarketEvent } from '../../protocol/messages';
import type { Clock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import type { PublishedBatch, Publisher } from './publishers';
import { createRingFile, type RingFile } from './ring-file';
import { RingWriter } from './ring-writer';

export interface RingSettings {
  readonly path: string;
  readonly group?: number | undefined;
  readonly slots: number;
  /** Room for so many instruments. */
  readonly entries: number;
}

export class RingPublisher implements Publisher {
  readonly name = 'ring';
  private readonly file: RingFile;
  private readonly writer: RingWriter;
  private readonly clock: Clock;

  static open(settings: RingSettings, epoch: number, clock: Clock): RingPublisher | StartFault {
    const file = createRingFile({ ...settings, epoch, time: clock.now() });
    return file instanceof StartFault ? file : new RingPublisher(file, settings, clock);
  }

  private constructor(file: RingFile, settings: RingSettings, clock: Clock) {
    this.file = file;
    this.writer = new RingWriter(file.words, settings);
    this.clock = clock;
  }

  /** How many records there were so far. */
  get records(): number {
    return this.writer.position;
  }

  hydrate(events: readonly MarketEvent[], lastSeq: number): void {
    this.writer.hydrate(events, lastSeq);
  }

  accept(batch: PublishedBatch): void {
    this.writer.accept(batch);
  }

  beat(): void {
    this.writer.beat(this.clock.now().millis);
  }

  close(): void {
    this.writer.end();
    this.file.remove();
  }
}
