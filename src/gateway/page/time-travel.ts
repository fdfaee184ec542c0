/**
 * Time travel: book, trades, statistics and candles at a past time, and a replay of the market from there.
 *
 * Data of a past time are requested over REST, one request at a time, so while the user drags the slider
 * only the newest position is requested. A replay uses the SDK, whose book verifies itself message by
 * message as a live one does. Its trades update statistics and candle. Bounded: one request, one replay,
 * `TRADES_MAX` trades.
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

/** Number of the newest trades before a time that are requested. */
const TRADES = 80;

export const SPEEDS = ['1', '10', '100'] as const;
export type Speed = (typeof SPEEDS)[number];

/** The data of one instrument at a past time; undefined: unknown, or not received yet. */
export interface Past {
  readonly symbol: string;
  at: Nanos;
  book: DisplayedBook | undefined;
  /** Why there is no book, as text. */
  doubt: string;
  trades: TapeTrade[];
  stats: PastStats | undefined;
  /** The candle that contains the time, up to that time. */
  candle: (Running & { readonly interval: BarInterval }) | undefined;
  /** A note about a problem, or about how the time was chosen. */
  note: string;
}

/** What time travel needs from the page. */
export interface TravelHost {
  readonly url: string;
  client(): TapedeckClient | undefined;
  /** The key with which the page reads, if reading needs one. */
  key(): string | undefined;
  definition(): Instrument | undefined;
  /** Length of the displayed candles. */
  interval(): BarInterval;
  /** By the server's clock. */
  now(): Nanos;
  /** The displayed data have changed. */
  changed(): void;
  /** Another time was chosen: candles up to it are needed. */
  sought(at: Nanos): void;
}

export class TimeTravel {
  /** Undefined while the page displays the present. */
  past: Past | undefined;
  playing = false;
  speed: Speed = '1';
  private readonly host: TravelHost;
  private readonly figures: PastFigures;
  private readonly clock: Clock;
  /** Requests book and trades of the newest chosen time; undefined when that is done. */
  private asking: Promise<void> | undefined;
  private asked: Past | undefined;
  /** Requests candle and statistics once book and trades are there; undefined when that is done. */
  private figuring: Promise<void> | undefined;
  private unfigured: Past | undefined;
  private replay: Replay | undefined;
  private anchor: { readonly time: Nanos; readonly ms: number } | undefined;

  constructor(host: TravelHost, figures: PastFigures, clock: Clock) {
    this.host = host;
    this.figures = figures;
    this.clock = clock;
  }

  /** Displays the chosen instrument at a past time. */
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

  /** Starts a replay from the displayed time. */
  async play(): Promise<void> {
    const { past } = this;
    if (past === undefined) return;
    this.stop();
    past.note = '';
    this.playing = true;
    this.anchor = undefined;
    this.host.changed();
    // The replay adds to the data that were loaded for the time.
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
      if (this.replay === replay)
        past.note = 'Replayed up to the time at which it began. Press Live to continue.';
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

  /** Returns to the present. */
  live(): void {
    this.stop();
    this.past = undefined;
    this.host.changed();
  }

  /** The time on the screen. It also advances between two messages of a replay. */
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
    const { book, trades } = kept; // until those of the new time have arrived
    const unknown = { doubt: '', stats: undefined, candle: undefined, note: '' };
    this.past = { symbol, at, book, trades, ...unknown };
  }

  private stop(): void {
    const { replay } = this;
    this.replay = undefined;
    this.playing = false;
    // A replay that has not begun cannot be stopped.
    replay?.stop().catch(() => {});
  }

  private async askAll(): Promise<void> {
    while (this.past !== undefined && this.past !== this.asked) {
      this.asked = this.past;
      await this.ask(this.past);
    }
    this.asking = undefined;
  }

  /** Requests book and trades first; the other data cost the server more and follow. */
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

  /** Adds a trade of the replay to statistics and candle. */
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
          past.doubt = book.trusted ? '' : 'The book was incomplete at this time.';
        } else if (item.type === 'trade' && item.seq > known) {
          past.trades = [item, ...past.trades].sort(newestFirst).slice(0, TRADES_MAX);
          if (!isLate(item)) this.carryOn(past, item);
        }
        const time = item.type === 'trade' ? marketTime(item) : item.eventTime;
        // The first items of a replay may be older than its start, and the clock of a source may be ahead.
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
