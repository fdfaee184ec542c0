/**
 * Snapshot policy: when the ten levels of an instrument are written whole.
 *
 * Every `everyMs` for an instrument that changed, and at once when the book has moved by more than
 * `changeShare` since the last snapshot: the sum over the ten best levels a side of |change of
 * quantity|, over the quantity of that snapshot. So any past book is at most so long, or so much,
 * behind a snapshot. It looks behind each submission, so a change that none follows waits for the next.
 * An instrument may have options of its own. Of one without snapshots the levels are followed too, for
 * `renewAll`, which writes some at a time. Bounded: one copy of ten levels an instrument.
 */

import { bookChecksum } from '../../../protocol/checksum';
import { TenLevels } from '../../../protocol/levels';
import type { BatchEvent, RecordedBook, Snapshot } from '../../../protocol/records';
import { Nanos } from '../../../protocol/time';

export interface SnapshotOptions {
  /** Between snapshots of an instrument that changes, in ms; 0: none but those of `renewAll`. */
  readonly everyMs: number;
  /** Share of the quantity, above 0; 0.05 is 5 %. */
  readonly changeShare: number;
}

/** A snapshot before it has its place. */
export type DueSnapshot = Omit<Snapshot, 'type' | 'seq'>;

/** Books that are renewed at an `accept`: a turn is to stay short. */
const RENEWED_AT_ONCE = 128;

interface Followed {
  readonly options: SnapshotOptions;
  readonly levels: TenLevels;
  trusted: boolean;
  newest: RecordedBook;
  /** As last written; null before the first. */
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
  /** Are to be written though they may not change. */
  private readonly renewed = new Set<Followed>();

  /** @param own those of single instruments, by symbol, in place of the others */
  constructor(options: SnapshotOptions, own: ReadonlyMap<string, SnapshotOptions> = new Map()) {
    this.options = options;
    this.own = own;
  }

  /** Takes the books of the time before on; their next change is followed by a snapshot. */
  hydrate(books: Iterable<RecordedBook>): void {
    for (const book of books) this.follow(book);
    this.changed.clear();
  }

  /** Takes the events of a list from a place on; returns what is due behind them. */
  accept(events: readonly BatchEvent[], from = 0): DueSnapshot[] {
    for (let i = from; i < events.length; i++) {
      const event = events[i]!;
      if (event.type === 'book') this.follow(event);
    }
    const due: DueSnapshot[] = [];
    // What did not change since it was looked at is no more due than it was then.
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

  /** Every book that may be trusted is due, some at each `accept`, also one that does not change. */
  renewAll(): void {
    this.renew(new Set(this.followed.keys()));
  }

  /** As `renewAll`, of these only. */
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
