/**
 * Play frames: what is played, cut into frames of either form.
 *
 * Where nothing is timed a frame is cut by its size, else so that what it holds happened within
 * `SLICE_MS` of the play. A play runs by the times by which records are ordered; where these step back it
 * waits for nothing.
 */

import { FrameSequence } from '../../../protocol/codec';
import { toJsonText } from '../../../protocol/json-text';
import type { Message } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import type { ScalesOf } from '../../../protocol/units';
import type { ReplayChunk } from './messages';

/** A frame is closed at so many messages, and at so many bytes: a slow line takes it within a heartbeat. */
const FRAME_MESSAGES = 200;
const FRAME_BYTES = 15 * 1_024;
/** Of a timed play: what happened in so many ms of it goes out together. */
const SLICE_MS = 5;

/** Frames in the making. What was added may change afterwards. */
interface Form {
  /** Messages of the frame in the making. */
  readonly length: number;
  /** Its bytes so far; of text in letters. */
  readonly openBytes: number;
  /** Of all frames so far; of text in letters. */
  readonly bytes: number;
  add(message: Message): void;
  /** Ends the frame; only when it has a message. */
  cut(): void;
  /** The frames so far; it is empty then. */
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

export class PlayFrames {
  private readonly speed: number;
  private readonly form: Form;
  private atMs: number[] = [];
  private seqs: number[] = [];
  private borders: number[] = [];
  private messages = 0;
  /** What was added stands for itself: a reader that has it can go on behind it. */
  private isSettled = true;
  /** Of the frame in the making: its newest place, and when it is due. */
  private openSeq = 0;
  private openMs = 0;
  /** Of the first, and how far the play has come, in ms of its own. */
  private first: Nanos | null = null;
  private nowMs = 0;

  /** @param speed hundredths of real time; 0: nothing is timed */
  constructor(speed: number, isText: boolean, scalesOf: ScalesOf) {
    this.speed = speed;
    this.form = isText ? new TextForm(scalesOf) : new BinaryForm();
  }

  /** Of the frames so far. */
  get bytes(): number {
    return this.form.bytes;
  }

  /** @param seq its place, 0 where it has none @param time by which it is due; null: with what is before it */
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

  /** All messages of what was added are. */
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

  /** @param reached the seq up to which all was added; 0 where that is not whole */
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
    this.first ??= new Nanos(time.hi, time.lo); // that of a message may change
    const ms = (time.since(this.first) / 1e6 / this.speed) * 100;
    if (ms > this.nowMs) this.nowMs = ms;
    if (this.form.length === 0) this.openMs = this.nowMs;
  }
}
