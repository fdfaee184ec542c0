/**
 * Log reader: a replica's end of the batch log. It begins at a position or at the newest checkpoint, reads up, follows,
 * and hands over every batch exactly once and in order. What it cannot have it declares.
 *
 *      load checkpoint ──► locate ──► read up ◄──► live
 *
 * It follows from the first moment on and holds what comes too early. Live it takes each frame as it comes. Whenever
 * frames may be missing (a jump of the sequence, a connection that is there again, 750 ms without a frame) it reads
 * them from any replica of the log. It believes the chain of the frames, never the broker: [L7] of protocol/README.md.
 *
 * It has no timers: the owner calls `look` at least every 50 ms.
 */

import { decodeLogFrame, isLastPart, type LogFrame } from '../../protocol/log-frame';
import type { WireBatch } from '../../protocol/batch';
import type { Clock } from '../base/clock';
import type { Log } from '../log/contract';
import type { Answer, LogBroker, StoredFrame } from './broker';
import { FrameChain, type LogHole, type LogPosition } from './frame-chain';
import { HeldFrames } from './held-frames';
import { locate } from './locate';

/** Three heartbeats. */
const SILENCE_MS = 750;
const AGAIN_MS = 50;
/**
 * So often it asks any replica for a frame that should be there. Then it asks the leader, since the replica beside a
 * member answers it each time, and only then it says that nobody has the frame.
 */
const TRIES = 4;
/** Of one read, so that decoding it is a short turn. */
const READ_FRAMES = 64;
const READ_BYTES = 128 * 1024;
/** Of what is held, taken in one turn. */
const DRAIN_BYTES = 128 * 1024;

export interface ReaderHandlers {
  /** It begins with this checkpoint. Only if it was asked to. */
  checkpoint(position: LogPosition, content: Uint8Array): void;
  /** The next batch. The first one may begin at or before the position that it was given. */
  batch(batch: WireBatch): void;
  /** A leader has taken over: what follows has this epoch. `seq` is where the one before it ended. */
  epoch(position: LogPosition, before: number): void;
  /** It does not get this. What it hands over next lies behind `hole.next`. */
  hole(hole: LogHole): void;
  /** It has read up for the first time. */
  caughtUp(): void;
}

export interface ReaderOptions {
  readonly broker: LogBroker;
  readonly clock: Clock;
  readonly log: Log;
  readonly shard: string;
  /** The last event that it has; epoch 0, seq 0: it has nothing. Or it begins with the newest checkpoint. */
  readonly start: LogPosition | 'checkpoint';
  /** What it may hold while it reads up. */
  readonly heldBytesMax: number;
}

export interface ReaderFigures {
  readonly position: LogPosition;
  /** Whether nothing is missing that it knows of. */
  readonly isLive: boolean;
  /** How long it has known that frames are missing, or was not able to see whether any are; 0: it is live. */
  readonly behindMs: number;
  readonly frames: number;
  readonly batches: number;
  /** Frames of deposed leaders, frames that it had, and frames whose bytes were wrong. */
  readonly voided: number;
  readonly repeated: number;
  readonly damaged: number;
  /** How often frames were missing and it read them. */
  readonly repairs: number;
  readonly holes: number;
  readonly unavailables: number;
  readonly heldFrames: number;
  readonly heldBytes: number;
  /** Since the last frame that was new to it, of any kind. */
  readonly silentMs: number;
  /** The broker's sequence of the frame that it waits for. */
  readonly nextSequence: number;
}

export class LogReader {
  private readonly options: ReaderOptions;
  private readonly handlers: ReaderHandlers;
  private readonly chain: FrameChain;
  private readonly held: HeldFrames;
  private readonly unfollow: () => void;
  private nextSequence = 1;
  private isLive = false;
  /** When it was live last; before that, when it began. */
  private liveMs: number;
  private hasCaughtUp = false;
  private isStopped = false;
  /** When the last frame came, and when it last saw that there is no more to read. */
  private heardMs: number;
  private checkedMs = 0;
  /** Lets the work go on: at a time, or when frames may be missing. */
  private goOn: (() => void) | null = null;
  private goOnMs = Infinity;
  private readonly counts = {
    frames: 0,
    batches: 0,
    voided: 0,
    repeated: 0,
    damaged: 0,
    repairs: 0,
    holes: 0,
    unavailables: 0,
  };

  constructor(options: ReaderOptions, handlers: ReaderHandlers) {
    const { start, heldBytesMax, broker, clock } = options;
    this.options = options;
    this.handlers = handlers;
    this.chain = new FrameChain(start === 'checkpoint' ? { epoch: 0, seq: 0 } : start);
    this.held = new HeldFrames(heldBytesMax);
    this.heardMs = this.liveMs = clock.monotonicMs();
    this.unfollow = broker.follow({
      frame: (frame) => this.hear(frame),
      reconnected: () => this.wake(),
    });
    void this.work();
  }

