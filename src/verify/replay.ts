/**
 * Verify replay: applies a whole journal from its first record on, like one recovery from nothing.
 *
 * Each record is checked against those before it (`journal/verify/record-checks.ts`). The commands
 * of venues are executed again and must give the recorded events. Where a piece of a checkpoint
 * belongs, the state that it restores must equal the state of the market. Behind a gap that the
 * market did not go on over, the state is unknown until a checkpoint begins, from which another
 * market goes on. If there is no such checkpoint, the records in between are not verified by
 * execution. Bounded: one page of rows, two markets.
 */

import type { BatchEvent } from '../../protocol/records';
import type { SavedState } from '../journal/journal';
import type { PieceRow } from '../journal/write/piece';
import type { JournalReading } from '../journal/recover/reading';
import { RecordChecks } from '../journal/verify/record-checks';
import { KIND, seqOf } from '../journal/schema';
import { savedPiece, type ReadCheckpoint } from '../journal/recover/saved-state';
import { readState, stateText, type MarketRest, type OrdersText } from '../market/checkpoint';
import { Market, type MarketOptions } from '../market/market';
import { writtenOrder } from '../market/client-orders';
import { instrumentHash, stateHash } from '../market/state-hash';
import { readCheckpoint } from '../market/checkpoint-reading';

/**
 * @param continued the last seq of each gap that the market went on over
 * @param onRecords called with the number of records read so far
 * @returns the market at its end; or, as a string, the first fault
 */
export function replayJournal(
  reading: JournalReading,
  checkpoints: readonly ReadCheckpoint[],
  limits: MarketOptions,
  continued: ReadonlySet<number>,
  onRecords: (records: number) => void,
): Market | string {
  return new Walk(reading, milestonesOf(checkpoints), limits, continued, onRecords).run();
}

/** What a checkpoint has at a seq. */
type Milestone = { readonly seq: number } &
  /** The whole state. */
  (
    | { readonly type: 'whole'; readonly saved: SavedState }
    /** The state of one thing. */
    | { readonly type: 'piece'; readonly piece: PieceRow }
    /** A state from which the market continues with the records that follow. */
    | { readonly type: 'start'; readonly saved: SavedState }
  );

type Item =
  | { readonly type: 'event'; readonly event: BatchEvent }
  | Milestone
  /** The records that follow do not continue the state before. */
  | { readonly type: 'break' };

/** In order of their sequence numbers. */
function milestonesOf(checkpoints: readonly ReadCheckpoint[]): Milestone[] {
  const milestones: Milestone[] = [];
  const known = new Set<PieceRow>();
  for (const { saved, pieces } of checkpoints) {
    if (typeof saved === 'string') continue; // reported before
    const type = saved.whole === null ? 'start' : 'whole';
    milestones.push({ type, seq: saved.from, saved });
    for (const piece of pieces) {
      if (known.has(piece)) continue;
      known.add(piece);
      milestones.push({ type: 'piece', seq: piece.seq, piece });
    }
  }
  return milestones.toSorted((a, b) => a.seq - b.seq);
}

class Walk {
  private readonly reading: JournalReading;
  private readonly limits: MarketOptions;
  private readonly continued: ReadonlySet<number>;
  private readonly onRecords: (records: number) => void;
  private readonly milestones: Milestone[];
  private milestone = 0;
  private market: Market;
  private seq = 0;
  /** The seq of the newest event. Notes of epochs stay where retention has deleted the events. */
  private eventSeq = 0;
  private brokenAt: number | undefined;
  private fault: string | undefined;

  constructor(
    reading: JournalReading,
    milestones: Milestone[],
    limits: MarketOptions,
    continued: ReadonlySet<number>,
    onRecords: (records: number) => void,
  ) {
    this.reading = reading;
    this.limits = limits;
    this.continued = continued;
    this.onRecords = onRecords;
    this.market = new Market(limits);
    this.milestones = milestones;
  }

  run(): Market | string {
    const items = this.items();
    try {
      let saved: SavedState | null | undefined = null;
      while (saved !== undefined) {
        this.market = new Market(this.limits);
        this.brokenAt = undefined;
        const whole = saved === null || saved.whole === null ? null : readCheckpoint(saved.whole);
        this.market.restore(whole ?? saved, this.stretch(items));
        saved = this.brokenAt === undefined ? undefined : this.nextStart(items);
      }
    } catch (e) {
      const { message } = e as Error;
      this.fault ??= message.startsWith('record ') ? message : `record ${this.seq}: ${message}`;
    }
    if (this.fault === undefined && this.brokenAt !== undefined && !this.isGivenUp(this.brokenAt)) {
      return `no checkpoint has the state behind the gap that ends at ${this.brokenAt}`;
    }
    return this.fault ?? this.market;
  }

