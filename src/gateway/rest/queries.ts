/**
 * Queries: reads the market for REST, and writes the answers.
 *
 * Each entry of L1 keeps the text of its answer in two forms: the part before source and age, which differ from
 * answer to answer, and the whole text for further requests in the same millisecond. So the usual request costs
 * one look-up. (Joining the parts for each request would lower the request rate by a tenth, since the joined text
 * has to be copied and collected as garbage.)
 */

import type { PlainChannel } from '../../../protocol/channels';
import { fault, fieldFault, type Fault } from '../../../protocol/codes';
import { formatLevels } from '../../../protocol/json';
import { toJsonText, toJsonTexts } from '../../../protocol/json-text';
import {
  INSTRUMENT_STATES,
  MARKS,
  type Book,
  type Instrument,
  type MarketEvent,
  type Stats,
  type Tick,
  type Trade,
} from '../../../protocol/messages';
import type { BookView } from '../../../protocol/records';
import type { Nanos } from '../../../protocol/time';
import { BOOK_DEPTH, isSymbol } from '../../../protocol/units';
import type { Clock } from '../../base/clock';
import type { PastPage } from '../../base/contracts/past';
import type { SliceQueue } from '../../base/slice-queue';
import { finished, open, reopened } from './answer';
import {
  HistoryQueries,
  positionOf,
  type Numbers,
  type PastSource,
  type TimeRange,
} from './history-queries';
import type { Effort } from './route';

/** What queries need of a live instrument. */
export interface QueryInstrument {
  readonly definition: Instrument;
  readonly state: string;
  /** Why its book may be out of date. */
  readonly bookMark: Book['mark'];
  bookView(): BookView | null;
  /** The best levels a side of the whole book, flat, best first. */
  levels(depth: number): { readonly bids: number[]; readonly asks: number[] };
  /** The newest event of each topic. */
  newest(): Iterable<MarketEvent>;
}

/** Instruments that are described in one slice. */
const DESCRIBED_AT_ONCE = 64;

const NO_MARK = 'none';

/** The last answer that was written of an entry. */
interface Written {
  text: string;
  source: string;
  standing: string;
  ageMs: number;
}

interface KeptEntry<T> {
  readonly value: T;
  json: string | null;
  written: Written | null;
}

interface Kept<T> {
  readonly entry: KeptEntry<T> | null;
  readonly source: string;
}

/** The stages behind the queries. */
export interface QuerySources<I extends QueryInstrument> {
  instrument(symbol: string): I | undefined;
  /** Also finds a deleted instrument, which still has a past. */
  known(symbol: string): I | undefined;
  instruments(): Iterable<I>;
  tick(instrument: I): Kept<Tick>;
  book(instrument: I): Kept<BookView>;
  stats(instrument: I): Stats;
  /** How many of the best levels a side are known, if deeper ones are not; null: all levels. */
  depthKnown(instrument: I): number | null;
  /** Outcomes of the events of its sources; null for a venue instrument. */
  intake(instrument: I): Readonly<Record<string, number>> | null;
  /** Newest first; undefined if some of them may be only in the journal. */
  trades(instrument: I, before: number, limit: number): Trade[] | undefined;
  /** In the order of their sequence numbers; undefined if some of them may be only in the journal. */
  ticks(instrument: I, range: TimeRange, after: number, limit: number): Tick[] | undefined;
  readonly past: PastSource;
  /** The definition with the name of its shard. */
  named(instrument: I): Instrument;
  /** The numbers of a symbol: those of its shard. */
  numbersOf(symbol: string): Numbers;
  /** The newest position: of the only numbering, or of each shard. */
  newest(): { readonly seq: number; readonly epoch: number };
}

/** What the routes of market data ask. */
export type MarketQueries = Pick<
  Queries<QueryInstrument>,
  'instrument' | 'tick' | 'book' | 'stats' | 'plain'
> & { readonly history: Pick<HistoryQueries, 'book'> };

/** What the routes of history ask. */
export type PastQueries = Pick<Queries<QueryInstrument>, 'trades'> & {
  readonly history: Pick<HistoryQueries, 'ticks' | 'bars'>;
};

export class Queries<I extends QueryInstrument> {
  readonly history: HistoryQueries;
  private readonly sources: QuerySources<I>;
  private readonly clock: Clock;
  private readonly slices: SliceQueue;

