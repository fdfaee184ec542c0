/**
 * Record checks: whether each record is consistent with those before it.
 *
 * Every seq has its record, and every record can be read. An instrument is defined before it is
 * used. Each topic is one chain of `prevSeq`. Each trade that is not late is followed by its tick,
 * which has the volume of the session so far and, for a feed instrument, the newest quote. The
 * checksums of books, and the levels of snapshots, are those that the changes before them give. A
 * value that nothing else implies (the time of a trade, for example) cannot be checked.
 *
 * If records are missing and the market did not continue from its state before them, that state is
 * dropped. It is taken from the following records again: a topic from its next record, a volume
 * from the next tick, levels from the next whole book. Unknown state is not checked.
 */

import { JOURNALED_CHANNELS, type JournaledChannel } from '../../../protocol/channels';
import { bookChecksum } from '../../../protocol/checksum';
import { TenLevels } from '../../../protocol/levels';
import type { Bbo, Book, Instrument, Tick, Trade } from '../../../protocol/messages';
import {
  orderTime,
  type BatchEvent,
  type RecordedPlain,
  type Snapshot,
} from '../../../protocol/records';
import { addSum, type Sum } from '../../../protocol/sums';
import type { Nanos } from '../../../protocol/time';
import { isLate, marketTime } from '../../../protocol/trade-time';
import type { InstrumentRow } from '../recover/reading';
import { definitionText, parseDefinition, rowToEvent, type RecordRow } from '../records';
import { KIND, seqOf, SLOT, SLOTS } from '../schema';

interface Followed {
  readonly symbol: string;
  /** As in the table of instruments. */
  readonly text: string;
  definition: Instrument | null;
  /** The newest seq of each topic; `UNKNOWN` until its next record. */
  readonly heads: Map<JournaledChannel, number>;
  /** Volume of the session up to the newest tick; null: unknown. */
  volume: Sum | null;
  /** The latest market time of the trades that moved it; null: none, or unknown. */
  present: Nanos | null;
  /** Undefined: unknown. */
  bbo: Bbo | null | undefined;
  readonly levels: TenLevels;
  /** Null: none, or unknown. */
  book: Book | null;
  state: 'none' | 'unknown' | 'whole';
}

const UNKNOWN = -1;

export class RecordChecks {
  private readonly byId = new Map<number, Followed>();
  private readonly continues: (gapTo: number) => boolean;
  private readonly gaps: { readonly from: number; readonly to: number }[] = [];
  private lastSeq = 0;
  /** State from before this seq is unknown until a record gives it again. */
  private forgottenSeq = 0;
  private statusHead = 0;
  /** The trade whose tick must come next. */
  private traded: Trade | null = null;

  /** @param continues whether the market went on after a gap from the state before it */
  constructor(
    instruments: readonly InstrumentRow[],
    continues: (gapTo: number) => boolean = () => false,
  ) {
    this.continues = continues;
    for (const { id, symbol, definition } of instruments) {
      this.byId.set(id, {
        symbol,
        text: definition,
        definition: null,
        heads: new Map(JOURNALED_CHANNELS.map((channel) => [channel, 0])),
        volume: 0,
        present: null,
        bbo: null,
        levels: new TenLevels(),
        book: null,
        state: 'none',
      });
    }
  }

  /** Begins after a seq; the state at that seq is unknown. */
  join(seq: number): void {
    this.lastSeq = seq;
    this.forget();
  }

  /** The event of the next row, or null for a note; or, as a string, what is wrong with it. */
  take(row: RecordRow): BatchEvent | string | null {
    const seq = seqOf(row.id);
    if (row.id % SLOTS !== SLOT.event) {
      if (row.id % SLOTS === SLOT.opened) this.restart();
      return row.kind === KIND.gap ? this.skip(row.ref ?? 0, seq) : null;
    }
    if (seq !== this.lastSeq + 1) return `record ${this.lastSeq + 1} is missing`;
    this.lastSeq = seq;
    const f = this.byId.get(row.instrument);
    if (f === undefined)
      return `record ${seq} names instrument ${row.instrument}, which is not in the table of instruments`;
    const event = rowToEvent(row, f.symbol);
    if (event === undefined) return `record ${seq} does not read`;
    const wrong = this.check(event, row, f);
    return wrong === undefined ? event : `record ${seq} (${event.type} ${f.symbol}): ${wrong}`;
  }

