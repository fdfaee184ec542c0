/**
 * Derived topics: bars and statistics, which follow from the trades of the batches.
 *
 * Their messages have no sequence numbers of their own: a message has that of the newest trade in
 * it. Each batch with trades of an instrument makes one message for each of its topics, and one
 * more for each bar that it ended or revised. For a topic without readers the chain continues and
 * nothing is encoded. A bar ends with the first trade of a later one, else by the clock: one timer,
 * set to the earliest end (`bar-ends.ts`). A trade of a bar that is no longer in memory is reported
 * by `onPast`; `app/bar-revisions.ts` reads that bar from the journal and calls `revise`.
 *
 * Bounded: by the bars that `BarFold` keeps, for five intervals an instrument.
 */

import {
  barEndsByClock,
  barMessage,
  type BarFold,
  type BarInterval,
  type OpenBar,
} from '../../../protocol/bars';
import { BAR_INTERVALS } from '../../../protocol/messages';
import type { Bar, Message, Trade } from '../../../protocol/messages';
import type { StatisticsState } from '../../../protocol/statistics';
import type { Nanos } from '../../../protocol/time';
import { isLate } from '../../../protocol/trade-time';
import type { Clock } from '../../base/clock';
import { BarEnds } from './bar-ends';
import { LateBars } from './late-bars';
import type { MirroredInstrument, TopicState } from './mirror';

/** What the batch has changed of an instrument so far. */
interface Touched {
  /** One bit for each interval whose open bar changed. */
  bars: number;
  /** Ended bars that got trades, with the number of trades. */
  revised: Map<OpenBar, number> | null;
}

/** Called for a trade in a bar that only history knows. */
export type OnPastBar = (symbol: string, interval: BarInterval, openTime: Nanos) => void;

export class DerivedTopics {
  private readonly clock: Clock;
  private readonly queue: (topic: TopicState, message: Message) => void;
  private readonly onPast: OnPastBar;
  /** Bars that are no longer in memory and got trades. */
  readonly late = new LateBars();
  private readonly touched = new Map<MirroredInstrument, Touched>();
  private readonly barEnds = new BarEnds();

  /** @param queue takes a message for the readers of its topic */
  constructor(
    clock: Clock,
    queue: (topic: TopicState, message: Message) => void,
    onPast: OnPastBar = () => {},
  ) {
    this.clock = clock;
    this.queue = queue;
    this.onPast = onPast;
  }

  /** Restores the state of an instrument. */
  restore(instrument: MirroredInstrument, state: StatisticsState): void {
    const { statistics, barTopics, topics } = instrument;
    statistics.restore(state);
    topics.stats.head = statistics.session.seq;
    for (const [i, fold] of statistics.bars.entries()) {
      const kept = [...fold.recent, ...(fold.current === null ? [] : [fold.current])];
      barTopics[i]!.head = Math.max(0, ...kept.map(({ seq }) => seq));
      this.noteEnd(i, instrument, fold);
    }
  }

  add(instrument: MirroredInstrument, trade: Trade): void {
    const { statistics, barTopics, topics } = instrument;
    if (!isLate(trade)) {
      statistics.session.add(trade);
      topics.stats.unsentTrades += 1;
    }
    const touched = this.touch(instrument);
    for (let i = 0; i < barTopics.length; i++) {
      const change = statistics.bars[i]!.add(trade);
      if (change === null || 'ended' in change) {
        const topic = barTopics[i]!;
        if (change !== null && !topic.isFinal) {
          this.publishRevisedBefore(instrument, topic, touched, change.ended);
          this.publishBar(instrument, topic, change.ended, true);
        }
        topic.isFinal = false;
        topic.unsentTrades += 1;
        touched.bars |= 1 << i;
      } else if ('revised' in change) {
        const revised = (touched.revised ??= new Map());
        revised.set(change.revised, (revised.get(change.revised) ?? 0) + 1);
      } else if (barTopics[i]!.hasReaders) {
        this.late.add(barTopics[i]!, change.past.seconds, trade.seq);
        this.onPast(instrument.definition.symbol, BAR_INTERVALS[i]!, change.past);
      }
    }
  }

  private touch(instrument: MirroredInstrument): Touched {
    let touched = this.touched.get(instrument);
    if (touched === undefined) {
      touched = { bars: 0, revised: null };
      this.touched.set(instrument, touched);
    }
    return touched;
  }