  /** Whether the gap that ends there consists of records that a process gave up. */
  private isGivenUp(to: number): boolean {
    return this.reading.gaps.some((gap) => gap.to === to && gap.reason === 'disk');
  }

  /** The events up to the next break, as a recovery takes them. */
  private *stretch(items: Iterator<Item, void>): Iterable<BatchEvent> {
    for (let next = items.next(); next.done !== true; next = items.next()) {
      const item = next.value;
      if (item.type === 'break') {
        this.brokenAt = this.seq;
        return;
      }
      if (item.type === 'event') {
        yield item.event;
        continue;
      }
      this.fault = this.milestoneFault(item); // the market has taken everything before it
      if (this.fault !== undefined) return;
    }
  }

  private nextStart(items: Iterator<Item, void>): SavedState | undefined {
    for (let next = items.next(); next.done !== true; next = items.next()) {
      const item = next.value;
      if (item.type === 'whole' || item.type === 'start') return item.saved;
    }
    return undefined;
  }

  /** Everything in order, up to the first fault. */
  private *items(): Generator<Item, void> {
    const checks = new RecordChecks(this.reading.instruments, (to) => this.continued.has(to));
    let records = 0;
    for (const rows of this.reading.pages()) {
      for (const row of rows) {
        const seq = seqOf(row.id);
        yield* this.milestonesBefore(seq);
        const event = checks.take(row);
        if (typeof event === 'string') {
          this.fault = event;
          return;
        }
        this.seq = seq;
        if (event !== null) {
          records += 1;
          this.eventSeq = seq;
          yield { type: 'event', event };
        } else if (row.kind === KIND.gap && !this.continued.has(seq)) {
          yield { type: 'break' };
        }
      }
      this.onRecords(records);
    }
    yield* this.milestonesBefore(Infinity);
    this.fault ??= checks.finish();
  }

  /** A note at a seq follows everything else at that seq, except for the end of an epoch. */
  private *milestonesBefore(seq: number): Generator<Item> {
    for (; this.milestones[this.milestone] !== undefined; this.milestone++) {
      const milestone = this.milestones[this.milestone]!;
      if (milestone.seq >= seq) return;
      yield milestone;
    }
  }

  /** Whether the state in a checkpoint differs from that of the market at the same seq. */
  private milestoneFault(item: Milestone): string | undefined {
    try {
      // If the first records were deleted, the state before a piece is unknown.
      if (item.type === 'piece')
        return item.seq === this.eventSeq ? this.pieceFault(item.piece) : undefined;
      if (item.type === 'start') return undefined; // its pieces are compared with the market
      const restored = new Market(this.limits);
      restored.restore(readCheckpoint(item.saved.whole!), []);
      if (stateHash(restored) === stateHash(this.market)) return undefined;
      return `the checkpoint at ${item.seq} is not the state behind record ${item.seq}`;
    } catch (e) {
      return `the checkpoint at ${item.seq} does not read: ${(e as Error).message}`;
    }
  }

  private pieceFault(row: PieceRow): string | undefined {
    const piece = savedPiece(row);
    const { seq, kind, text } = piece;
    if (kind === 'orders') {
      const { symbol, orders } = readState<OrdersText>(text);
      const now = orders
        .map(({ orderId }) => this.market.clientOrders.get(orderId))
        .filter(isThere);
      if (stateText(now.map(writtenOrder)) === stateText(orders)) return undefined;
      return `the orders of ${symbol} in the checkpoint at ${seq} are not those behind record ${seq}`;
    }
    if (kind !== 'instrument') return undefined; // how many ended orders are kept is a setting
    const restored = new Market(this.limits);
    const rest: MarketRest = { statusHead: 0, endsSeq: 0, endedCount: 0 };
    restored.restore({ rest: JSON.stringify(rest), pieces: () => [piece] }, []);
    for (const instrument of [...restored.all(), ...restored.deleted()]) {
      const { symbol } = instrument.definition;
      const now = this.market.known(symbol);
      if (now !== undefined && instrumentHash(now) === instrumentHash(instrument)) continue;
      return `the state of ${symbol} in the checkpoint at ${seq} is not that behind record ${seq}`;
    }
    return undefined;
  }
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined;
}
