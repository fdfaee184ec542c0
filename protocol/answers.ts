/** Answers to requests that were taken. */

import type { MessageOf } from './messages';

/** What became of the events of a publish, besides those that were recorded. */
export interface PublishIntake {
  readonly repeated: number;
  readonly waiting: number;
}

/** @param intake of a publish; zeros are left out */
export function ackOf(id: number, seq: number, intake?: PublishIntake): MessageOf<'ack'> {
  const { repeated = 0, waiting = 0 } = intake ?? {};
  return { type: 'ack', id, seq, repeated: repeated || null, waiting: waiting || null };
}
