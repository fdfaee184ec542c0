/**
 * History queries: what REST asks of the past. Holds the parameters of a query to each other, and puts
 * the frame of an answer around what the journal gives.
 */

import type { BarInterval } from '../../../protocol/bars';
import { fault, fieldFault, type Fault } from '../../../protocol/codes';
import { Nanos } from '../../../protocol/time';
import { BOOK_DEPTH } from '../../../protocol/units';
import type {
  MissingRange,
  PastBarsPage,
  PastBook,
  PastPage,
  TimeHalvesRange,
} from '../../base/contracts/past';
import type { TimeHalves } from '../../base/contracts/times';
import { finished, open } from './answer';
import type { Effort } from './route';

/** The parameters of a range; `from` inclusive, `to` exclusive, undefined without a bound. */
interface RangeQuery {
  readonly from?: Nanos | undefined;
  readonly to?: Nanos | undefined;
  readonly limit: number;
  /** The `next` of an answer. */
  readonly next?: string | undefined;
}

/** Event times; `from` inclusive, `to` exclusive, null without a bound. */
export interface TimeRange {
  readonly from: Nanos | null;
  readonly to: Nanos | null;
}

const UNCOUNTED: Effort = () => {};

/** The journal as these queries ask it. Times are pairs of halves; lists come as the JSON text of an array. */
export interface PastSource {
  book(symbol: string, at: TimeHalves): Promise<PastBook | Fault>;
  trades(symbol: string, before: number, limit: number): Promise<PastPage | Fault>;
  ticks(
    symbol: string,
    range: TimeHalvesRange,
    after: number,
    limit: number,
  ): Promise<PastPage | Fault>;
  bars(
    symbol: string,
    interval: BarInterval,
    range: TimeHalvesRange,
    limit: number,
  ): Promise<PastBarsPage | Fault>;
}

export interface HistoryStages {
  readonly past: PastSource;
  /** The fault of a symbol that no instrument has. */
  unknown(symbol: string): Fault | undefined;
  /** A page of ticks from memory; undefined if the journal has to be read. */
  recentTicks(symbol: string, range: TimeRange, after: number, limit: number): PastPage | undefined;
  numbersOf(symbol: string): Numbers;
  now(): Nanos;
  /** Whole milliseconds since a time. */
  ageMs(since: Nanos): number;
}

export class HistoryQueries {
  private readonly stages: HistoryStages;

  constructor(stages: HistoryStages) {
    this.stages = stages;
  }

  /** The book at a time in the past. @param depth levels a side */
  async book(
    symbol: string,
    at: Nanos,
    depth: number,
    effort: Effort = UNCOUNTED,
  ): Promise<string | Fault> {
    if (depth > BOOK_DEPTH) {
      return fieldFault('depth', String(depth), `an integer from 1 to ${BOOK_DEPTH}`);
    }
    const now = this.stages.now();
    if (at.compare(now) > 0) {
      return fieldFault('at', at.toString(), `a time in the past; here it is ${now.toString()}`);
    }
    const unknown = this.stages.unknown(symbol);
    if (unknown !== undefined) return unknown;
    const book = await this.stages.past.book(symbol, at);
    if ('code' in book) return book;
    effort(book.blocks ?? 0);
    const receiveTime = nanos(book.receiveTime);
    const body = {
      symbol,
      seq: book.seq,
      epoch: this.stages.numbersOf(symbol).epoch,
      eventTime: nanos(book.eventTime).toString(),
      receiveTime: receiveTime.toString(),
      bids: book.bids.slice(0, depth),
      asks: book.asks.slice(0, depth),
    };
    return finished(open(body), 'l3', this.stages.ageMs(receiveTime));
  }

  /** Trades of the journal, newest first. @param before a sequence number */
  async trades(
    symbol: string,
    before: number,
    limit: number,
    effort: Effort = UNCOUNTED,
  ): Promise<string | Fault> {
    const page = await this.stages.past.trades(symbol, before, limit);
    if ('code' in page) return page;
    effort(page.blocks ?? 0);
    return this.finish('l3', { symbol }, 'trades', page.items, page.newest, {
      next: page.count === limit || page.isCut === true ? String(page.last) : null,
      ...gapsOf(page),
    });
  }

  /** Ticks in the order of their sequence numbers. */
  async ticks(
    symbol: string,
    query: RangeQuery,
    effort: Effort = UNCOUNTED,
  ): Promise<string | Fault> {
    const { limit } = query;
    const given = rangeOf(query);
    if ('code' in given) return given;
    const unknown = this.stages.unknown(symbol);
    if (unknown !== undefined) return unknown;
    const position = readPosition(query.next, symbol, given);
    if ('code' in position) return position;
    const { range, after } = position;
    const recent = this.stages.recentTicks(symbol, range, after, limit);
    const page = recent ?? (await this.stages.past.ticks(symbol, range, after, limit));
    if ('code' in page) return page;
    effort(page.blocks ?? 0);
    const source = recent === undefined ? 'l3' : 'l2';
    return this.finish(source, { symbol }, 'ticks', page.items, page.newest, {
      next:
        page.count === limit || page.isCut === true
          ? writePosition(symbol, range, page.last)
          : null,
      ...gapsOf(page),
    });
  }

