/** The book at a past time, computed from everything recorded by the rule in its plainest form. */

import { formatLevels } from '../../protocol/json';
import { TenLevels } from '../../protocol/levels';
import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import type { History } from '../../src/journal/history/history';
import { TIME_LIMITS } from '../../src/market/market';

/** What history returns where it has no levels. */
const EXPECTED_CODES: Readonly<Record<'none' | 'levels' | 'incomplete', readonly string[]>> = {
  none: ['before-first-record', 'no-data'],
  levels: [],
  incomplete: ['book-incomplete'],
};
const SCALES = { priceScale: 2, quantityScale: 3 };

/** What is wrong with the answer of history; undefined when it is right. */
export async function pastBookFault(
  history: History,
  events: readonly BatchEvent[],
  symbol: string,
  time: Nanos,
): Promise<string | undefined> {
  const levels = new TenLevels();
  let state: 'none' | 'levels' | 'incomplete' = 'none';
  let order = 0n;
  let seq = 0;
  for (const event of events) {
    if (event.type !== 'book' || event.symbol !== symbol) continue;
    // Books are in the order of their arrival: their event time moves them no further back than that.
    const ahead = event.eventTime.since(event.receiveTime) > TIME_LIMITS.timeAheadMs * 1e6;
    const own = (ahead ? event.receiveTime : event.eventTime).toBigInt();
    if (own > order) order = own;
    if (order > time.toBigInt()) break;
    seq = event.seq;
    if (event.form === 'delta') levels.apply(event.bids, event.asks);
    else levels.replace(event.bids, event.asks);
    if (event.form !== 'delta') state = event.form === 'snapshot' ? 'levels' : 'incomplete';
  }
  const answer = await history.ask({ kind: 'book', symbol, at: time });
  const where = `the book of ${symbol} at ${time.toString()}`;
  if ('code' in answer) {
    const isRight = EXPECTED_CODES[state].includes(answer.code);
    return isRight ? undefined : `${where}: ${answer.code} ${answer.message}; it was ${state}`;
  }
  if (state !== 'levels') return `${where} was ${state}, and is answered as ${answer.seq}`;
  const expected = JSON.stringify([
    seq,
    formatLevels(levels.bids, SCALES),
    formatLevels(levels.asks, SCALES),
  ]);
  const is = JSON.stringify([answer.seq, answer.bids, answer.asks]);
  return is === expected ? undefined : `${where} is ${is}; expected ${expected}`;
}
