/**
 * Naive statistics: bars and the session from a complete list of trades, written from [D2] to [D6] alone. It shares
 * nothing with the folds: times and sums are bigints, and from trade to trade it keeps only which trades belong
 * together.
 */

import type { Trade } from '../../protocol/messages';
import { formatDecimal } from '../../protocol/units';

export const LENGTHS = { '1s': 1n, '1m': 60n, '5m': 300n, '1h': 3_600n, '1d': 86_400n } as const;
const SECOND = 1_000_000_000n;

export interface NaiveBar {
  readonly openTime: bigint;
  readonly trades: Trade[];
}

/** The time at which a trade counts as executed [D3]. */
function timeOf({ eventTime, receiveTime, timing }: Trade): bigint {
  return (timing === null || timing === 'late' ? eventTime : receiveTime).toBigInt();
}

function inOrder(trades: readonly Trade[]): Trade[] {
  return [...trades].sort((a, b) => {
    const [left, right] = [timeOf(a), timeOf(b)];
    if (left !== right) return left < right ? -1 : 1;
    return a.seq - b.seq;
  });
}

/** The bars of an interval, oldest first, each with its trades in the order of time. */
export function naiveBars(trades: readonly Trade[], interval: keyof typeof LENGTHS): NaiveBar[] {
  const length = LENGTHS[interval] * SECOND;
  const bars: NaiveBar[] = [];
  for (const trade of inOrder(trades)) {
    const marketTime = timeOf(trade);
    const openTime = marketTime - (marketTime % length);
    if (bars.at(-1)?.openTime !== openTime) bars.push({ openTime, trades: [] });
    bars.at(-1)!.trades.push(trade);
  }
  return bars;
}

/** Fields of a bar, scaled. */
export function summary(trades: readonly Trade[]) {
  const prices = trades.map((t) => t.price);
  return {
    open: prices[0]!,
    high: Math.max(...prices),
    low: Math.min(...prices),
    close: prices.at(-1)!,
    volume: Number(trades.reduce((sum, t) => sum + BigInt(t.quantity), 0n)),
    trades: trades.length,
    seq: Math.max(...trades.map((t) => t.seq)),
  };
}

/** The trades of the newest session in the order of seq, and the last price before it. */
export function naiveSession(trades: readonly Trade[], boundarySeconds: number) {
  const sessions: Trade[][] = [];
  let end = -1n;
  for (const trade of trades) {
    if (trade.timing === 'late' || trade.timing === 'late-and-ahead') continue;
    const time = timeOf(trade);
    if (end < 0n || time >= end) {
      sessions.push([]);
      const day = 86_400n * SECOND;
      end = BigInt(boundarySeconds) * SECOND;
      while (end <= time) end += day;
    }
    sessions.at(-1)!.push(trade);
  }
  return {
    trades: sessions.at(-1) ?? [],
    previousClose: sessions.at(-2)?.at(-1)?.price ?? null,
  };
}

/** Turnover and average price as the message has them. */
export function naiveTurnover(trades: readonly Trade[], priceScale: number, quantityScale: number) {
  let turnover = 0n;
  let volume = 0n;
  for (const t of trades) {
    turnover += BigInt(t.price) * BigInt(t.quantity);
    volume += BigInt(t.quantity);
  }
  const text = decimal(turnover, priceScale + quantityScale);
  if (volume === 0n) return { turnover: text, vwap: null };
  const size = turnover < 0n ? -turnover : turnover;
  const rounded = (size * 20_000n + volume) / (volume * 2n);
  return { turnover: text, vwap: decimal(turnover < 0n ? -rounded : rounded, priceScale + 4) };
}

/** Newest price minus the previous close, scaled; null where one is missing or a double would round it. */
export function naiveChange(own: readonly Trade[], previousClose: number | null): number | null {
  const last = own.at(-1)?.price;
  if (last === undefined || previousClose === null) return null;
  const change = BigInt(last) - BigInt(previousClose);
  return change > -(2n ** 53n) && change < 2n ** 53n ? Number(change) : null;
}

function decimal(value: bigint, scale: number): string {
  const unit = 10n ** BigInt(scale);
  const size = value < 0n ? -value : value;
  const rest = (size % unit).toString().padStart(scale, '0');
  if (size < 2n ** 53n) return formatDecimal(Number(value), scale);
  return `${value < 0n ? '-' : ''}${size / unit}${scale === 0 ? '' : `.${rest}`}`;
}
