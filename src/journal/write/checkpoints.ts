/**
 * Checkpoints: the state, written piece by piece beside the records, so that a start reads few of them again.
 *
 * A cycle begins after so many events and captures each thing that has changed since its last piece, in
 * slices of the loop between which all else goes on. Its pieces ride with the frames of records, behind the
 * records up to their places; its end is a mark, without which they count for nothing. Pieces that are
 * neither written nor given up are bounded, so a slow disk makes a cycle slow and nothing else.
 *
 * What a start reads again is the tail: the records since the cycle before began. A cycle begins at most
 * `BEGIN_FACTOR` × `everyEvents` records behind the one before, and keeps pace with the records, so that it
 * ends within another `everyEvents`: where it falls behind that pace, its slices are longer and follow at once,
 * and where that was not enough the next cycle begins earlier. So the tail is at most three times
 * `everyEvents`, while loop and writer keep up.
 * Must hold: the marks are of consecutive cycles; a cycle that is given up is done again under its number.
 */

import type { Clock } from '../../base/clock';
import type { Timer, TurnMeter } from '../../base/turn-meter';
import type { CheckpointFigures } from '../../base/contracts/figures';
import type { Captured, StateSource } from '../journal';
import { chunkKey, PIECE_KIND, pieceBytes, type PieceName, type RawPiece } from './piece';

/** Between two slices, in ms. */
const PAUSE_MS = 4;
/** Without events for so long, what has changed is captured all the same. */
const IDLE_MS = 10_000;
/** A cycle that wrote more waits for records of at least this share of it: the disk is for them. */
const FREE_BYTES = 4 * 1_024 * 1_024;
const RECORDS_SHARE = 0.25;
/** But it waits for no more than so many times `everyEvents`, and so that its end is within so many of them. */
const BEGIN_FACTOR = 2;
const TAIL_FACTOR = 3;
/** Of the records that a cycle may take those that may come before its first slice, and behind its last one. */
const LEAD = 0.1;
/** How much longer a slice is that is to catch up. */
const HURRY_FACTOR = 2;

/** How a cycle shares the loop with all else. */
export interface Slices {
  /** How long a slice may be, about; at least one piece is captured. */
  readonly ms: number;
  /** Does the next one later, in a turn of its own. */
  readonly schedule: (run: () => void, pauseMs: number) => void;
}

/** In turns of a millisecond. */
export function slicesOf(turns: TurnMeter): Slices {
  return {
    ms: 1,
    schedule: (run, pauseMs) => {
      if (pauseMs > 0) turns.later('checkpoint', pauseMs, run);
      else turns.soon('checkpoint', run);
    },
  };
}

export interface CheckpointOptions {
  readonly everyEvents: number;
  /** Absent: a cycle is done at once, in the turn that it is due in. */
  readonly slices: Slices | undefined;
}

/** What a mark says. */
export interface MarkText {
  readonly cycle: number;
  /** How many pieces the state is of, and the sum of their places. */
  readonly pieces: number;
  readonly places: number;
  readonly endedFrom: number;
  readonly rest: string;
}

/** What checkpoints need of the journal. */
export interface CheckpointPort {
  /** The newest place. */
  at(): number;
  /** Whether the journal has, or will have, all records up to it. */
  isWhole(): boolean;
  /** Whether another piece may wait for the writer. */
  hasPieceRoom(): boolean;
  idOf(symbol: string): number;
  piece(piece: RawPiece): void;
  /** @param text a `MarkText` as JSON */
  mark(text: string, from: number): void;
  /** Sends what waits as soon as the writer is not behind. */
  pump(): void;
}

/** What the journal had when it was opened. */
export interface KnownPieces {
  /** Id of the newest sound checkpoint; −1 without one. */
  readonly lastId: number;
  /** Of its mark; 0 without one. */
  readonly cycle: number;
  readonly pieces: readonly (PieceName & { readonly seq: number })[];
  /** Records behind the newest checkpoint. */
  readonly tailRecords: number;
}

interface Cycle {
  readonly from: number;
  readonly beganMs: number;
  /** Things that were to be captured when it began. */
  readonly things: number;
  /** Until its end a crash loses more than the queue. */
  readonly isUrgent: boolean;
  bytes: number;
}