  /** What is wrong after the last record. */
  finish(): string | undefined {
    if (this.traded !== null)
      return `record ${this.traded.seq + 1} is missing: the tick of the trade before it`;
    for (const { symbol, text, definition } of this.byId.values()) {
      if (this.isMissing(parseDefinition(text)?.seq ?? 0)) continue; // only the table has it
      if (definition === null)
        return `${symbol} is in the table of instruments, but no record defines it`;
      if (definitionText(definition) !== text) {
        return `${symbol} is defined otherwise in the table of instruments than by record ${definition.seq}`;
      }
    }
    return undefined;
  }

  private skip(from: number, to: number): string | null {
    if (from <= this.lastSeq)
      return `the gap from ${from} to ${to} covers records that are not missing`;
    if (from !== this.lastSeq + 1) return `record ${this.lastSeq + 1} is missing`;
    this.lastSeq = to;
    this.gaps.push({ from, to });
    if (!this.continues(to)) {
      this.forget();
    } else if (this.traded !== null) {
      // The tick of the trade is missing, so the quantity of the trade is in no known volume.
      this.byId.forEach((f) => (f.symbol === this.traded?.symbol ? (f.volume = null) : 0));
      this.traded = null;
    }
    return null;
  }

  /**
   * The quote and the volume that a start takes for the newest depend on the version that started.
   */
  private restart(): void {
    for (const f of this.byId.values()) {
      f.volume = null;
      f.bbo = undefined;
    }
  }

  private forget(): void {
    this.forgottenSeq = this.lastSeq;
    this.statusHead = UNKNOWN;
    this.traded = null;
    for (const f of this.byId.values()) {
      for (const channel of JOURNALED_CHANNELS) f.heads.set(channel, UNKNOWN);
      f.volume = null;
      f.present = null;
      f.bbo = undefined;
      f.book = null;
      f.state = 'unknown';
      // The definition that holds here may be missing; the table has the newest one.
      const newest = parseDefinition(f.text);
      if (newest !== undefined && newest.seq <= this.forgottenSeq) f.definition = newest;
      else if (newest !== undefined) f.definition ??= newest;
    }
  }

  private isMissing(seq: number): boolean {
    return this.gaps.some(({ from, to }) => seq >= from && seq <= to);
  }

  private check(event: BatchEvent, row: RecordRow, f: Followed): string | undefined {
    const trade = this.traded;
    this.traded = null;
    if (trade !== null && (event.type !== 'tick' || event.symbol !== trade.symbol)) {
      return `expected the tick of the trade at ${trade.seq}`;
    }
    if (event.type === 'instrument') return define(event, row, f);
    if (f.definition === null) return 'its instrument is not defined before it';
    switch (event.type) {
      case 'command':
        return row.prev_seq === 0 ? undefined : chain(row.prev_seq, 0);
      case 'snapshot':
        return row.prev_seq === 0 ? checkSnapshot(event, f) : chain(row.prev_seq, 0);
      case 'status': {
        const head = this.statusHead;
        this.statusHead = event.seq;
        return this.chain(event.prevSeq, head);
      }
      default: {
        const head = f.heads.get(event.type)!;
        f.heads.set(event.type, event.seq);
        return this.chain(event.prevSeq, head) ?? this.checkTopic(event, f, trade);
      }
    }
  }

  private checkTopic(
    event: Tick | Trade | Bbo | Book | RecordedPlain,
    f: Followed,
    trade: Trade | null,
  ): string | undefined {
    switch (event.type) {
      case 'trade':
        if (!isLate(event)) this.traded = event;
        return undefined;
      case 'tick':
        return this.tick(event, trade, f);
      case 'bbo':
        f.bbo = event;
        return undefined;
      case 'book':
        return checkBook(event, f);
      default:
        return undefined; // nothing implies what a plain message says
    }
  }

