/**
 * Long answer: an answer that is made while it is sent, slice by slice. A reader that takes nothing
 * costs almost no memory, and no turn makes more than a slice.
 */

import type { Message } from '../../../protocol/messages';
import { aboutBytes } from '../topics/topic-log';

/** Approximate bytes made in one turn: about two hundred books. */
export const ANSWER_SLICE_BYTES = 65_536;

/**
 * The next messages of an answer; null if they are not available yet. Whoever makes them available
 * calls `Session.pull`.
 */
export type AnswerPart = readonly Message[] | null;

export class LongAnswer {
  /** Approximate number of messages to come; 0 when all were taken. */
  remaining: number;
  private readonly parts: Iterator<AnswerPart, void>;
  private readonly bytesEach: number;
  private readonly done: () => void;

  /**
   * @param count approximate number of parts
   * @param bytesEach memory held for each part to come
   * @param done called when the last part was taken
   */
  constructor(
    parts: Iterator<AnswerPart, void>,
    count: number,
    bytesEach: number,
    done: () => void,
  ) {
    this.parts = parts;
    this.remaining = Math.max(1, count);
    this.bytesEach = bytesEach;
    this.done = done;
  }

  get heldBytes(): number {
    return this.remaining * this.bytesEach;
  }

  /** Takes about this many bytes; at least one part if one is available. */
  take(bytesMax: number): Message[] {
    const messages: Message[] = [];
    for (let bytes = 0; bytes < bytesMax;) {
      const { value, done } = this.parts.next();
      if (done === true) {
        this.remaining = 0;
        break;
      }
      if (value === null || value === undefined) break;
      for (const message of value) {
        messages.push(message);
        bytes += aboutBytes(message);
      }
      this.remaining = Math.max(1, this.remaining - 1);
    }
    return messages;
  }

  /** Its last slice is being sent; what `done` sends must follow it. */
  sent(): void {
    queueMicrotask(this.done);
  }
}
