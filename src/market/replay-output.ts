/**
 * Replay output: receives the events of a recorded command that recovery executes again. They are compared with the
 * recorded events, which proves at every start that the commands alone determine the market.
 */

import { isDeepStrictEqual } from 'node:util';

import type { Execution, MarketEvent } from '../../protocol/messages';
import type { BatchEvent, Command } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import type { OwnedExecution } from '../base/contracts/batch';
import type { MarketOutput } from './output';

export class ReplayOutput implements MarketOutput {
  receiveTime = Nanos.ZERO;
  private seq = 0;
  private made: BatchEvent[] = [];
  private executions: OwnedExecution[] = [];
  private next = 0;

  /** Begins the events of a command. @throws Error if events of the last one were not recorded */
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

  execution(owner: string, message: Execution): void {
    this.executions.push({ owner, message });
  }

  /** The executions of the commands since the last call. */
  takeExecutions(): readonly OwnedExecution[] {
    const { executions } = this;
    this.executions = [];
    return executions;
  }

  /** Compares a recorded event of a venue. @throws Error if it did not follow from the commands */
  compare(recorded: MarketEvent): void {
    const made = this.made[this.next];
    this.next += 1;
    if (made === undefined || !isDeepStrictEqual(ofCommands(made), ofCommands(recorded))) {
      throw new Error(`record ${recorded.seq} does not follow from the commands before it`);
    }
  }

  /** @throws Error if an event was not recorded */
  finish(): void {
    const missing = this.made[this.next];
    if (missing !== undefined) {
      throw new Error(`record ${missing.seq} is missing`);
    }
  }
}

/**
 * The event without what does not follow from commands alone: a checksum depends on where batches ended, a volume on
 * when the session ended. `VenueMarketData.recoverVolume` checks the volume.
 */
function ofCommands(event: BatchEvent): BatchEvent {
  if (event.type === 'book') return { ...event, crc: null };
  return event.type === 'tick' ? { ...event, volume: 0 } : event;
}
