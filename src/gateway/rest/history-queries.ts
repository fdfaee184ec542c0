/**
 * History queries: what REST asks of the past. Reads what the query string says, says what is wrong
 * with it, and puts the frame of an answer around what the journal gives.
 */

import type { BarInterval } from '../../../protocol/bars';
import { fault, fieldFault, type Fault } from '../../../protocol/codes';
import { BAR_INTERVALS } from '../../../protocol/messages';
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
import { finished, integer, open } from './answer';
import { readRange, readTime, type Query } from './query';

/** Event times; `from` inclusive, `to` exclusive, null without a bound. */
export interface TimeRange {
  readonly from: Nanos | null;
  readonly to: Nanos | null;
}

/** Counts the blocks of the journal that an answer took. */
export type Effort = (blocks: number) => void;

const UNCOUNTED: Effort = () => {};

/** The stage behind these queries. Times cross it as words; lists come as the JSON text of an array. */
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

export interface HistoryLimits {
  readonly tradesMax: number;
  readonly barsMax: number;
}

export interface HistoryStages {
  readonly past: PastSource;
  /** Why there is no such instrument; undefined when there is. */
  unknown(symbol: string): Fault | undefined;
  /** A page of ticks that needs no disk; undefined when the journal has to be asked. */
  recentTicks(symbol: string, range: TimeRange, after: number, limit: number): PastPage | undefined;
  readonly epoch: number;
  lastSeq(): number;
  now(): Nanos;
  /** Whole milliseconds since a time. */
  ageMs(since: Nanos): number;
}

export class HistoryQueries {
  private readonly stages: HistoryStages;
  private readonly limits: HistoryLimits;

  constructor(stages: HistoryStages, limits: HistoryLimits) {
    this.stages = stages;
    this.limits = limits;
  }

  /** The book at a past moment: `at`, `depth`. */
  async book(symbol: string, query: Query, effort: Effort = UNCOUNTED): Promise<string | Fault> {
    const depth = integer('depth', query['depth'], BOOK_DEPTH, BOOK_DEPTH);
    if (typeof depth !== 'number') return depth;
    const at = readTime('at', query['at']);
    if (at !== null && 'code' in at) return at;
    const now = this.stages.now();
    if (at !== null && at.compare(now) > 0) {
      return fieldFault('at', query['at'], `a moment that is over; here it is ${now.toString()}`);
    }
    const unknown = this.stages.unknown(symbol);
    if (unknown !== undefined) return unknown;
    const book = await this.stages.past.book(symbol, at ?? Nanos.ZERO);
    if ('code' in book) return book;
    effort(book.blocks ?? 0);
    const receiveTime = nanos(book.receiveTime);
    const body = {
      symbol,
      seq: book.seq,
      epoch: this.stages.epoch,
      eventTime: nanos(book.eventTime).toString(),
      receiveTime: receiveTime.toString(),
      bids: book.bids.slice(0, depth),
      asks: book.asks.slice(0, depth),
    };
    return finished(open(body), 'l3', this.stages.ageMs(receiveTime));
  }

  /** Trades that have left the memory, newest first. */
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

  /** Ticks in the order of their places: `from`, `to`, `limit`, `next`. */
  async ticks(symbol: string, query: Query, effort: Effort = UNCOUNTED): Promise<string | Fault> {
    const limit = integer('limit', query['limit'], 100, this.limits.tradesMax);
    if (typeof limit !== 'number') return limit;
    const given = readRange(query);
    if ('code' in given) return given;
    const unknown = this.stages.unknown(symbol);
    if (unknown !== undefined) return unknown;
    const position = readPosition(query['next'], symbol, given);
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

  /** Bars, oldest first: `interval`, `from`, `to`, `limit`, `next`. */
  async bars(symbol: string, query: Query, effort: Effort = UNCOUNTED): Promise<string | Fault> {
    const name = query['interval'];
    const interval = BAR_INTERVALS.find((known) => known === name);
    if (interval === undefined) {
      return fieldFault('interval', name, `one of ${BAR_INTERVALS.join(', ')}`);
    }
    const limit = integer('limit', query['limit'], 100, this.limits.barsMax);
    if (typeof limit !== 'number') return limit;
    const range = readBarRange(query);
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
    head: object,
    name: string,
    items: string,
    newest: TimeHalves | null,
    rest: object,
  ): string {
    const { epoch } = this.stages;
    const tail = open({ ...rest, seq: this.stages.lastSeq(), epoch });
    const text = `${open({ ...head })}"${name}":${items},${tail.slice(1)}`;
    return finished(text, source, newest === null ? 0 : this.stages.ageMs(nanos(newest)));
  }
}

/** What an answer says of records that are missing; nothing when none are. */
function gapsOf({ gaps }: Pick<PastPage, 'gaps'>): { gaps?: readonly MissingRange[] } {
  return gaps.length === 0 ? {} : { gaps };
}

/** The range of bars; `next` is the open time to go on with. */
function readBarRange(query: Query): TimeRange | Fault {
  const { next: text } = query;
  const range = readRange(query);
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

/** It carries its query, so that it cannot go on with another one. */
function writePosition(symbol: string, { from, to }: TimeHalvesRange, after: number): string {
  const text = JSON.stringify([symbol, digits(from), digits(to), after]);
  return Buffer.from(text).toString('base64url');
}

/** Where to go on, and in which range; with `next` the others may be left out. */
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
  const isPlace = Number.isSafeInteger(after) && (after as number) > 0;
  if (typeof of !== 'string' || from === undefined || to === undefined || !isPlace) {
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
