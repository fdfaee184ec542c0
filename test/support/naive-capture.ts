/**
 * Naive capture: a Binance capture rebuilt by its published rules, with decimal texts and plain maps, sharing no
 * code with Tapedeck. It is the oracle for what the whole server makes of the same file.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export const CAPTURE = join(import.meta.dir, '../../../shared/data/btcusdt_20240808.gz');
export const captureIsThere = existsSync(CAPTURE);

export function tellIfAbsent(): void {
  if (!captureIsThere) console.log(`NOT TESTED against real data: ${CAPTURE} is not there`);
}

type Pair = [price: string, quantity: string];

interface Depth {
  readonly U: number;
  readonly u: number;
  readonly b: readonly Pair[];
  readonly a: readonly Pair[];
}

interface CapturedTrade {
  readonly price: string;
  readonly quantity: string;
  readonly aggressor: 'buy' | 'sell';
  readonly tradeId: number;
  readonly eventTime: string;
  readonly receiveTime: string;
}

export interface Capture {
  /** All levels, best first. */
  readonly bids: Pair[];
  readonly asks: Pair[];
  /** In the order of the file. */
  readonly trades: CapturedTrade[];
  /** Exchange time of the newest diff. */
  readonly depthTime: string;
}

export function rebuildCapture(path: string): Capture {
  const bids = new Map<string, string>();
  const asks = new Map<string, string>();
  const trades: CapturedTrade[] = [];
  const waiting: Depth[] = [];
  let last = 0;
  let depthTime = '';
  const apply = (diff: Depth): void => {
    if (diff.u <= last) return;
    if (diff.U > last + 1) throw new Error(`the capture itself has a gap before ${diff.U}`);
    set(bids, diff.b);
    set(asks, diff.a);
    last = diff.u;
  };
  for (const line of gunzipSync(readFileSync(path)).toString('utf8').split('\n')) {
    if (line === '') continue;
    const space = line.indexOf(' ');
    const message = JSON.parse(line.slice(space + 1)) as Record<string, unknown>;
    const data = (message['data'] ?? {}) as Record<string, unknown>;
    if (message['lastUpdateId'] !== undefined) {
      set(bids, message['bids'] as Pair[]);
      set(asks, message['asks'] as Pair[]);
      last = message['lastUpdateId'] as number;
      for (const diff of waiting.splice(0)) apply(diff);
    } else if (data['e'] === 'depthUpdate') {
      depthTime = `${data['E'] as number}000000`;
      if (last === 0) waiting.push(data as unknown as Depth);
      else apply(data as unknown as Depth);
    } else if (data['e'] === 'trade') {
      trades.push({
        price: data['p'] as string,
        quantity: data['q'] as string,
        aggressor: data['m'] === true ? 'sell' : 'buy',
        tradeId: data['t'] as number,
        eventTime: `${data['T'] as number}000000`,
        receiveTime: line.slice(0, space),
      });
    }
  }
  const sorted = (side: Map<string, string>, sign: number): Pair[] =>
    [...side].sort(([a], [b]) => sign * (Number(a) - Number(b)));
  return { bids: sorted(bids, -1), asks: sorted(asks, 1), trades, depthTime };
}

function set(side: Map<string, string>, levels: readonly Pair[]): void {
  for (const [price, quantity] of levels) {
    if (Number(quantity) === 0) side.delete(price);
    else side.set(price, quantity);
  }
}