  /** Ends a batch: queues the newest state of what has traded. */
  seal(): void {
    for (const [instrument, { bars, revised }] of this.touched) {
      const { statistics, barTopics, topics, definition } = instrument;
      for (const [i, fold] of statistics.bars.entries()) {
        const topic = barTopics[i]!;
        const current = (bars & (1 << i)) === 0 ? null : fold.current;
        const changed =
          revised === null
            ? []
            : [...revised.keys()].filter(({ interval }) => interval === fold.interval);
        if (current !== null) changed.push(current);
        // In the order of their seqs, like all messages of a topic.
        changed.sort((a, b) => a.seq - b.seq);
        for (const bar of changed) {
          if (bar === current) this.publishBar(instrument, topic, bar, false);
          else this.publishRevised(instrument, topic, bar, revised!.get(bar)!);
        }
        this.noteEnd(i, instrument, fold);
      }
      const { stats } = topics;
      if (stats.unsentTrades === 0) continue;
      if (stats.hasReaders) {
        this.queue(stats, statistics.session.message(definition, stats.head, stats.unsentTrades));
      }
      stats.head = statistics.session.seq;
      stats.unsentTrades = 0;
    }
    this.touched.clear();
  }

  /**
   * Queues a new state of an ended bar, as history has it. Its seq is that of its newest trade and
   * may be below the head of the topic, which later trades have moved.
   * @param lastSeq the newest published sequence number
   */
  revise(instrument: MirroredInstrument, bar: Bar, lastSeq: number): void {
    const topic = instrument.topics[`bar:${bar.interval}`];
    this.late.published(topic, bar.openTime.seconds, bar.seq, lastSeq);
    const seq = Math.min(bar.seq, lastSeq); // the journal may be ahead of what was published
    if (topic.hasReaders)
      this.queue(topic, { ...bar, seq, prevSeq: topic.head, final: true, count: 0 });
    topic.head = Math.max(topic.head, seq);
  }

  /** When to call `endBars` next; null if no bar is open. */
  nextEnd(): Nanos | null {
    return this.barEnds.next;
  }

  /**
   * Ends at most this many bars whose time is over; `nextEnd` is in the past while some are left.
   */
  endBars(most: number): void {
    const now = this.clock.now();
    for (let i = 0; i < most; i++) {
      const end = this.barEnds.take(now);
      if (end === undefined) return;
      const { instrument, index } = end;
      const { current } = instrument.statistics.bars[index]!;
      const over = barEndsByClock(current!);
      if (over === null) continue;
      if (over.compare(now) > 0) this.barEnds.add({ at: over, instrument, index });
      else this.publishEnd(instrument, instrument.barTopics[index]!, current!);
    }
  }

  /** Publishes the end of a bar, unless it is published already and no trade has changed the bar since. */
  private publishEnd(instrument: MirroredInstrument, topic: TopicState, bar: OpenBar): void {
    if (!topic.isFinal) this.publishBar(instrument, topic, bar, true);
  }

  /** The current state of a topic for a new reader; null before the first trade. */
  state(instrument: MirroredInstrument, topic: TopicState): Message | null {
    const { statistics, topics, definition } = instrument;
    if (statistics.session.seq === 0) return null;
    if (topic === topics.stats) return statistics.session.message(definition, 0, 1);
    return topic.whole?.() ?? null;
  }

  private publishBar(
    { definition }: MirroredInstrument,
    topic: TopicState,
    bar: OpenBar,
    final: boolean,
  ): void {
    if (topic.hasReaders) {
      const { head, unsentTrades } = topic;
      this.queue(topic, barMessage(definition.symbol, bar, head, final, unsentTrades));
    }
    topic.head = Math.max(topic.head, bar.seq);
    topic.unsentTrades = 0;
    topic.isFinal = final;
  }

  /**
   * Publishes revised bars of the interval whose newest trade precedes that of the given bar, so
   * that seqs ascend.
   */
  private publishRevisedBefore(
    instrument: MirroredInstrument,
    topic: TopicState,
    { revised }: Touched,
    { interval, seq }: OpenBar,
  ): void {
    if (revised === null) return;
    const before = [...revised.keys()].filter((bar) => bar.interval === interval && bar.seq < seq);
    for (const bar of before.sort((a, b) => a.seq - b.seq)) {
      this.publishRevised(instrument, topic, bar, revised.get(bar)!);
      revised.delete(bar);
    }
  }

  private publishRevised(
    { definition }: MirroredInstrument,
    topic: TopicState,
    bar: OpenBar,
    count: number,
  ): void {
    if (topic.hasReaders)
      this.queue(topic, barMessage(definition.symbol, bar, topic.head, true, count));
    topic.head = Math.max(topic.head, bar.seq);
  }

  private noteEnd(index: number, instrument: MirroredInstrument, { current }: BarFold): void {
    const at = current && barEndsByClock(current);
    if (at !== null) this.barEnds.add({ at, instrument, index }); // otherwise only a trade ends it
  }
}
