/**
 * Time travel: book, trades, statistics and candles of a past moment, and the market replayed from there.
 *
 * A moment is asked of REST, one question at a time, so a slider that is drawn across the screen asks
 * for where it is and not for where it has been. A replay is the SDK's, whose book proves itself message
 * by message as a live one does; its trades carry statistics and candle on. Bounded: one question, one
 * replay, `TRADES_MAX` trades.
 */

import { BAR_SECONDS, type BarInterval } from '../../../protocol/bars';
import { isLate, marketTime } from '../../../protocol/trade-time';
import {
  fetchBook,
  LocalBook,
  Nanos,
  parseDecimal,
  type Instrument,
  type Replay,
  type RestBook,
  type TapedeckClient,
  type TapedeckError,
} from '../../client/index';
import type { Clock } from '../../base/clock';
import { TRADES_MAX, type DisplayedBook, type TapeTrade } from './market-state';
import {
  advance,
  newestFirst,
  type PastFigures,
  type PastStats,
  type Running,
} from './past-figures';
import { travelMessage } from './travel-messages';

/** Of the newest trades before a moment so many are asked for. */
const TRADES = 80;

export const SPEEDS = ['1', '10', '100'] as const;
export type Speed = (typeof SPEEDS)[number];

/** A moment of one instrument; what is undefined is not known, or not yet. */
export interface Past {
  readonly symbol: string;
  at: Nanos;
  book: DisplayedBook | undefined;
  /** Why there is no book, in words. */
  doubt: string;
  trades: TapeTrade[];
  stats: PastStats | undefined;
  /** The candle that the moment lies in, so far. */
  candle: (Running & { readonly interval: BarInterval }) | undefined;
  /** What is the matter, or how it came to be. */
  note: string;
}

/** What time travel needs of the page. */
export interface TravelHost {
  readonly url: string;
  client(): TapedeckClient | undefined;
  /** By which the page reads, where that needs one. */
  key(): string | undefined;
  definition(): Instrument | undefined;
  /** Length of the candles on the screen. */
  interval(): BarInterval;
  /** By the server's clock. */
  now(): Nanos;
  /** What is displayed has changed. */
  changed(): void;
  /** Another moment was asked for: candles up to it are wanted. */
  sought(at: Nanos): void;
}

export class TimeTravel {
  /** Undefined while the page shows what is. */
  past: Past | undefined;
  playing = false;
  speed: Speed = '1';
  private readonly host: TravelHost;
  private readonly figures: PastFigures;
  private readonly clock: Clock;
  /** Asks for book and trades of the moments that are sought; undefined while it has the newest. */
  private asking: Promise<void> | undefined;
  private asked: Past | undefined;
  /** Asks for the candle and the statistics of the newest that has those; undefined as above. */
  private figuring: Promise<void> | undefined;
  private unfigured: Past | undefined;
  private replay: Replay | undefined;
  private anchor: { readonly time: Nanos; readonly ms: number } | undefined;

  constructor(host: TravelHost, figures: PastFigures, clock: Clock) {
    this.host = host;
    this.figures = figures;
    this.clock = clock;
  }

  /** Shows a moment of the chosen instrument. */
  async seek(at: Nanos): Promise<void> {
    this.stop();
    this.begin(at);
    this.host.sought(at);
    this.host.changed();
    this.asking ??= this.askAll();
    await this.asking;
  }

  /** Candles of another length are displayed. */
  async intervalChanged(): Promise<void> {
    if (this.past === undefined) return;
    const wasPlaying = this.playing;
    await this.seek(this.displayedTime());
    if (wasPlaying) await this.play();
  }

  /** Plays on from the moment that is displayed. */
  async play(): Promise<void> {
    const { past } = this;
    if (past === undefined) return;
    this.stop();
    past.note = '';
    this.playing = true;
    this.anchor = undefined;
    this.host.changed();
    // What is played is added to what the moment had.
    await this.asking;
    await this.figuring;
    const client = this.host.client();
    if (!this.playing || this.past !== past || this.replay !== undefined) return;
    if (client === undefined) return this.pause();
    const { symbol, at } = past;
    const topics: readonly string[] = [`book:${symbol}`, `trade:${symbol}`];
    const replay = client.replay({
      topics,
      from: at,
      to: this.host.now(),
      speed: Number(this.speed),
    });
    this.replay = replay;
    this.anchor = { time: at, ms: this.clock.monotonicMs() };
    this.host.changed();
    try {
      await this.follow(replay, past);
      if (this.replay === replay) past.note = 'Replayed up to its start. Press Live to go on.';
    } catch (e) {
      if (this.replay === replay)
        past.note = `The replay failed: ${travelMessage(e as TapedeckError)}`;
    }
    if (this.replay !== replay) return;
    this.replay = undefined;
    this.playing = false;
    this.host.changed();
  }

  pause(): void {
    if (this.playing && this.past !== undefined) this.past.at = this.displayedTime();
    this.stop();
    this.host.changed();
  }

  async setSpeed(speed: Speed): Promise<void> {
    this.speed = speed;
    this.host.changed();
    if (!this.playing || this.past === undefined) return;
    this.past.at = this.displayedTime();
    await this.play();
  }

  /** Back to what is. */
  live(): void {
    this.stop();
    this.past = undefined;
    this.host.changed();
  }

