/**
 * Long answer: an answer that is made as it is sent, a slice at a time, so that a reader which takes nothing
 * holds next to nothing, and no turn makes more than a slice of it.
 */

import type { Message } from '../../../protocol/messages';
import { aboutBytes } from '../topics/topic-log';

/** About so much is made in one turn, as messages are counted: some two hundred books. */
export const ANSWER_SLICE_BYTES = 65_536;

/** The next messages of an answer; null: they are not at hand now, and who has them pulls the session. */
export type AnswerPart = readonly Message[] | null;

export class LongAnswer {
  /** About so many messages are still to come; 0 when all have been taken. */
  remaining: number;
  private readonly parts: Iterator<AnswerPart, void>;
  private readonly bytesEach: number;
  private readonly done: () => void;

  /**
   * @param count of the parts, about @param bytesEach that is held for each part to come
   * @param done told when the last of it was taken
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

  /** The next of it, about so many bytes, and something if anything is at hand. */
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

  /** Its last slice is being sent: what is done behind it must not overtake that. */
  sent(): void {
    queueMicrotask(this.done);
  }
}
