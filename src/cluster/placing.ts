/** Placing: where the journal of a member stands to the batch log, before the member follows it. */

import type { Fault } from '../../protocol/codes';
import { ok, type Answer, type LogBroker } from './broker';
import type { LogPosition } from './frame-chain';
import { locate } from './locate';
import { startAt } from './log-writer';

/**
 * @param own where the journal ends
 * @returns the number up to which its events are those of the cluster, Infinity: all, or may be yet; null: it belongs
 *   to another history; or what is wrong with the end of the log
 */
export async function placeOf(
  broker: LogBroker,
  own: LogPosition,
): Promise<Answer<number | null> | { readonly outcome: 'damaged'; readonly fault: Fault }> {
  const located = await locate(broker, own);
  if (located.outcome !== 'ok') return located;
  const last = await broker.last();
  if (last.outcome !== 'ok') return last;
  const { epoch, seq } = located.value.position;
  const end = startAt(last.value);
  if (end !== null && 'code' in end) return { outcome: 'damaged', fault: end };
  const isEmpty = end === null || end.sequence === 0;
  if (isEmpty || (epoch === own.epoch && seq === own.seq)) return ok(Infinity);
  // What only this server has may still come to the log, as long as nobody has led since.
  if (end.epoch === own.epoch) return ok(Infinity);
  return ok(epoch === own.epoch ? seq : null);
}
