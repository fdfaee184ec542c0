/**
 * Import numbering: whether the numbers of a recording continue those of the target, or start again.
 *
 * The first numbered trades of each symbol decide, for each recording. If even one of them is present
 * already, the recording, or one that it continues, was imported before: its trades that are present are
 * left out and counted, and the others are taken. If not, its numbers start again, and a `renumber` says
 * so before its first event, unless they continue the previous recording of the same import.
 */

import type { Instrument, Renumber, SourceEvent, Trade } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { Recorded } from '../ingest/recording/record';
import type { PastTrades, TradeWalk } from './import-past';

/** What numbering needs to know of the target. */
export interface NumberedTarget {
  readonly past: PastTrades;
  /** Whether the target had the symbol before this recording. */
  wasThere(symbol: string): boolean;
  /** The number that the next trade of a symbol follows in the target; 0 if unknown. */
  lastTradeNumber(symbol: string): number;
}

/** Whether the symbol's numbers continue is decided; `walk` is set if the target may have its trades already. */
interface Numbers {
  /** The numbers start again. */
  readonly isAnew: boolean;
  readonly walk: TradeWalk | undefined;
  /** The number that its trades follow. */
  last: number;
  /** A trade after those of the target has come, so its numbers are settled. */
  isNew: boolean;
}

/** How many of them decide: the first may have been refused when the others were imported. */
const FIRST_TRADES = 16;

export class ImportNumbering {
  private readonly target: NumberedTarget;
  private readonly continues: boolean;
  private readonly firstTrades = new Map<string, Trade[]>();
  private readonly bySymbol = new Map<string, Numbers>();
  /** The newest numbered trade of each symbol, over all recordings. */
  private readonly newest = new Map<string, Trade>();
  private recordings = 0;
  /** Symbols whose definition, and therefore the data after it, a server published. */
  private readonly published = new Set<string>();
  private readonly quoted = new Set<string>();

  /** @param continues numbers continue, whatever the target has */
  constructor(target: NumberedTarget, continues: boolean) {
    this.target = target;
    this.continues = continues;
  }

  /** Another recording begins. */
  begin(): void {
    this.recordings += 1;
    this.firstTrades.clear();
    this.bySymbol.clear();
    this.published.clear();
    this.quoted.clear();
  }

  /** Notes a record that was read ahead of those that are submitted. */
  foresee({ events }: Recorded): void {
    if (this.continues) return;
    for (const event of events) {
      if (event.type === 'instrument' && event.seq !== 0) this.published.add(event.symbol);
      if (event.type === 'bbo') this.quoted.add(event.symbol);
      if (event.type !== 'trade' || (event.seq === 0 && event.tradeId === 0)) continue;
      const firsts = this.firstTrades.get(event.symbol);
      if (firsts === undefined) this.firstTrades.set(event.symbol, [event]);
      else if (firsts.length < FIRST_TRADES) firsts.push(event);
    }
  }

  /**
   * The record as it is submitted, and how many of its events are left out as repetitions.
   * @param asTarget a trade of the recording with the decimals of the target; undefined if the target has none
   */
  async number(
    record: Recorded,
    definitionOf: (symbol: string) => Instrument | undefined,
    asTarget: (trade: Trade) => Trade | undefined,
  ): Promise<{ record: Recorded; repeated: number }> {
    if (this.continues) return { record, repeated: 0 };
    const events: SourceEvent[] = [];
    let repeated = 0;
    for (const event of record.events) {
      if (event.type === 'instrument' || event.type === 'renumber' || !isNumbered(event)) {
        events.push(event);
        continue;
      }
      const { symbol } = event;
      let numbers = this.bySymbol.get(symbol);
      if (numbers === undefined) {
        numbers = await this.decide(symbol, definitionOf(symbol), asTarget);
        this.bySymbol.set(symbol, numbers);
        const begins = this.beginning(symbol, numbers);
        if (begins !== undefined) events.push(renumber(symbol, event.eventTime, begins));
      }
      if (event.type === 'trade' && event.seq !== 0) this.newest.set(symbol, event);
      if (event.type !== 'trade' || numbers.walk === undefined) events.push(event);
      else if (numbers.walk.has(event)) {
        if (event.seq !== 0) numbers.last = event.seq;
        repeated += 1;
      } else events.push(...this.renumbered(event, numbers));
    }
    const isSame =
      events.length === record.events.length && events.every((e, i) => e === record.events[i]);
    return { record: isSame ? record : { ...record, events }, repeated };
  }

  /**
   * Which numbers begin at the first event of a symbol. If a server published both its levels and its
   * quotes, the quotes do not share the numbers of the levels.
   */
  private beginning(symbol: string, { isAnew, walk }: Numbers): Renumber['numbers'] | undefined {
    const isPublished = this.published.has(symbol) && this.quoted.has(symbol);
    if (isPublished && walk === undefined) return 'published';
    return isAnew ? 'all' : undefined;
  }

  private async decide(
    symbol: string,
    definition: Instrument | undefined,
    asTarget: (trade: Trade) => Trade | undefined,
  ): Promise<Numbers> {
    const foreseen = this.firstTrades.get(symbol) ?? [];
    const firsts = foreseen.flatMap((trade) => asTarget(trade) ?? []);
    const [first] = firsts;
    const goesOn = { isAnew: false, walk: undefined, last: 0, isNew: true };
    if (!this.target.wasThere(symbol)) return goesOn;
    if (first === undefined || definition === undefined) {
      return { ...goesOn, isAnew: this.recordings === 1 };
    }
    const walk = await this.target.past.from(firsts, definition);
    if (walk !== undefined) return { ...goesOn, walk, isNew: false };
    return { ...goesOn, isAnew: !this.followsNewest(first) };
  }

  /** Whether the numbers continue those of the previous recording. */
  private followsNewest(first: Trade): boolean {
    const newest = this.newest.get(first.symbol);
    return (
      newest !== undefined &&
      first.seq > newest.seq &&
      first.eventTime.compare(newest.eventTime) >= 0
    );
  }

  /** A trade that the target lacks, of a recording whose other trades it has. */
  private renumbered(trade: Trade, numbers: Numbers): SourceEvent[] {
    if (numbers.isNew || trade.seq === 0) return [trade];
    const newest = this.target.lastTradeNumber(trade.symbol);
    // It was missing among the target's trades: its number is below the newest, so it is sent without one.
    if (trade.seq <= newest) return [{ ...trade, seq: 0, prevSeq: 0 }];
    numbers.isNew = true;
    if (numbers.last === newest) return [trade];
    return [renumber(trade.symbol, trade.eventTime, 'trades'), trade];
  }
}

/** Only an event with a number can begin a numbering; a trade may have the number 0. */
function isNumbered(event: Exclude<SourceEvent, Instrument | Renumber>): boolean {
  return event.type === 'trade' || event.seq !== 0;
}

export function renumber(symbol: string, eventTime: Nanos, numbers: Renumber['numbers']): Renumber {
  return {
    type: 'renumber',
    symbol,
    seq: 0,
    prevSeq: 0,
    eventTime,
    receiveTime: eventTime,
    numbers,
  };
}