  get position(): LogPosition {
    return this.chain.position;
  }

  look(): void {
    const { nowMs } = this;
    const sinceMs = Math.max(this.heardMs, this.checkedMs);
    if (nowMs >= this.goOnMs || (this.isLive && nowMs - sinceMs >= SILENCE_MS)) this.wake();
  }

  stop(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.unfollow();
    this.held.clear();
    this.wake();
  }

  figures(): ReaderFigures {
    return {
      ...this.counts,
      position: this.position,
      isLive: this.isLive,
      behindMs: this.isLive ? 0 : this.nowMs - this.liveMs,
      heldFrames: this.held.size,
      heldBytes: this.held.bytes,
      silentMs: this.nowMs - this.heardMs,
      nextSequence: this.nextSequence,
    };
  }

  private get nowMs(): number {
    return this.options.clock.monotonicMs();
  }

  /** A frame was stored, lately. */
  private hear(frame: StoredFrame): void {
    if (this.isStopped) return;
    if (frame.sequence < this.nextSequence) this.counts.repeated += 1;
    else if (this.isLive && frame.sequence === this.nextSequence && this.take(frame, false)) return;
    else {
      this.held.add(frame);
      if (this.isLive) this.wake();
    }
  }

  /** All of its work that has to ask the broker, one question after the other. */
  private async work(): Promise<void> {
    if (this.options.start === 'checkpoint') await this.load();
    await this.locate();
    while (!this.isStopped) {
      await this.readUp();
      if (this.isStopped) return;
      this.isLive = true;
      this.checkedMs = this.nowMs;
      if (!this.hasCaughtUp) {
        this.hasCaughtUp = true;
        this.handlers.caughtUp();
      }
      await this.pause(Infinity);
      this.isLive = false;
      this.liveMs = this.nowMs;
    }
  }

  private async load(): Promise<void> {
    const { checkpoints } = this.options.broker;
    while (!this.isStopped) {
      const list = await this.ask(() => checkpoints.list());
      for (const { name, epoch, seq } of list ?? []) {
        const content = await this.ask(() => checkpoints.get(name));
        if (this.isStopped) return;
        if (content === null || content === undefined) continue; // replaced meanwhile, or damaged
        this.chain.move(epoch, seq);
        return this.handlers.checkpoint({ epoch, seq }, content);
      }
      if (list?.length === 0) return;
      await this.pause(AGAIN_MS);
    }
  }

  private async locate(): Promise<void> {
    const located = await this.ask(() => locate(this.options.broker, this.position));
    if (located === undefined) return;
    const { sequence, position: next } = located;
    const after = this.position;
    this.nextSequence = sequence;
    this.held.dropBefore(sequence);
    if (next.epoch === after.epoch && next.seq === after.seq) return;
    this.chain.move(next.epoch, next.seq);
    this.declare({ after, next, reason: 'forked' });
  }

  /** Reads until nothing is missing that it knows of. */
  private async readUp(): Promise<void> {
    const { broker } = this.options;
    let tries = 0;
    while (!this.isStopped) {
      const { nextSequence: from } = this;
      const frames = await this.ask(() => broker.read(from, READ_FRAMES, READ_BYTES));
      if (frames === undefined || this.isStopped) return;
      this.takeRead(frames);
      const hasJoined = this.drain(false);
      if (this.nextSequence === from && tries >= TRIES) await this.askLeader(from, frames);
      if (this.isStopped) return;
      if (this.nextSequence > from) {
        // Held frames that follow are what it has heard of late: there is no more to read.
        if (hasJoined && this.held.size === 0) return;
        tries = 0;
        continue;
      }
      const hasMore = frames.length > 0 || this.held.size > 0;
      if (!hasMore && (await this.isAtEnd())) return;
      tries += 1;
      if (this.nextSequence === from) await this.pause(AGAIN_MS);
    }
  }

  /**
   * Takes what the leader has at a sequence. If it has nothing, although frames behind that were seen, nobody has it:
   * then the first of those, in the leader's copy.
   * @param frames that were read before: from the sequence on, or behind it
   */
  private async askLeader(sequence: number, frames: readonly StoredFrame[]): Promise<void> {
    const { broker } = this.options;
    let frame = await this.ask(() => broker.get(sequence));
    const [seen] = frames;
    if (frame === null && seen !== undefined && seen.sequence > sequence) {
      frame = await this.ask(() => broker.get(seen.sequence));
    }
    if (frame === undefined || this.isStopped) return;
    if (frame !== null) this.take(frame, true);
    else if (seen === undefined) this.drain(true);
  }