  private tick(tick: Tick, trade: Trade | null, f: Followed): string | undefined {
    const wrong = trade === null ? undefined : checkTick(tick, trade, f);
    f.volume = tick.volume;
    if (trade !== null) return wrong;
    const at = orderTime(tick);
    if (f.present === null || at.compare(f.present) > 0) f.present = at;
    return tick.seq === this.forgottenSeq + 1 ? undefined : 'no trade stands before it';
  }

  private chain(prevSeq: number, head: number): string | undefined {
    if (head !== UNKNOWN) return chain(prevSeq, head);
    return prevSeq <= this.forgottenSeq
      ? undefined
      : `prevSeq is ${prevSeq}; expected at most ${this.forgottenSeq}`;
  }
}

function define(d: Instrument, row: RecordRow, f: Followed): string | undefined {
  if (d.symbol !== f.symbol) return `it defines ${d.symbol}`;
  if (d.seq !== seqOf(row.id)) return `its definition says seq ${d.seq}`;
  f.definition = d;
  return chain(row.prev_seq, 0);
}

function chain(prevSeq: number, head: number): string | undefined {
  return prevSeq === head ? undefined : `prevSeq is ${prevSeq}; expected ${head}`;
}

function differs(what: string, is: unknown, expected: unknown): string | undefined {
  return is === expected ? undefined : `${what} is ${String(is)}; expected ${String(expected)}`;
}

function checkTick(tick: Tick, trade: Trade, f: Followed): string | undefined {
  const wrong =
    differs('last', tick.last, trade.price) ??
    differs('quantity', tick.quantity, trade.quantity) ??
    checkVolume(tick, trade, f);
  if (wrong !== undefined) return wrong;
  if (tick.eventTime.compare(trade.eventTime) !== 0)
    return 'its event time is not that of its trade';
  if (tick.receiveTime.compare(trade.receiveTime) !== 0)
    return 'its receive time is not that of its trade';
  // At a venue the best prices change while an order is matched, and are published afterwards.
  if (f.definition!.market === 'venue' || f.bbo === undefined) return undefined;
  const top = f.bbo?.mark === null ? f.bbo : null; // a quote with a mark may be outdated
  return differs('bid', tick.bid, top?.bid ?? null) ?? differs('ask', tick.ask, top?.ask ?? null);
}

/**
 * The volume restarts when a session may begin. When sessions end is a setting, which the journal
 * does not hold.
 */
function checkVolume(tick: Tick, trade: Trade, f: Followed): string | undefined {
  const at = marketTime(trade);
  const isLater = f.present === null || at.compare(f.present) > 0;
  if (isLater) f.present = at;
  if (f.volume === null || (isLater && tick.volume === trade.quantity)) return undefined;
  return differs('volume', tick.volume, addSum(f.volume, trade.quantity));
}

function checkBook(book: Book, f: Followed): string | undefined {
  f.book = book;
  switch (book.form) {
    case 'incomplete':
      f.state = 'none';
      return undefined;
    case 'snapshot':
      f.levels.replace(book.bids, book.asks);
      f.state = 'whole';
      break;
    case 'delta':
      if (f.state === 'unknown') return undefined;
      if (f.state === 'none') return 'changes of a book that is not whole';
      f.levels.apply(book.bids, book.asks);
  }
  return book.crc === null ? undefined : checkCrc(book.crc, f);
}

function checkCrc(crc: number, { levels }: Followed): string | undefined {
  return differs('the checksum of the ten levels', crc, bookChecksum(levels.bids, levels.asks));
}

function checkSnapshot(s: Snapshot, f: Followed): string | undefined {
  if (f.state === 'none') return 'a snapshot of a book that is not whole';
  if (f.state === 'unknown') {
    f.levels.replace([...s.bids], [...s.asks]);
    f.state = 'whole';
  }
  const { bids, asks } = f.levels;
  if (!same(s.bids, bids) || !same(s.asks, asks))
    return 'its levels are not those of the changes before it';
  const { book } = f;
  const times =
    book === null ||
    (s.eventTime.compare(book.eventTime) === 0 && s.receiveTime.compare(book.receiveTime) === 0);
  return times ? checkCrc(s.crc, f) : 'its times are not those of the book before it';
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
