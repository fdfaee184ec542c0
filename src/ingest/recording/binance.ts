/**
 * Binance: captures with one message a line, `<local receive time> <JSON>`, of spot, USD-M and COIN-M:
 * streams `@depth`, `@bookTicker`, `@trade` and `@aggTrade`, and the REST depth snapshot.
 *
 * Sequence numbers of the source: a depth diff ends at `u` and continues what ends at `U` − 1, or at `pu` if it has that
 * (futures). A snapshot has `lastUpdateId`, a bookTicker `u`. Trades are numbered by their ids. Trades outside the book
 * (`X` other than MARKET) are skipped and counted, and so are aggregates of a symbol that has single trades.
 *
 * A REST snapshot of spot does not name its symbol. It belongs to `snapshotSymbol` if given, else to the only symbol of
 * the capture, else to the one whose range of update ids contains its id. If that is not exactly one, the line is refused
 * with `ambiguous-symbol`, since a guess could be wrong unnoticed.
 */

import type { Fault } from '../../../protocol/codes';
import { parseJson } from '../../../protocol/json';
import type { Instrument, SourceEvent, Trade } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import { FieldError } from '../../../protocol/tuple';
import {
  depth,
  kindOf,
  marketOf,
  quote,
  snapshot,
  trade,
  type BinanceKind,
} from './binance-events';
import { isObject, wrong, type Json } from './binance-fields';
import { BinanceSurvey } from './binance-survey';
import type { Definitions } from './definitions';
import { lineFieldFault, type LineFault } from './faults';
import { AheadDecoder, type WaitingLine } from './line-window';
import type { BookMarket, BookMarkets } from './markets';
import type { Collector } from './record';
import type { SymbolNames } from './symbol-names';
import { readTime, type TimeUnit } from './times';

export interface BinanceOptions {
  readonly definitions: Definitions;
  readonly names: SymbolNames;
  readonly markets: BookMarkets;
  /** Unit of the receive times; the unit of times inside messages follows from their size. */
  readonly timeUnit: TimeUnit;
  readonly snapshotSymbol?: string | undefined;
}

/** How many lines it looks ahead. */
const AHEAD = { lines: 4_096, letters: 16 * 1024 * 1024 };
/** The form of a line: time, space, JSON. */
const EXPECTED_LINE = 'a receive time in digits, a space and JSON';

interface Heard {
  readonly kind: BinanceKind;
  readonly data: Json;
  /** Undefined for a snapshot that does not name it. */
  readonly symbol: string | undefined;
  readonly time: Nanos;
}

interface Waiting extends WaitingLine {
  readonly of: Heard | LineFault | { readonly skip: string };
}

/** Progress of the trade ids of a symbol. */
interface TradeRun {
  /** The newest id that was taken, and the newest of those skipped right behind it. */
  taken: number;
  seen: number;
  /** Whether aggregates are taken in place of single trades. */
  isOfAggregates: boolean;
}

export class BinanceDecoder extends AheadDecoder<Waiting> {
  private readonly options: BinanceOptions;
  private readonly survey = new BinanceSurvey();
  private readonly runs = new Map<string, TradeRun>();

  constructor(options: BinanceOptions) {
    super(AHEAD);
    this.options = options;
  }

  protected look(text: string, line: number): Waiting {
    return { line, letters: text.length, of: this.hear(text) };
  }

  protected unreadable(fault: LineFault, line: number): Waiting {
    return { line, letters: 0, of: fault };
  }

  protected decide({ line, of }: Waiting, into: Collector): void {
    if ('skip' in of) return into.skip(of.skip);
    const outcome = 'code' in of ? of : caught(() => this.take(of));
    if ('code' in outcome) into.refuse(line, outcome);
    else if ('skip' in outcome) into.skip(outcome.skip);
    else {
      const { definitions } = this.options;
      const definition = definitions.give(outcome.symbol) && definitions.of(outcome.symbol);
      const events = definition ? [definition, outcome] : [outcome];
      into.record(line, (of as Heard).time, events);
    }
  }

  private hear(text: string): Waiting['of'] {
    const split = text.search(/\s/);
    if (split <= 0) {
      if (text.trim() === '') return { skip: 'blank' };
      return lineFieldFault('time', text, EXPECTED_LINE);
    }
    const time = readTime('time', text.slice(0, split), this.options.timeUnit);
    if ('code' in time) return time;
    const parsed = parseJson(text.slice(split + 1));
    if (!('value' in parsed)) return parsed;
    const { value } = parsed;
    return caught(() => this.message(value, time));
  }

