/** A checkpoint of the previous version, read by this version. */

import { describe, expect, test } from 'bun:test';

import { BAR_INTERVALS } from '../../protocol/messages';
import type { RecordedTrade } from '../../protocol/records';
import { TradeStatistics } from '../../protocol/statistics';
import { Nanos } from '../../protocol/time';
import { writeCheckpoint } from '../../src/market/checkpoint';
import {
  at,
  bbo,
  book,
  Collected,
  feedOf,
  instrument,
  newMarket,
  SYMBOL,
  trade,
} from '../support/market-events';
import { readCheckpoint } from '../../src/market/checkpoint-reading';

const FAR = Nanos.fromBigInt((1n << 63n) - 1n);

/** What this version writes, converted to what the previous version wrote. */
function older(text: string, change: (bars: Record<string, unknown>[]) => void = () => {}): string {
  const c = JSON.parse(text) as {
    instruments: Record<string, unknown>[];
    statistics: Record<string, { bars: unknown[] }>;
  };
  for (const i of c.instruments) {
    const { numbers } = i['trades'] as { numbers: { last: number } };
    delete i['increments'];
    delete i['trades'];
    i['tradeSourceSeq'] = numbers.last;
    delete (i['bookTimes'] as Record<string, unknown>)['asOfTime'];
    if (i['bbo'] !== null) delete (i['bbo'] as Record<string, unknown>)['mark'];
  }
  for (const own of Object.values(c.statistics)) {
    const bars = own.bars.map((fold) => (fold as { current: Record<string, unknown> }).current);
    for (const bar of bars)
      for (const name of ['openAt', 'openSeq', 'closeAt', 'closeSeq']) delete bar[name];
    change(bars);
    own.bars = bars;
  }
  return JSON.stringify(c);
}

/** A market with three trades, a quote and a book; its checkpoint as this version writes it. */
function written(): { text: string; trades: RecordedTrade[] } {
  const market = newMarket();
  const out = new Collected();
  market.apply(1, instrument(SYMBOL, { priceIncrement: 5 }), out);
  market.apply(1, book('snapshot', 7, 0, [9_990, 1], [10_010, 2]), out);
  for (let i = 1; i <= 3; i++) {
    out.receiveTime = at(i * 1_000);
    market.apply(1, trade({ seq: i, price: 9_995 + i * 5, eventTime: at(i * 900) }), out);
  }
  market.apply(1, bbo(8, [9_995, 1], [10_010, 2]), out);
  market.seal();
  const statistics = new TradeStatistics(0);
  const trades = out.events.filter((e): e is RecordedTrade => e.type === 'trade');
  for (const e of trades) statistics.add(e);
  return {
    text: writeCheckpoint({ ...market.checkpoint(), statistics: { [SYMBOL]: statistics.state() } }),
    trades,
  };
}

describe('a checkpoint of the version before', () => {
  test('gives the market, session and bars that were saved', () => {
    const { text } = written();
    const now = readCheckpoint(text);
    const before = readCheckpoint(older(text));
    const market = newMarket();
    market.restore(before, []);
    expect(feedOf(market).levels(10)).toEqual({ bids: [9_990, 1], asks: [10_010, 2] });
    expect(before.statistics![SYMBOL]!.session).toEqual(now.statistics![SYMBOL]!.session);
    for (const [i, fold] of before.statistics![SYMBOL]!.bars.entries()) {
      const { openAt: _, openSeq: __, ...published } = fold.current!;
      expect(now.statistics![SYMBOL]!.bars[i]!.current).toMatchObject(published);
    }
    const [feed] = before.instruments;
    const [expected] = now.instruments;
    expect(feed).toEqual({ ...expected!, bookTimes: expect.anything() } as never);
    // The next trade continues: number, increment, volume of the session.
    const out = new Collected(100);
    out.receiveTime = at(5_000);
    expect(market.check(2, [trade({ price: 10_001, eventTime: at(4_000) })])?.fault.code).toBe(
      'off-increment',
    );
    expect(market.apply(2, trade({ seq: 4, price: 10_000, eventTime: at(4_000) }), out, true)).toBe(
      'taken',
    );
    expect(out.events.find((e) => e.type === 'tick')).toMatchObject({ volume: 20 });
  });

  test('a bar and a session that one far-ahead time had made end with that version', () => {
    const { text } = written();
    const beyond = older(text, (bars) => {
      for (const bar of bars) {
        bar['openTime'] = FAR.floorToSeconds(60).toString();
        bar['endTime'] = FAR.toString();
      }
    }).replace(/"session":\d+/, '"session":106751');
    const { statistics, instruments } = readCheckpoint(beyond);
    const own = new TradeStatistics(0);
    own.restore(statistics![SYMBOL]!);
    own.add(trade({ seq: 900, eventTime: at(6_000), receiveTime: at(6_000), price: 7 }));
    expect(own.session.message(instruments[0]!.definition, 0, 1)).toMatchObject({
      trades: 1,
      open: 7,
    });
    expect(own.bars.map(({ interval }) => interval)).toEqual([...BAR_INTERVALS]);
    for (const fold of own.bars) expect(fold.current).toMatchObject({ trades: 1, open: 7 });
  });
});
