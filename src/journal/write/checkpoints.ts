/**
 * Checkpoints: the state of the market, written piece by piece beside the records, so that a start
 * reads few records again.
 *
 * A cycle begins after a number of events. It captures each thing that has changed since its last
 * piece, in slices between which the event loop does its other work. The pieces travel with the
 * frames of records, after the records up to their seq. The cycle ends with a mark; pieces without
 * a mark do not count. The pieces that are neither written nor given up are bounded, so a slow disk
 * slows down the cycle and nothing else.
 *
 * The tail is what a start reads again: the records since the previous cycle began. A cycle begins
 * at most `BEGIN_FACTOR` × `everyEvents` records behind the previous one. It keeps pace with the
 * records so that it ends within another `everyEvents`. If it falls behind, its slices are longer
 * and follow at once. If that is not enough, the next cycle begins earlier. So the tail is at most
 * three times `everyEvents`, as long as loop and writer keep up. Must hold: the marks are of
 * consecutive cycles; a cycle that is given up is repeated under its number.
 */

import type { Clock } from '../../base/clock';
import type { Timer, TurnMeter } from '../../base/turn-meter';
import type { CheckpointFigures } from '../../base/contracts/figures';
import type { Captured, StateSource } from '../journal';
import { chunkKey, PIECE_KIND, pieceBytes, type PieceName, type RawPiece } from './piece';

/** Pause between two slices, in ms. */
const PAUSE_MS = 4;
/** After this time without events, changes are captured all the same. */
const IDLE_MS = 10_000;
/**
 * After a cycle that wrote more than `FREE_BYTES`, the next one waits for records of at least this
 * share of its size: the disk is there for records first.
 */
const FREE_BYTES = 4 * 1_024 * 1_024;
const RECORDS_SHARE = 0.25;
/**
 * The limits of that wait, as multiples of `everyEvents`: the next cycle begins, and ends, within
 * this many events.
 */
const BEGIN_FACTOR = 2;
const TAIL_FACTOR = 3;
/** The shares of a cycle's events that may come before its first slice, and after its last one. */
const LEAD = 0.1;
/** By how much a slice is longer when the cycle is behind. */
const HURRY_FACTOR = 2;

/** How a cycle shares the event loop. */
export interface Slices {
  /** About how long a slice may take; it captures at least one piece. */
  readonly ms: number;
  /** Runs the next slice later, in a turn of its own. */
  readonly schedule: (run: () => void, pauseMs: number) => void;
}

/** Slices of one millisecond. */
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
  /** Absent: a cycle runs in one turn. */
  readonly slices: Slices | undefined;
}

/** The text of a mark. */
export interface MarkText {
  readonly cycle: number;
  /**
   * The number of pieces that form the state, and the sum of their sequence numbers (the name
   * `places` is kept for stored marks).
   */
  readonly pieces: number;
  readonly places: number;
  readonly endedFrom: number;
  readonly rest: string;
}

/** What checkpoints need of the journal. */
export interface CheckpointPort {
  /** The newest seq. */
  at(): number;
  /** Whether the journal has, or will have, all records up to that seq. */
  isWhole(): boolean;
  /** Whether another piece may wait for the writer. */
  hasPieceRoom(): boolean;
  idOf(symbol: string): number;
  piece(piece: RawPiece): void;
  /** @param text a `MarkText` as JSON */
  mark(text: string, from: number): void;
  /** Sends what waits as soon as the writer has caught up. */
  pump(): void;
}

/** The checkpoint that the journal had when it was opened. */
export interface KnownPieces {
  /** Id of the newest sound checkpoint; −1 without one. */
  readonly lastId: number;
  /** Cycle of its mark; 0 without one. */
  readonly cycle: number;
  readonly pieces: readonly (PieceName & { readonly seq: number })[];
  /** Records after the newest checkpoint. */
  readonly tailRecords: number;
}

interface Cycle {
  readonly from: number;
  readonly beganMs: number;
  /** The number of things to capture when it began. */
  readonly things: number;
  /** Until this cycle ends, a crash loses more than the queue. */
  readonly isUrgent: boolean;
  bytes: number;
}

export class Checkpoints {
  /** Set when the market exists. */
  source: StateSource | undefined;
  private readonly port: CheckpointPort;
  private readonly options: CheckpointOptions;
  private readonly clock: Clock;
  /** Seq of the newest piece of each thing. */
  private readonly seqs = new Map<number, number>();
  private seqSum = 0;
  private marks: number;
  private cycle: Cycle | undefined;
  private isScheduled = false;
  private isRunning = false;
  private isClosing = false;
  private whenDone: (() => void) | undefined;
  /**
   * Records between the beginning of the newest complete cycle and that of the current one;
   * `events` counts those since.
   */
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

  /** Also captures changes that no event follows. */
  watch(): void {
    if (this.options.slices === undefined) return;
    this.idleTimer = this.clock.turns.every('checkpoint', IDLE_MS, () => {
      const isIdle = this.idleEvents === this.events;
      this.idleEvents = this.events;
      if (isIdle) this.begin();
    });
    this.idleTimer.unref();
  }

  /** Counts appended records. @param bytes about their size */
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
   * Begins a cycle, unless one is under way or nothing has changed.
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

  /** Records were given up: the records behind them do not follow from what was captured before. */
  abort(): void {
    if (this.cycle === undefined) return;
    this.cycle = undefined;
    this.source!.abort();
  }

  /** Called when there may be room for pieces again. */
  room(): void {
    const isWaiting = this.cycle !== undefined && !this.isScheduled && !this.isRunning;
    if (isWaiting && this.port.hasPieceRoom()) this.goOn();
  }

  /** Captures everything that is left, as fast as it is written. @param done called afterwards */
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

  /** Stops without writing anything more. */
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

  /** Whether the share of events that have come exceeds the share of things that are captured. */
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
    this.room(); // if the writer finished meanwhile
  }

  /** @returns whether everything is captured */
  private captureFor(ms: number): boolean {
    const untilMs = this.clock.monotonicMs() + ms;
    while (this.cycle !== undefined) {
      if (!this.port.hasPieceRoom()) this.port.pump();
      if (!this.port.hasPieceRoom()) return false; // `room` continues
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

/**
 * Adds a seq to the sum by which the pieces of one checkpoint are distinguished from those of another.
 */
export function sumOfSeqs(sum: number, seq: number): number {
  return (((sum + seq) % PLACES_MODULUS) + PLACES_MODULUS) % PLACES_MODULUS;
}
