/**
 * Ring reader: reads records from the shared memory in order. It never writes to that memory, so any
 * number of readers work independently, and none can delay the writer.
 *
 * Lapped: the writer has claimed the slot of the reader's next record for a newer record, so the reader
 * has lost records.
 *
 * Invariants: a record is returned exactly as it was written, or not at all. The reader copies the slot
 * first, and accepts the copy only if the writer had not claimed the slot again by then
 * (ring-writer.ts). The records returned plus the records missed are all records published since the
 * position at which the reader began.
 */

import { assert } from '../base/assert';
import type { Clock } from '../base/clock';
import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import {
  DOUBLE,
  INT,
  REC,
  REC_INT,
  SLOT_DOUBLES,
  STATE_ENDED,
  ringBytes,
  type RingWords,
} from './ring-layout';
import { isWriterThere, openRingFile, type OpenedRing } from './ring-open';
import { RingRecord } from './ring-record';
import { RingState, type RingInstrument } from './ring-state';

/**
 * Result of `poll`. `record`: a record was read. `empty`: there is none yet. `lapped`: `missed` records
 * were overwritten before they were read. `ended`: every record is read, and no more will follow.
 */
export type RingSign = 'record' | 'empty' | 'lapped' | 'ended';

/** `silent`: the process is alive, but sends no heartbeat: it is stopped or very busy. */
export type WriterState = 'live' | 'silent' | 'gone';

export interface RingReaderOptions {
  /** Where to begin: with the next record, or with the oldest one still in the ring. */
  readonly from?: 'newest' | 'oldest';
  readonly clock?: Clock;
  /** Uid of a trusted owner of the ring, besides this user and root. */
  readonly owner?: number | undefined;
}

/** Minimum time between two checks of the writer. */
const LOOK_EVERY_MS = 100;
/** A writer without a heartbeat for this long is `silent`; it normally sends several in this time. */
const SILENT_MS = 1_000;
/** How long `wait` polls before it starts to sleep. */
const SPIN_MS = 1;
const POLLS_A_TURN = 256;
const SLEEP_MS = 1;

export class RingReader {
  /** The record that `poll` has read; valid until the next call. */
  readonly record: RingRecord;
  /** Records that were overwritten before they were read: at the last `lapped`, and in total. */
  missed = 0;
  missedTotal = 0;
  private readonly words: RingWords;
  private readonly slots: number;
  private readonly slotsAt: number;
  private readonly clock: Clock;
  private readonly symbols: string[] = [];
  private readonly byName = new Map<string, number>();
  private readonly probe: RingState;
  private cursor: number;
  /** The low 32 bits of the cursor plus one, as int32. */
  private check: number;
  /** `published` as last loaded. */
  private seen: number;
  private isGone = false;
  private lookedAtMs = 0;

  /** @returns a fault with the reason when the file is not a readable ring */
  static open(path: string, options: RingReaderOptions = {}): RingReader | StartFault {
    const opened = openRingFile(path, options.owner);
    return opened instanceof StartFault ? opened : new RingReader(opened, options);
  }

  private constructor({ words, shape }: OpenedRing, options: RingReaderOptions) {
    this.words = words;
    this.slots = shape.slots;
    this.slotsAt = ringBytes(shape).slotsOffset / 8;
    this.clock = options.clock ?? new SystemClock();
    this.record = new RingRecord(this.symbols);
    this.probe = new RingState(words, this.symbols);
    this.seen = words.doubles[DOUBLE.published]!;
    const oldest = Math.max(0, words.doubles[DOUBLE.claimed]! - shape.slots);
    this.cursor = options.from === 'oldest' ? Math.min(oldest, this.seen) : this.seen;
    this.check = (this.cursor + 1) | 0;
    this.readDefinitions();
  }

  /** Epoch of the newest sequence numbers; in a cluster another one may follow in the same ring. */
  get epoch(): number {
    return this.words.doubles[DOUBLE.epoch]!;
  }

  /** Number of the record to read next. */
  get position(): number {
    return this.cursor;
  }

  /** Number of records published so far. */
  get published(): number {
    return this.words.doubles[DOUBLE.published]!;
  }

  /** The newest published sequence number. */
  get lastSeq(): number {
    return this.words.doubles[DOUBLE.lastSeq]!;
  }

