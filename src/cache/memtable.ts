/**
 * Memtable (L2): what is recent, also what the journal has not committed yet, in the order of places.
 *
 * It takes each batch in the turn that made it, and answers only what it knows for certain: that an
 * answer is whole follows from `prevSeq` (what comes before the oldest event of a topic that is held)
 * and, for a range of time, from the latest time of what has left, as times step back.
 * Bounded: the newest `eventsMax` events, and for each instrument its newest `tradesMax` trades, of many
 * instruments their share of `tradesInAllMax`, and its newest tick, however long ago they were. Batches are kept as they come, so nothing is copied; what
 * has left the oldest one is let go of with the rest of it.
 */

import type { Trade } from '../../protocol/messages';
import { orderTime, type BatchEvent, type RecordedTick } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { assert } from '../base/assert';
import { BoundedQueue } from '../base/bounded-queue';

export interface MemtableOptions {
  readonly eventsMax: number;
  /** Per instrument. */
  readonly tradesMax: number;
  /** Of all instruments, about: where there are many of them, each is held to an equal share. */
  readonly tradesInAllMax?: number;
}

/** By which ticks are ordered; `from` inclusive, `to` exclusive, null without a bound. */
export interface TimeRange {
  readonly from: Nanos | null;
  readonly to: Nanos | null;
}

/** Of each instrument so many trades at least, however many instruments there are. */
const SHARE_MIN = 10;
/** No time lies behind it. */
const LAST_TIME = new Nanos(0x7fff_ffff, 0xffff_ffff);

interface Recent {
  readonly trades: BoundedQueue<Trade>;
  /** Those among the events that are held. */
  readonly ticks: BoundedQueue<RecordedTick>;
  newestTick: RecordedTick | null;
  /** No tick that is not held has a later time; null when every tick is held. */
  leftUntil: Nanos | null;
}

export class Memtable {
  private readonly options: MemtableOptions;
  private readonly batches = new BoundedQueue<readonly BatchEvent[]>(Number.MAX_SAFE_INTEGER);
  private held = 0;
  /** Last place of the newest gap; 0: none is known. */
  private gapSeq = 0;
  /** Events of the oldest batch that have left. */
  private gone = 0;
  private readonly instruments = new Map<string, Recent>();
  /** Trades that each of them may have. */
  private tradesShare = Infinity;
  /** The one that was looked up last: a tick follows its trade. */
  private lastSymbol = '';
  private lastRecent: Recent | undefined;

  constructor(options: MemtableOptions) {
    this.options = options;
  }

  /** Events that are held; trades and ticks that outlive their batch are not counted. */
  get size(): number {
    return this.held;
  }

  /** Takes a batch on. Its places follow each other, and are above those before. */
  accept(events: readonly BatchEvent[]): void {
    if (events.length === 0) return;
    this.batches.push(events);
    this.held += events.length;
    for (const event of events) {
      if (event.type === 'trade') this.addTrade(this.recent(event.symbol), event);
      else if (event.type === 'tick') addTick(this.recent(event.symbol), event);
    }
    if (this.held > this.options.eventsMax) this.evict();
  }

  /** The journal misses places up to this one: no answer may reach over them as if they were there. */
  gap(to: number): void {
    this.gapSeq = Math.max(this.gapSeq, to);
  }

  /** Forgets everything. */
  clear(): void {
    while (this.batches.shift() !== undefined);
    this.held = 0;
    this.gone = 0;
    this.gapSeq = 0;
    this.instruments.clear();
    this.lastRecent = undefined;
  }

  /**
   * What is known of an instrument from the time before.
   * @param tick its newest; null before the first @param trades its newest, newest first
   */
  hydrate(symbol: string, tick: RecordedTick | null, trades: readonly Trade[]): void {
    const recent = this.recent(symbol);
    recent.newestTick = tick;
    if (trades.length <= recent.trades.length) return; // the tail had them, and more
    while (recent.trades.shift() !== undefined);
    for (const trade of trades.toReversed()) this.addTrade(recent, trade);
  }

  /** Its newest trades that are held, newest first. */
  newestTrades(symbol: string, limit: number): Trade[] {
    const trades = this.instruments.get(symbol)?.trades;
    const count = Math.min(limit, trades?.length ?? 0);
    return Array.from({ length: count }, (_, i) => trades!.at(trades!.length - 1 - i)!);
  }

  /** The newest tick, if one is known. It may not be the newest of the instrument: see its place. */
  newestTick(symbol: string): RecordedTick | null {
    return this.instruments.get(symbol)?.newestTick ?? null;
  }

  /**
   * Up to `limit` newest trades below place `before`, newest first; undefined when some of them may
   * not be held.
   */
  trades(symbol: string, before: number, limit: number): Trade[] | undefined {
    const trades = this.instruments.get(symbol)?.trades;
    if (trades === undefined) return undefined;
    const found: Trade[] = [];
    const end = firstAt(trades, before);
    for (let i = end - 1; i >= 0 && found.length < limit; i--) found.push(trades.at(i)!);
    const oldest = found.at(-1);
    if (oldest !== undefined && oldest.seq <= this.gapSeq && before > this.gapSeq + 1)
      return undefined;
    return found.length === limit || trades.at(0)?.prevSeq === 0 ? found : undefined;
  }

