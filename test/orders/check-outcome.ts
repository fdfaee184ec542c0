/** What must hold for the batch of any one command: the order and number of events. */

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { Book, Status, Tick, Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { addSum, type Sum } from '../../protocol/sums';
import type { MarketRun, Outcome } from './market-run';

const SHAPE = /^(C(TK)*S?B?Q?)?$/;
const LETTERS: Partial<Record<BatchEvent['type'], string>> = {
  command: 'C',
  trade: 'T',
  tick: 'K',
  status: 'S',
  book: 'B',
  bbo: 'Q',
  instrument: 'I',
  snapshot: 'P',
};

/** What readers of one instrument know, derived from the events alone. */
export class ReaderOf {
  private readonly run: MarketRun;
  private readonly symbol: string;
  private readonly levels = new TenLevels();
  private readonly heads = new Map<string, number>();
  private lastSeq: number;
  private volume: Sum = 0;
  private tradeId = 0;

  constructor(run: MarketRun, symbol = 'ACME') {
    this.run = run;
    this.symbol = symbol;
    this.lastSeq = run.sequencer.lastSeq;
    this.heads.set('status', run.statusHead);
  }

  /** @throws Error at the first broken rule */
  take({ events }: Outcome): void {
    const shape = events.map((e) => LETTERS[e.type] ?? '?').join('');
    must(SHAPE.test(shape), `the events of a command are in order: ${shape}`);
    for (const event of events) this.event(event);
    this.trades(events);
    const venue = this.run.venue(this.symbol);
    const { bids, asks } = venue.levels(10);
    must(same(this.levels.bids, bids) && same(this.levels.asks, asks), 'deltas give the ten best');
    const volume = venue.currentTick()?.volume ?? 0;
    must(volume === this.volume, 'the volume is the sum of the trades');
    const bbo = events.find((e) => e.type === 'bbo');
    if (bbo === undefined) return;
    const published = [bbo.bid, bbo.bidQuantity, bbo.ask, bbo.askQuantity];
    const best = [bids[0] ?? null, bids[1] ?? 0, asks[0] ?? null, asks[1] ?? 0];
    must(same(published, best), 'the bbo is the top of the book');
  }

  private event(e: BatchEvent): void {
    must(e.symbol === this.symbol, 'the events are of the instrument of the command');
    must(e.seq === this.lastSeq + 1, 'seqs are consecutive');
    this.lastSeq = e.seq;
    if (e.type === 'command' || e.type === 'instrument' || e.type === 'snapshot') return;
    must(e.prevSeq === (this.heads.get(e.type) ?? 0), `${e.type} chains`);
    this.heads.set(e.type, e.seq);
    if (e.type === 'book') this.book(e);
  }

  private book(e: Book): void {
    if (e.form === 'delta') this.levels.apply(e.bids, e.asks);
    else this.levels.replace(e.bids, e.asks);
    must(e.crc === bookChecksum(this.levels.bids, this.levels.asks), 'the book proves itself');
  }

  private trades(events: readonly BatchEvent[]): void {
    const trades = events.filter((e): e is Trade => e.type === 'trade');
    const ticks = events.filter((e): e is Tick => e.type === 'tick');
    for (const [i, trade] of trades.entries()) {
      const tick = ticks[i]!;
      this.volume = addSum(this.volume, trade.quantity);
      must(trade.quantity > 0, 'a trade has a quantity');
      must(trade.tradeId === ++this.tradeId, 'trades are numbered densely');
      must(
        tick.last === trade.price && tick.quantity === trade.quantity,
        'the tick is the trade’s',
      );
      must(tick.volume === this.volume, 'volume adds up');
    }
  }
}

export function statusOf(events: readonly BatchEvent[]): Status | undefined {
  return events.find((e): e is Status => e.type === 'status');
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