  /** @param slices does the work of long answers in slices */
  constructor(sources: QuerySources<I>, clock: Clock, slices: SliceQueue) {
    this.slices = slices;
    this.sources = sources;
    this.clock = clock;
    this.history = new HistoryQueries({
      past: sources.past,
      unknown: (symbol) => {
        const found = this.findKnown(symbol);
        return 'code' in found ? found : undefined;
      },
      recentTicks: (symbol, range, after, limit) => this.recentTicks(symbol, range, after, limit),
      numbersOf: (symbol) => sources.numbersOf(symbol),
      now: () => clock.now(),
      ageMs: (since) => this.ageMs(since),
    });
  }

  /** All instruments; each as it was at some time while the answer was made. */
  async instruments(): Promise<string> {
    const list = await this.slices.run(this.describeAll());
    const rest = open(this.sources.newest());
    return this.finish(`{"instruments":[${list.join(',')}],${rest.slice(1)}`, 'live');
  }

  private *describeAll(): Generator<undefined, string[]> {
    const list: string[] = [];
    for (const one of this.sources.instruments()) {
      list.push(`${described(this.sources.named(one), one, {}).slice(0, -1)}}`);
      if (list.length % DESCRIBED_AT_ONCE === 0) yield;
    }
    return list;
  }

  instrument(symbol: string): string | Fault {
    const found = this.find(symbol);
    if ('code' in found) return found;
    const intake = this.sources.intake(found);
    const more = { epoch: this.epochOf(found.definition), ...(intake !== null && { intake }) };
    return this.finish(described(this.sources.named(found), found, more), 'live');
  }

  tick(symbol: string): string | Fault {
    const found = this.find(symbol);
    if ('code' in found) return found;
    const { entry, source } = this.sources.tick(found);
    if (entry === null) return fault('no-data', `${symbol} has had no trade yet`);
    entry.json ??= this.openTick(entry.value, found.definition);
    return this.finishKept(entry, entry.json, source, standingOf(found.state));
  }

  private openTick(tick: Tick, definition: Instrument): string {
    return reopened(
      toJsonText(tick, () => definition),
      { epoch: this.epochOf(definition) },
    );
  }

  /** @param levels how many a side */
  book(symbol: string, levels: number): string | Fault {
    const found = this.find(symbol);
    if ('code' in found) return found;
    const { entry, source } = this.sources.book(found);
    if (entry === null) {
      return found.state === 'incomplete'
        ? fault('book-incomplete', `the book of ${symbol} is known to be incomplete`)
        : fault('no-data', `no book of ${symbol} is known yet`);
    }
    const { value } = entry;
    const standing = standingOf(found.state, found.bookMark);
    if (levels === BOOK_DEPTH) {
      entry.json ??= this.openBook(found.definition, value, value.bids, value.asks, null);
      return this.finishKept(entry, entry.json, source, standing);
    }
    const deep = levels > BOOK_DEPTH;
    const { bids, asks } = deep
      ? found.levels(levels)
      : { bids: value.bids.slice(0, levels * 2), asks: value.asks.slice(0, levels * 2) };
    const depthKnown = deep ? this.sources.depthKnown(found) : null;
    const text = this.openBook(found.definition, value, bids, asks, depthKnown);
    return this.finish(text + standing, deep ? 'live' : source, value.receiveTime);
  }

  /** Statistics of the session; before its first trade without prices, and with `seq` 0. */
  stats(symbol: string): string | Fault {
    const found = this.find(symbol);
    if ('code' in found) return found;
    const stats = this.sources.stats(found);
    const text = reopened(
      toJsonText(stats, () => found.definition),
      { epoch: this.epochOf(found.definition) },
    );
    return this.finish(text, 'live', stats.receiveTime);
  }

  /** The newest message of a channel that has no code of its own. */
  plain(channel: PlainChannel, symbol: string): string | Fault {
    const found = this.find(symbol);
    if ('code' in found) return found;
    for (const message of found.newest()) {
      if (message.type !== channel) continue;
      const text = reopened(
        toJsonText(message, () => found.definition),
        { epoch: this.epochOf(found.definition) },
      );
      return this.finish(text + standingOf(found.state), 'live', message.receiveTime);
    }
    return fault('no-data', `${symbol} has had no message of ${channel} yet`);
  }

  private epochOf({ symbol }: Instrument): number {
    return this.sources.numbersOf(symbol).epoch;
  }