  private message(value: unknown, time: Nanos): Waiting['of'] {
    if (!isObject(value)) throw wrong('message', value, 'a JSON object');
    const data = value['data'] ?? value;
    if (!isObject(data)) throw wrong('data', data, 'a JSON object');
    const kind = kindOf(value, data);
    if (typeof kind !== 'string') return kind;
    const symbol = this.symbolOf(kind, data);
    if (symbol === undefined) return { kind, data, symbol, time };
    if (typeof symbol !== 'string') return symbol;
    if (kind === 'snapshot') this.survey.seeSnapshot(symbol, data);
    else this.survey.see(symbol, kind, data);
    return { kind, data, symbol, time };
  }

  private symbolOf(kind: BinanceKind, data: Json): string | LineFault | undefined {
    const field = kind === 'snapshot' ? 'symbol' : 's';
    const name = data[field];
    if (kind === 'snapshot' && name === undefined) return this.options.snapshotSymbol;
    if (typeof name === 'string') return this.options.names.of(name, field);
    throw wrong(field, name, 'the name of a symbol');
  }

  private take(heard: Heard): SourceEvent | LineFault | { skip: string } {
    const { kind, data, time } = heard;
    const symbol = heard.symbol ?? this.ownerOf(data);
    if (typeof symbol !== 'string') return symbol;
    const mixed = this.mixed(symbol, marketOf(kind, data) ?? this.survey.marketOf(symbol));
    if (mixed !== undefined) return mixed;
    const scales = this.options.definitions.getOr(symbol, () => this.survey.scalesOf(symbol));
    switch (kind) {
      case 'depth':
        return depth(data, scales, time);
      case 'quote':
        return quote(data, scales, time);
      case 'snapshot':
        return snapshot(data, scales, time);
      case 'trade':
      case 'aggregate':
        return this.takeTrade(kind, data, scales, time);
    }
  }

  private ownerOf(data: Json): string | LineFault {
    const owner = this.survey.ownerOf(data['lastUpdateId']);
    if (typeof owner === 'string') {
      this.survey.seeSnapshot(owner, data);
      return owner;
    }
    const among = owner.slice(0, 5).join(', ') || 'no symbol';
    const expected = `a number among the updates of one symbol; the capture has lines of ${among}`;
    return lineFieldFault('lastUpdateId', data['lastUpdateId'], expected, 'ambiguous-symbol');
  }

  private mixed(symbol: string, market: BookMarket | undefined): LineFault | undefined {
    const known = market && this.options.markets.differs(symbol, market);
    if (known === undefined) return undefined;
    const expected = `a symbol of ${market}, but it is one of ${known} already`;
    return {
      ...lineFieldFault('s', symbol, expected, 'mixed-markets'),
      name: `${market} ${symbol}`,
    };
  }

  private takeTrade(
    kind: 'trade' | 'aggregate',
    data: Json,
    instrument: Instrument,
    time: Nanos,
  ): Trade | { skip: string } {
    const { symbol } = instrument;
    const isAggregate = kind === 'aggregate';
    const run = this.runs.get(symbol) ?? { taken: -1, seen: -1, isOfAggregates: false };
    if (isAggregate && !run.isOfAggregates && this.survey.hasTrades(symbol)) {
      return { skip: 'aggTrade' };
    }
    if (!isAggregate && run.isOfAggregates) return { skip: 'trade-of-aggregate' };
    const x = data['X'] ?? 'MARKET';
    if (x !== 'MARKET') {
      if (data['t'] === run.seen + 1) run.seen += 1;
      return { skip: 'trade-off-book' };
    }
    const event = trade(data, instrument, time, isAggregate ? 'a' : 't');
    // Skipped ids in between are not missing.
    if (run.taken > 0 && event.tradeId === run.seen + 1) event.prevSeq = run.taken;
    const at = event.tradeId;
    this.runs.set(symbol, { taken: at, seen: at, isOfAggregates: isAggregate });
    return event;
  }
}

function caught<T>(read: () => T): T | Fault {
  try {
    return read();
  } catch (e) {
    if (!(e instanceof FieldError)) throw e;
    return e.fault;
  }
}
