/**
 * Replay frames: cuts the messages of a replay into frames of either form.
 *
 * If the replay is not timed, a frame is cut by its size; else so that its messages happened within
 * `SLICE_MS` of the replay. A replay follows the order times of records; where these step back, it
 * does not wait.
 */

import { FrameSequence } from '../../../protocol/codec';
import { toJsonText } from '../../../protocol/json-text';
import type { Message } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import type { ScalesOf } from '../../../protocol/units';
import type { ReplayChunk } from './messages';

/**
 * The most messages of a frame, and about its most bytes: a slow connection takes it within a
 * heartbeat.
 */
const FRAME_MESSAGES = 200;
const FRAME_BYTES = 15 * 1_024;
/** In a timed replay, messages from this many ms of it are sent together. */
const SLICE_MS = 5;

/** The frames being built. `add` encodes the message at once: the caller may reuse the object. */
interface Form {
  /** Messages of the current frame. */
  readonly length: number;
  /** Its bytes so far; for text: its characters. */
  readonly openBytes: number;
  /** Bytes of all frames so far; for text: their characters. */
  readonly bytes: number;
  add(message: Message): void;
  /** Ends the current frame; only if it has a message. */
  cut(): void;
  /** Returns the frames so far, and begins with none. */
  take(): Pick<ReplayChunk, 'bytes' | 'ends' | 'texts'>;
}

class BinaryForm implements Form {
  private readonly frames = new FrameSequence();
  private ends: number[] = [];
  private start = 0;

  get length(): number {
    return this.frames.length;
  }

  get bytes(): number {
    return this.frames.bytes;
  }

  get openBytes(): number {
    return this.frames.bytes - this.start;
  }

  add(message: Message): void {
    this.frames.add(message);
  }

  cut(): void {
    this.start = this.frames.cut();
    this.ends.push(this.start);
  }

  take(): Pick<ReplayChunk, 'bytes' | 'ends' | 'texts'> {
    const { ends } = this;
    this.ends = [];
    this.start = 0;
    return { bytes: this.frames.take(), ends, texts: [] };
  }
}

class TextForm implements Form {
  bytes = 0;
  openBytes = 0;
  private readonly scalesOf: ScalesOf;
  private items: string[] = [];
  private texts: string[] = [];

  constructor(scalesOf: ScalesOf) {
    this.scalesOf = scalesOf;
  }

  get length(): number {
    return this.items.length;
  }

  add(message: Message): void {
    const item = toJsonText(message, this.scalesOf);
    this.items.push(item);
    this.bytes += item.length;
    this.openBytes += item.length + 1;
  }

  cut(): void {
    this.texts.push(`[${this.items.join(',')}]`);
    this.items = [];
    this.openBytes = 0;
  }

  take(): Pick<ReplayChunk, 'bytes' | 'ends' | 'texts'> {
    const { texts } = this;
    this.texts = [];
    this.bytes = 0;
    return { bytes: new Uint8Array(), ends: [], texts };
  }
}

export class ReplayFrames {
  private readonly speed: number;
  private readonly form: Form;
  private atMs: number[] = [];
  private seqs: number[] = [];
  private borders: number[] = [];
  private messages = 0;
  /**
   * Whether a reader that has all added messages can resume after them. `borders` has, for each
   * frame, its newest seq if so, else 0; of the last frame: `reached`.
   */
  private isSettled = true;
  /** The newest seq of the current frame, and when it is due. */
  private openSeq = 0;
  private openMs = 0;
  /** Time of the first message, and how far the replay has come, in ms of its own. */
  private first: Nanos | null = null;
  private nowMs = 0;

  /** @param speed hundredths of real time; 0: not timed */
  constructor(speed: number, isText: boolean, scalesOf: ScalesOf) {
    this.speed = speed;
    this.form = isText ? new TextForm(scalesOf) : new BinaryForm();
  }

  /** Total size of the frames so far. */
  get bytes(): number {
    return this.form.bytes;
  }

  /**
   * @param seq of the message, 0 if it has none
   * @param time when it is due; null: together with the message before it
   */
  add(message: Message, seq: number, time: Nanos | null): void {
    if (this.speed > 0 && time !== null) this.pass(time);
    const { form } = this;
    const isFull = form.length >= FRAME_MESSAGES || form.openBytes >= FRAME_BYTES;
    if (isFull || this.nowMs - this.openMs >= SLICE_MS) this.cut();
    form.add(message);
    this.isSettled = false;
    this.openSeq = Math.max(this.openSeq, seq);
    this.messages += 1;
  }

  /** Marks the added messages as self-contained. */
  settle(): void {
    this.isSettled = true;
  }

  cut(): void {
    if (this.form.length > 0) {
      this.form.cut();
      this.atMs.push(this.openMs);
      this.seqs.push(this.openSeq);
      this.borders.push(this.isSettled ? this.openSeq : 0);
    }
    this.openSeq = 0;
    this.openMs = this.nowMs;
  }

  /** @param reached the seq up to which everything was added; 0 if that is not complete */
  take(reached: number, isLast: boolean): ReplayChunk {
    this.cut();
    const { atMs, seqs, borders, messages } = this;
    if (borders.length > 0) borders[borders.length - 1] = reached;
    this.atMs = [];
    this.seqs = [];
    this.borders = [];
    this.messages = 0;
    return { ...this.form.take(), atMs, seqs, borders, reached, messages, isLast };
  }

  private pass(time: Nanos): void {
    this.first ??= new Nanos(time.hi, time.lo); // the time object of a message may change
    const ms = (time.since(this.first) / 1e6 / this.speed) * 100;
    if (ms > this.nowMs) this.nowMs = ms;
    if (this.form.length === 0) this.openMs = this.nowMs;
  }
}