  /** Reads the next record if there is one. Never waits. */
  poll(): RingSign {
    const { ints, doubles } = this.words;
    const cursor = this.cursor;
    if (cursor === this.seen) {
      const state = Atomics.load(ints, INT.state);
      this.seen = doubles[DOUBLE.published]!;
      if (cursor === this.seen) {
        return state === STATE_ENDED || this.isGone ? 'ended' : 'empty';
      }
      // The state was loaded before `published`, so records published before the end are not skipped.
    }
    // A barrier for the compiler: the loads of the slot stay after the load of `published`.
    Atomics.load(ints, INT.state);
    const at = this.slotsAt + (cursor & (this.slots - 1)) * SLOT_DOUBLES;
    this.copy(at);
    Atomics.load(ints, INT.state);
    if (doubles[DOUBLE.claimed]! > cursor + this.slots) return this.lapped();
    const { ints: own } = this.record;
    assert(own[REC_INT.check] === this.check, 'the slot holds the expected record');
    this.cursor = cursor + 1;
    this.check = (this.check + 1) | 0;
    if (own[REC_INT.instrument]! >= this.symbols.length) this.readDefinitions();
    return 'record';
  }

  /**
   * Waits for the next record. It polls first, then sleeps for a millisecond between polls. It blocks
   * its thread without occupying the processor. It detects the death of the writer.
   * @returns `empty` after `timeoutMs` without a record
   */
  wait(timeoutMs: number = Number.POSITIVE_INFINITY): RingSign {
    const start = this.clock.monotonicMs();
    for (;;) {
      for (let i = 0; i < POLLS_A_TURN; i++) {
        const sign = this.poll();
        if (sign !== 'empty') return sign;
      }
      const now = this.clock.monotonicMs();
      if (now - start >= timeoutMs) return 'empty';
      this.look(now);
      if (now - start >= SPIN_MS) Bun.sleepSync(SLEEP_MS);
    }
  }

  /** State of the writer. It reads /proc, so do not call it for every record. */
  writer(): WriterState {
    const { ints, doubles } = this.words;
    if (Atomics.load(ints, INT.state) === STATE_ENDED || !isWriterThere(this.words)) {
      this.isGone = true;
      return 'gone';
    }
    const silentMs = this.clock.now().millis - doubles[DOUBLE.heartbeatMs]!;
    return silentMs > SILENT_MS ? 'silent' : 'live';
  }

  /** Checks the writer, at most every `LOOK_EVERY_MS`: a killed writer cannot mark its ring as ended. */
  look(nowMs: number = this.clock.monotonicMs()): void {
    if (nowMs - this.lookedAtMs < LOOK_EVERY_MS) return;
    this.lookedAtMs = nowMs;
    this.writer();
  }

  /** Index of an instrument, for `RingState.load`; undefined while it is not defined. */
  instrument(symbol: string): number | undefined {
    if (!this.byName.has(symbol)) this.readDefinitions();
    return this.byName.get(symbol);
  }

  /** Number of defined instruments, n; their indexes are 0 … n − 1. */
  get instruments(): number {
    this.readDefinitions();
    return this.symbols.length;
  }

  /** A new view of the latest values; `load` fills it with those of one instrument. */
  state(): RingState {
    return new RingState(this.words, this.symbols);
  }

  /** Definition of an instrument by index; undefined while it cannot be read. */
  definition(instrument: number): RingInstrument | undefined {
    return this.probe.load(instrument) ? this.probe.definition() : undefined;
  }

  private copy(at: number): void {
    const { ints, doubles } = this.words;
    const { ints: ownInts, doubles: own } = this.record;
    const int = at * 2;
    ownInts[0] = ints[int]!;
    ownInts[1] = ints[int + 1]!;
    ownInts[2] = ints[int + 2]!;
    ownInts[3] = ints[int + 3]!;
    own[2] = doubles[at + 2]!;
    own[3] = doubles[at + 3]!;
    ownInts[8] = ints[int + 8]!;
    ownInts[9] = ints[int + 9]!;
    ownInts[10] = ints[int + 10]!;
    ownInts[11] = ints[int + 11]!;
    for (let i = REC.body; i < SLOT_DOUBLES; i++) own[i] = doubles[at + i]!;
  }

  /** Skips to the newest position. The latest values have the state after the lost records. */
  private lapped(): RingSign {
    this.seen = this.words.doubles[DOUBLE.published]!;
    this.missed = this.seen - this.cursor;
    this.missedTotal += this.missed;
    this.cursor = this.seen;
    this.check = (this.cursor + 1) | 0;
    return 'lapped';
  }

  /** Adds the symbols of instruments that were defined since the last call. */
  private readDefinitions(): void {
    const defined = Atomics.load(this.words.ints, INT.defined);
    for (let i = this.symbols.length; i < defined; i++) {
      const definition = this.definition(i);
      if (definition === undefined || definition.symbol === '') return;
      this.symbols.push(definition.symbol);
      this.byName.set(definition.symbol, i);
    }
  }
}
