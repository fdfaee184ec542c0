/**
 * Past bars: the candles of before the page was there, page by page, the newest first; older ones as
 * long as the server gives them quickly, for each page costs it a reading. Bounded: `BARS` bars.
 */

import type { BarInterval } from '../../../protocol/bars';
import type { Clock } from '../../base/clock';
import { fetchBars, Nanos, type RestBar } from '../../client/index';
import type { TabKey } from './tab-key';

const BARS = 480;
const BARS_AT_ONCE = 60;
const SLOW_MS = 1_000;

export class PastBars {
  private readonly url: string;
  private readonly key: TabKey;
  private readonly clock: Clock;

  /** @param key by which the page reads, where that needs one */
  constructor(url: string, key: TabKey, clock: Clock) {
    this.url = url;
    this.key = key;
    this.clock = clock;
  }

  /** Ends early where the server does not answer. */
  async *pages(symbol: string, interval: BarInterval): AsyncGenerator<readonly RestBar[]> {
    const { url, clock } = this;
    let to: string | undefined;
    for (let loaded = 0; loaded < BARS; loaded += BARS_AT_ONCE) {
      const startedMs = clock.monotonicMs();
      const query = { interval, limit: BARS_AT_ONCE, ...(to === undefined ? {} : { to }) };
      const answer = await fetchBars(url, symbol, query, this.key.value).catch(() => null);
      if (answer === null) return;
      const tookMs = clock.monotonicMs() - startedMs;
      yield answer.bars;
      to = answer.bars[0]?.openTime;
      if (to === undefined || tookMs > SLOW_MS) return;
    }
  }

  /**
   * When the history of an instrument begins: behind its first bar of a second.
   * @throws TapedeckError as `fetchBars` does
   */
  async first(symbol: string): Promise<Nanos | undefined> {
    const query = { interval: '1s', from: '0', limit: 1 };
    const answer = await fetchBars(this.url, symbol, query, this.key.value);
    const open = answer.bars[0]?.openTime;
    return open === undefined ? undefined : Nanos.parse(open)?.plus(1e9);
  }
}