  private takeRead(frames: readonly StoredFrame[]): void {
    const { frames: before } = this.counts;
    for (const frame of frames) if (this.isStopped || !this.take(frame, false)) break;
    if (this.hasCaughtUp && this.counts.frames > before) this.counts.repairs += 1;
  }

  /** Takes held frames as far as they follow. @param mayJump to the first of them */
  private drain(mayJump: boolean): boolean {
    const { held } = this;
    held.dropBefore(this.nextSequence);
    let hasTaken = false;
    const bytesMin = held.bytes - DRAIN_BYTES;
    let sequence = mayJump ? held.first : this.nextSequence;
    while (sequence !== undefined && held.bytes > bytesMin && !this.isStopped) {
      const frame = held.take(sequence);
      if (frame === undefined || !this.take(frame, mayJump && !hasTaken)) break;
      hasTaken = true;
      sequence = this.nextSequence;
    }
    return hasTaken;
  }

  /** A read from the next sequence gave nothing, and nothing is held. Whether that is the end of the log. */
  private async isAtEnd(): Promise<boolean> {
    if (this.nowMs - this.heardMs < SILENCE_MS) return true;
    const info = await this.ask(() => this.options.broker.info());
    if (info === undefined) return false;
    const { nextSequence: next } = this;
    // Another log than before: it was made again.
    if (info.lastSequence < next - 1) await this.locate();
    return info.lastSequence === next - 1;
  }

  /**
   * Takes a frame, if it follows what it has.
   * @param isFinal takes it even so: nobody has what is missing before it
   * @returns whether it is done with
   */
  private take(stored: StoredFrame, isFinal: boolean): boolean {
    const frame = decodeLogFrame(stored.bytes);
    if ('code' in frame || frame.shard !== this.options.shard) {
      if (!isFinal) return false;
      this.counts.damaged += 1;
      this.options.log.error({ sequence: stored.sequence }, 'a frame of the batch log is damaged');
      return this.done(stored);
    }
    let verdict = this.chain.judge(frame);
    if (verdict === 'broken') {
      if (!isFinal) return false;
      const hole = this.chain.jumpTo(frame);
      if (hole !== undefined) this.declare(hole);
      verdict = this.chain.judge(frame);
    }
    if (verdict === 'next' && !this.accept(frame, isFinal)) return false;
    if (verdict === 'void') this.counts.voided += 1;
    else this.heardMs = this.nowMs;
    return this.done(stored);
  }

  private done({ sequence }: StoredFrame): true {
    this.nextSequence = sequence + 1;
    this.counts.frames += 1;
    return true;
  }

  /** Hands over what a frame that follows brings. */
  private accept(frame: LogFrame, isFinal: boolean): boolean {
    if (this.chain.isIncomplete(frame)) {
      if (isLastPart(frame)) this.declare(this.chain.skip(frame, 'missing'));
      return true;
    }
    const neverLogged = this.chain.neverLogged(frame);
    const { epoch: before } = this.position;
    const batches = this.chain.take(frame);
    if ('code' in batches) {
      if (!isFinal) return false;
      this.counts.damaged += 1;
      this.declare(this.chain.skip(frame, 'damaged'));
      return true;
    }
    if (neverLogged !== undefined) this.declare(neverLogged);
    if (frame.kind === 'epoch') this.handlers.epoch(this.position, before);
    for (const batch of batches) {
      if (this.isStopped) return true;
      this.counts.batches += 1;
      this.handlers.batch(batch);
    }
    return true;
  }

  private declare(hole: LogHole): void {
    this.counts.holes += 1;
    this.options.log.warn({ ...hole }, 'a hole in the batch log');
    if (!this.isStopped) this.handlers.hole(hole);
  }

  /** Asks until there is an answer; undefined: it was stopped. */
  private async ask<T>(question: () => Promise<Answer<T>>): Promise<T | undefined> {
    while (!this.isStopped) {
      const answer = await question();
      if (answer.outcome === 'ok') return answer.value;
      this.counts.unavailables += 1;
      await this.pause(AGAIN_MS);
    }
    return undefined;
  }

  private pause(ms: number): Promise<void> {
    if (this.isStopped) return Promise.resolve();
    this.goOnMs = this.nowMs + ms;
    return new Promise((resolve) => {
      this.goOn = resolve;
    });
  }

  private wake(): void {
    const { goOn } = this;
    this.goOn = null;
    this.goOnMs = Infinity;
    goOn?.();
  }
}
