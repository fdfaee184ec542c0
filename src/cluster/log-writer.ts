/**
 * Log writer: the leader's end of the batch log. It opens an epoch, appends batches and heartbeats, and stops for good
 * when another leader has taken over.
 *
 *      opening ──── epoch frame stored ────► leading ──── close, all stored ────► stopped
 *         │                                     │                                   ▲
 *         └───── another frame came first, or the broker refuses for good ──────────┘
 *
 * One frame is in flight at any time. What is accepted meanwhile goes together into the next one. Each append expects
 * the frame before it to be the last of the log and has an id of its own; without an answer the same bytes go again
 * under the same id. These three together are what keeps a deposed leader from appending behind its successor.
 *
 * It has no timers: the owner calls `look` at least every 50 ms.
 */

import { BatchEncoder, type WireBatch } from '../../protocol/batch';
import type { Fault } from '../../protocol/codes';
import { decodeLogFrame, encodeLogFrame, endOf, type LogFrame } from '../../protocol/log-frame';
import { assert } from '../base/assert';
import type { Clock } from '../base/clock';
import { Durations } from '../base/durations';
import type { Log } from '../log/contract';
import type { AppendResult, LogBroker, LogEnd } from './broker';
import { FrameQueue, type FrameContent } from './frame-queue';

export const HEARTBEAT_MS = 250;
/** Between two tries while the broker does not answer, and while it has no room. */
const RESEND_MS = 50;
const RESEND_FULL_MS = 1_000;

/** Where a writer begins: what the log ends with. */
export interface WriterStart {
  /** The broker's sequence of its last frame; 0: it never had one. */
  readonly sequence: number;
  /** The epoch that ends here, and its last seq in the log. */
  readonly epoch: number;
  readonly seq: number;
}

/** Why a writer has stopped. */
export type WriterEnd =
  | { readonly reason: 'closed' }
  /** Another leader has appended; `last` is the last sequence of the log. Acknowledge nothing more. */
  | { readonly reason: 'deposed'; readonly last: number }
  /** The broker takes no more frames of this writer. */
  | { readonly reason: 'refused'; readonly message: string };

export interface WriterHandlers {
  /** The log has the epoch: this is the leader. */
  opened(): void;
  /** The log has all events up to this number. Called in rising order. */
  acknowledged(lastSeq: number): void;
  /** Called once. Nothing is called after it. */
  stopped(end: WriterEnd): void;
}

export interface WriterOptions {
  readonly broker: LogBroker;
  readonly clock: Clock;
  readonly log: Log;
  readonly shard: string;
  /** The epoch that it opens; above that of `start`. */
  readonly epoch: number;
  /**
   * A name that no other writer has: two that open the same epoch must not take the other's frame for their own.
   * Letters and digits.
   */
  readonly writer: string;
  readonly start: WriterStart;
  /** What may wait, with what is in flight. */
  readonly queueBytesMax: number;
  readonly queueBatchesMax: number;
}

export interface WriterFigures {
  readonly state: 'opening' | 'leading' | 'stopped';
  /** Stored by the broker, of each kind; heartbeats are frames as well. */
  readonly frames: number;
  readonly heartbeats: number;
  readonly batches: number;
  readonly bytes: number;
  /** Appends that were sent again, that got no answer, that the broker had no room for. */
  readonly resends: number;
  readonly unavailables: number;
  readonly refusals: number;
  /** Stored by a try whose answer was lost. */
  readonly duplicates: number;
  readonly queuedBatches: number;
  readonly queuedBytes: number;
  /** How long the oldest batch that is not stored has waited, and the frame in flight; 0: none. */
  readonly queuedMs: number;
  readonly inFlightMs: number;
  /** From the first try of a frame to its answer. */
  readonly acks: Durations;
  readonly acknowledgedSeq: number;
  readonly sequence: number;
}

interface InFlight {
  /** How many appends of this epoch came before it. */
  readonly appends: number;
  readonly frame: LogFrame;
  readonly content: FrameContent | null;
  readonly bytes: Uint8Array;
  readonly id: string;
  readonly sinceMs: number;
  /** When it goes again; Infinity while an answer is waited for. */
  againMs: number;
}

/** One who waits for a frame that is sent after so many appends, and for an event. */
interface Proof {
  readonly seq: number;
  readonly appends: number;
  readonly done: (isProven: boolean) => void;
}

/** Where a writer that takes over begins; null: the log holds no frame any more, or a fault says what the last one is. */
export function startAt({ sequence, frame }: LogEnd): WriterStart | Fault | null {
  if (sequence === 0) return { sequence: 0, epoch: 0, seq: 0 };
  if (frame === null) return null;
  const last = decodeLogFrame(frame.bytes);
  return 'code' in last ? last : { sequence, epoch: last.epoch, seq: endOf(last) };
}

