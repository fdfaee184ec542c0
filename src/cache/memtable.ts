/**
 * Memtable (L2): recent events in the order of their sequence numbers, including those that the journal has not
 * committed yet.
 *
 * It takes each batch in the turn that made it, and answers only what it holds completely. Whether an answer is
 * complete follows from `prevSeq` (the sequence number before the oldest held event of a topic) and, for a time range,
 * from the latest time among the events that were dropped, since times can go back.
 *
 * Bounds: the newest `eventsMax` events; for each instrument its newest tick and its newest `tradesMax` trades, or with
 * many instruments its share of `tradesInAllMax`. Batches are kept as they are, so nothing is copied; the oldest batch is
 * released when all its events have been dropped.
 */

import type { Trade } from '../../protocol/messages';
import { orderTime, type BatchEvent, type RecordedTick } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { assert } from '../base/assert';
import { Deque } from '../base/deque';

export interface MemtableOptions {
  readonly eventsMax: number;
  /** Trades of each instrument. */
  readonly tradesMax: number;
  /** Trades of all instruments, about: with many instruments, each has an equal share. */
  readonly tradesInAllMax?: number;
}

/** A range of the times by which ticks are queried; `from` inclusive, `to` exclusive, null: unbounded. */
export interface TimeRange {
  readonly from: Nanos | null;
  readonly to: Nanos | null;
}

/** Trades kept of each instrument, however many instruments there are. */
const SHARE_MIN = 10;
/** Later than any time. */
const LAST_TIME = new Nanos(0x7fff_ffff, 0xffff_ffff);

interface Recent {
  readonly symbol: string;
  readonly trades: Deque<Trade>;
  /** Its trades among the held events. */
  readonly ticks: Deque<RecordedTick>;
  newestTick: RecordedTick | null;
  /** The latest time of its dropped ticks; null if every tick is held. */
  leftUntil: Nanos | null;
}

export class Memtable {
  private readonly options: MemtableOptions;
  private readonly batches = new Deque<readonly BatchEvent[]>();
  private held = 0;
  /** Last sequence number of the newest gap; 0: no gap is known. */
  private gapSeq = 0;
  /** Dropped events of the oldest batch. */
  private gone = 0;
  private readonly instruments = new Map<string, Recent>();
  /** Most trades of one instrument at present. */
  private tradesShare = Infinity;
  /** The last looked-up instrument: a tick follows its trade. */
  private lastSymbol = '';
  private lastRecent: Recent | undefined;

  constructor(options: MemtableOptions) {
    this.options = options;
  }

  /** Number of held events, without trades and ticks that outlive their batch. */
  get size(): number {
    return this.held;
  }

  /** Adds a batch. Its sequence numbers are dense and above those before. */
  accept(events: readonly BatchEvent[]): void {
    if (events.length === 0) return;
    this.batches.push(events);
    this.held += events.length;
    for (const event of events) {
      if (event.type === 'trade') this.addTrade(this.recentOf(event), event);
      else if (event.type === 'tick') addTick(this.recentOf(event), event);
    }
    if (this.held > this.options.eventsMax) this.evict();
  }

  /** The journal misses sequence numbers up to `seq`: no answer may reach across them. */
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
   * Sets what a start has read of an instrument.
   * @param tick its newest tick; null before the first
   * @param trades its newest trades, newest first
   */
  hydrate(symbol: string, tick: RecordedTick | null, trades: readonly Trade[]): void {
    const recent = this.recent(symbol);
    recent.newestTick = tick;
    if (trades.length <= recent.trades.length) return; // the tail of the journal had these and more
    while (recent.trades.shift() !== undefined);
    for (const trade of trades.toReversed()) this.addTrade(recent, trade);
  }

  /** The held trades of an instrument, newest first. */
  newestTrades(symbol: string, limit: number): Trade[] {
    const trades = this.instruments.get(symbol)?.trades;
    const count = Math.min(limit, trades?.length ?? 0);
    return Array.from({ length: count }, (_, i) => trades!.at(trades!.length - 1 - i)!);
  }

  /** The newest known tick. Compare its `seq`: the instrument may have a newer one. */
  newestTick(symbol: string): RecordedTick | null {
    return this.instruments.get(symbol)?.newestTick ?? null;
  }

  /**
   * Up to `limit` newest trades with `seq` below `before`, newest first; undefined if some of them may not be
   * held.
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
   * Up to `limit` ticks in the order of `seq`, with a time in the range and a `seq` above `after`; undefined if some of
   * them may not be held.
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
    // Ticks that are not held have this sequence number or a lower one.
    const missing = ticks.at(0)?.prevSeq ?? newestTick?.seq ?? Number.MAX_SAFE_INTEGER;
    const whole =
      leftUntil === null || missing <= after || (from !== null && from.compare(leftUntil) > 0);
    // After a gap the answer is complete if it has everything since the gap, or as much as was asked for.
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
   * All events after a sequence number, in runs, in order; undefined if some of them were dropped, or if the number
   * is above the newest. Read it in this turn, before the next batch is added.
   * @throws Error during iteration if a batch was added meanwhile
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
    let high = batches.length; // the first batch that ends behind it is in low … high
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

  /**
   * Also gives the event the symbol's one string: that of a decoded event is a copy of its own, which
   * would be held as long as the event.
   */
  private recentOf(event: { symbol: string }): Recent {
    const recent = this.recent(event.symbol);
    event.symbol = recent.symbol;
    return recent;
  }

  private recent(symbol: string): Recent {
    if (symbol === this.lastSymbol && this.lastRecent !== undefined) return this.lastRecent;
    let recent = this.instruments.get(symbol);
    if (recent === undefined) {
      recent = {
        symbol,
        trades: new Deque(),
        ticks: new Deque(),
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

  /** Most trades kept of one instrument, with the present number of instruments. */
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

/** Index of the first event with this sequence number or a higher one. */
function firstAt(list: Deque<Trade | RecordedTick>, seq: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list.at(middle)!.seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
