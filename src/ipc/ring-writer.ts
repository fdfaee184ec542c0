/**
 * Ring writer: writes events into the shared memory. A ring has one writer, and it never waits for a
 * reader.
 *
 * The writer writes a record in three steps, and readers rely on their order:
 * 1. It raises `claimed` above the record's number before it changes a byte of the slot. If a reader
 *    copies record n and then loads `claimed` ≤ n + slots, its copy is intact. `claimed` advances by
 *    many records at once, so readers usually find its cache line in their own cache.
 * 2. It writes the slot, and at the end of the batch the latest values.
 * 3. It advances `published` at the end of the batch, so readers see all of the batch or none of it.
 *
 * An atomic operation separates the steps; the compiler moves no store across it. x86-64 makes stores
 * visible in program order, so no further barrier is necessary. Other processors cannot open a ring.
 *
 * Bounded: a batch of more than a quarter of the ring is published in parts. A whole larger batch could
 * overwrite its first records before it is published.
 */

import type { BatchEvent } from '../../protocol/records';
import type { Bbo, Book, Instrument, Status, Tick, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { assert, InvariantError } from '../base/assert';
import type { EventRun } from '../base/contracts/batch';
import { bookWord, putBbo, putBook, putHead, putStatus, putTick, putTrade } from './ring-encode';
import {
  DOUBLE,
  FLAG,
  INT,
  KIND,
  LEVELS_PER_RECORD,
  REC_INT,
  SLOT_DOUBLES,
  STATE_ENDED,
  ringBytes,
  type RingShape,
  type RingWords,
} from './ring-layout';
import { LatestValues } from './ring-latest';

/** Maximum number of slots to fetch at once. */
const FETCH_MAX = 2;

export class RingWriter {
  /** Number of the next record. */
  position: number;
  /** The low 32 bits of the position plus one, as int32. */
  private check: number;
  private claimed: number;
  /** The writer may write records below this number: `fetch` has claimed their slots. */
  private fetched: number;
  /** Records below this number are published. */
  private publishedEnd: number;
  private readonly words: RingWords;
  /** An atomic store to it separates the stores before and after it. It is private memory. */
  private readonly fence = new Int32Array(1);
  private readonly shape: RingShape;
  private readonly slotsAt: number;
  private readonly mask: number;
  private readonly claimStep: number;
  private readonly fetchStep: number;
  private readonly partMax: number;
  private readonly latest = new Map<string, LatestValues>();
  /** The first `dirtyCount` are the entries that the batch has changed. The list is never truncated. */
  private readonly dirty: LatestValues[] = [];
  private dirtyCount = 0;
  /** Symbol of the previous event, and its entry. */
  private symbol = '';
  private entry: LatestValues | null = null;

  /** @param first number of the first record */
  constructor(words: RingWords, shape: RingShape, first = 0) {
    this.position = this.claimed = this.fetched = this.publishedEnd = first;
    this.check = (first + 1) | 0;
    words.doubles[DOUBLE.claimed] = words.doubles[DOUBLE.published] = first;
    this.words = words;
    this.shape = shape;
    this.slotsAt = ringBytes(shape).slotsOffset / 8;
    this.mask = shape.slots - 1;
    this.claimStep = Math.max(1, shape.slots >> 5);
    this.fetchStep = Math.min(FETCH_MAX, this.claimStep);
    this.partMax = shape.slots >> 2;
    this.fetch();
  }

  /** Sets the latest values from the newest events of the journal. It publishes no record. */
  hydrate(events: Iterable<BatchEvent>, lastSeq: number): void {
    const { position, check } = this;
    assert(position === this.publishedEnd, 'a ring is hydrated only between two batches');
    for (const e of events) {
      this.write(e);
      this.settle();
      // The record is not published, so its slot can be used again.
      this.position = position;
      this.check = check;
    }
    this.publish(lastSeq);
  }

  accept({ events, lastSeq }: EventRun): void {
    for (let i = 0; i < events.length; i++) {
      this.write(events[i]!);
      // Everything up to the sequence number of this event is complete.
      if (this.position - this.publishedEnd >= this.partMax) this.publish(events[i]!.seq);
    }
    this.publish(lastSeq);
  }

  /** Writes the heartbeat. @param nowMs milliseconds since 1970 */
  beat(nowMs: number): void {
    this.words.doubles[DOUBLE.heartbeatMs] = nowMs;
  }

  /** Marks the ring as ended: no record follows. */
  end(): void {
    Atomics.store(this.words.ints, INT.state, STATE_ENDED);
  }

  private write(e: BatchEvent): void {
    const { type } = e;
    // The most frequent types come first; a switch over strings would be slower.
    if (type === 'book') this.writeBook(e);
    else if (type === 'bbo') this.writeBbo(e);
    else if (type === 'tick') this.writeTick(e);
    else if (type === 'trade') this.writeTrade(e);
    else if (type === 'status') this.writeStatus(e);
    else if (type === 'instrument') this.writeDefinition(e);
    // Commands and snapshots are only for the journal.
  }

  private writeTrade(e: Trade): void {
    const at = this.slot();
    putTrade(this.words, at, this.check, this.entryOf(e.symbol).index, e);
    this.advance();
  }

  private writeTick(e: Tick): void {
    const at = this.slot();
    const entry = this.dirtyEntry(e.symbol);
    putTick(this.words, at, this.check, entry.index, e);
    entry.tick(at);
    this.advance();
  }

  private writeBbo(e: Bbo): void {
    const at = this.slot();
    const entry = this.dirtyEntry(e.symbol);
    putBbo(this.words, at, this.check, entry.index, e);
    entry.bbo(at);
    this.advance();
  }

  private writeStatus(e: Status): void {
    const at = this.slot();
    const entry = this.dirtyEntry(e.symbol);
    putStatus(this.words, at, this.check, entry.index, e);
    entry.status(at);
    this.advance();
  }

  private writeDefinition(e: Instrument): void {
    this.addEntry(e);
    const entry = this.dirtyEntry(e.symbol);
    entry.define(e);
    const at = this.slot();
    putHead(
      this.words,
      at,
      this.check,
      KIND.instrument,
      entry.index,
      0,
      e.seq,
      0,
      Nanos.ZERO,
      Nanos.ZERO,
    );
    this.advance();
  }

  /** Writes as many records as the levels need; usually one. */
  private writeBook(e: Book): void {
    const entry = this.dirtyEntry(e.symbol);
    const bids = e.bids.length >> 1;
    const levels = bids + (e.asks.length >> 1);
    let from = 0;
    let at: number;
    do {
      const to = Math.min(levels, from + LEVELS_PER_RECORD);
      const bidsHere = Math.max(0, Math.min(to, bids) - from);
      const flags = to < levels ? FLAG.continues : e.crc === null ? 0 : FLAG.hasCrc;
      const word = bookWord(e, bidsHere, to - from - bidsHere, flags);
      at = this.slot();
      putBook(this.words, at, this.check, entry.index, e, word, from);
      this.advance();
      from = to;
    } while (from < levels);
    entry.book(e, at);
  }

  /** Index in `doubles` of the slot of the next record, which is already claimed. */
  private slot(): number {
    return this.slotsAt + (this.position & this.mask) * SLOT_DOUBLES;
  }

  private advance(): void {
    this.position += 1;
    this.check = (this.check + 1) | 0;
    if (this.position === this.fetched) this.fetch();
  }

  /**
   * Claims more slots and touches their cache lines in advance. These lines are in the cache of another
   * core or in main memory, and to fetch one takes longer than to write a record. Stores become visible
   * in order, so each fetch would delay the stores after it. Touching several lines at once overlaps
   * the fetches.
   */
  private fetch(): void {
    const { doubles } = this.words;
    const end = this.fetched + this.fetchStep;
    if (end > this.claimed) {
      this.claimed = Math.max(end, this.claimed + this.claimStep);
      doubles[DOUBLE.claimed] = this.claimed;
      Atomics.store(this.fence, 0, 0);
    }
    for (let n = this.fetched; n < end; n++) {
      const at = this.slotsAt + (n & this.mask) * SLOT_DOUBLES;
      doubles[at] = 0;
      doubles[at + SLOT_DOUBLES / 2] = 0;
    }
    this.fetched = end;
  }

  /** Publishes all records written so far. */
  private publish(lastSeq: number): void {
    const { ints, doubles } = this.words;
    this.settle();
    if (this.position > this.publishedEnd) {
      const last = (this.slotsAt + ((this.position - 1) & this.mask) * SLOT_DOUBLES) * 2;
      ints[last + REC_INT.kind] = ints[last + REC_INT.kind]! | (FLAG.endsBatch << 24);
    }
    this.publishedEnd = this.position;
    doubles[DOUBLE.lastSeq] = lastSeq;
    Atomics.store(this.fence, 0, 0);
    doubles[DOUBLE.published] = this.position;
    // Fetch now: the records are published, so no reader waits for this.
    if (this.fetched - this.position < this.fetchStep) this.fetch();
  }

  private settle(): void {
    for (let i = 0; i < this.dirtyCount; i++) this.dirty[i]!.settle();
    this.dirtyCount = 0;
  }

  private dirtyEntry(symbol: string): LatestValues {
    const entry = this.entryOf(symbol);
    if (!entry.dirty) {
      entry.dirty = true;
      this.dirty[this.dirtyCount++] = entry;
    }
    return entry;
  }

  private entryOf(symbol: string): LatestValues {
    // Consecutive events often belong to the same instrument.
    if (symbol === this.symbol) return this.entry!;
    const known = this.latest.get(symbol);
    if (known === undefined) {
      throw new InvariantError(`an event precedes the definition of ${symbol}`);
    }
    this.symbol = symbol;
    this.entry = known;
    return known;
  }

  private addEntry({ symbol }: Instrument): void {
    if (this.latest.has(symbol)) return;
    const index = this.latest.size;
    assert(index < this.shape.entries, `the ring has room for ${this.shape.entries} instruments`);
    this.latest.set(symbol, new LatestValues(this.words, index));
    this.words.ints[INT.defined] = index + 1;
  }
}