  /**
   * Up to `limit` ticks in the order of their places, whose time is in the range and whose
   * place is above `after`; undefined when some of them may not be held.
   */
  ticks(
    symbol: string,
    { from, to }: TimeRange,
    after: number,
    limit: number,
  ): RecordedTick[] | undefined {
    const recent = this.instruments.get(symbol);
    if (recent === undefined) return undefined;
    const { ticks, newestTick, leftUntil } = recent;
    // Those that are not held are at or below this place.
    const missing = ticks.at(0)?.prevSeq ?? newestTick?.seq ?? Number.MAX_SAFE_INTEGER;
    const whole =
      leftUntil === null || missing <= after || (from !== null && from.compare(leftUntil) > 0);
    // What is behind a gap is whole if it is all that there is, or all that is asked for.
    const isBehindGap =
      after >= this.gapSeq || (leftUntil === null && ticks.at(0)!.seq > this.gapSeq);
    if (!whole || !isBehindGap) return undefined;
    const found: RecordedTick[] = [];
    for (let i = firstAt(ticks, after + 1); i < ticks.length && found.length < limit; i++) {
      const tick = ticks.at(i)!;
      const at = orderTime(tick);
      if (from !== null && at.compare(from) < 0) continue;
      if (to !== null && at.compare(to) >= 0) continue;
      found.push(tick);
    }
    return found;
  }

  /**
   * All events behind a place, in runs, in order; undefined when some of them have left, or when the
   * place is above the newest. To be read in this turn, before the next batch comes.
   * @throws Error while it is read, when a batch came meanwhile
   */
  since(seq: number): Iterable<readonly BatchEvent[]> | undefined {
    const { batches } = this;
    const oldest = batches.at(0);
    const newest = batches.at(batches.length - 1);
    if (oldest === undefined || newest === undefined) return undefined;
    if (seq < this.gapSeq) return undefined;
    if (seq < oldest[this.gone]!.seq - 1 || seq > newest.at(-1)!.seq) return undefined;
    return this.runs(seq, newest);
  }

  private *runs(seq: number, newest: readonly BatchEvent[]): Iterable<readonly BatchEvent[]> {
    const { batches } = this;
    let low = 0;
    let high = batches.length; // the first that ends behind the place is in low … high
    while (low < high) {
      const middle = (low + high) >> 1;
      if (batches.at(middle)!.at(-1)!.seq <= seq) low = middle + 1;
      else high = middle;
    }
    for (let i = low; i < batches.length; i++) {
      assert(batches.at(batches.length - 1) === newest, 'no batch came while the others were read');
      const batch = batches.at(i)!;
      const from = seq + 1 - batch[0]!.seq;
      yield from > 0 ? batch.slice(from) : batch;
    }
  }

  private recent(symbol: string): Recent {
    if (symbol === this.lastSymbol && this.lastRecent !== undefined) return this.lastRecent;
    let recent = this.instruments.get(symbol);
    if (recent === undefined) {
      recent = {
        trades: new BoundedQueue(Number.MAX_SAFE_INTEGER),
        ticks: new BoundedQueue(Number.MAX_SAFE_INTEGER),
        newestTick: null,
        leftUntil: LAST_TIME,
      };
      this.instruments.set(symbol, recent);
      this.tradesShare = this.shareOf(this.instruments.size);
    }
    this.lastSymbol = symbol;
    this.lastRecent = recent;
    return recent;
  }

  private addTrade({ trades }: Recent, trade: Trade): void {
    const { tradesShare } = this;
    const isShrinking = trades.length > tradesShare;
    while (trades.length >= tradesShare) trades.shift();
    if (isShrinking) trades.fit();
    trades.push(trade);
  }

  /** Trades of one instrument, with as many as there are. */
  private shareOf(instruments: number): number {
    const { tradesMax, tradesInAllMax = Infinity } = this.options;
    return Math.min(tradesMax, Math.max(SHARE_MIN, Math.floor(tradesInAllMax / instruments)));
  }

  private evict(): void {
    while (this.held > this.options.eventsMax) {
      const oldest = this.batches.at(0)!;
      const end = Math.min(oldest.length, this.gone + this.held - this.options.eventsMax);
      for (let i = this.gone; i < end; i++) {
        const event = oldest[i]!;
        if (event.type === 'tick') removeTick(this.recent(event.symbol));
      }
      this.held -= end - this.gone;
      this.gone = end < oldest.length ? end : 0;
      if (this.gone === 0) this.batches.shift();
    }
  }
}

function addTick(recent: Recent, tick: RecordedTick): void {
  if (tick.prevSeq === 0) recent.leftUntil = null;
  recent.newestTick = tick;
  recent.ticks.push(tick);
}

function removeTick(recent: Recent): void {
  const at = orderTime(recent.ticks.shift()!);
  recent.ticks.fit();
  const { leftUntil } = recent;
  if (leftUntil === null || leftUntil.compare(at) < 0) recent.leftUntil = at;
}

/** Where the first event at or behind a place stands, in a list ordered by places. */
function firstAt(list: BoundedQueue<Trade | RecordedTick>, seq: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list.at(middle)!.seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
