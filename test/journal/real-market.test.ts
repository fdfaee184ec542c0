/**
 * 346 seconds of a real market through the whole recorder, compared with the quotes of the
 * recording, and with a book that this test rebuilds from the description of the data, in decimals
 * as bigints.
 */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { MarketEvent } from '../../protocol/messages';
import { openRecording } from '../../src/ingest/recording/recording';
import { feedOf } from '../support/market-events';
import { Reader } from '../support/reader';
import { ScratchDirectory } from '../support/scratch-directory';
import { record, stateOf, type Recording } from '../support/test-recorder';

const PATH = join(import.meta.dir, '../../../shared/data/btcusdt_20240808.gz');
const SYMBOL = 'BTCUSDT';
setDefaultTimeout(60_000);
const present = existsSync(PATH);
if (!present) console.log(`NOT TESTED against a real market: ${PATH} is not there`);

type Pairs = [string, string][];
type Side = Map<bigint, bigint>;

/** Binance decimals with eight digits behind the point, as integers. */
function whole(text: string): bigint {
  if (!/^\d+\.\d{8}$/.test(text)) throw new Error(`${text} does not have eight decimals`);
  return BigInt(text.replace('.', ''));
}

interface Naive {
  readonly bids: Side;
  readonly asks: Side;
  /** Best bid, its quantity, best ask, its quantity, by update id. */
  readonly quotes: Map<number, [bigint, bigint, bigint, bigint]>;
  readonly trades: {
    id: number;
    price: bigint;
    quantity: bigint;
    nanos: bigint;
    seller: boolean;
  }[];
}

/** Rebuilds the book: applies the diffs to the snapshot as data/README.md describes. */
function rebuild(): Naive {
  const naive: Naive = { bids: new Map(), asks: new Map(), quotes: new Map(), trades: [] };
  const diffs: { U: number; u: number; b: Pairs; a: Pairs }[] = [];
  let snapshot: { lastUpdateId: number; bids: Pairs; asks: Pairs } | undefined;
  const text = Buffer.from(Bun.gunzipSync(readFileSync(PATH))).toString();
  for (const line of text.trimEnd().split('\n')) {
    const message = JSON.parse(line.slice(line.indexOf(' ') + 1)) as Record<string, never>;
    if ('lastUpdateId' in message) snapshot = message as never;
    const { stream = '', data = {} } = message as { stream?: string; data?: typeof message };
    if (stream.includes('@depth')) diffs.push(data as never);
    if (stream.endsWith('@bookTicker')) {
      const { u, b, B, a, A } = data;
      naive.quotes.set(u!, [whole(b!), whole(B!), whole(a!), whole(A!)]);
    }
    if (stream.endsWith('@trade')) {
      const { t, p, q, T, m } = data;
      const nanos = BigInt(T!) * 1_000_000n;
      naive.trades.push({ id: t!, price: whole(p!), quantity: whole(q!), nanos, seller: m! });
    }
  }
  const { lastUpdateId, bids, asks } = snapshot!;
  apply(naive, bids, asks);
  let last = lastUpdateId;
  for (const { U, u, b, a } of diffs.filter((d) => d.u > lastUpdateId)) {
    const fits = last === lastUpdateId ? U <= last + 1 && last + 1 <= u : U === last + 1;
    if (!fits) throw new Error(`the recording has a gap at ${U}`);
    apply(naive, b, a);
    last = u;
  }
  return naive;
}

function apply(naive: Naive, bids: Pairs, asks: Pairs): void {
  for (const [pairs, side] of [
    [bids, naive.bids],
    [asks, naive.asks],
  ] as const) {
    for (const [price, quantity] of pairs) {
      if (whole(quantity) === 0n) side.delete(whole(price));
      else side.set(whole(price), whole(quantity));
    }
  }
}

function sorted(side: Side, sign: 1 | -1): bigint[] {
  return [...side].sort(([a], [b]) => sign * (a < b ? -1 : 1)).flat();
}

