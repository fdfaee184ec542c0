/**
 * Ring reader: records out of the shared memory, one after the other. It writes nothing there, so any
 * number of readers goes on independently, and none can hold up the writer.
 *
 * Must hold: a record is returned as it was written, or not at all. It is copied first, and counts
 * only if the writer had not claimed its slot again by then (ring-writer.ts). Records returned and
 * records missed are together all that were published from where the reader began.
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
 * What `poll` found: a record; none yet; that `missed` records were overwritten before they were
 * read; that there is none left and nothing more comes.
 */
export type RingSign = 'record' | 'empty' | 'lapped' | 'ended';

/** `silent`: it is there, but stopped or very busy. */
export type WriterState = 'live' | 'silent' | 'gone';

export interface RingReaderOptions {
  /** Where to begin: with what comes, or with the oldest that is still there. */
  readonly from?: 'newest' | 'oldest';
  readonly clock?: Clock;
  /** The user whose the ring may be, besides the own one and root. */
  readonly owner?: number | undefined;
}

/** Between looks after the writer. */
const LOOK_EVERY_MS = 100;
/** The writer gives a sign of life several times in this time. */
const SILENT_MS = 1_000;
/** How long `wait` polls before it begins to sleep. */
const SPIN_MS = 1;
const POLLS_A_TURN = 256;
const SLEEP_MS = 1;

export class RingReader {
  /** The record that `poll` has found, until the next call. */
  readonly record: RingRecord;
  /** Records that were overwritten before they were read: the last time, and in all. */
  missed = 0;
  missedTotal = 0;
  readonly epoch: number;
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
  private seen: number;
  private isGone = false;
  private lookedAtMs = 0;

  /** @returns a fault that says what the file is, when it is no ring to read */
  static open(path: string, options: RingReaderOptions = {}): RingReader | StartFault {
    const opened = openRingFile(path, options.owner);
    return opened instanceof StartFault ? opened : new RingReader(opened, options);
  }

  private constructor({ words, shape }: OpenedRing, options: RingReaderOptions) {
    this.words = words;
    this.slots = shape.slots;
    this.slotsAt = ringBytes(shape).slotsOffset / 8;
    this.clock = options.clock ?? new SystemClock();
    this.epoch = words.doubles[DOUBLE.epoch]!;
    this.record = new RingRecord(this.symbols);
    this.probe = new RingState(words, this.symbols);
    this.seen = words.doubles[DOUBLE.published]!;
    const oldest = Math.max(0, words.doubles[DOUBLE.claimed]! - shape.slots);
    this.cursor = options.from === 'oldest' ? Math.min(oldest, this.seen) : this.seen;
    this.check = (this.cursor + 1) | 0;
    this.learn();
  }

  /** Number of the record that is read next. */
  get position(): number {
    return this.cursor;
  }

  /** Number of records published so far. */
  get published(): number {
    return this.words.doubles[DOUBLE.published]!;
  }

  /** The newest place (`seq`) that was published. */
  get lastSeq(): number {
    return this.words.doubles[DOUBLE.lastSeq]!;
  }

  /** Looks for the next record, and waits for nothing. */
  poll(): RingSign {
    const { ints, doubles } = this.words;
    const cursor = this.cursor;
    if (cursor === this.seen) {
      const state = Atomics.load(ints, INT.state);
      this.seen = doubles[DOUBLE.published]!;
      if (cursor === this.seen) {
        return state === STATE_ENDED || this.isGone ? 'ended' : 'empty';
      }
      // The state is read before `published`: what came before the end is not passed over.
    }
    // Also keeps the loads behind it from being moved before those of `published`.
    Atomics.load(ints, INT.state);
    const at = this.slotsAt + (cursor & (this.slots - 1)) * SLOT_DOUBLES;
    this.copy(at);
    Atomics.load(ints, INT.state);
    if (doubles[DOUBLE.claimed]! > cursor + this.slots) return this.lapped();
    const { ints: own } = this.record;
    assert(own[REC_INT.check] === this.check, 'a ring has each record in its slot');
    this.cursor = cursor + 1;
    this.check = (this.check + 1) | 0;
    if (own[REC_INT.instrument]! >= this.symbols.length) this.learn();
    return 'record';
  }

  /**
   * Waits for the next record: polls at first, then sleeps a millisecond at a time, so it holds up
   * its thread, and not the processor. Notices when the writer has died.
   * @returns `empty` when none came in time
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

  /** How the writer does. Asks the system, so it is for now and then. */
  writer(): WriterState {
    const { ints, doubles } = this.words;
    if (Atomics.load(ints, INT.state) === STATE_ENDED || !isWriterThere(this.words)) {
      this.isGone = true;
      return 'gone';
    }
    const silentMs = this.clock.now().millis - doubles[DOUBLE.heartbeatMs]!;
    return silentMs > SILENT_MS ? 'silent' : 'live';
  }

  /** Looks after the writer, if that was not done a moment ago: a dead one cannot say that it ended. */
  look(nowMs: number = this.clock.monotonicMs()): void {
    if (nowMs - this.lookedAtMs < LOOK_EVERY_MS) return;
    this.lookedAtMs = nowMs;
    this.writer();
  }

  /** Index of an instrument, which `RingState.load` takes; undefined while it is not defined. */
  instrument(symbol: string): number | undefined {
    if (!this.byName.has(symbol)) this.learn();
    return this.byName.get(symbol);
  }

  /** How many instruments are defined; their indexes are those below. */
  get instruments(): number {
    this.learn();
    return this.symbols.length;
  }

  /** The latest values, to be loaded by instrument; any number of them may be had. */
  state(): RingState {
    return new RingState(this.words, this.symbols);
  }

  /** Definition of an instrument by index; undefined when it cannot be read now. */
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

  /** Goes on with what comes next: the state behind what is lost is in the latest values. */
  private lapped(): RingSign {
    this.seen = this.words.doubles[DOUBLE.published]!;
    this.missed = this.seen - this.cursor;
    this.missedTotal += this.missed;
    this.cursor = this.seen;
    this.check = (this.cursor + 1) | 0;
    return 'lapped';
  }

  private learn(): void {
    const defined = Atomics.load(this.words.ints, INT.defined);
    for (let i = this.symbols.length; i < defined; i++) {
      const definition = this.definition(i);
      if (definition === undefined || definition.symbol === '') return;
      this.symbols.push(definition.symbol);
      this.byName.set(definition.symbol, i);
    }
  }
}
