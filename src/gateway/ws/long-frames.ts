/**
 * Long frames: what one connection sends is read in the order in which it comes, a long frame in parts, between
 * which the event loop does what else there is. Meanwhile the socket is not read, and what of it was read waits.
 * Bounded: what waits, by what Bun had read of the socket before it stopped.
 */

import type { Subprotocol } from '../../../protocol/codec';
import type { Fault } from '../../../protocol/codes';
import type { Message } from '../../../protocol/messages';
import type { ScalesOf } from '../../../protocol/units';
import type { SliceQueue } from '../../base/slice-queue';
import { isShort, readFrame, readFrameInParts } from './frames';
import type { Pausable } from './socket-gate';

type Data = string | Uint8Array;

/** About what a message takes, where it is not known. */
const MESSAGE_BYTES = 64;

interface Frame {
  readonly data: Data;
  readonly bytes: number;
}

/** The connection behind. */
interface Reader {
  readonly scalesOf: ScalesOf;
  /** @param bytes about what they take @param goesOn whether they are of a frame of which some were taken */
  taken(items: readonly (Message | Fault)[], bytes: number, goesOn: boolean): void;
  /** Whether anybody wants what is still to come. */
  isServed(): boolean;
}

export class LongFrames {
  private readonly slices: SliceQueue;
  private readonly form: Subprotocol;
  private readonly reader: Reader;
  private readonly waiting: Frame[] = [];
  private socket: Pausable | undefined;
  private isReading = false;

  constructor(slices: SliceQueue, form: Subprotocol, reader: Reader) {
    this.slices = slices;
    this.form = form;
    this.reader = reader;
  }

  open(socket: Pausable): void {
    this.socket = socket;
  }

  /** Reads it, now or behind those before it. */
  read(data: Data, bytes: number): void {
    if (!this.isReading && isShort(data)) return this.whole({ data, bytes });
    this.waiting.push({ data, bytes });
    if (this.isReading) return;
    this.isReading = true;
    this.socket?.pause();
    void this.slices.run(this.work()).finally(() => {
      this.isReading = false;
      if (this.reader.isServed()) this.socket?.resume();
    });
  }

  private whole({ data, bytes }: Frame): void {
    this.reader.taken(readFrame(data, this.form, this.reader.scalesOf), bytes, false);
  }

  private *work(): Generator<undefined, void> {
    const { reader, waiting } = this;
    for (let frame = waiting.shift(); frame !== undefined; frame = waiting.shift()) {
      if (!reader.isServed()) return;
      if (isShort(frame.data)) this.whole(frame);
      else yield* this.inParts(frame, reader);
      yield;
    }
  }

  private *inParts({ data, bytes }: Frame, reader: Reader): Generator<undefined, void> {
    let isFirst = true;
    for (const items of readFrameInParts(data, this.form, reader.scalesOf)) {
      if (!reader.isServed()) return;
      // A long message alone is all of it; of many the first part counts for more than it takes.
      if (items.length > 0)
        reader.taken(items, isFirst ? bytes : MESSAGE_BYTES * items.length, !isFirst);
      isFirst &&= items.length === 0;
      yield;
    }
    if (isFirst) reader.taken([], bytes, false);
  }
}