describe.skipIf(!present)(
  `a real market${present ? '' : ` (skipped: ${PATH} is not there)`}`,
  () => {
    const scratch = new ScratchDirectory();
    const directory = scratch.fresh();
    const reader = new Reader();
    let naive: Naive;
    let recording: Recording;
    let quotesCompared = 0;
    afterAll(() => scratch.remove());

    /** Flat scaled levels with eight decimals. */
    function exact(levels: readonly number[]): bigint[] {
      const { priceScale, quantityScale } = feedOf(recording.recorder.market, SYMBOL).definition;
      const scales = [priceScale, quantityScale];
      return levels.map((value, i) => BigInt(value) * 10n ** BigInt(8 - scales[i % 2]!));
    }

    function compareQuote(updateId: number): void {
      const quote = naive.quotes.get(updateId);
      const { book } = feedOf(recording.recorder.market, SYMBOL);
      if (quote === undefined || book.state !== 'live' || book.sourceSeq !== updateId) return;
      expect(exact([...book.bids.top(1), ...book.asks.top(1)])).toEqual(quote);
      quotesCompared += 1;
    }

    beforeAll(async () => {
      naive = rebuild();
      recording = record(directory, { durability: 'async', checkpointEveryEvents: 25_000 });
      const { sequencer } = recording.recorder;
      const tape = await openRecording(PATH);
      if ('code' in tape) throw new Error(tape.message);
      let taken = 0;
      for await (const { records } of tape) {
        for (const { events, receiveTime } of records) {
          sequencer.submit(1, events, (r) => expect('seq' in r).toBe(true), { receiveTime });
          sequencer.drain();
          for (const e of events) if (e.type === 'book' && e.form === 'delta') compareQuote(e.seq);
        }
        for (; taken < recording.batches.length; taken++) {
          reader.take(recording.batches[taken]!.events as MarketEvent[]);
        }
      }
    });

    test('the top of the book equals every quote with the same update id', () => {
      expect(quotesCompared).toBe(564);
    });

    test('[T4] [B7] a reader of book:BTCUSDT has an unbroken chain, and its copy equals the book', () => {
      const copy = reader.book(SYMBOL);
      const view = feedOf(recording.recorder.market, SYMBOL).bookView()!;
      expect(copy.trusted).toBe(true);
      expect([copy.bids, copy.asks, copy.seq]).toEqual([view.bids, view.asks, view.seq]);
      expect(view.bids.length).toBe(20);
      const statuses = reader.statuses.map(({ state, reason }) => `${state} ${reason}`);
      expect(statuses).toEqual(['incomplete awaiting-snapshot', 'live healed']);
    });

    function expectRebuilt(full: boolean): void {
      const market = feedOf(recording.recorder.market, SYMBOL);
      const [bids, asks] = [sorted(naive.bids, -1), sorted(naive.asks, 1)];
      const view = market.bookView()!;
      expect(exact(view.bids)).toEqual(bids.slice(0, 20));
      expect(exact(view.asks)).toEqual(asks.slice(0, 20));
      if (!full) return;
      expect(exact(market.book.bids.top(1e6))).toEqual(bids);
      expect(exact(market.book.asks.top(1e6))).toEqual(asks);
    }

    test('ten levels and full depth equal those of the rebuild, to the last digit', () => {
      expect(naive.bids.size).toBeGreaterThan(1000);
      expectRebuilt(true);
    });

    test('every trade is recorded with its exact time, and the volume is that of the session', () => {
      const { journal, market } = recording.recorder;
      void journal.flush();
      const trades = journal.trades(SYMBOL, Number.MAX_SAFE_INTEGER, 20_000).reverse();
      expect(
        trades.map((t) => {
          const [price, quantity] = exact([t.price, t.quantity]);
          const nanos = t.eventTime.toBigInt();
          return { id: t.tradeId, price, quantity, nanos, seller: t.aggressor === 'sell' };
        }),
      ).toEqual(naive.trades as never);
      expect(trades.length).toBe(9757);
      const volume = exact([0, Number(feedOf(market, SYMBOL).currentTick()!.volume)])[1];
      // The recording passes midnight: the volume is that of the session at its end.
      const midnight = 1_723_161_600_000_000_000n;
      const session = naive.trades.filter((t) => t.nanos >= midnight);
      expect(session.length).toBeLessThan(naive.trades.length);
      expect(volume).toBe(session.reduce((sum, t) => sum + t.quantity, 0n));
    });

    test('everything is the same after a crash, and after an orderly end', () => {
      const before = recording;
      const state = stateOf(before.recorder.market);
      void before.recorder.journal.flush();
      recording = record(scratch.copyOf(directory));
      expect(stateOf(recording.recorder.market)).toBe(state);
      expectRebuilt(false);
      recording.recorder.close();
      before.recorder.close();
      recording = record(directory);
      expect(stateOf(recording.recorder.market)).toBe(state);
      expectRebuilt(true);
      recording.recorder.close();
    });
  },
);