  /** The moment on the screen: between two messages of a replay time goes on too. */
  displayedTime(): Nanos {
    const { past, anchor } = this;
    if (past === undefined) return this.host.now();
    if (!this.playing || anchor === undefined) return past.at;
    const passedMs = (this.clock.monotonicMs() - anchor.ms) * Number(this.speed);
    const now = this.host.now();
    const displayed = anchor.time.plus(Math.round(passedMs * 1e6));
    return displayed.compare(now) > 0 ? now : displayed;
  }

  private begin(at: Nanos): void {
    const symbol = this.host.definition()?.symbol ?? '';
    const kept = this.past?.symbol === symbol ? this.past : { book: undefined, trades: [] };
    const { book, trades } = kept; // until those of the moment have come
    const unknown = { doubt: '', stats: undefined, candle: undefined, note: '' };
    this.past = { symbol, at, book, trades, ...unknown };
  }

  private stop(): void {
    const { replay } = this;
    this.replay = undefined;
    this.playing = false;
    // A replay that never began has nothing to stop.
    replay?.stop().catch(() => {});
  }

  private async askAll(): Promise<void> {
    while (this.past !== undefined && this.past !== this.asked) {
      this.asked = this.past;
      await this.ask(this.past);
    }
    this.asking = undefined;
  }

  /** Book and trades; the others cost the server more, and come behind them. */
  private async ask(past: Past): Promise<void> {
    const definition = this.host.definition();
    if (definition?.symbol !== past.symbol) return;
    try {
      const [book, trades] = await Promise.all([
        this.book(definition, past.at),
        this.figures.trades(definition, past.at, TRADES),
      ]);
      Object.assign(past, { ...book, trades });
    } catch (e) {
      Object.assign(past, { trades: [], note: travelMessage(e as TapedeckError) });
    }
    if (this.past !== past) return;
    this.host.changed();
    this.unfigured = past;
    this.figuring ??= this.figureAll();
  }

  private async figureAll(): Promise<void> {
    while (this.unfigured !== undefined) {
      const past = this.unfigured;
      this.unfigured = undefined;
      await this.figure(past);
    }
    this.figuring = undefined;
  }

  private async figure(past: Past): Promise<void> {
    const definition = this.host.definition();
    const interval = this.host.interval();
    if (definition?.symbol !== past.symbol) return;
    try {
      past.candle = { interval, ...(await this.figures.candle(definition, interval, past.at)) };
      if (this.past !== past) return;
      this.host.changed();
      past.stats = await this.figures.stats(definition, past.at);
    } catch (e) {
      past.note = travelMessage(e as TapedeckError);
    }
    if (this.past === past) this.host.changed();
  }

  private async book(definition: Instrument, at: Nanos): Promise<Pick<Past, 'book' | 'doubt'>> {
    const { url } = this.host;
    try {
      const query = { at: at.toString() };
      const book = await fetchBook(url, definition.symbol, query, this.host.key());
      return { book: readBook(book, definition), doubt: '' };
    } catch (e) {
      return { book: undefined, doubt: travelMessage(e as TapedeckError) };
    }
  }

  /** A trade that is played goes into statistics and candle. */
  private carryOn({ stats, candle }: Past, trade: TapeTrade): void {
    const { seconds } = marketTime(trade);
    if (stats !== undefined) {
      const start = this.figures.sessionStart(seconds);
      if (start > stats.start) stats.previousClose = stats.fold.close ?? stats.previousClose;
      advance(stats, start);
      stats.fold.trade(trade);
    }
    if (candle === undefined) return;
    advance(candle, seconds - (seconds % BAR_SECONDS[candle.interval]));
    candle.fold.trade(trade);
  }

  private async follow(replay: Replay, past: Past): Promise<void> {
    const book = new LocalBook();
    const known = past.trades[0]?.seq ?? 0;
    for await (const item of replay) {
      if (this.replay !== replay) return;
      if (item.type === 'gap') {
        past.note = `${item.count} messages are not in the journal (${item.reason})`;
        if (item.topic.startsWith('book:')) book.skipTo(item.to);
      } else if (item.type === 'reset') {
        book.clear();
      } else {
        if (item.type === 'book') {
          book.apply(item);
          past.book = { seq: book.seq, bids: book.bids, asks: book.asks, trusted: book.trusted };
          past.doubt = book.trusted ? '' : 'The book was incomplete at this moment.';
        } else if (item.type === 'trade' && item.seq > known) {
          past.trades = [item, ...past.trades].sort(newestFirst).slice(0, TRADES_MAX);
          if (!isLate(item)) this.carryOn(past, item);
        }
        const time = item.type === 'trade' ? marketTime(item) : item.eventTime;
        // What opens a replay may be older than its moment; a source's clock may be ahead of all of it.
        if (time.compare(past.at) > 0 && time.compare(this.host.now()) <= 0) {
          past.at = time;
          this.anchor = { time, ms: this.clock.monotonicMs() };
        }
      }
      this.host.changed();
    }
  }
}

function readBook(book: RestBook, { priceScale, quantityScale }: Instrument): DisplayedBook {
  const flat = (levels: RestBook['bids']): number[] =>
    levels.flatMap(([price, quantity]) => [
      Number(parseDecimal(price, priceScale)),
      Number(parseDecimal(quantity, quantityScale)),
    ]);
  return { seq: book.seq, bids: flat(book.bids), asks: flat(book.asks), trusted: true };
}
