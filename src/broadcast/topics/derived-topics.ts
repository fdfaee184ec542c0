/**
 * Derived topics: bars and statistics, which follow from the trades of the batches.
 *
 * They take no seq of their own: a message has that of the newest trade in it. Each batch in which
 * an instrument traded makes one message a topic, and one more for each bar that it ended or revised;
 * where nobody reads, the chain goes on and nothing is written. A bar that no trade ends is ended by the
 * clock: one timer, set to the earliest end (`bar-ends.ts`). A bar that is not kept any more is revised by whoever can read
 * the past (`onPast`). Bounded: the bars that `BarFold` keeps, for five intervals an instrument.
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

/** What a batch has changed of an instrument so far. */
interface Touched {
  /** A bit for each interval whose open bar it changed. */
  bars: number;
  /** Bars that were over, with the number of trades that came to each. */
  revised: Map<OpenBar, number> | null;
}

/** A trade came to a bar that only history can tell. */
export type OnPastBar = (symbol: string, interval: BarInterval, openTime: Nanos) => void;

export class DerivedTopics {
  private readonly clock: Clock;
  private readonly queue: (topic: TopicState, message: Message) => void;
  private readonly onPast: OnPastBar;
  /** Bars that are not kept any more, and to which trades came. */
  readonly late = new LateBars();
  private readonly touched = new Map<MirroredInstrument, Touched>();
  private readonly ends = new BarEnds();

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

  /** Takes the state of the time before on. */
  hydrate(instrument: MirroredInstrument, state: StatisticsState): void {
    const { statistics, barTopics, topics } = instrument;
    statistics.restore(state);
    topics.stats.head = statistics.session.seq;
    for (const [i, fold] of statistics.bars.entries()) {
      const kept = [...fold.recent, ...(fold.current === null ? [] : [fold.current])];
      barTopics[i]!.head = Math.max(0, ...kept.map(({ seq }) => seq));
      this.watch(i, instrument, fold);
    }
  }

  add(instrument: MirroredInstrument, trade: Trade): void {
    const { statistics, barTopics, topics } = instrument;
    if (!isLate(trade)) {
      statistics.session.add(trade);
      topics.stats.untold += 1;
    }
    const touched = this.touch(instrument);
    for (let i = 0; i < barTopics.length; i++) {
      const change = statistics.bars[i]!.add(trade);
      if (change === null || 'ended' in change) {
        const topic = barTopics[i]!;
        if (change !== null && !topic.final) {
          this.tellRevisedBefore(instrument, topic, touched, change.ended);
          this.tellBar(instrument, topic, change.ended, true);
        }
        topic.final = false;
        topic.untold += 1;
        touched.bars |= 1 << i;
      } else if ('revised' in change) {
        const revised = (touched.revised ??= new Map());
        revised.set(change.revised, (revised.get(change.revised) ?? 0) + 1);
      } else if (barTopics[i]!.isRead) {
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

  /** Ends a batch: publishes the newest state of what has traded. */
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
        // In the order of their newest trades, as everything on a topic.
        changed.sort((a, b) => a.seq - b.seq);
        for (const bar of changed) {
          if (bar === current) this.tellBar(instrument, topic, bar, false);
          else this.tellRevised(instrument, topic, bar, revised!.get(bar)!);
        }
        this.watch(i, instrument, fold);
      }
      const { stats } = topics;
      if (stats.untold === 0) continue;
      if (stats.isRead) {
        this.queue(stats, statistics.session.message(definition, stats.head, stats.untold));
      }
      stats.head = statistics.session.seq;
      stats.untold = 0;
    }
    this.touched.clear();
  }

  /**
   * Publishes a bar that had ended before, as history has it now. Its seq is that of its newest trade, which
   * may be below the head of its topic: trades that came to it meanwhile are not in it.
   * @param lastSeq the newest seq pushed
   */
  revise(instrument: MirroredInstrument, bar: Bar, lastSeq: number): void {
    const topic = instrument.topics[`bar:${bar.interval}`];
    this.late.published(topic, bar.openTime.seconds, bar.seq, lastSeq);
    const seq = Math.min(bar.seq, lastSeq); // the journal may be ahead of what was pushed
    if (topic.isRead)
      this.queue(topic, { ...bar, seq, prevSeq: topic.head, final: true, count: 0 });
    topic.head = Math.max(topic.head, seq);
  }

  /** When `endBars` is to be called next; null when there is nothing to end. */
  nextEnd(): Nanos | null {
    return this.ends.next;
  }

  /** Ends bars that are over by the clock, so many at most: of those that are left `nextEnd` tells. */
  endBars(most: number): void {
    const now = this.clock.now();
    for (let i = 0; i < most; i++) {
      const end = this.ends.take(now);
      if (end === undefined) return;
      const { instrument, index } = end;
      const { current } = instrument.statistics.bars[index]!;
      const over = barEndsByClock(current!);
      if (over === null) continue;
      if (over.compare(now) > 0) this.ends.add({ at: over, instrument, index });
      else this.tellEnd(instrument, instrument.barTopics[index]!, current!);
    }
  }

  /** Once: a bar that a later trade did not change stays as it ended. */
  private tellEnd(instrument: MirroredInstrument, topic: TopicState, bar: OpenBar): void {
    if (!topic.final) this.tellBar(instrument, topic, bar, true);
  }

  /** The newest state of a topic, as a new reader gets it; null before the first trade. */
  state(instrument: MirroredInstrument, topic: TopicState): Message | null {
    const { statistics, topics, definition } = instrument;
    if (statistics.session.seq === 0) return null;
    if (topic === topics.stats) return statistics.session.message(definition, 0, 1);
    return topic.whole?.() ?? null;
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
    topic.head = Math.max(topic.head, bar.seq);
    topic.untold = 0;
    topic.final = final;
  }

  /** Those of the interval that were revised before a bar got its newest trade: so seqs ascend as they are. */
  private tellRevisedBefore(
    instrument: MirroredInstrument,
    topic: TopicState,
    { revised }: Touched,
    { interval, seq }: OpenBar,
  ): void {
    if (revised === null) return;
    const before = [...revised.keys()].filter((bar) => bar.interval === interval && bar.seq < seq);
    for (const bar of before.sort((a, b) => a.seq - b.seq)) {
      this.tellRevised(instrument, topic, bar, revised.get(bar)!);
      revised.delete(bar);
    }
  }

  private tellRevised(
    { definition }: MirroredInstrument,
    topic: TopicState,
    bar: OpenBar,
    count: number,
  ): void {
    if (topic.isRead)
      this.queue(topic, barMessage(definition.symbol, bar, topic.head, true, count));
    topic.head = Math.max(topic.head, bar.seq);
  }

  private watch(index: number, instrument: MirroredInstrument, { current }: BarFold): void {
    const at = current && barEndsByClock(current);
    if (at !== null) this.ends.add({ at, instrument, index }); // else only a trade ends it
  }
}
