/**
 * Derived topics: bars and statistics, which follow from the trades of the batches.
 *
 * They take no places of their own: a message has that of the newest trade in it. Each batch in which
 * an instrument traded makes one message a topic, and one more for each bar that it ended; where
 * nobody reads, the chain goes on and nothing is written. A bar that no trade ends is ended by the
 * clock: one timer, set to the earliest end. Bounded: five bars an instrument.
 */

import { barEndsByClock, barMessage, type BarFold, type OpenBar } from '../../protocol/bars';
import { BAR_INTERVALS } from '../../protocol/messages';
import type { Message, Trade } from '../../protocol/messages';
import type { StatisticsState } from '../../protocol/statistics';
import type { Nanos } from '../../protocol/time';
import type { Clock } from '../base/clock';
import type { MirroredInstrument, TopicState } from './mirror';

/** The bars of one interval that the clock may have to end. */
interface Watch {
  readonly on: Set<MirroredInstrument>;
  /** The earliest of their ends, or an earlier moment; null when there is none. */
  next: Nanos | null;
}

export class DerivedTopics {
  private readonly clock: Clock;
  private readonly queue: (topic: TopicState, message: Message) => void;
  private readonly touched = new Set<MirroredInstrument>();
  /** In the order of `BAR_INTERVALS`. */
  private readonly watches: readonly Watch[] = BAR_INTERVALS.map(() => ({
    on: new Set(),
    next: null,
  }));

  /** @param queue takes a message for the readers of its topic */
  constructor(clock: Clock, queue: (topic: TopicState, message: Message) => void) {
    this.clock = clock;
    this.queue = queue;
  }

  /** Takes the state of the time before on. */
  hydrate(instrument: MirroredInstrument, state: StatisticsState): void {
    const { statistics, barTopics, topics } = instrument;
    statistics.restore(state);
    topics.stats.head = statistics.session.seq;
    for (const [i, fold] of statistics.bars.entries()) {
      barTopics[i]!.head = statistics.session.seq;
      this.watch(i, instrument, fold);
    }
  }

  add(instrument: MirroredInstrument, trade: Trade): void {
    const { statistics, barTopics, topics } = instrument;
    statistics.session.add(trade);
    topics.stats.untold += 1;
    for (let i = 0; i < barTopics.length; i++) {
      const topic = barTopics[i]!;
      const fold = statistics.bars[i]!;
      const ended = fold.add(trade);
      if (ended !== null && !topic.final) this.tellBar(instrument, topic, ended, true);
      topic.final = false;
      topic.untold += 1;
    }
    this.touched.add(instrument);
  }

  /** Ends a batch: tells the newest state of what has traded. */
  seal(): void {
    for (const instrument of this.touched) {
      const { statistics, barTopics, topics, definition } = instrument;
      for (const [i, fold] of statistics.bars.entries()) {
        this.tellBar(instrument, barTopics[i]!, fold.current!, false);
        this.watch(i, instrument, fold);
      }
      const { stats } = topics;
      if (stats.isRead) {
        this.queue(stats, statistics.session.message(definition, stats.head, stats.untold));
      }
      stats.head = statistics.session.seq;
      stats.untold = 0;
    }
    this.touched.clear();
  }

  /** When `endBars` is to be called next; null when there is nothing to end. */
  nextEnd(): Nanos | null {
    let earliest: Nanos | null = null;
    for (const { next } of this.watches) {
      if (next !== null && (earliest === null || next.compare(earliest) < 0)) earliest = next;
    }
    return earliest;
  }

  /** Ends the bars that are over by the clock. */
  endBars(): void {
    const now = this.clock.now();
    for (const [i, watch] of this.watches.entries()) {
      if (watch.next === null || watch.next.compare(now) > 0) continue;
      watch.next = null;
      for (const instrument of watch.on) {
        const fold = instrument.statistics.bars[i]!;
        const over = barEndsByClock(fold.current!);
        if (over !== null && over.compare(now) > 0) {
          watch.next = earlier(watch.next, over);
          continue;
        }
        watch.on.delete(instrument);
        if (over !== null) {
          this.tellBar(instrument, instrument.barTopics[i]!, fold.current!, true);
        }
      }
    }
  }

  /** The newest state of a topic, as a new reader gets it; null before the first trade. */
  state(instrument: MirroredInstrument, topic: TopicState): Message | null {
    const { statistics, barTopics, topics, definition } = instrument;
    if (statistics.session.seq === 0) return null;
    if (topic === topics.stats) return statistics.session.message(definition, 0, 1);
    const bar = statistics.bars[barTopics.indexOf(topic)]?.current ?? null;
    return bar && barMessage(definition.symbol, bar, 0, topic.final, 1);
  }

  private tellBar(
    { definition }: MirroredInstrument,
    topic: TopicState,
    bar: OpenBar,
    final: boolean,
  ): void {
    if (topic.isRead) {
      const { head, untold } = topic;
      this.queue(topic, barMessage(definition.symbol, bar, head, final, untold));
    }
    topic.head = bar.seq;
    topic.untold = 0;
    topic.final = final;
  }

  private watch(index: number, instrument: MirroredInstrument, { current }: BarFold): void {
    const over = current && barEndsByClock(current);
    if (over === null) return; // if it is watched, that finds out by itself
    const watch = this.watches[index]!;
    watch.on.add(instrument);
    watch.next = earlier(watch.next, over);
  }
}

function earlier(a: Nanos | null, b: Nanos): Nanos {
  return a === null || b.compare(a) < 0 ? b : a;
}
