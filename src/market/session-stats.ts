/**
 * Session statistics of one instrument: open, high, low, last, volume, turnover, average price.
 *
 * A session ends at a time of day (UTC) that the settings name; the first trade behind it begins the
 * next one, and the last price before becomes the previous close. Turnover is a sum of products that
 * soon passes 2^53, so it alone is a bigint.
 */

import type { Nanos } from '../../protocol/time';
import { formatDecimal } from '../../protocol/units';
import type { TradeFields } from './bars';

const DAY_SECONDS = 86_400;
/** Decimals of the average price beyond those of a price. */
const VWAP_DECIMALS = 4;

/** What a checkpoint keeps. Prices and quantities scaled, turnover in both scales, as digits. */
export interface StatsState {
  readonly session: number;
  readonly open: number | null;
  readonly high: number | null;
  readonly low: number | null;
  readonly last: number | null;
  readonly previousClose: number | null;
  readonly volume: number;
  readonly turnover: string;
  readonly trades: number;
}

export class SessionStats {
  open: number | null = null;
  high: number | null = null;
  low: number | null = null;
  last: number | null = null;
  previousClose: number | null;
  volume = 0;
  trades = 0;
  private turnover = 0n;
  /** Number of the session since 1970; 0 before the first trade. */
  private session = 0;
  private readonly boundarySeconds: number;

  /** @param boundarySeconds time of day at which a session ends, in seconds after midnight UTC */
  constructor(previousClose: number | null, boundarySeconds: number) {
    this.previousClose = previousClose;
    this.boundarySeconds = boundarySeconds;
  }

  add(t: TradeFields): void {
    const session = this.sessionOf(t.eventTime);
    if (session > this.session) this.begin(session);
    this.open ??= t.price;
    this.high = Math.max(this.high ?? t.price, t.price);
    this.low = Math.min(this.low ?? t.price, t.price);
    this.last = t.price;
    this.volume += t.quantity;
    this.turnover += BigInt(t.price) * BigInt(t.quantity);
    this.trades += 1;
  }

  /** Sum of price × quantity, with as many decimals as both scales have. */
  turnoverText(priceScale: number, quantityScale: number): string {
    return formatBig(this.turnover, priceScale + quantityScale);
  }

  /** Turnover by volume, rounded to the nearest at four decimals more than a price; null without. */
  vwapText(priceScale: number): string | null {
    if (this.volume === 0) return null;
    const scaled = this.turnover * 10n ** BigInt(VWAP_DECIMALS);
    const volume = BigInt(this.volume);
    const half = scaled < 0n ? -volume / 2n : volume / 2n;
    return formatBig((scaled + half) / volume, priceScale + VWAP_DECIMALS);
  }

  state(): StatsState {
    const { session, open, high, low, last, previousClose, volume, trades } = this;
    const turnover = this.turnover.toString();
    return { session, open, high, low, last, previousClose, volume, turnover, trades };
  }

  restore(s: StatsState): void {
    const { turnover, ...rest } = s;
    Object.assign(this, rest);
    this.turnover = BigInt(turnover);
  }

  private begin(session: number): void {
    this.previousClose = this.last ?? this.previousClose;
    this.session = session;
    this.open = null;
    this.high = null;
    this.low = null;
    this.volume = 0;
    this.trades = 0;
    this.turnover = 0n;
  }

  private sessionOf(time: Nanos): number {
    return Math.floor((time.seconds - this.boundarySeconds) / DAY_SECONDS);
  }
}

function formatBig(value: bigint, scale: number): string {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= -BigInt(Number.MAX_SAFE_INTEGER)) {
    return formatDecimal(Number(value), scale);
  }
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(scale + 1, '0');
  const split = digits.length - scale;
  const text = scale === 0 ? digits : `${digits.slice(0, split)}.${digits.slice(split)}`;
  return negative ? `-${text}` : text;
}
