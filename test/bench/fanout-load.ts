/** The load of the bench `fanout`: sockets that are each on 10 of 50 topics, and turns of ticks on these. */

import type { Tick } from '../../protocol/messages';
import { SystemClock } from '../../src/base/clock';
import { TOPICS_PER_SESSION } from './spread';

const TOPICS = 50;

export type FanoutJob =
  | { readonly act: 'start'; readonly sockets: number }
  | {
      readonly act: 'push';
      /**
       * `broadcaster`; or, without one, a bare native publish of the same bytes: `topic` is one for each topic and
       * turn, `event` one for each event. A server that supports only one of them runs that one.
       */
      readonly mode: 'broadcaster' | 'topic' | 'event';
      readonly turns: number;
      /** Events in a turn. */
      readonly events: number;
    };

export interface FanoutDone {
  readonly port: number;
  /** Processor time of all threads of the server. */
  readonly cpuUs: number;
  /** Deliveries of events to sockets. */
  readonly deliveries: number;
}

export const FANOUT_SYMBOLS: readonly string[] = Array.from({ length: TOPICS }, (_, i) => `S${i}`);

export function deliveriesOf(events: number, sockets: number): number {
  return (events * sockets * TOPICS_PER_SESSION) / TOPICS;
}

/** Ticks in the order of a batch, one symbol after the other. */
export class TickLoad {
  seq = TOPICS;
  private readonly clock = new SystemClock();
  private readonly heads = new Map<string, number>();

  turn(events: number): Tick[] {
    const now = this.clock.now();
    return Array.from({ length: events }, (_, i) => {
      const symbol = FANOUT_SYMBOLS[i % TOPICS]!;
      const prevSeq = this.heads.get(symbol) ?? 0;
      this.heads.set(symbol, ++this.seq);
      return {
        type: 'tick',
        symbol,
        seq: this.seq,
        prevSeq,
        eventTime: now,
        receiveTime: now,
        last: 100,
        bid: 99,
        ask: 101,
        quantity: 1,
        volume: 9,
        count: 1,
      };
    });
  }
}

/**
 * Runs turns and adds up their times, after some that do not count: a server that waited for the others finds the
 * processor caches filled by them.
 * @param prepare makes what is to be pushed
 * @returns a push, which returns when everything is written
 */
export async function measureTurns(
  turns: number,
  prepare: () => () => Promise<void>,
): Promise<number> {
  let cpuUs = 0;
  for (let turn = -Math.ceil(turns / 4); turn < turns; turn++) {
    const push = prepare();
    const before = process.cpuUsage();
    await push();
    const { user, system } = process.cpuUsage(before);
    if (turn >= 0) cpuUs += user + system;
  }
  return cpuUs;
}

/** Waits until everything sent has been written, which may be after the turn. */
export async function written(isWaiting: () => boolean): Promise<void> {
  do await new Promise((resolve) => setTimeout(resolve, 1));
  while (isWaiting());
}
