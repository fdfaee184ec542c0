/**
 * Bars after a position: which bars the trades behind it changed, which bar was the newest at it,
 * and the newest state of the bars that the caller does not have.
 *
 * The trades after the position give the opening times. The bars are then read as for any other
 * question (`PastBars`), adjacent bars together. If records are missing after the position (except
 * for those lost by a crash), or in the time of a bar that is read, the topic is answered as not
 * kept. Bounded: trades read for each instrument, bars for each topic and each answer. An answer
 * that would have too many bars has fewer instruments than requested.
 */

import type { Database } from 'bun:sqlite';

import { BAR_SECONDS, type BarInterval, type OpenBar } from '../../../protocol/bars';
import { Nanos } from '../../../protocol/time';
import { marketTime } from '../../../protocol/trade-time';
import { SELECT_TRADE, tradeOf, type PastBars, type TradeRow } from './bars';
import { ALWAYS, PART_BLOCKS, type Blocks } from './blocks';
import { isCrash, type Gaps } from './gaps';
import type {
  BarsBehind,
  InstrumentBarsRequest,
  PastBar,
  TopicBars,
} from '../../base/contracts/past';
import type { BarsBehindQuestion } from './messages';
import { PartsByTime } from './parts';
import { FEW, Topic } from './topics';
import { idOf, seqOf } from '../schema';

/** The most bars of one topic; beyond them the reader gets the state of the topic instead. */
export const BARS_BEHIND_MAX = 1_000;
/** When an answer has this many bars, it begins no further instrument. */
const ANSWER_BARS_MAX = 2_000;
/** Bars at most this many intervals apart are read together. */
const APART_MAX = 8;

type Answer = TopicBars | 'not-kept';

/** The bars of one interval that the trades after the position changed. */
class Touched {
  readonly seconds: number;
  readonly counts = new Map<number, number>();
  /** The bars that became the newest one, in order: opening second, and seq of the first counted trade. */
  readonly fronts: [second: number, seq: number][] = [];

  constructor(interval: BarInterval) {
    this.seconds = BAR_SECONDS[interval];
  }

  add(at: Nanos, seq: number, isCounted: boolean): void {
    const open = at.floorToSeconds(this.seconds).seconds;
    this.counts.set(open, (this.counts.get(open) ?? 0) + (isCounted ? 1 : 0));
    if (isCounted && open > (this.fronts.at(-1)?.[0] ?? -1)) this.fronts.push([open, seq]);
  }
}

export class PastBarsBehind {
  private readonly blocks: Blocks;
  private readonly gaps: Gaps;
  private readonly bars: PastBars;
  private readonly trades: Topic<TradeRow>;
  private readonly parts: PartsByTime;

  constructor(db: Database, blocks: Blocks, gaps: Gaps, bars: PastBars) {
    this.blocks = blocks;
    this.gaps = gaps;
    this.bars = bars;
    this.trades = new Topic<TradeRow>(db, blocks, 'trade', SELECT_TRADE);
    this.parts = new PartsByTime(db);
  }

  /**
   * Each step must run inside a transaction.
   * @param instrumentOf the id of a symbol; undefined if the journal does not have it
   */
  *read(
    q: BarsBehindQuestion,
    instrumentOf: (symbol: string) => number | undefined,
  ): Generator<undefined, BarsBehind> {
    const answers: Answer[][] = [];
    let bars = 0;
    for (const asked of q.instruments) {
      if (bars >= ANSWER_BARS_MAX) break;
      const own = yield* this.readInstrument(q, asked, instrumentOf(asked.symbol));
      answers.push(own);
      for (const answer of own) if (answer !== 'not-kept') bars += answer.bars.length;
      yield;
    }
    // After the reading, so that records deleted meanwhile are noticed.
    const missing = this.gaps.from(q.after + 1);
    const isBroken = missing.some((gap) => gap.from <= q.upTo && !isCrash(gap));
    return { instruments: isBroken ? answers.map((own) => own.map(() => 'not-kept')) : answers };
  }

  private *readInstrument(
    q: BarsBehindQuestion,
    { topics }: InstrumentBarsRequest,
    instrument: number | undefined,
  ): Generator<undefined, Answer[]> {
    if (instrument === undefined) {
      return topics.map(() => ({ touched: [], fronts: [], newest: null, bars: [] }));
    }
    const touched = topics.map(({ interval }) => new Touched(interval));
    if (!(yield* this.touch(q, instrument, touched))) return topics.map(() => 'not-kept');
    const newest = yield* this.newestTime(q.after, instrument);
    const answers: Answer[] = [];
    for (const [i, { interval, below, also }] of topics.entries()) {
      const { counts, fronts, seconds } = touched[i]!;
      const open = newest === null ? null : newest.floorToSeconds(seconds).seconds;
      const wanted = new Set([...counts.keys(), ...also, ...(open === null ? [] : [open])]);
      const past = [...wanted].filter((second) => second < below).sort((a, b) => a - b);
      const bars =
        wanted.size > BARS_BEHIND_MAX ? null : yield* this.readBars(q, instrument, interval, past);
      answers.push(
        bars === null ? 'not-kept' : { touched: [...counts], fronts, newest: open, bars },
      );
    }
    return answers;
  }

