/** Reader REST: compares the answers of the last server, and what the source sent, with its journal. */

import { messageOf, type Json } from '../support/kill-rows';
import { naiveBars, barValues } from './reader-bars';
import type { Checked } from './reader-checked';
import type { ReaderRecord } from './reader-record';
import type { ReaderSource } from './reader-source';
import type { Journal } from './reader-truth';

const TRADES_MAX = 1_000;
const STATS = [
  'open',
  'high',
  'low',
  'last',
  'previousClose',
  'volume',
  'turnover',
  'vwap',
  'trades',
  'change',
];

/** Answers by path. */
export type Answers = ReadonlyMap<string, Json>;

export async function askAll(url: string, symbols: readonly string[]): Promise<Answers> {
  const answers = new Map<string, Json>();
  for (const symbol of symbols) {
    const paths = [
      `tick/${symbol}`,
      `orderbook/${symbol}`,
      `stats/${symbol}`,
      `trades/${symbol}?limit=${TRADES_MAX}`,
      `bars/${symbol}?interval=1s`,
      `bars/${symbol}?interval=1m`,
    ];
    for (const path of paths) {
      answers.set(path, (await (await fetch(`${url}/v1/${path}`)).json()) as Json);
    }
  }
  return answers;
}

export function checkRest(
  answers: Answers,
  symbols: readonly string[],
  journal: Journal,
  record: ReaderRecord,
  checks: Checked,
): void {
  const edge = Math.max(0, ...journal.gaps.map(({ to }) => to));
  for (const symbol of symbols) {
    const same = (path: string, answered: unknown, truth: unknown): void => {
      checks.figures.rest += 1;
      const [a, b] = [JSON.stringify(answered), JSON.stringify(truth)];
      if (a !== b)
        checks.wrong('rest', path, 0, 0, `${a.slice(0, 600)}; the journal says ${b.slice(0, 600)}`);
    };
    const trades = journal.topics.get(`trade:${symbol}`) ?? [];
    const answeredTrades = (answers.get(`trades/${symbol}?limit=${TRADES_MAX}`)!['trades'] ??
      []) as Json[];
    const newest = trades.slice(-answeredTrades.length || trades.length).toReversed();
    same(
      `trades/${symbol}`,
      answeredTrades,
      newest.map(({ row }) => messageOf(row)),
    );
    const tick = journal.topics.get(`tick:${symbol}`)?.at(-1);
    if (tick !== undefined) {
      const truth = messageOf(tick.row)!;
      const answered = answers.get(`tick/${symbol}`)!;
      same(
        `tick/${symbol}`,
        Object.keys(truth).map((name) => answered[name]),
        Object.values(truth),
      );
    }
    const books = journal.topics.get(`book:${symbol}`) ?? [];
    const copy = books.at(-1)?.copy;
    const book = answers.get(`orderbook/${symbol}`)!;
    if (typeof copy === 'string')
      same(`orderbook/${symbol}`, [book['bids'], book['asks']], JSON.parse(copy));
    for (const interval of ['1s', '1m']) {
      const path = `bars/${symbol}?interval=${interval}`;
      const whole = naiveBars(trades, interval)
        .filter((bar) => bar.trades[0]!.seq > edge)
        .slice(1);
      const answered = new Map(
        ((answers.get(path)!['bars'] ?? []) as Json[]).map((bar) => [
          bar['openTime'],
          barValues(bar),
        ]),
      );
      for (const { openTime, values } of whole.slice(-100))
        same(`${path} of ${openTime}`, answered.get(openTime), values);
    }
    const held = record.topics.get(`stats:${symbol}`)?.states.get('');
    if (held !== undefined) {
      const pick = (m: Json): unknown[] => STATS.map((name) => m[name] ?? null);
      same(
        `stats/${symbol} as the reader has them`,
        pick(held.message!),
        pick(answers.get(`stats/${symbol}`)!),
      );
    }
  }
}

/** Everything in the journal was sent by the source. */
export function checkSource(source: ReaderSource, journal: Journal, checks: Checked): void {
  for (const [topic, rows] of journal.topics) {
    const [channel, symbol = ''] = topic.split(':');
    for (const { row, seq, body, copy } of rows) {
      if (channel === 'trade') {
        checks.figures.sourceTrades += 1;
        if (!source.knows(messageOf(row)!))
          checks.wrong('invented', topic, seq, 0, `in the journal: ${body}`);
      }
      const said = source.topAt(symbol, row.event_time);
      // A book that continued without a message (its source was silent) has the same levels.
      if (typeof copy !== 'string' || said === undefined) continue;
      checks.figures.sourceBooks += 1;
      if (said !== copy)
        checks.wrong('invented', topic, seq, 0, `the journal has ${copy}, the source said ${said}`);
    }
  }
}
