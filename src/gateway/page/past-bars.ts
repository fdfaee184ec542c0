/**
 * Past bars: historical bars page by page, from the newest to the very first, across ranges without trades.
 * If a page is empty, a binary search finds the next page that is not. Each request is cheap for the server,
 * and their number grows with the logarithm of the range. Bounded: one request at a time.
 */

import { BAR_SECONDS, type BarInterval } from '../../../protocol/bars';
import { fetchBars, Nanos, type RestBar, type RestBars } from '../../client/index';
import type { TabKey } from './tab-key';

const BARS_AT_ONCE = 60;
/** After a page with few bars the next one covers twice the time, up to this many intervals. */
const SPAN_MAX = 3_840;

/** Whole seconds since 1970; `from` inclusive, `to` exclusive. */
interface Range {
  readonly from: number;
  readonly to: number;
}

export class PastBars {
  private readonly url: string;
  private readonly key: TabKey;

  /** @param key the key with which the page reads, if reading needs one */
  constructor(url: string, key: TabKey) {
    this.url = url;
    this.key = key;
  }

  /**
   * Yields pages of bars. Bars in a page are oldest first; each page is older than the one before.
   * @param to all bars open before this second; undefined: starts with the newest bars
   * @throws TapedeckError as `fetchBars` does
   */
  async *pages(
    symbol: string,
    interval: BarInterval,
    to?: number,
  ): AsyncGenerator<readonly RestBar[]> {
    const step = BAR_SECONDS[interval];
    let span = BARS_AT_ONCE;
    let end = to;
    for (;;) {
      let page = await this.page(symbol, interval, span, end);
      if (page.length === 0) {
        if (end === undefined) return;
        const found = await this.endOfBars(symbol, interval, end);
        if (found === undefined) return;
        page = await this.page(symbol, interval, BARS_AT_ONCE, found);
        if (page.length === 0) return; // deleted meanwhile
      }
      yield page;
      end = opening(page[0]!);
      span = page.length * 2 < span ? Math.min(span * 2, SPAN_MAX) : BARS_AT_ONCE;
      if (end < step) return;
    }
  }

  /** The newest bar that opens before a second. @throws TapedeckError as `fetchBars` does */
  async newest(symbol: string, interval: BarInterval, to: number): Promise<RestBar | undefined> {
    const pages = this.pages(symbol, interval, to);
    const { value } = await pages.next();
    await pages.return(undefined);
    return (value as readonly RestBar[] | undefined)?.at(-1);
  }

  /** Every bar that opens within a range, oldest first. @throws TapedeckError as `fetchBars` does */
  async within(symbol: string, interval: BarInterval, { from, to }: Range): Promise<RestBar[]> {
    const bars: RestBar[] = [];
    const query = { interval, from: nanos(from), to: nanos(to), limit: BARS_AT_ONCE };
    let next: string | null | undefined;
    while (next !== null) {
      const page = next === undefined ? query : { ...query, next };
      const answer: RestBars = await fetchBars(this.url, symbol, page, this.key.value);
      bars.push(...answer.bars);
      next = answer.next;
    }
    return bars;
  }

  /**
   * Start of the history of an instrument: the end of its first one-second bar.
   * @throws TapedeckError as `fetchBars` does
   */
  async first(symbol: string): Promise<Nanos | undefined> {
    const second = await this.firstSecond(symbol);
    return second === undefined ? undefined : Nanos.fromSeconds(second + 1, 0);
  }

  private async page(
    symbol: string,
    interval: BarInterval,
    span: number,
    to: number | undefined,
  ): Promise<readonly RestBar[]> {
    if (to !== undefined) {
      const from = Math.max(0, to - span * BAR_SECONDS[interval]);
      return this.within(symbol, interval, { from, to });
    }
    const query = { interval, limit: BARS_AT_ONCE };
    return (await fetchBars(this.url, symbol, query, this.key.value)).bars;
  }

  /** End of the page with the newest bars before a second; undefined if there are none. */
  private async endOfBars(
    symbol: string,
    interval: BarInterval,
    before: number,
  ): Promise<number | undefined> {
    const step = BAR_SECONDS[interval];
    const firstSecond = await this.firstSecond(symbol);
    if (firstSecond === undefined || firstSecond >= before) return undefined;
    const first = firstSecond - (firstSecond % step);
    let from = before;
    let to = before;
    for (let length = BARS_AT_ONCE * step; ; length *= 2) {
      to = from;
      from = Math.max(first, to - length);
      if (await this.has(symbol, interval, { from, to })) break;
      if (from === first) return undefined;
    }
    // The newest bars are in [from, to), and there are none after it.
    while (to - from > BARS_AT_ONCE * step) {
      const middle = from + Math.floor((to - from) / 2 / step) * step;
      if (await this.has(symbol, interval, { from: middle, to })) from = middle;
      else to = middle;
    }
    return to;
  }

  private async has(symbol: string, interval: BarInterval, { from, to }: Range): Promise<boolean> {
    const query = { interval, from: nanos(from), to: nanos(to), limit: 1 };
    return (await fetchBars(this.url, symbol, query, this.key.value)).bars.length > 0;
  }

  private async firstSecond(symbol: string): Promise<number | undefined> {
    const query = { interval: '1s', from: '0', limit: 1 };
    const { bars } = await fetchBars(this.url, symbol, query, this.key.value);
    return bars[0] && opening(bars[0]);
  }
}

/** Opening second of a bar. */
export function opening({ openTime }: RestBar): number {
  return Nanos.parse(openTime)?.seconds ?? 0;
}

function nanos(seconds: number): string {
  return Nanos.fromSeconds(seconds, 0).toString();
}
