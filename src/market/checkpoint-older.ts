/**
 * Older checkpoints: converts feeds, sessions and bars as the version before stored them. What it did not store is
 * derived from the rest. What its rules made of an implausible time (a session or a bar in the future) is dropped, so
 * the mistake ends with that version.
 */

import type { Instrument, Tick } from '../../protocol/messages';
import type { BarFoldState, OpenBar } from '../../protocol/bars';
import type { StatisticsState } from '../../protocol/statistics';
import { Nanos } from '../../protocol/time';
import type { FeedCheckpoint, MarketCheckpoint, VenueCheckpoint } from './checkpoint';

const DAY_SECONDS = 86_400;

type OlderBar = Omit<OpenBar, 'openAt' | 'openSeq' | 'closeAt' | 'closeSeq'>;

interface OlderStatistics {
  readonly session: StatisticsState['session'];
  readonly bars: readonly (OlderBar | null)[];
}

interface OlderFeed extends Omit<FeedCheckpoint, 'increments' | 'bookTimes' | 'trades' | 'bbo'> {
  readonly bookTimes: Pick<FeedCheckpoint['bookTimes'], 'eventTime' | 'receiveTime'>;
  readonly tradeSourceSeq: number;
  readonly bbo: Omit<NonNullable<FeedCheckpoint['bbo']>, 'mark'> | null;
}

export interface OlderCheckpoint extends Omit<MarketCheckpoint, 'instruments' | 'statistics'> {
  readonly instruments: readonly (OlderFeed | VenueCheckpoint)[];
  readonly statistics?: Readonly<Record<string, OlderStatistics>>;
}

/** Whether the version before wrote this checkpoint. */
export function isOlder(c: MarketCheckpoint | OlderCheckpoint): c is OlderCheckpoint {
  return c.instruments.some((i) => 'tradeSourceSeq' in i || (i.bbo !== null && !('mark' in i.bbo)));
}

export function renewed({ instruments, statistics, ...rest }: OlderCheckpoint): MarketCheckpoint {
  const kept = Object.entries(statistics ?? {});
  const statisticsBy = new Map(kept);
  const ticks = new Map(instruments.map((i) => [i.definition.symbol, i.tick]));
  return {
    ...rest,
    instruments: instruments.map((i) =>
      i.market === 'feed' ? feedOf(i, statisticsBy.get(i.definition.symbol)) : venueOf(i),
    ),
    ...(statistics !== undefined && {
      statistics: Object.fromEntries(
        kept.map(([symbol, own]) => [symbol, statisticsOf(own, presentOf(ticks.get(symbol)))]),
      ),
    }),
  };
}

/** The market time of the newest trade: its event time, or its receive time if that is earlier. */
function presentOf(tick: Tick | null | undefined): Nanos | null {
  if (tick === null || tick === undefined) return null;
  const { eventTime, receiveTime } = tick;
  return eventTime.compare(receiveTime) > 0 ? receiveTime : eventTime;
}

function feedOf(
  { tradeSourceSeq, bookTimes, bbo, ...feed }: OlderFeed,
  statistics: OlderStatistics | undefined,
): FeedCheckpoint {
  const present = presentOf(feed.tick);
  return {
    ...feed,
    increments: incrementsOf(feed.definition),
    bookTimes: { ...bookTimes, asOfTime: earlier(bookTimes.eventTime, bookTimes.receiveTime) },
    trades: {
      numbers: { last: tradeSourceSeq, time: present ?? Nanos.ZERO },
      presentTime: present,
      volume: statistics?.session.volume ?? 0,
    },
    bbo: bbo && { ...bbo, mark: null },
  };
}

function venueOf({ bbo, ...venue }: VenueCheckpoint): VenueCheckpoint {
  return { ...venue, bbo: bbo && { ...bbo, mark: null } };
}

function incrementsOf({ priceIncrement, quantityIncrement }: Instrument) {
  return { price: priceIncrement, quantity: quantityIncrement };
}

function statisticsOf({ session, bars }: OlderStatistics, present: Nanos | null): StatisticsState {
  return {
    session: sessionOf(session, present),
    bars: bars.map((bar) => foldOf(bar, present)),
  };
}

/** A session in the past is replaced at the next trade, whatever its end. */
function sessionOf(own: StatisticsState['session'], present: Nanos | null): typeof own {
  if (own.session === null || present === null) return own;
  const newest = Math.floor(present.seconds / DAY_SECONDS);
  return own.session > newest ? { ...own, session: newest - 2 } : own;
}

/** Only the time of its newest trade was stored; it serves as the time of the open too. */
function foldOf(bar: OlderBar | null, present: Nanos | null): BarFoldState {
  if (bar === null || (present !== null && bar.openTime.compare(present) > 0)) {
    return { current: null, recent: [] };
  }
  const last = bar.endTime.plus(-1);
  const closeAt =
    bar.eventTime.compare(bar.openTime) < 0 ? bar.openTime : earlier(bar.eventTime, last);
  const current: OpenBar = { ...bar, openAt: bar.openTime, openSeq: 0, closeAt, closeSeq: bar.seq };
  return { current, recent: [] };
}

function earlier(a: Nanos, b: Nanos): Nanos {
  return a.compare(b) < 0 ? a : b;
}