  /** Bars by their open time, oldest first. */
  async bars(
    symbol: string,
    query: RangeQuery & { readonly interval: BarInterval },
    effort: Effort = UNCOUNTED,
  ): Promise<string | Fault> {
    const { interval, limit } = query;
    const range = barRangeOf(query);
    if ('code' in range) return range;
    const unknown = this.stages.unknown(symbol);
    if (unknown !== undefined) return unknown;
    const page = await this.stages.past.bars(symbol, interval, range, limit);
    if ('code' in page) return page;
    effort(page.blocks ?? 0);
    const head = { symbol, interval };
    return this.finish('l3', head, 'bars', page.items, null, { next: page.next, ...gapsOf(page) });
  }

  private finish(
    source: 'l2' | 'l3',
    head: { readonly symbol: string },
    name: string,
    items: string,
    newest: TimeHalves | null,
    rest: object,
  ): string {
    const tail = open({ ...rest, ...positionOf(this.stages.numbersOf(head.symbol)) });
    const text = `${open({ ...head })}"${name}":${items},${tail.slice(1)}`;
    return finished(text, source, newest === null ? 0 : this.stages.ageMs(nanos(newest)));
  }
}

/** The sequence numbers of one shard, or of a server without shards. */
export interface Numbers {
  readonly epoch: number;
  readonly lastSeq: number;
}

/** What an answer says of its position. */
export function positionOf({ epoch, lastSeq: seq }: Numbers): { seq: number; epoch: number } {
  return { seq, epoch };
}

/** The member `gaps` of an answer; absent if no records are missing. */
function gapsOf({ gaps }: Pick<PastPage, 'gaps'>): { gaps?: readonly MissingRange[] } {
  return gaps.length === 0 ? {} : { gaps };
}

/** `from` and `to`; null without a bound. */
function rangeOf(query: RangeQuery): TimeRange | Fault {
  const from = query.from ?? null;
  const to = query.to ?? null;
  if (from !== null && to !== null && from.compare(to) >= 0) {
    return fieldFault('to', to.toString(), `a time after from (${from.toString()})`);
  }
  return { from, to };
}

/** The range of bars; `next` is the open time of the first bar of the next page. */
function barRangeOf(query: RangeQuery): TimeRange | Fault {
  const { next: text } = query;
  const range = rangeOf(query);
  if (text === undefined || 'code' in range) return range;
  const next = Nanos.parse(text);
  const { from, to } = range;
  const isWithin =
    next !== undefined &&
    (from === null || from.compare(next) <= 0) &&
    (to === null || next.compare(to) < 0);
  return isWithin
    ? { from: next, to }
    : fieldFault('next', text, 'the next of an answer to this query');
}

/** The `next` of a page of ticks. It carries its query, so that no other query continues with it. */
function writePosition(symbol: string, { from, to }: TimeHalvesRange, after: number): string {
  const text = JSON.stringify([symbol, digits(from), digits(to), after]);
  return Buffer.from(text).toString('base64url');
}

/** Where the page begins, and in which range. Beside `next` the other parameters may be left out. */
function readPosition(
  text: string | undefined,
  symbol: string,
  given: TimeRange,
): { range: TimeRange; after: number } | Fault {
  if (text === undefined) return { range: given, after: 0 };
  const malformed = fieldFault('next', text, 'the next of an answer, as it was given');
  if (text.length > 200) return malformed;
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    return malformed;
  }
  if (!Array.isArray(parts) || parts.length !== 4) return malformed;
  const [of, fromDigits, toDigits, after] = parts as unknown[];
  const from = readDigits(fromDigits);
  const to = readDigits(toDigits);
  const isSeq = Number.isSafeInteger(after) && (after as number) > 0;
  if (typeof of !== 'string' || from === undefined || to === undefined || !isSeq) {
    return malformed;
  }
  const differs = (time: TimeHalves | null, own: Nanos | null): boolean =>
    time !== null && digits(time) !== digits(own);
  if (of !== symbol || differs(given.from, from) || differs(given.to, to)) {
    return fault(
      'invalid-field',
      `next is of another query (ticks of ${of.slice(0, 16)} from ${digits(from) ?? 'the first'} to ${digits(to) ?? 'the newest'}); expected one of this query`,
      'next',
    );
  }
  return { range: { from, to }, after: after as number };
}

function readDigits(value: unknown): Nanos | null | undefined {
  if (value === null) return null;
  return typeof value === 'string' ? Nanos.parse(value) : undefined;
}

function digits(time: TimeHalves | null): string | null {
  return time === null ? null : nanos(time).toString();
}

function nanos({ hi, lo }: TimeHalves): Nanos {
  return new Nanos(hi, lo);
}
