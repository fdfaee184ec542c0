/**
 * What the matching bench connects to the venue: the messages of a server (trade, tick, bbo, book deltas, and a
 * snapshot whenever the book has changed by more than 5 %), collected in batches.
 */

import type { Book, MarketEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { VenueListener } from '../../src/market/venue/listener';
import { TIME_LIMITS } from '../../src/market/market';
import { VenueMarketData } from '../../src/market/venue/market-data';
import type { Venue } from '../../src/market/venue/venue';
import type { MarketOutput } from '../../src/market/output';

const SNAPSHOT_SHARE = 0.05;

/** Takes the events of a batch, and counts them. */
class Batch implements MarketOutput {
  receiveTime = Nanos.fromSeconds(1_700_000_000, 0);
  events: MarketEvent[] = [];
  taken = 0;
  private seq = 0;

  nextSeq(): number {
    this.seq += 1;
    return this.seq;
  }

  push(event: MarketEvent): void {
    this.events.push(event);
  }

  end(): void {
    this.taken += this.events.length;
    this.events = [];
  }
}

export class MarketDataBench implements VenueListener {
  readonly batch = new Batch();
  snapshots = 0;
  private data: VenueMarketData | undefined;
  private snapshotQuantity = 0;
  private moved = 0;
  private bids: readonly number[] = [];
  private asks: readonly number[] = [];

  attach(venue: Venue): void {
    this.data = new VenueMarketData('BENCH', venue, { status: 0 }, TIME_LIMITS);
  }

  trade(tradeId: number, price: number, quantity: number, aggressor: number): void {
    this.data!.trade(tradeId, price, quantity, aggressor, this.batch);
  }

  accepted(): void {}
  rejected(): void {}
  amended(): void {}
  cancelled(): void {}
  expired(): void {}
  levelChanged(): void {}
  stateChanged(): void {}

  afterCommand(): void {
    const { batch } = this;
    const from = batch.events.length;
    this.data!.afterCommand(batch);
    for (let i = from; i < batch.events.length; i++) {
      const event = batch.events[i]!;
      if (event.type === 'book') this.follow(event);
    }
  }

  endBatch(): void {
    this.data!.seal();
    this.batch.end();
  }

  /** The rule for when a snapshot is due at once (design § 5). */
  private follow(delta: Book): void {
    this.moved += movedQuantity(this.bids, delta.bids) + movedQuantity(this.asks, delta.asks);
    const view = this.data!.book.view()!;
    this.bids = view.bids;
    this.asks = view.asks;
    if (this.moved <= this.snapshotQuantity * SNAPSHOT_SHARE) return;
    this.moved = 0;
    this.snapshotQuantity = quantityOf(view.bids) + quantityOf(view.asks);
    this.snapshots += 1;
    const levels = { bids: view.bids as number[], asks: view.asks as number[] };
    this.batch.push({ ...delta, form: 'snapshot', ...levels });
  }
}

/** Σ|new quantity − old quantity| over the changes. */
function movedQuantity(before: readonly number[], changes: readonly number[]): number {
  let sum = 0;
  for (let c = 0; c < changes.length; c += 2) {
    let old = 0;
    for (let i = 0; i < before.length; i += 2) {
      if (before[i] === changes[c]) old = before[i + 1]!;
    }
    sum += Math.abs(changes[c + 1]! - old);
  }
  return sum;
}

function quantityOf(levels: readonly number[]): number {
  let sum = 0;
  for (let i = 1; i < levels.length; i += 2) sum += levels[i]!;
  return sum;
}
