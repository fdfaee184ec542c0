/**
 * Statistics of one instrument: of its session (open, high, low, last, change, volume, turnover,
 * average price), and its bars; rules [D5] and [D6].
 *
 * A session ends at a time of day; the first trade after that begins the next one, and the last price before it
 * becomes the previous close. Turnover soon exceeds 2^53, so it alone is a bigint. The state for a checkpoint
 * has a fixed size, however many trades there were.
 */

import { BarFold, type BarFoldState, type TradeFields } from './bars';
import { BAR_INTERVALS } from './messages';
import type { Instrument, Stats } from './messages';
import { addSum, type Sum } from './sums';
import { Nanos } from './time';
import { isLate, marketTime, sessionOf } from './trade-time';
import { formatDecimal } from './units';

/** Decimals of the average price beyond those of a price. */
const VWAP_DECIMALS = 4;

/** Prices and quantities scaled; turnover in both scales as digits. */
interface SessionState {
  /** Number of the session since 1970; null before the first trade. */
  readonly session: number | null;
  readonly open: number | null;
  readonly high: number | null;
  readonly low: number | null;
  readonly last: number | null;
  readonly previousClose: number | null;
  readonly volume: Sum;
  readonly turnover: string;
  readonly trades: number;
  readonly seq: number;
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
}

/** The state of one instrument for a checkpoint. */
export interface StatisticsState {
  readonly session: SessionState;
  /** In the order of `BAR_INTERVALS`. */
  readonly bars: readonly BarFoldState[];
}

/** The session of one instrument. */
export class SessionStats {
  open: number | null = null;
  high: number | null = null;
  low: number | null = null;
  last: number | null = null;
  /** Last price of the session before; null if there was none. */
  previousClose: number | null = null;
  volume: Sum = 0;
  trades = 0;
  /** Sequence number and times of the newest trade. */
  seq = 0;
  eventTime = Nanos.ZERO;
  receiveTime = Nanos.ZERO;
  private session: number | null = null;
  private turnoverBig = 0n;
  /** The part that is not in `turnoverBig` yet: most products fit a double, where adding is cheap. */
  private turnoverSmall = 0;
  private readonly boundarySeconds: number;

  /** @param boundarySeconds end of a session, in seconds after midnight UTC */
  constructor(boundarySeconds: number) {
    this.boundarySeconds = boundarySeconds;
  }

  /** Applies a trade; a late one changes nothing. */
  add(t: TradeFields): void {
    if (isLate(t)) return;
    const session = sessionOf(marketTime(t), this.boundarySeconds);
    if (this.session === null || session > this.session) this.begin(session);
    this.open ??= t.price;
    this.high = Math.max(this.high ?? t.price, t.price);
    this.low = Math.min(this.low ?? t.price, t.price);
    this.last = t.price;
    this.volume = addSum(this.volume, t.quantity);
    this.trades += 1;
    this.seq = t.seq;
    this.eventTime = t.eventTime;
    this.receiveTime = t.receiveTime;
    const sum = this.turnoverSmall + t.price * t.quantity;
    if (Number.isSafeInteger(sum) && Number.isSafeInteger(t.price * t.quantity)) {
      this.turnoverSmall = sum;
    } else {
      this.turnoverBig = this.turnover + BigInt(t.price) * BigInt(t.quantity);
      this.turnoverSmall = 0;
    }
  }

  /** The message. @param count trades since the last message on its topic */
  message(d: Instrument, prevSeq: number, count: number): Stats {
    const { seq, eventTime, receiveTime, open, high, low, last, volume, trades } = this;
    const previousClose = this.previousClose ?? d.previousClose;
    return {
      type: 'stats',
      symbol: d.symbol,
      seq,
      prevSeq,
      eventTime,
      receiveTime,
      open,
      high,
      low,
      last,
      previousClose,
      volume,
      turnover: formatBig(this.turnover, d.priceScale + d.quantityScale),
      vwap: this.vwap(d.priceScale),
      trades,
      count,
      change: changeOf(last, previousClose),
    };
  }

  state(): SessionState {
    const { session, open, high, low, last, previousClose, volume, trades } = this;
    const { seq, eventTime, receiveTime } = this;
    const turnover = this.turnover.toString();
    return {
      session,
      open,
      high,
      low,
      last,
      previousClose,
      volume,
      turnover,
      trades,
      seq,
      eventTime,
      receiveTime,
    };
  }

  restore({ turnover, ...rest }: SessionState): void {
    Object.assign(this, rest);
    this.turnoverBig = BigInt(turnover);
    this.turnoverSmall = 0;
  }

  private get turnover(): bigint {
    return this.turnoverBig + BigInt(this.turnoverSmall);
  }

  /** Turnover ÷ volume, rounded (half away from zero); null without volume. */
  private vwap(priceScale: number): string | null {
    if (this.volume === 0) return null;
    const scaled = this.turnover * 10n ** BigInt(VWAP_DECIMALS);
    const volume = BigInt(this.volume);
    const half = scaled < 0n ? -volume / 2n : volume / 2n;
    return formatBig((scaled + half) / volume, priceScale + VWAP_DECIMALS);
  }

  private begin(session: number): void {
    this.previousClose = this.last ?? this.previousClose;
    this.session = session;
    this.open = null;
    this.high = null;
    this.low = null;
    this.volume = 0;
    this.trades = 0;
    this.turnoverBig = 0n;
    this.turnoverSmall = 0;
  }
}

/** Session and bars of one instrument. */
export class TradeStatistics {
  readonly session: SessionStats;
  readonly bars: readonly BarFold[] = BAR_INTERVALS.map((interval) => new BarFold(interval));

  constructor(boundarySeconds: number) {
    this.session = new SessionStats(boundarySeconds);
  }

  add(trade: TradeFields): void {
    this.session.add(trade);
    for (const fold of this.bars) fold.add(trade);
  }

  state(): StatisticsState {
    return { session: this.session.state(), bars: this.bars.map((fold) => fold.state()) };
  }

  restore(state: StatisticsState): void {
    this.session.restore(state.session);
    for (const [i, fold] of this.bars.entries()) {
      const bars = state.bars[i];
      if (bars !== undefined) fold.restore(bars);
    }
  }
}

/** Null if one is missing, or if the scaled difference is beyond ±(2^53 − 1) [N2]. */
function changeOf(last: number | null, previousClose: number | null): number | null {
  if (last === null || previousClose === null) return null;
  const change = last - previousClose;
  return Number.isSafeInteger(change) ? change : null;
}

function formatBig(value: bigint, scale: number): string {
  if (scale === 0) return value.toString();
  if (BigInt.asIntN(53, value) === value) return formatDecimal(Number(value), scale);
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(scale + 1, '0');
  const split = digits.length - scale;
  return `${negative ? '-' : ''}${digits.slice(0, split)}.${digits.slice(split)}`;
}
