/**
 * Long frames: decodes the frames of one connection in order. A long frame is decoded in parts, and the
 * event loop does other work between two parts. The socket is not read meanwhile; frames that were received
 * already wait.
 * Bounded: by what Bun had read from the socket before it stopped.
 */

import type { Subprotocol } from '../../../protocol/codec';
import type { Fault } from '../../../protocol/codes';
import type { Message } from '../../../protocol/messages';
import type { ScalesOf } from '../../../protocol/units';
import type { SliceQueue } from '../../base/slice-queue';
import { isShort, readFrame, readFrameInParts } from './frames';
import type { Pausable } from './socket-gate';

type Data = string | Uint8Array;

/** Estimated bytes of a message where the size is unknown. */
const MESSAGE_BYTES = 64;

interface Frame {
  readonly data: Data;
  readonly bytes: number;
}

/** The connection that takes the messages. */
interface Reader {
  readonly scalesOf: ScalesOf;
  /**
   * @param bytes estimated size of the items
   * @param goesOn whether earlier items of the same frame were taken already
   */
  taken(items: readonly (Message | Fault)[], bytes: number, goesOn: boolean): void;
  /** Whether the connection still takes messages. */
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

  /** Decodes a frame now, or behind those before it. */
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
      // A frame with one long message is charged in full. With many messages, the first part is
      // overestimated.
      if (items.length > 0)
        reader.taken(items, isFirst ? bytes : MESSAGE_BYTES * items.length, !isFirst);
      isFirst &&= items.length === 0;
      yield;
    }
    if (isFirst) reader.taken([], bytes, false);
  }
}
