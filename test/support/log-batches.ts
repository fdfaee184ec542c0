/** Small batches for the tests of the batch log, each event with a content of its own. */

import type { WireBatch } from '../../protocol/batch';
import type { Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';

const TIME = Nanos.fromSeconds(1_700_000_000, 0);

/** A batch of the events `firstSeq` …; the price of each is what `content` says of its number. */
export function tradesBatch(
  epoch: number,
  firstSeq: number,
  count: number,
  content: (seq: number) => number = (seq) => seq,
): WireBatch {
  const events = Array.from({ length: count }, (_, i): Trade => {
    const seq = firstSeq + i;
    return {
      type: 'trade',
      symbol: 'ACME',
      seq,
      prevSeq: seq - 1,
      eventTime: TIME,
      receiveTime: TIME,
      price: content(seq),
      quantity: 1,
      aggressor: 'buy',
      tradeId: 0,
      timing: null,
    };
  });
  return { epoch, firstSeq, lastSeq: firstSeq + count - 1, time: TIME, events, executions: [] };
}

/** The content of each event of such a batch. */
export function contentsOf(batch: WireBatch): number[] {
  return batch.events.map((event) => (event as Trade).price);
}
