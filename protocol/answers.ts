/** Answers to accepted requests. */

import type { MessageOf } from './messages';

/** Events of a publish that had no effect. */
export interface PublishIntake {
  readonly repeated: number;
  readonly waiting: number;
}

/** @param intake counts for a publish; zeros are omitted */
export function ackOf(id: number, seq: number, intake?: PublishIntake): MessageOf<'ack'> {
  const { repeated = 0, waiting = 0 } = intake ?? {};
  return {
    type: 'ack',
    id,
    seq,
    repeated: repeated || null,
    waiting: waiting || null,
    shards: null,
  };
}
