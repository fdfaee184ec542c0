/**
 * Past trades: finds which trades of a recording the target has already, so that importing it again adds none twice.
 * The recording is compared with the past trades in their common order.
 *
 * Bound: the past trades that are read ahead of the recording.
 */

import type { Instrument, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { StartFault } from '../base/start-fault';
import { fetchTrades, type RestTrade } from '../client/rest';
import { extract } from '../journal/export/extract';
import { openReading, type JournalReading } from '../journal/recover/reading';
import { parseDecimal } from '../../protocol/units';

/** A trade that the target has already. */
type PastTrade = Pick<Trade, 'eventTime' | 'price' | 'quantity' | 'tradeId'> & {
  readonly seq: number;
  readonly sourceSeq: number;
};

export interface PastTrades {
  /** The past trades around and after the first of these trades that the target has; undefined: it has none of them. */
  from(firsts: readonly Trade[], definition: Instrument): Promise<TradeWalk | undefined>;
}

/** How many past trades are read ahead where the two differ. */
const AHEAD_TRADES = 4_096;
/** In the past, trades from shortly before the first trade of a recording may come after it. */
const AROUND_SEQ = 64;
const AROUND_NANOS = 3_600_000_000_000;
/** The newest trades that a server is asked for, page by page. */
const SERVER_TRADES_MAX = 200_000;
const SERVER_PAGE = 1_000;

/** A repetition has the same number, time, price and quantity. */
function keyOf({ tradeId, eventTime, price, quantity }: PastTrade | Trade, seq: number): string {
  const number = tradeId === 0 ? `s${seq}` : `t${tradeId}`;
  return `${number} ${eventTime.toString()} ${price} ${quantity}`;
}

export class TradeWalk {
  private readonly pages: Iterator<readonly PastTrade[]>;
  private readonly hasNumbers: boolean;
  /** How many trades of each key were read ahead; two fills of one order may have the same. */
  private readonly ahead = new Map<string, number>();
  private isOver = false;

  /** @param hasNumbers whether the past has the sequence numbers of trades without an id */
  constructor(pages: Iterable<readonly PastTrade[]>, hasNumbers: boolean) {
    this.pages = pages[Symbol.iterator]();
    this.hasNumbers = hasNumbers;
  }

  /** Whether the target has a trade of the recording. */
  has(trade: Trade): boolean {
    const key = keyOf(trade, this.hasNumbers ? trade.seq : 0);
    for (let read = 0; !this.ahead.has(key) && !this.isOver && read < AHEAD_TRADES;) {
      const page = this.pages.next();
      if (page.done === true) {
        this.isOver = true;
        break;
      }
      for (const past of page.value) {
        const key = keyOf(past, past.sourceSeq);
        this.ahead.set(key, (this.ahead.get(key) ?? 0) + 1);
      }
      read += page.value.length;
    }
    const count = this.ahead.get(key) ?? 0;
    if (count > 1) this.ahead.set(key, count - 1);
    else this.ahead.delete(key);
    for (const passed of this.ahead.keys()) {
      if (this.ahead.size <= 2 * AHEAD_TRADES) break;
      this.ahead.delete(passed);
    }
    return count > 0;
  }
}

/** The trades of a journal as it is at this time. */
export class JournalTrades implements PastTrades {
  private readonly reading: JournalReading | undefined;

  constructor(directory: string) {
    const reading = openReading(directory);
    this.reading = reading instanceof StartFault ? undefined : reading;
  }

  close(): void {
    this.reading?.close();
  }

  from(firsts: readonly Trade[]): Promise<TradeWalk | undefined> {
    for (const first of firsts) {
      const walk = this.at(first);
      if (walk !== undefined) return Promise.resolve(walk);
    }
    return Promise.resolve(undefined);
  }

  private at(first: Trade): TradeWalk | undefined {
    const { reading } = this;
    const instrument = reading?.instruments.find(({ symbol }) => symbol === first.symbol);
    if (reading === undefined || instrument === undefined) return undefined;
    const key = keyOf(first, first.seq);
    const { eventTime } = first;
    const same = pagesOf(reading, instrument, eventTime, eventTime.plus(1));
    for (const page of same) {
      const found = page.find((past) => keyOf(past, past.sourceSeq) === key);
      if (found === undefined) continue;
      const all = pagesOf(reading, instrument, eventTime.plus(-AROUND_NANOS), null);
      return new TradeWalk(behind(all, found.seq - AROUND_SEQ), true);
    }
    return undefined;
  }
}

function* pagesOf(
  reading: JournalReading,
  instrument: JournalReading['instruments'][number],
  from: Nanos,
  to: Nanos | null,
): Generator<PastTrade[]> {
  for (const page of extract(reading, { kind: 'trade', instrument, from, to })) {
    yield page.flatMap((event) =>
      event.type === 'trade' && 'sourceSeq' in event ? [event as unknown as PastTrade] : [],
    );
  }
}

function* behind(
  pages: Iterable<readonly PastTrade[]>,
  seq: number,
): Generator<readonly PastTrade[]> {
  for (const page of pages) yield page.filter((past) => past.seq > seq);
}

/** The newest trades of a server, which names the source's number as the trade's id. */
export class ServerTrades implements PastTrades {
  /** The id of the newest trade of each requested symbol. */
  readonly newestIds = new Map<string, number>();
  private readonly url: string;
  private readonly key: string | undefined;

  constructor(url: string, key: string | undefined) {
    this.url = url;
    this.key = key;
  }

  async from(firsts: readonly Trade[], definition: Instrument): Promise<TradeWalk | undefined> {
    const times = firsts.map(({ eventTime }) => eventTime);
    const first = times.reduce((a, b) => (a.compare(b) <= 0 ? a : b));
    const trades = await this.since(definition.symbol, first.plus(-AROUND_NANOS), definition);
    const keys = new Set(firsts.map((trade) => keyOf(trade, 0)));
    const isThere = trades.some((past) => keys.has(keyOf(past, 0)));
    return isThere ? new TradeWalk([trades], false) : undefined;
  }

  /** Oldest first: those from the end back to where none of a page is as new as this. */
  private async since(symbol: string, from: Nanos, scales: Instrument): Promise<PastTrade[]> {
    const found: PastTrade[] = [];
    let next: string | undefined;
    while (found.length < SERVER_TRADES_MAX) {
      const query = { limit: SERVER_PAGE, ...(next !== undefined && { next }) };
      const page = await fetchTrades(this.url, symbol, query, this.key);
      const trades = page.trades.flatMap((trade) => pastTrade(trade, scales));
      if (!this.newestIds.has(symbol)) this.newestIds.set(symbol, trades[0]?.tradeId ?? 0);
      const recent = trades.filter(({ eventTime }) => eventTime.compare(from) >= 0);
      found.push(...recent);
      if (page.next === null || (recent.length === 0 && trades.length > 0)) break;
      ({ next } = page);
    }
    return found.reverse();
  }
}

function pastTrade(trade: RestTrade, scales: Instrument): PastTrade[] {
  const eventTime = Nanos.parse(trade.eventTime);
  const price = parseDecimal(trade.price, scales.priceScale);
  const quantity = parseDecimal(trade.quantity, scales.quantityScale);
  if (eventTime === undefined || typeof price === 'string' || typeof quantity === 'string') {
    return [];
  }
  const { seq, tradeId } = trade;
  return [{ seq, sourceSeq: 0, tradeId, eventTime, price, quantity }];
}