export class Checkpoints {
  /** Set once the market is there. */
  source: StateSource | undefined;
  private readonly port: CheckpointPort;
  private readonly options: CheckpointOptions;
  private readonly clock: Clock;
  /** Place of the newest piece of each thing. */
  private readonly seqs = new Map<number, number>();
  private seqSum = 0;
  private marks: number;
  private cycle: Cycle | undefined;
  private isScheduled = false;
  private isRunning = false;
  private isClosing = false;
  private whenDone: (() => void) | undefined;
  /** Records behind the newest mark's beginning, up to that of the cycle under way; and since. */
  private tail = 0;
  private events: number;
  private endedMs: number;
  private bytes = 0;
  private lastBytes = 0;
  /** Records that came during the newest cycle. */
  private lastEvents = 0;
  private idleTimer: Timer | undefined;
  private idleEvents = -1;
  private readonly counts = { cycles: 0, pieces: 0, bytes: 0, tookMs: 0 };

  constructor(port: CheckpointPort, options: CheckpointOptions, known: KnownPieces, clock: Clock) {
    this.port = port;
    this.options = options;
    this.clock = clock;
    this.marks = known.cycle;
    this.endedMs = clock.monotonicMs();
    this.events = known.tailRecords;
    for (const { kind, key, seq } of known.pieces) this.remember(kind, key, seq);
  }

  figures(): CheckpointFigures {
    const ageMs = this.clock.monotonicMs() - this.endedMs;
    return { ...this.counts, ageMs, tailRecords: this.tail + this.events };
  }

  /** Captures also what changes without events to follow it. */
  watch(): void {
    if (this.options.slices === undefined) return;
    this.idleTimer = this.clock.turns.every('checkpoint', IDLE_MS, () => {
      const isIdle = this.idleEvents === this.events;
      this.idleEvents = this.events;
      if (isIdle) this.begin();
    });
    this.idleTimer.unref();
  }

  /** Records were taken. @param bytes about what they take */
  took(events: number, bytes: number): void {
    this.events += events;
    this.bytes += bytes;
    const { everyEvents } = this.options;
    if (this.events < everyEvents) return;
    const isCheap = this.lastBytes <= FREE_BYTES || this.bytes >= this.lastBytes * RECORDS_SHARE;
    const latest = Math.min(
      BEGIN_FACTOR * everyEvents,
      TAIL_FACTOR * everyEvents - this.lastEvents,
    );
    if (isCheap || this.events >= latest) this.begin();
  }

  /**
   * Captures what has changed, unless that is being done.
   * @param isUrgent as fast as the loop and the writer permit
   */
  begin(isUrgent = false): void {
    const { source } = this;
    if (source === undefined || this.cycle !== undefined || !this.port.isWhole()) return;
    if (!source.isChanged && this.events === 0) return;
    source.begin();
    this.cycle = {
      from: this.port.at(),
      beganMs: this.clock.monotonicMs(),
      things: source.left,
      isUrgent,
      bytes: 0,
    };
    this.tail += this.events;
    this.events = 0;
    this.bytes = 0;
    this.goOn();
  }

  /** Records are given up: what was captured before them is no state that those behind them lead from. */
  abort(): void {
    if (this.cycle === undefined) return;
    this.cycle = undefined;
    this.source!.abort();
  }

  /** Room for pieces may have come. */
  room(): void {
    const isWaiting = this.cycle !== undefined && !this.isScheduled && !this.isRunning;
    if (isWaiting && this.port.hasPieceRoom()) this.goOn();
  }

  /** Captures all that is left, as fast as it is written. @param done called behind it */
  close(done: () => void): void {
    clearInterval(this.idleTimer);
    this.isClosing = true;
    const rest = (): void => {
      this.whenDone = done;
      this.begin();
      if (this.cycle === undefined) this.finish();
    };
    if (this.cycle === undefined) return rest();
    this.whenDone = rest;
    this.room();
  }

  /** Nothing more is written. */
  stop(): void {
    clearInterval(this.idleTimer);
    this.cycle = undefined;
    this.source = undefined;
    this.finish();
  }