  /** @returns false if there are too many trades */
  private *touch(
    { lookFrom, after, upTo, tradesMax }: BarsBehindQuestion,
    instrument: number,
    touched: readonly Touched[],
  ): Generator<undefined, boolean> {
    const [countedId, lastId] = [idOf(after + 1), idOf(upTo)];
    let trades = 0;
    let blocks = 0;
    for (const { rows } of this.trades.from(idOf(lookFrom + 1), instrument, ALWAYS)) {
      for (const row of rows) {
        if (row.id > lastId) return true;
        const at = marketTime(tradeOf(row));
        for (const topic of touched) topic.add(at, seqOf(row.id), row.id >= countedId);
        if (++trades > tradesMax) return false;
      }
      if (++blocks % PART_BLOCKS === 0) yield;
    }
    return true;
  }

  /** The latest market time of the trades up to a position; null if there are none. */
  private *newestTime(seq: number, instrument: number): Generator<undefined, Nanos | null> {
    const lastId = idOf(seq);
    let newest: Nanos | null = null;
    const take = (rows: readonly TradeRow[]): boolean => {
      for (const row of rows) {
        if (row.id > lastId) break;
        const at = marketTime(tradeOf(row));
        if (newest === null || at.compare(newest) > 0) newest = at;
      }
      return rows.length <= FEW;
    };
    // The block that contains the position, or the open block.
    let few = true;
    for (const stretch of this.blocks.upTo(lastId, instrument, ALWAYS, 'trade')) {
      few = take(this.trades.read(stretch, instrument, few));
      break;
    }
    const range = { order: 'last', first: Nanos.ZERO, last: LAST_TIME } as const;
    let blocks = 0;
    for (const part of this.parts.of(instrument, lastId, range)) {
      if (newest !== null && part.time.compare(newest) < 0) break;
      few = take(this.trades.read(part, instrument, few));
      if (++blocks % PART_BLOCKS === 0) yield;
    }
    return newest;
  }

  /**
   * @param seconds at which they open, in order
   * @returns null if some are not kept, or have too many trades
   */
  private *readBars(
    q: BarsBehindQuestion,
    instrument: number,
    interval: BarInterval,
    seconds: readonly number[],
  ): Generator<undefined, PastBar[] | null> {
    if (seconds.length === 0) return [];
    const length = BAR_SECONDS[interval];
    const wanted = new Set(seconds);
    const found: PastBar[] = [];
    for (const { first, last } of runsOf(seconds, length)) {
      const begin = Nanos.fromSeconds(first, 0);
      const end = Nanos.fromSeconds(last + length, 0).plus(-1);
      const limit = (last - first) / length + 1;
      const bars = yield* this.bars.allBetween(
        interval,
        instrument,
        begin,
        end,
        limit,
        q.tradesMax,
      );
      if (bars === null) return null;
      for (const bar of bars) if (wanted.has(bar.openTime.seconds)) found.push(plain(bar));
      yield;
    }
    const times = {
      first: Nanos.fromSeconds(seconds[0]!, 0),
      last: Nanos.fromSeconds(seconds.at(-1)! + length, 0).plus(-1),
    };
    const missing = this.gaps.within(0, Number.MAX_SAFE_INTEGER, instrument, times);
    return missing.every(isCrash) ? found : null;
  }
}

const LAST_TIME = new Nanos(0x7fff_ffff, 0xffff_ffff);

/** @param seconds in order */
function runsOf(seconds: readonly number[], length: number): { first: number; last: number }[] {
  const runs: { first: number; last: number }[] = [];
  for (const second of seconds) {
    const run = runs.at(-1);
    if (run !== undefined && second - run.last <= length * APART_MAX) run.last = second;
    else runs.push({ first: second, last: second });
  }
  return runs;
}

function plain(bar: OpenBar): PastBar {
  const { open, high, low, close, volume, trades, seq, openTime, eventTime, receiveTime } = bar;
  return {
    second: openTime.seconds,
    open,
    high,
    low,
    close,
    volume,
    trades,
    seq,
    eventTime: halves(eventTime),
    receiveTime: halves(receiveTime),
  };
}

function halves({ hi, lo }: Nanos): { hi: number; lo: number } {
  return { hi, lo };
}