export class LogWriter {
  private readonly options: WriterOptions;
  private readonly handlers: WriterHandlers;
  private readonly queue: FrameQueue;
  private readonly encoder = new BatchEncoder();
  private readonly acks = new Durations();
  private state: WriterFigures['state'] = 'opening';
  private isClosing = false;
  private inFlight: InFlight | null = null;
  /** Of the last frame that is stored. */
  private sequence: number;
  private storedSeq: number;
  private acceptedSeq: number;
  /** Appends of this epoch, for their ids. */
  private appends = 0;
  private proofs: Proof[] = [];
  private appendedMs: number;
  private isInTrouble = false;
  private readonly counts = {
    frames: 0,
    heartbeats: 0,
    batches: 0,
    bytes: 0,
    resends: 0,
    unavailables: 0,
    refusals: 0,
    duplicates: 0,
  };

  /** Sends the frame that opens the epoch. Batches are accepted at once, and appended behind it. */
  constructor(options: WriterOptions, handlers: WriterHandlers) {
    const { start, epoch, shard, broker, clock } = options;
    assert(epoch > start.epoch, `epoch ${epoch} does not follow epoch ${start.epoch}`);
    this.options = options;
    this.handlers = handlers;
    this.queue = new FrameQueue(shard, { ...options, frameBytesMax: broker.frameBytesMax });
    this.sequence = start.sequence;
    this.storedSeq = start.seq;
    this.acceptedSeq = start.seq;
    this.appendedMs = clock.monotonicMs();
    this.append('epoch', null);
  }

  /** The last event that it has accepted: a caller that was refused one goes on behind it. */
  get position(): number {
    return this.acceptedSeq;
  }

  /**
   * Takes a batch that follows those before it; a hole before it is declared in the log.
   * @returns `full`: not taken; read the events behind `position` again when `hasRoom`
   */
  accept(batch: WireBatch): 'taken' | 'full' | 'stopped' {
    const { epoch } = this.options;
    if (this.state === 'stopped' || this.isClosing) return 'stopped';
    if (batch.lastSeq < batch.firstSeq) return 'taken'; // nothing in it has a number
    assert(batch.epoch === epoch, `a batch of epoch ${batch.epoch} in epoch ${epoch}`);
    assert(batch.firstSeq > this.acceptedSeq, `batch ${batch.firstSeq} behind ${this.acceptedSeq}`);
    if (this.queue.isFull) return 'full';
    this.queue.push(batch, this.encoder.encode(batch), this.nowMs);
    this.acceptedSeq = batch.lastSeq;
    this.pump();
    return 'taken';
  }

  /**
   * Whether what the leader knew at the call holds for the cluster: true once the log has its events up to `seq` and a
   * frame that was appended after the call, so that no other leader had taken over by then; false when it has stopped.
   * While nothing happens, `look` appends a heartbeat for it.
   */
  proven(seq: number): Promise<boolean> {
    if (this.state === 'stopped') return Promise.resolve(false);
    const { appends } = this;
    return new Promise((done) => this.proofs.push({ seq, appends, done }));
  }

  /** How long the frame in flight has been there, in ms; 0: there is none. */
  get inFlightMs(): number {
    return this.inFlight === null ? 0 : this.nowMs - this.inFlight.sinceMs;
  }

  /** Whether it would take a batch. */
  get hasRoom(): boolean {
    return this.state !== 'stopped' && !this.isClosing && !this.queue.isFull;
  }

  /** Sends again what is due, and a heartbeat when it has been idle. */
  look(): void {
    const { inFlight } = this;
    if (this.state === 'stopped') return;
    if (inFlight !== null) {
      if (this.nowMs < inFlight.againMs) return;
      this.counts.resends += 1;
      this.send(inFlight);
    } else if (this.isHeartbeatDue) this.append('heartbeat', null);
  }

  /** Accepts nothing more, and stops when all is stored. */
  close(): void {
    this.isClosing = true;
    if (this.inFlight === null) this.stop({ reason: 'closed' });
  }

  /** Stops at once, whatever is stored or not. */
  abandon(): void {
    this.stop({ reason: 'closed' });
  }

  figures(): WriterFigures {
    const { queue, inFlight, nowMs } = this;
    const oldestMs = inFlight?.content?.atMs ?? queue.oldestMs ?? nowMs;
    return {
      ...this.counts,
      state: this.state,
      queuedBatches: queue.batches,
      queuedBytes: queue.bytes,
      queuedMs: nowMs - oldestMs,
      inFlightMs: this.inFlightMs,
      acks: this.acks,
      acknowledgedSeq: this.storedSeq,
      sequence: this.sequence,
    };
  }

