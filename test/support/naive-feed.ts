/**
 * The naive oracle of a feed instrument: rules [P8] to [P10] of protocol/README.md on plain maps, written
 * literally. It does not know what is published; it knows what must be true.
 */

import type { Bbo, Book, Trade } from '../../protocol/messages';

const HELD_MAX = 2_000;

export class NaiveFeed {
  state: 'none' | 'live' | 'incomplete' = 'none';
  seq = 0;
  bids = new Map<number, number>();
  asks = new Map<number, number>();
  quoteSeq = 0;
  /** The source number of the newest best bid and offer. */
  topSeq = 0;
  tradeSeq = 0;
  volume = 0;
  missed = 0;
  /** The trades that were not dropped. */
  readonly trades: Trade[] = [];
  private afterSnapshot = false;
  /** The source has disconnected since the book was last complete. */
  private away = false;
  private held: Book[] = [];

  book(m: Book): void {
    if (m.form === 'snapshot') this.snapshot(m);
    else if (m.form === 'delta') this.delta(m);
    else {
      this.lose();
      this.goAway();
    }
  }

  quote(m: Bbo): boolean {
    if (m.seq === 0) return true;
    if (m.seq < Math.max(this.seq, this.quoteSeq)) return false;
    this.quoteSeq = m.seq;
    this.topSeq = m.seq;
    return true;
  }

  trade(m: Trade): void {
    if (m.seq !== 0) {
      if (m.seq <= this.tradeSeq) return;
      if (this.tradeSeq !== 0 && m.prevSeq > this.tradeSeq)
        this.missed += m.prevSeq - this.tradeSeq;
      this.tradeSeq = m.seq;
    }
    this.volume += m.quantity;
    this.trades.push(m);
  }

  /** The source disconnects, and may reconnect; or it reports that its numbers begin again. */
  goAway(): void {
    this.away = true;
    this.held = [];
    this.quoteSeq = 0;
  }

  private snapshot(m: Book): void {
    if (this.state === 'live' && m.seq !== 0 && m.seq < this.seq) return;
    this.bids = new Map();
    this.asks = new Map();
    this.set(m);
    this.state = 'live';
    this.seq = m.seq;
    this.afterSnapshot = true;
    this.away = false;
    const { held } = this;
    this.held = [];
    this.topSeq = Math.max(this.seq, this.quoteSeq);
    for (const delta of held) this.delta(delta);
  }

  private delta(m: Book): void {
    if (this.state !== 'live') return this.hold(m);
    if (m.seq === 0 && this.away) return this.hold(m);
    if (m.seq !== 0) {
      if (m.seq <= this.seq) return;
      const continues = m.prevSeq === this.seq;
      const reachesBack = this.afterSnapshot && m.prevSeq < this.seq;
      if (!continues && !reachesBack) return this.hold(m);
      this.seq = m.seq;
    }
    this.set(m);
    this.topSeq = Math.max(this.seq, this.quoteSeq);
    this.afterSnapshot = false;
    this.away = false;
  }

  private hold(m: Book): void {
    this.lose();
    const last = this.held.at(-1);
    if (last !== undefined && m.prevSeq !== last.seq) {
      if (m.seq <= last.seq && m.eventTime.compare(last.eventTime) <= 0) return;
      this.held = [];
    }
    if (m.seq !== 0) this.held = [...this.held, m].slice(-HELD_MAX);
  }

  private lose(): void {
    this.state = 'incomplete';
    this.bids = new Map();
    this.asks = new Map();
  }

  private set(m: Book): void {
    for (const [levels, side] of [
      [m.bids, this.bids],
      [m.asks, this.asks],
    ] as const) {
      for (let i = 0; i < levels.length; i += 2) {
        if (levels[i + 1] === 0) side.delete(levels[i]!);
        else side.set(levels[i]!, levels[i + 1]!);
      }
    }
  }
}
