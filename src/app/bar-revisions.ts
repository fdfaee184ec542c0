/**
 * Bar revisions: bars that a late trade changed after they had ended, and that are no longer in memory. They are read
 * from the journal and published again.
 *
 * Bars are collected for a while, so that a run of late trades causes one question for each bar. They are read one
 * after the other, so that a backfill does not occupy the history thread. The journal is flushed before each question,
 * so the answer contains the trade. Bound: `REVISIONS_WAITING_MAX` bars. Beyond it the oldest are dropped and counted;
 * readers then get them from `/v1/bars` alone.
 */

import type { BarInterval } from '../../protocol/bars';
import { decodeTextFrame, isFault } from '../../protocol/codec';
import type { Fault } from '../../protocol/codes';
import type { Bar } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { ScalesOf } from '../../protocol/units';
import type { Clock } from '../base/clock';
import type { TurnMeter } from '../base/turn-meter';
import type { Broadcaster } from '../broadcast/broadcaster';
import type { PastQuestions } from './past';
import type { Limits } from './reload';
import type { Repeated } from '../log/repeated';

export const REVISIONS_WAITING_MAX = 10_000;
/** How long bars are collected. */
const COLLECT_MS = 100;
/** Time until a question that could not be answered is asked again. */
const RETRY_MS = 1_000;

interface Wanted {
  readonly symbol: string;
  readonly interval: BarInterval;
  readonly openTime: Nanos;
}

export interface RevisionStages {
  /** The bar that begins at a time, as the JSON text of an array of messages. */
  readonly read: (
    bar: Wanted,
  ) => Promise<{ readonly items: string; readonly gaps?: readonly unknown[] } | Fault>;
  readonly publish: (bars: readonly Bar[]) => void;
  readonly scalesOf: ScalesOf;
  readonly turns: TurnMeter;
  /** Called for a bar that is not published again, with the reason. */
  readonly lost: (reason: string, bar: Wanted) => void;
  /** Called on a defect; the waiting bars are tried again. */
  readonly failed: (error: unknown) => void;
}

export class BarRevisions {
  /** Published again, and dropped, since the start. */
  readonly counts = { revised: 0, dropped: 0 };
  private readonly stages: RevisionStages;
  private readonly waiting = new Map<string, Wanted>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isReading = false;
  private isStopped = false;

  constructor(stages: RevisionStages) {
    this.stages = stages;
  }

  /** A bar differs from what was published. */
  add(symbol: string, interval: BarInterval, openTime: Nanos): void {
    if (this.isStopped) return;
    const { waiting } = this;
    const key = `${interval} ${openTime.toString()} ${symbol}`;
    if (waiting.has(key)) return;
    if (waiting.size === REVISIONS_WAITING_MAX)
      this.drop(waiting.keys().next().value!, 'too many wait');
    waiting.set(key, { symbol, interval, openTime });
    this.readIn(COLLECT_MS);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.waiting.clear();
  }

  private readIn(ms: number): void {
    if (this.isReading || this.isStopped) return;
    this.timer ??= this.stages.turns.later('bars', ms, () => void this.readAll());
  }

  /** Reads the bars that wait now; those added meanwhile are collected for the next round. */
  private async readAll(): Promise<void> {
    this.timer = undefined;
    this.isReading = true;
    let isRefused = true; // whatever goes wrong, it is tried again
    try {
      isRefused = await this.readWaiting();
    } catch (e) {
      this.stages.failed(e);
    } finally {
      this.isReading = false;
      if (this.waiting.size > 0) this.readIn(isRefused ? RETRY_MS : COLLECT_MS);
    }
  }

  /** @returns whether an answer could not be given now */
  private async readWaiting(): Promise<boolean> {
    for (const [key, bar] of Array.from(this.waiting)) {
      // It may have been dropped. Changes from now on are for the next round.
      if (!this.waiting.delete(key)) continue;
      const answer = await this.stages.read(bar);
      if (this.isStopped) return false;
      if (!('code' in answer)) {
        // Without all its trades the bar would be published wrong.
        if ((answer.gaps ?? []).length > 0) this.lose(bar, 'records of it are missing');
        else this.publish(answer.items);
      } else if (answer.code === 'overloaded' || answer.code === 'history-failed') {
        this.waiting.set(key, bar);
        return true;
      } else this.lose(bar, answer.message);
    }
    return false;
  }

  private publish(items: string): void {
    const messages = decodeTextFrame(items, this.stages.scalesOf);
    const bars = messages.filter((m): m is Bar => !isFault(m) && m.type === 'bar');
    this.counts.revised += bars.length;
    this.stages.publish(bars);
  }

  private drop(key: string, reason: string): void {
    const bar = this.waiting.get(key)!;
    this.waiting.delete(key);
    this.lose(bar, reason);
  }

  private lose(bar: Wanted, reason: string): void {
    this.counts.dropped += 1;
    this.stages.lost(reason, bar);
  }
}

/** Connects the broadcaster's bars to the history thread. */
export function reviseBars(
  broadcaster: Broadcaster,
  history: PastQuestions,
  limits: Limits,
  clock: Clock,
  repeated: Repeated,
): BarRevisions {
  const revisions = new BarRevisions({
    read: ({ symbol, interval, openTime }) =>
      history.ask({
        kind: 'bars',
        symbol,
        interval,
        from: openTime,
        to: openTime.plus(1),
        limit: 1,
        tradesMax: limits.barTradesMax,
        now: clock.now(),
      }),
    publish: (bars) => broadcaster.revise(bars),
    scalesOf: broadcaster.encoders.scalesOf,
    turns: clock.turns,
    lost: (reason, bar) =>
      repeated.report(
        'warn',
        'a bar that a late trade changed is not published again',
        'revision',
        {
          reason,
          ...bar,
        },
      ),
    failed: (error) =>
      repeated.report('error', 'a bar could not be read again', 'revision', {
        error: String(error),
      }),
  });
  broadcaster.onPastBar = (symbol, interval, openTime) => revisions.add(symbol, interval, openTime);
  return revisions;
}
