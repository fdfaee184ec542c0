/**
 * Replay output: where a recorded command writes when recovery carries it out again. The events go
 * nowhere; they are held against those on record, which proves at every start that commands alone
 * determine the market.
 */

import { isDeepStrictEqual } from 'node:util';

import type { MarketEvent } from '../../protocol/messages';
import type { BatchEvent, Command } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import type { MarketOutput } from './output';

export class ReplayOutput implements MarketOutput {
  receiveTime = Nanos.ZERO;
  private seq = 0;
  private made: BatchEvent[] = [];
  private next = 0;

  /** The next events follow from this command. @throws Error when earlier ones are not on record */
  begin(command: Command): void {
    this.finish();
    this.receiveTime = command.receiveTime;
    this.seq = command.seq;
    this.made = [];
    this.next = 0;
  }

  nextSeq(): number {
    return ++this.seq;
  }

  push(event: BatchEvent): void {
    this.made.push(event);
  }

  /** An event of a venue on record. @throws Error when it did not follow from the commands */
  compare(recorded: MarketEvent): void {
    const made = this.made[this.next];
    this.next += 1;
    if (made === undefined || !isDeepStrictEqual(ofCommands(made), ofCommands(recorded))) {
      throw new Error(`record ${recorded.seq} does not follow from the commands before it`);
    }
  }

  /** @throws Error when an event is not on record */
  finish(): void {
    const missing = this.made[this.next];
    if (missing !== undefined) {
      throw new Error(`record ${missing.seq} is missing`);
    }
  }
}

/**
 * The event without what depends on more than commands: a checksum on where batches ended, a volume on
 * when the session ended. `VenueMarketData.recoverVolume` judges the volume.
 */
function ofCommands(event: BatchEvent): BatchEvent {
  if (event.type === 'book') return { ...event, crc: null };
  return event.type === 'tick' ? { ...event, volume: 0 } : event;
}