  private finish(): void {
    const { whenDone } = this;
    this.whenDone = undefined;
    whenDone?.();
  }

  private goOn(): void {
    const { slices } = this.options;
    if (slices === undefined) {
      this.slice(Infinity);
      return;
    }
    this.isScheduled = true;
    slices.schedule(
      () => {
        this.isScheduled = false;
        if (this.cycle !== undefined)
          this.slice(this.isBehind(this.cycle) ? slices.ms * HURRY_FACTOR : slices.ms);
      },
      this.isClosing || this.isBehind(this.cycle!) ? 0 : PAUSE_MS,
    );
  }

  /** Whether more of the records that a cycle may take have come than of its things are captured. */
  private isBehind({ things, isUrgent }: Cycle): boolean {
    if (isUrgent) return true;
    const share = things === 0 ? 1 : 1 - this.source!.left / things;
    return this.events > this.options.everyEvents * (LEAD + share * (1 - 2 * LEAD));
  }

  private slice(ms: number): void {
    this.isRunning = true;
    const isAllCaptured = this.captureFor(ms);
    this.isRunning = false;
    if (isAllCaptured && this.cycle !== undefined) this.end(this.cycle);
    this.port.pump();
    this.room(); // where the writer was done within that
  }

  /** @returns whether nothing is left */
  private captureFor(ms: number): boolean {
    const untilMs = this.clock.monotonicMs() + ms;
    while (this.cycle !== undefined) {
      if (!this.port.hasPieceRoom()) this.port.pump();
      if (!this.port.hasPieceRoom()) return false; // `room` goes on
      if (!this.capture(this.cycle)) return true;
      if (this.clock.monotonicMs() < untilMs) continue;
      this.goOn();
      return false;
    }
    return false;
  }

  private capture(cycle: Cycle): boolean {
    const captured = this.source!.next(this.port.at());
    if (captured === undefined) return false;
    const { text, levels, bytes, seq } = captured;
    const kind = PIECE_KIND[captured.kind];
    const key = this.keyOf(captured);
    const size = pieceBytes(captured);
    this.port.piece({ kind, key, cycle: this.marks + 1, seq, text, levels, bytes });
    this.remember(kind, key, seq);
    cycle.bytes += size;
    this.counts.pieces += 1;
    this.counts.bytes += size;
    return true;
  }

  private keyOf({ kind, key, chunk }: Captured): number {
    if (typeof key === 'number') return key;
    const id = this.port.idOf(key);
    return kind === 'orders' ? chunkKey(id, chunk) : id;
  }

  private end({ from, beganMs, bytes }: Cycle): void {
    const { text, endedFrom } = this.source!.rest();
    for (const id of this.seqs.keys()) {
      if (id % KINDS === PIECE_KIND.ended && Math.floor(id / KINDS) < endedFrom) this.drop(id);
    }
    this.cycle = undefined;
    this.marks += 1;
    this.lastBytes = bytes;
    this.lastEvents = this.events;
    this.counts.cycles += 1;
    this.endedMs = this.clock.monotonicMs();
    this.counts.tookMs = this.endedMs - beganMs;
    this.tail = 0;
    const { marks: cycle, seqs, seqSum } = this;
    const mark: MarkText = { cycle, pieces: seqs.size, places: seqSum, endedFrom, rest: text };
    this.port.mark(JSON.stringify(mark), from);
    this.finish();
  }

  private remember(kind: number, key: number, seq: number): void {
    const id = key * KINDS + kind;
    this.seqSum = sumOfSeqs(this.seqSum, seq - (this.seqs.get(id) ?? 0));
    this.seqs.set(id, seq);
  }

  private drop(id: number): void {
    this.seqSum = sumOfSeqs(this.seqSum, -this.seqs.get(id)!);
    this.seqs.delete(id);
  }
}

const KINDS = 8;
const PLACES_MODULUS = 2 ** 40;

/** Tells pieces of one checkpoint from those of another. */
export function sumOfSeqs(sum: number, seq: number): number {
  return (((sum + seq) % PLACES_MODULUS) + PLACES_MODULUS) % PLACES_MODULUS;
}
