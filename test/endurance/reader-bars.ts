/** Reader bars: bars computed from the trades of the journal, compared with those that a reader holds. */

import { decimal, type Json } from '../support/kill-rows';
import type { Checked } from './reader-checked';
import { covers, type ReaderRecord, type TopicRecord } from './reader-record';
import { rowsOf, type Journal, type Branches, type Truth } from './reader-truth';

const LENGTH_NS: Readonly<Record<string, bigint>> = {
  '1s': 1_000_000_000n,
  '1m': 60_000_000_000n,
  '5m': 300_000_000_000n,
  '1h': 3_600_000_000_000n,
  '1d': 86_400_000_000_000n,
};
const VALUES = ['open', 'high', 'low', 'close', 'volume', 'trades'] as const;

export interface NaiveBar {
  readonly openTime: string;
  readonly trades: readonly Truth[];
  /** Its values as JSON, in the order of `VALUES`. */
  readonly values: string;
}

/** Oldest first. */
export function naiveBars(trades: readonly Truth[], interval: string): NaiveBar[] {
  const length = LENGTH_NS[interval]!;
  const groups = Map.groupBy(trades, ({ row }) => {
    const time = BigInt(marketTime(row));
    return time - (time % length);
  });
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([openTime, of]) => ({ openTime: String(openTime), trades: of, values: valuesOf(of) }));
}

function marketTime({ flags, event_time, receive_time }: Truth['row']): string {
  return ((flags ?? 0) & 2) === 0 ? event_time : receive_time;
}

function valuesOf(trades: readonly Truth[]): string {
  const sorted = trades.toSorted((a, b) => {
    const [x, y] = [BigInt(marketTime(a.row)), BigInt(marketTime(b.row))];
    return x === y ? a.seq - b.seq : x < y ? -1 : 1;
  });
  const prices = sorted.map(({ row }) => row.price!);
  const { price_scale, quantity_scale } = sorted[0]!.row;
  const volume = sorted.reduce((sum, { row }) => sum + row.quantity!, 0);
  const [open, high, low, close] = [
    prices[0]!,
    Math.max(...prices),
    Math.min(...prices),
    prices.at(-1)!,
  ].map((p) => decimal(p, price_scale));
  return JSON.stringify([open, high, low, close, decimal(volume, quantity_scale), sorted.length]);
}

export function barValues(bar: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(VALUES.map((name) => bar[name]));
}

/** Each bar that ended after the beginning of the topic is held as final with its values, or declared. */
export function checkBars(
  record: ReaderRecord,
  journal: Journal,
  asked: readonly string[],
  checks: Checked,
): void {
  for (const [tradeTopic, trades] of journal.topics) {
    if (!tradeTopic.startsWith('trade:')) continue;
    const symbol = tradeTopic.slice('trade:'.length);
    for (const interval of Object.keys(LENGTH_NS)) {
      const topic = `bar:${symbol}:${interval}`;
      if (!covers(asked, topic)) continue;
      const bars = naiveBars(trades, interval);
      if (bars.length === 0) continue; // a rollback may leave an instrument without a trade
      checkTopic(topic, record.of(topic), bars, bars.at(-1)!.openTime, checks);
    }
  }
}

function checkTopic(
  topic: string,
  own: TopicRecord,
  bars: readonly NaiveBar[],
  newest: string,
  checks: Checked,
): void {
  let line = 0;
  for (const bar of bars) {
    const held = own.states.get(bar.openTime);
    line = held?.line ?? line;
    if (!isOwed(bar, own)) continue;
    checks.figures.bars += 1;
    const fault = faultOf(bar, held?.message, bar.openTime !== newest);
    if (fault !== undefined) {
      checks.wrong('bar', topic, bar.trades.at(-1)!.seq, line, `bar of ${bar.openTime}: ${fault}`);
    }
  }
}

function isOwed({ openTime, trades }: NaiveBar, { firstOpen, from, gaps }: TopicRecord): boolean {
  const [first, last] = [trades[0]!.seq, trades.at(-1)!.seq];
  const isBehind =
    firstOpen === undefined ? first > (from ?? Infinity) : Number(openTime) >= Number(firstOpen);
  // What a crash lost is in no bar of the journal: the bar is sent again without it.
  const isDeclared = gaps.some(
    (gap) => gap.reason !== 'not-journaled' && gap.from <= last && first <= gap.to,
  );
  return isBehind && !isDeclared && !trades.some(({ isGone }) => isGone);
}

function faultOf(
  { values }: NaiveBar,
  held: Json | undefined,
  isEnded: boolean,
): string | undefined {
  if (held === undefined) return `it is not held; the trades say ${values}`;
  if (barValues(held) !== values) return `held ${JSON.stringify(held)}; the trades say ${values}`;
  return isEnded && held['final'] !== true ? 'it is not held as final' : undefined;
}

/** More seqs than a bar of one minute covers. */
const BACK_SEQS = 50_000;

/** What was held until a reset: all bars but the last received, by the trades of the server that sent them. */
export function checkEndedBars(
  topic: string,
  own: TopicRecord,
  branches: Branches,
  checks: Checked,
): void {
  const [channel, symbol, interval] = topic.split(':');
  const last = own.newestState;
  const branch = last === undefined ? undefined : branches.byEpoch.get(last.epoch);
  if (channel !== 'bar' || last === undefined || branch === undefined || own.from === null) return;
  // A later gap made bars invalid, and the connection that would have sent them again was cut.
  if (own.gaps.some(({ line }) => line > last.line)) return;
  const trades = rowsOf(branch, `trade:${symbol}`, own.from - BACK_SEQS);
  const newest = String(last.message!['openTime']);
  const journaled = Math.floor(branch.newestId / 8);
  const bars = naiveBars(trades, interval!).filter(
    (bar) => Number(bar.openTime) < Number(newest) && bar.trades.at(-1)!.seq <= journaled,
  );
  if (last.seq <= journaled) checkTopic(topic, own, bars, newest, checks);
}
