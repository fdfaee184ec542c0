/**
 * Fills of an order: the number of its trades, their turnover, and the times of the first and the last. One record an
 * order, however many trades; each trade is in the journal, but does not name its orders.
 */

import { Nanos } from '../../protocol/time';

export interface Fills {
  readonly count: number;
  /** Sum of price × quantity, in the scales of both. */
  readonly turnover: bigint;
  readonly firstTime: Nanos;
  readonly lastTime: Nanos;
}

/** Null before the first; `unknown` if the order traded before the journal recorded fills. */
export type FillsOfOrder = Fills | null | 'unknown';

/** The form in a checkpoint. */
export interface WrittenFills {
  readonly count: number;
  readonly turnover: string;
  readonly firstTime: string;
  readonly lastTime: string;
}

/** Adds a trade. @param price scaled @param quantity scaled */
export function withFill(
  fills: FillsOfOrder,
  price: number,
  quantity: number,
  time: Nanos,
): FillsOfOrder {
  if (fills === 'unknown') return fills;
  const turnover = BigInt(price) * BigInt(quantity);
  if (fills === null) return { count: 1, turnover, firstTime: time, lastTime: time };
  const { count, firstTime } = fills;
  return { count: count + 1, turnover: fills.turnover + turnover, firstTime, lastTime: time };
}

export function writeFills(fills: FillsOfOrder): WrittenFills | 'unknown' | null {
  if (fills === null || fills === 'unknown') return fills;
  const { count, turnover, firstTime, lastTime } = fills;
  return {
    count,
    turnover: turnover.toString(),
    firstTime: firstTime.toString(),
    lastTime: lastTime.toString(),
  };
}

/** @param written undefined in a checkpoint from before fills were recorded @param traded scaled */
export function readFills(
  written: WrittenFills | 'unknown' | null | undefined,
  traded: number,
): FillsOfOrder {
  if (written === undefined) return traded === 0 ? null : 'unknown';
  if (written === null || written === 'unknown') return written;
  const { count, turnover, firstTime, lastTime } = written;
  return {
    count,
    turnover: BigInt(turnover),
    firstTime: Nanos.parse(firstTime)!,
    lastTime: Nanos.parse(lastTime)!,
  };
}
