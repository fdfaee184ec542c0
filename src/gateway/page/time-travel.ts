/**
 * Time travel: the book and the tape of a past moment, and the market played on from there.
 *
 * A moment is asked of REST, one question at a time, so a slider that is drawn across the screen asks
 * for where it is and not for where it has been. Playing is the SDK's replay, whose book proves
 * itself message by message as a live one does. Bounded: one question, one replay, `TRADES_MAX` trades.
 */

import {
  fetchBook,
  fetchTrades,
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
import { readTrade, TRADES_MAX, type ShownBook, type TapeTrade } from './desk';

export const SPEEDS = ['1', '10', '100'] as const;
export type Speed = (typeof SPEEDS)[number];

export interface Past {
  readonly symbol: string;
  at: Nanos;
  book: ShownBook | undefined;
  trades: TapeTrade[];
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
  /** By the server's clock. */
  now(): Nanos;
  changed(): void;
}

export class TimeTravel {
  /** Undefined while the page shows what is. */
  past: Past | undefined;
  playing = false;
  speed: Speed = '1';
  private readonly host: TravelHost;
  private readonly clock: Clock;
  private asking = false;
  private wanted: Nanos | undefined;
  private replay: Replay | undefined;
  private anchor: { readonly time: Nanos; readonly ms: number } | undefined;

  constructor(host: TravelHost, clock: Clock) {
    this.host = host;
    this.clock = clock;
  }

  /** Shows a moment. */
  async seek(at: Nanos): Promise<void> {
    this.stop();
    const { symbol } = this.begin(at);
    this.wanted = at;
    this.host.changed();
    if (this.asking) return;
    this.asking = true;
    while (this.wanted !== undefined && this.past?.symbol === symbol) {
      const moment = this.wanted;
      this.wanted = undefined;
      await this.ask(symbol, moment);
    }
    this.asking = false;
  }

  /** Plays on from the moment that is shown. */
  async play(): Promise<void> {
    const client = this.host.client();
    const { past } = this;
    if (past === undefined || client === undefined) return;
    this.stop();
    const { symbol, at } = past;
    const topics: readonly string[] = [`book:${symbol}`, `trade:${symbol}`];
    const replay = client.replay({
      topics,
      from: at,
      to: this.host.now(),
      speed: Number(this.speed),
    });
    this.replay = replay;
    this.playing = true;
    this.anchor = { time: at, ms: this.clock.monotonicMs() };
    past.note = '';
    this.host.changed();
    try {
      await this.follow(replay, past);
      if (this.replay === replay) past.note = 'Played to where it began; Live goes on from here.';
    } catch (e) {
      if (this.replay === replay) past.note = `It does not play: ${(e as TapedeckError).message}`;
    }
    if (this.replay !== replay) return;
    this.replay = undefined;
    this.playing = false;
    this.host.changed();
  }

  pause(): void {
    if (this.playing && this.past !== undefined) this.past.at = this.shownTime();
    this.stop();
    this.host.changed();
  }

  async setSpeed(speed: Speed): Promise<void> {
    this.speed = speed;
    this.host.changed();
    if (!this.playing || this.past === undefined) return;
    this.past.at = this.shownTime();
    await this.play();
  }

  /** Back to what is. */
  live(): void {
    this.stop();
    this.past = undefined;
    this.wanted = undefined;
    this.host.changed();
  }

  /** The moment on the screen: between two messages of a replay time goes on too. */
  shownTime(): Nanos {
    const { past, anchor } = this;
    if (past === undefined) return this.host.now();
    if (!this.playing || anchor === undefined) return past.at;
    const passedMs = (this.clock.monotonicMs() - anchor.ms) * Number(this.speed);
    const now = this.host.now();
    const shown = anchor.time.plus(Math.round(passedMs * 1e6));
    return shown.compare(now) > 0 ? now : shown;
  }

  private begin(at: Nanos): Past {
    const symbol = this.host.definition()?.symbol ?? '';
    if (this.past?.symbol !== symbol) {
      this.past = { symbol, at, book: undefined, trades: [], note: '' };
    }
    this.past.at = at;
    return this.past;
  }

  private stop(): void {
    const { replay } = this;
    this.replay = undefined;
    this.playing = false;
    // A replay that never began has nothing to stop.
    replay?.stop().catch(() => {});
  }

  private async ask(symbol: string, at: Nanos): Promise<void> {
    const { url } = this.host;
    try {
      const key = this.host.key();
      const book = await fetchBook(url, symbol, { at: at.toString() }, key);
      const query = { next: String(book.seq + 1), limit: 60 };
      const { trades } = await fetchTrades(url, symbol, query, key);
      const { past } = this;
      const definition = this.host.definition();
      if (past?.symbol !== symbol || definition?.symbol !== symbol || this.playing) return;
      past.book = readBook(book, definition);
      past.trades = trades.flatMap((trade) => readTrade(trade, definition));
      past.note = '';
    } catch (e) {
      const { message, hint } = e as TapedeckError;
      if (this.past?.symbol !== symbol) return;
      this.past.book = undefined;
      this.past.trades = [];
      this.past.note = hint === null ? message : `${message}. ${hint}`;
    }
    this.host.changed();
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
        } else if (item.type === 'trade' && item.seq > known) {
          past.trades = [item, ...past.trades].slice(0, TRADES_MAX);
        }
        // What opens a replay may be older than the moment that it was asked for.
        if (item.eventTime.compare(past.at) > 0) {
          past.at = item.eventTime;
          this.anchor = { time: item.eventTime, ms: this.clock.monotonicMs() };
        }
      }
      this.host.changed();
    }
  }
}

function readBook(book: RestBook, { priceScale, quantityScale }: Instrument): ShownBook {
  const flat = (levels: RestBook['bids']): number[] =>
    levels.flatMap(([price, quantity]) => [
      Number(parseDecimal(price, priceScale)),
      Number(parseDecimal(quantity, quantityScale)),
    ]);
  return { seq: book.seq, bids: flat(book.bids), asks: flat(book.asks), trusted: true };
}
