/**
 * Snapshot policy: when the ten levels of an instrument are written whole.
 *
 * A snapshot is due every `everyMs` if the instrument has changed. It is due at once when the book
 * has moved by more than `changeShare` since the last snapshot: the sum of |change of quantity|
 * over the ten best levels of both sides, divided by the quantity of that snapshot. So any past
 * book is at most that long, or that much, after a snapshot. The check runs after each submission,
 * so a change that no submission follows waits for the next one. An instrument may have options of
 * its own. The levels of an instrument without snapshots are followed too, for `renewAll`, which
 * writes some books at a time. Bounded: one copy of ten levels for each instrument.
 */

import { bookChecksum } from '../../../protocol/checksum';
import { TenLevels } from '../../../protocol/levels';
import type { BatchEvent, RecordedBook, Snapshot } from '../../../protocol/records';
import { Nanos } from '../../../protocol/time';

export interface SnapshotOptions {
  /**
   * Interval between snapshots of an instrument that changes, in ms; 0: none but those of
   * `renewAll`.
   */
  readonly everyMs: number;
  /** Share of the quantity, above 0; 0.05 means 5 %. */
  readonly changeShare: number;
}

/** A snapshot that has no seq yet. */
export type DueSnapshot = Omit<Snapshot, 'type' | 'seq'>;

/** Books that one `accept` renews: a turn must stay short. */
const RENEWED_AT_ONCE = 128;

interface Followed {
  readonly options: SnapshotOptions;
  readonly levels: TenLevels;
  trusted: boolean;
  newest: RecordedBook;
  /** As last written; null before the first snapshot. */
  bids: readonly number[] | null;
  asks: readonly number[];
  quantity: number;
  writtenAt: Nanos;
}

export class SnapshotPolicy {
  private readonly options: SnapshotOptions;
  private readonly own: ReadonlyMap<string, SnapshotOptions>;
  private readonly followed = new Map<string, Followed>();
  /** Since the last `accept`. */
  private readonly changed = new Set<Followed>();
  /** To be written even if they do not change. */
  private readonly renewed = new Set<Followed>();

  /** @param own options of single instruments by symbol, which replace the general ones */
  constructor(options: SnapshotOptions, own: ReadonlyMap<string, SnapshotOptions> = new Map()) {
    this.options = options;
    this.own = own;
  }

  /** Takes over the restored books; the next change of a book is followed by a snapshot. */
  hydrate(books: Iterable<RecordedBook>): void {
    for (const book of books) this.follow(book);
    this.changed.clear();
  }

  /**
   * Takes the events of a list from an index on. Returns the snapshots that are due behind them.
   */
  accept(events: readonly BatchEvent[], from = 0): DueSnapshot[] {
    for (let i = from; i < events.length; i++) {
      const event = events[i]!;
      if (event.type === 'book') this.follow(event);
    }
    const due: DueSnapshot[] = [];
    // An instrument that has not changed since the last check cannot have become due.
    for (const f of this.changed) if (this.isDue(f)) due.push(this.write(f));
    this.changed.clear();
    for (const f of this.renewed) {
      if (due.length >= RENEWED_AT_ONCE) break;
      due.push(this.write(f));
    }
    return due;
  }

  /** Whether books wait for the next `accept`. */
  get isRenewing(): boolean {
    return this.renewed.size > 0;
  }

  /** Makes every valid book due, whether or not it changes; some are written at each `accept`. */
  renewAll(): void {
    this.renew(new Set(this.followed.keys()));
  }

  /** Like `renewAll`, for these instruments only. */
  renew(symbols: ReadonlySet<string>): void {
    for (const [symbol, f] of this.followed) {
      if (f.trusted && symbols.has(symbol)) this.renewed.add(f);
    }
  }

  private follow(e: RecordedBook): void {
    let f = this.followed.get(e.symbol);
    if (f === undefined) {
      const options = this.own.get(e.symbol) ?? this.options;
      f = {
        options,
        levels: new TenLevels(),
        trusted: false,
        newest: e,
        bids: null,
        asks: [],
        quantity: 0,
        writtenAt: Nanos.ZERO,
      };
      this.followed.set(e.symbol, f);
    }
    f.newest = e;
    if (e.form === 'delta') {
      f.levels.apply(e.bids, e.asks);
    } else {
      f.levels.replace(e.bids, e.asks);
      f.trusted = e.form === 'snapshot';
      f.bids = null;
    }
    if (!f.trusted) this.forget(f);
    else if (f.options.everyMs > 0) this.changed.add(f);
  }

  private isDue(f: Followed): boolean {
    if (f.bids === null) return true;
    const { everyMs, changeShare } = f.options;
    if (f.newest.receiveTime.since(f.writtenAt) >= everyMs * 1e6) return true;
    const moved = change(f.bids, f.levels.bids, 1) + change(f.asks, f.levels.asks, -1);
    return moved > changeShare * f.quantity;
  }

  private forget(f: Followed): void {
    this.changed.delete(f);
    this.renewed.delete(f);
  }

  private write(f: Followed): DueSnapshot {
    const { newest, levels } = f;
    this.forget(f);
    f.bids = levels.bids;
    f.asks = levels.asks;
    f.quantity = total(levels.bids) + total(levels.asks);
    f.writtenAt = newest.receiveTime;
    return {
      symbol: newest.symbol,
      eventTime: newest.eventTime,
      receiveTime: newest.receiveTime,
      ...(newest.asOf !== undefined && { asOf: newest.asOf }),
      bids: levels.bids,
      asks: levels.asks,
      crc: bookChecksum(levels.bids, levels.asks),
    };
  }
}

/** Sum of |change of quantity| between two lists of levels, best first. @param sign 1 bids, −1 asks */
function change(before: readonly number[], after: readonly number[], sign: 1 | -1): number {
  let moved = 0;
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const old = i < before.length ? before[i]! * sign : -Infinity;
    const now = j < after.length ? after[j]! * sign : -Infinity;
    if (old === now) {
      moved += Math.abs(before[i + 1]! - after[j + 1]!);
      i += 2;
      j += 2;
    } else if (now > old) {
      moved += after[j + 1]!;
      j += 2;
    } else {
      moved += before[i + 1]!;
      i += 2;
    }
  }
  return moved;
}

function total(levels: readonly number[]): number {
  let sum = 0;
  for (let i = 1; i < levels.length; i += 2) sum += levels[i]!;
  return sum;
}