  private openBook(
    definition: Instrument,
    view: BookView,
    bids: readonly number[],
    asks: readonly number[],
    depthKnown: number | null,
  ): string {
    return open({
      symbol: definition.symbol,
      seq: view.seq,
      epoch: this.epochOf(definition),
      eventTime: view.eventTime.toString(),
      receiveTime: view.receiveTime.toString(),
      bids: formatLevels(bids, definition),
      asks: formatLevels(asks, definition),
      depthKnown,
    });
  }

  /** Newest first. @param before a sequence number; the trades before it */
  trades(
    symbol: string,
    limit: number,
    before = Number.MAX_SAFE_INTEGER,
    effort?: Effort,
  ): string | Fault | Promise<string | Fault> {
    const found = this.findKnown(symbol);
    if ('code' in found) return found;
    const trades = this.sources.trades(found, before, limit);
    if (trades === undefined) return this.history.trades(symbol, before, limit, effort);
    const rest = open({
      next: trades.length === limit ? String(trades.at(-1)!.seq) : null,
      ...positionOf(this.sources.numbersOf(symbol)),
    });
    const items = toJsonTexts(trades, () => found.definition);
    const text = `${open({ symbol })}"trades":${items},${rest.slice(1)}`;
    return this.finish(text, 'l2', trades[0]?.receiveTime);
  }

  /** The page of ticks if all of it is in memory. */
  private recentTicks(
    symbol: string,
    range: TimeRange,
    after: number,
    limit: number,
  ): PastPage | undefined {
    const found = this.sources.known(symbol);
    const ticks = found && this.sources.ticks(found, range, after, limit);
    if (ticks === undefined) return undefined;
    const newest = ticks.at(-1);
    return {
      items: toJsonTexts(ticks, () => found!.definition),
      count: ticks.length,
      last: newest?.seq ?? 0,
      newest: newest?.receiveTime ?? null,
      gaps: [],
    };
  }

  private find(symbol: string): I | Fault {
    return this.sources.instrument(symbol) ?? unknownSymbol(symbol);
  }

  private findKnown(symbol: string): I | Fault {
    return this.sources.known(symbol) ?? unknownSymbol(symbol);
  }

  /** Like `finish`; returns the last text again if nothing in it has changed. */
  private finishKept(
    entry: KeptEntry<{ readonly receiveTime: Nanos }>,
    opened: string,
    source: string,
    standing: string,
  ): string {
    const ageMs = this.ageMs(entry.value.receiveTime);
    const { written } = entry;
    if (written === null) {
      const text = finished(opened + standing, source, ageMs);
      entry.written = { text, source, standing, ageMs };
      return text;
    }
    if (written.ageMs !== ageMs || written.source !== source || written.standing !== standing) {
      written.text = finished(opened + standing, source, ageMs);
      written.source = source;
      written.standing = standing;
      written.ageMs = ageMs;
    }
    return written.text;
  }

  private finish(opened: string, source: string, since?: Nanos): string {
    return finished(opened, source, since === undefined || since.hi === 0 ? 0 : this.ageMs(since));
  }

  /** Whole milliseconds, rounded down. */
  private ageMs(since: Nanos): number {
    return Math.max(0, Math.floor(this.clock.now().since(since) / 1e6));
  }
}

function unknownSymbol(symbol: string): Fault {
  return isSymbol(symbol)
    ? fault('unknown-symbol', `no instrument is named ${symbol}`, 'symbol')
    : fieldFault('symbol', symbol, '1 to 16 letters, digits, dots, dashes or underscores');
}

/** The JSON text of `state` and `mark`, which say whether the values are current, with a comma at the end. */
const STANDING: Readonly<Record<string, Readonly<Record<string, string>>>> = Object.fromEntries(
  INSTRUMENT_STATES.map((state) => [
    state,
    Object.fromEntries(
      [NO_MARK, ...MARKS].map((mark) => {
        const marked = mark === NO_MARK ? MARKS.find((own) => own === state) : mark;
        return [mark, `"state":"${state}",${marked === undefined ? '' : `"mark":"${marked}",`}`];
      }),
    ),
  ]),
);

/** @param mark of the book; without one it follows from the state */
function standingOf(state: string, mark: Book['mark'] = null): string {
  return STANDING[state]?.[mark ?? NO_MARK] ?? '';
}

/** The text of a definition with more members, so that further ones can follow. */
/** @param definition with the name of the shard */
function described(
  definition: Instrument,
  { state }: QueryInstrument,
  more: Record<string, unknown>,
): string {
  return reopened(
    toJsonText(definition, () => definition),
    { state, ...more },
  );
}
