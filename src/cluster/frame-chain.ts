/**
 * Frame chain: whether a frame follows what a reader has, rule [L7] of protocol/README.md, and what it brings.
 * Pure: it knows frames and a position, and nothing of brokers.
 */

import type { WireBatch } from '../../protocol/batch';
import type { Fault } from '../../protocol/codes';
import { decodeLogBatches, isLastPart, type LogFrame } from '../../protocol/log-frame';

/** The last event that a reader has. Before everything: epoch 0, seq 0. */
export interface LogPosition {
  readonly epoch: number;
  readonly seq: number;
}

/** What a reader does not get. */
export interface LogHole {
  /** What it has, and where it goes on. */
  readonly after: LogPosition;
  readonly next: LogPosition;
  /**
   * `missing`: the log no longer holds it. `never-logged`: the leader says that nobody has it. `damaged`: its bytes
   * are not what they should be, on each replica. `forked`: what the reader has is not what the log had, behind `next`
   * or, where the epochs differ, anywhere; it has to begin again from a checkpoint.
   */
  readonly reason: 'missing' | 'never-logged' | 'damaged' | 'forked';
}

/**
 * What a frame is to a reader: `next`: it follows; `had`: it brings nothing; `void`: of a deposed leader; `broken`:
 * frames are missing before it, or it contradicts what the reader has.
 */
export type Verdict = 'next' | 'had' | 'void' | 'broken';

export class FrameChain {
  position: LogPosition;
  /** Of a batch that comes in parts: those that are there, and whose they are. */
  private parts: Uint8Array[] = [];
  private partsOf: LogFrame | null = null;
  /** A part of a batch whose parts before were given up. */
  private incomplete: LogFrame | null = null;

  constructor(position: LogPosition) {
    this.position = position;
  }

  judge(frame: LogFrame): Verdict {
    const { epoch, seq } = this.position;
    if (frame.epoch < epoch) return 'void';
    if (frame.epoch > epoch) {
      const isNext = frame.prevEpoch === epoch && frame.prevLastSeq === seq;
      return frame.kind === 'epoch' && isNext ? 'next' : 'broken';
    }
    if (frame.prevLastSeq > seq) return 'broken';
    if (frame.kind !== 'batches') return 'had';
    if (frame.lastSeq <= seq) return 'had';
    return frame.part === 0 ? 'next' : this.judgePart(frame);
  }

  /**
   * Takes a frame that follows.
   * @returns the batches that are complete with it and reach beyond the position, the first of them perhaps from before
   *   it; or what is wrong with its bytes: nothing has changed then
   */
  take(frame: LogFrame): WireBatch[] | Fault {
    if (frame.kind !== 'batches') {
      this.move(frame.epoch, this.position.seq);
      return [];
    }
    const parts = frame.part === 0 ? [] : this.parts;
    if (!isLastPart(frame)) {
      this.parts = [...parts, frame.batches[0]!];
      this.partsOf = frame;
      return [];
    }
    const bytes = frame.parts === 1 ? frame.batches : [joined([...parts, frame.batches[0]!])];
    const batches = decodeLogBatches(frame, bytes);
    if ('code' in batches) return batches;
    const { seq } = this.position;
    this.move(frame.epoch, frame.lastSeq);
    return batches.filter(({ lastSeq }) => lastSeq > seq);
  }

  /**
   * What the leader says that nobody has, before the events of a frame that follows. Of a batch in parts with the
   * last one: if that never comes, another leader gives the numbers again.
   */
  neverLogged(frame: LogFrame): LogHole | undefined {
    const next = { epoch: frame.epoch, seq: frame.firstSeq - 1 };
    const isAfter = frame.kind === 'batches' && next.seq > this.position.seq;
    if (!isAfter || !isLastPart(frame)) return undefined;
    return { after: this.position, next, reason: 'never-logged' };
  }

  /**
   * Gives up what lies before a frame that does not follow, and says what that is. Undefined: only parts of the batch
   * are missing, and whether there is such a batch is known with its last part.
   */
  jumpTo(frame: LogFrame): LogHole | undefined {
    const after = this.position;
    const next = { epoch: frame.prevEpoch, seq: frame.prevLastSeq };
    this.move(next.epoch, next.seq);
    if (frame.part > 0) this.incomplete = frame;
    const isSame = next.epoch === after.epoch && next.seq === after.seq;
    if (isSame && frame.part > 0) return undefined;
    const isBeginning = after.epoch === 0 && after.seq === 0;
    const isFork = !isBeginning && (next.epoch !== after.epoch || next.seq < after.seq);
    return { after, next, reason: isFork ? 'forked' : 'missing' };
  }

  /** Whether parts of the batch of this frame were given up. */
  isIncomplete(frame: LogFrame): boolean {
    const { incomplete } = this;
    return incomplete?.epoch === frame.epoch && incomplete.lastSeq === frame.lastSeq;
  }

  /** Gives up the events of a frame that follows. */
  skip(frame: LogFrame, reason: LogHole['reason']): LogHole {
    const after = this.position;
    const next = { epoch: frame.epoch, seq: frame.lastSeq };
    this.move(next.epoch, next.seq);
    return { after, next, reason };
  }

  move(epoch: number, seq: number): void {
    this.position = { epoch, seq };
    this.parts = [];
    this.partsOf = null;
    this.incomplete = null;
  }

  private judgePart(frame: LogFrame): Verdict {
    if (this.isIncomplete(frame)) return 'next';
    const have = this.partsOf?.lastSeq === frame.lastSeq ? this.parts.length : 0;
    if (frame.part < have) return 'had';
    return frame.part === have ? 'next' : 'broken';
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
