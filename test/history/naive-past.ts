/**
 * Naive past: the ten levels of a Binance capture at given times, computed by its published rules
 * from the text of the file. It shares no code with Tapedeck.
 */

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

type Pair = [price: string, quantity: string];

interface Depth {
  readonly E: number;
  readonly U: number;
  readonly u: number;
  readonly b: readonly Pair[];
  readonly a: readonly Pair[];
}

export interface NaivePast {
  /** From this time on, in ns, the rebuilt book is complete and its times rise. */
  readonly begin: bigint;
  /** Best first, decimals without trailing zeros. @param pastTimes rising */
  at(pastTimes: readonly bigint[]): { bids: Pair[]; asks: Pair[] }[];
}

export function naivePast(path: string): NaivePast {
  const depths: Depth[] = [];
  let snapshot: { lastUpdateId: number; bids: Pair[]; asks: Pair[] } | undefined;
  let snapshotTime = 0n;
  for (const line of gunzipSync(readFileSync(path)).toString('utf8').split('\n')) {
    if (line === '') continue;
    const space = line.indexOf(' ');
    const message = JSON.parse(line.slice(space + 1)) as { lastUpdateId?: number; data?: unknown };
    const data = message.data as { e?: string } | undefined;
    if (message.lastUpdateId !== undefined) {
      snapshot = message as typeof snapshot;
      snapshotTime = BigInt(line.slice(0, space));
    } else if (data?.e === 'depthUpdate') depths.push(data as Depth);
  }
  const whole = snapshot!;
  const later = depths.filter((depth) => depth.u > whole.lastUpdateId);
  for (let i = 1; i < later.length; i++) {
    if (later[i]!.E < later[i - 1]!.E) throw new Error('the times of the capture step back');
  }
  const begin = later.map(timeOf).find((time) => time > snapshotTime)!;
  return {
    begin,
    at: (pastTimes) => {
      const bids = new Map<string, string>();
      const asks = new Map<string, string>();
      set(bids, whole.bids);
      set(asks, whole.asks);
      let next = 0;
      return pastTimes.map((pastTime) => {
        for (; next < later.length && timeOf(later[next]!) <= pastTime; next++) {
          set(bids, later[next]!.b);
          set(asks, later[next]!.a);
        }
        return { bids: best(bids, -1), asks: best(asks, 1) };
      });
    },
  };
}

function timeOf({ E }: Depth): bigint {
  return BigInt(E) * 1_000_000n;
}

function set(side: Map<string, string>, pairs: readonly Pair[]): void {
  for (const [price, quantity] of pairs) {
    if (Number(quantity) === 0) side.delete(price);
    else side.set(price, quantity);
  }
}

function best(side: ReadonlyMap<string, string>, sign: 1 | -1): Pair[] {
  const byPrice = new Map([...side.keys()].map((text) => [Number(text), text]));
  const prices = Float64Array.from(byPrice.keys()).sort();
  if (sign === -1) prices.reverse();
  return Array.from(prices.subarray(0, 10), (price) => {
    const text = byPrice.get(price)!;
    return [plain(text), plain(side.get(text)!)];
  });
}

/** 1.50000000 becomes 1.5. */
export function plain(decimal: string): string {
  return decimal.includes('.') ? decimal.replace(/\.?0+$/, '') : decimal;
}
