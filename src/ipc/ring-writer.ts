/**
 * Ring writer: events into the shared memory. One writer, which waits for nobody.
 *
 * A record is written in three steps, and a reader relies on their order:
 * 1. `claimed` is above its number before a byte of its slot changes. So a reader that has copied
 *    record n, and then finds `claimed` ≤ n + slots, has copied what was whole. It is moved on by
 *    many records at once, so that readers mostly find its line in their cache.
 * 2. The slot is written, and the latest values of the batch.
 * 3. `published` moves on, at the end of the batch: all of it is seen, or nothing.
 *
 * Between the steps stands an atomic operation, across which no compiler moves a store. x86-64 shows
 * stores in their order to everybody, so it needs no more; of other processors the ring is not opened.
 *
 * Bounded: a batch that fills a quarter of the ring is shown in parts, since a reader could not have
 * all of a larger one.
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

/** Slots that are fetched at once. */
const FETCH_MAX = 2;

export class RingWriter {
  /** Number of the next record. */
  position: number;
  /** The low 32 bits of the position plus one, as int32. */
  private check: number;
  private claimed: number;
  /** Slots below this number may be written. */
  private fetched: number;
  private shown: number;
  private readonly words: RingWords;
  /** A store to it keeps the stores before and behind it apart; no reader has its line. */
  private readonly fence = new Int32Array(1);
  private readonly shape: RingShape;
  private readonly slotsAt: number;
  private readonly mask: number;
  private readonly claimStep: number;
  private readonly fetchStep: number;
  private readonly partMax: number;
  private readonly latest = new Map<string, LatestValues>();
  /** Entries that the batch has changed: the first `dirtyCount`. To empty a list costs a call. */
  private readonly dirty: LatestValues[] = [];
  private dirtyCount = 0;
  /** The newest instrument, and its entry. */
  private symbol = '';
  private entry: LatestValues | null = null;

  /** @param first number of the first record */
  constructor(words: RingWords, shape: RingShape, first = 0) {
    this.position = this.claimed = this.fetched = this.shown = first;
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

  /** Takes the newest events of the time before on, as latest values; no records come of them. */
  hydrate(events: Iterable<BatchEvent>, lastSeq: number): void {
    const { position, check } = this;
    assert(position === this.shown, 'a ring is hydrated between two batches');
    for (const e of events) {
      this.write(e);
      this.settle();
      // Nobody was shown what stands in the slots, so it may go.
      this.position = position;
      this.check = check;
    }
    this.show(lastSeq);
  }

  accept({ events, lastSeq }: EventRun): void {
    for (let i = 0; i < events.length; i++) {
      this.write(events[i]!);
      // What is shown so far is whole up to the place of this event.
      if (this.position - this.shown >= this.partMax) this.show(events[i]!.seq);
    }
    this.show(lastSeq);
  }

  /** Says that the writer lives. @param nowMs since 1970 */
  beat(nowMs: number): void {
    this.words.doubles[DOUBLE.heartbeatMs] = nowMs;
  }

  /** Says that nothing more comes. */
  end(): void {
    Atomics.store(this.words.ints, INT.state, STATE_ENDED);
  }

  private write(e: BatchEvent): void {
    const { type } = e;
    // The frequent ones first; a switch over words looks each up in a table.
    if (type === 'book') this.writeBook(e);
    else if (type === 'bbo') this.writeBbo(e);
    else if (type === 'tick') this.writeTick(e);
    else if (type === 'trade') this.writeTrade(e);
    else if (type === 'status') this.writeStatus(e);
    else if (type === 'instrument') this.writeDefinition(e);
    // Commands and snapshots are for the journal.
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

  /** As many records as its levels take; mostly one. */
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

  /** Where the next record goes, in words of eight bytes; it has been claimed. */
  private slot(): number {
    return this.slotsAt + (this.position & this.mask) * SLOT_DOUBLES;
  }

  private advance(): void {
    this.position += 1;
    this.check = (this.check + 1) | 0;
    if (this.position === this.fetched) this.fetch();
  }

  /**
   * Claims some slots more, and touches their lines. These come from another processor's cache, or from
   * memory, which takes longer than to write a record; and since stores are shown in order, each would
   * hold up those behind it. So they are asked for all at once, and ahead.
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

  /** Shows readers all that was written. */
  private show(lastSeq: number): void {
    const { ints, doubles } = this.words;
    this.settle();
    if (this.position > this.shown) {
      const last = (this.slotsAt + ((this.position - 1) & this.mask) * SLOT_DOUBLES) * 2;
      ints[last + REC_INT.kind] = ints[last + REC_INT.kind]! | (FLAG.endsBatch << 24);
    }
    this.shown = this.position;
    doubles[DOUBLE.lastSeq] = lastSeq;
    Atomics.store(this.fence, 0, 0);
    doubles[DOUBLE.published] = this.position;
    // Now, when nobody waits for it.
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
    // Events of one instrument mostly come together.
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