  private get isHeartbeatDue(): boolean {
    if (this.nowMs - this.appendedMs >= HEARTBEAT_MS) return true;
    return this.proofs.some(({ seq }) => seq <= this.storedSeq);
  }

  private get nowMs(): number {
    return this.options.clock.monotonicMs();
  }

  /** Appends the next frame, if none is in flight and something waits. */
  private pump(): void {
    if (this.inFlight !== null || this.state !== 'leading') return;
    const content = this.queue.next();
    if (content !== undefined) this.append('batches', content);
    else if (this.isClosing) this.stop({ reason: 'closed' });
  }

  private append(kind: LogFrame['kind'], content: FrameContent | null): void {
    const { shard, epoch, writer, start } = this.options;
    const prevLastSeq = this.storedSeq;
    const frame: LogFrame = {
      kind,
      shard,
      epoch,
      prevEpoch: kind === 'epoch' ? start.epoch : epoch,
      firstSeq: content?.firstSeq ?? prevLastSeq + 1,
      lastSeq: content?.lastSeq ?? prevLastSeq,
      prevLastSeq,
      part: content?.part ?? 0,
      parts: content?.parts ?? 1,
      batches: content?.batches ?? [],
    };
    const { nowMs, appends } = this;
    const id = `${shard}.${epoch}.${writer}.${appends}`;
    this.appends += 1;
    const bytes = encodeLogFrame(frame);
    this.appendedMs = nowMs;
    this.inFlight = { appends, frame, content, bytes, id, sinceMs: nowMs, againMs: Infinity };
    this.send(this.inFlight);
  }

  private send(inFlight: InFlight): void {
    inFlight.againMs = Infinity;
    const { bytes, id } = inFlight;
    void this.options.broker.append(bytes, id, this.sequence).then((result) => {
      if (this.state !== 'stopped') this.settle(inFlight, result);
    });
  }

  private settle(inFlight: InFlight, result: AppendResult): void {
    switch (result.outcome) {
      case 'stored':
        return this.stored(inFlight, result.sequence, result.isDuplicate);
      case 'deposed':
        return this.stop({ reason: 'deposed', last: result.last });
      case 'unavailable':
        this.counts.unavailables += 1;
        inFlight.againMs = this.nowMs + RESEND_MS;
        return this.trouble(result.reason);
      case 'refused':
        this.counts.refusals += 1;
        if (result.reason !== 'full') {
          return this.stop({ reason: 'refused', message: `${result.reason}: ${result.message}` });
        }
        inFlight.againMs = this.nowMs + RESEND_FULL_MS;
        return this.trouble(result.message);
    }
  }

  private stored(inFlight: InFlight, sequence: number, isDuplicate: boolean): void {
    const { frame, content, bytes } = inFlight;
    this.inFlight = null;
    this.sequence = sequence;
    this.acks.observe(this.nowMs - inFlight.sinceMs);
    this.counts.frames += 1;
    this.counts.bytes += bytes.length;
    if (isDuplicate) this.counts.duplicates += 1;
    if (frame.kind === 'heartbeat') this.counts.heartbeats += 1;
    if (this.isInTrouble) {
      this.isInTrouble = false;
      this.options.log.info({ sequence }, 'the batch log takes frames again');
    }
    if (this.state === 'opening') {
      // After a repeated try others may have appended behind the epoch: only another frame shows that nobody has.
      if (isDuplicate) return this.append('heartbeat', null);
      this.state = 'leading';
      this.handlers.opened();
    }
    if (content !== null) this.release(content);
    if (this.proofs.length > 0) this.prove(inFlight.appends);
    this.pump();
  }

  /** @param appends of the frame that has been stored */
  private prove(appends: number): void {
    const isProven = (one: Proof): boolean => one.appends <= appends && one.seq <= this.storedSeq;
    const proven = this.proofs.filter(isProven);
    this.proofs = this.proofs.filter((one) => !isProven(one));
    for (const { done } of proven) done(true);
  }

  private release(content: FrameContent): void {
    const { lastSeq, part, parts, batches } = content;
    this.queue.release(content);
    if (part < parts - 1) return;
    this.counts.batches += batches.length;
    this.storedSeq = lastSeq;
    this.handlers.acknowledged(lastSeq);
  }

  /** Said once, until a frame is stored again. */
  private trouble(reason: string): void {
    if (this.isInTrouble) return;
    this.isInTrouble = true;
    this.options.log.warn({ reason, shard: this.options.shard }, 'the batch log takes no frame');
  }

  private stop(end: WriterEnd): void {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.inFlight = null;
    this.queue.clear();
    for (const { done } of this.proofs) done(false);
    this.proofs = [];
    this.handlers.stopped(end);
  }
}
