/**
 * Bar resume: the bars that a reader missed, as the current state of each bar that may differ from
 * the reader's. Those are the bars that a trade after the reader's position touched, the bar that
 * was the newest at the position (it may have ended), bars that may not have been published yet
 * [D8], and the newest bar.
 *
 * If memory reaches back, its trades say which bars these are; otherwise the journal does. Bars
 * that are not in memory are read from the journal. Trades that come meanwhile are followed in
 * memory, and bars that they touch are read again, so nothing is missing in the turn in which the
 * reader joins. A topic with too many bars, or whose bars the journal does not have completely, is
 * `lost` and gets a reset.
 *
 * Bounded: bars of a topic and of a resume, and queries for a topic.
 */

import { BAR_SECONDS, barMessage, type OpenBar } from '../../../protocol/bars';
import { BAR_INTERVALS } from '../../../protocol/messages';
import type { Bar, Trade } from '../../../protocol/messages';
import type { BatchEvent } from '../../../protocol/records';
import { Nanos } from '../../../protocol/time';
import { marketTime } from '../../../protocol/trade-time';
import type { LateBars } from '../topics/late-bars';
import type { MirroredInstrument, TopicState } from '../topics/mirror';
import { lookFromOf } from './resume-messages';
import type { BarsBehind, BarsBehindRequest, PastBar, TopicBars } from '../../base/contracts/past';
import type { PastBarQueries } from './past-bars';

/** Bars sent of one topic, and of all topics of a resume. */
export const TOPIC_BARS_MAX = 1_000;
export const RESUME_BARS_MAX = 20_000;
/** Events in memory that are gone through at first. */
const LOOKED_MAX = 10_000;
const INSTRUMENTS_A_QUESTION = 16;
/** Queries for one topic; a bar that trades touch all the time would be read without end. */
const ASKED_MAX = 8;

/** What is known of a topic. */
interface Tracked {
  readonly topic: TopicState;
  readonly instrument: MirroredInstrument;
  /** Index of its interval. */
  readonly index: number;
  /** The sequence number up to which everything is known; null: nothing is known. */
  asOf: number | null;
  /** Opening seconds of touched bars, with the number of trades after the position. */
  touched: Map<number, number>;
  /**
   * Bars that began after the position and later than all before them, with the sequence number
   * that began each.
   */
  fronts: (readonly [second: number, seq: number])[];
  /**
   * The opening second of the newest bar at the position; null: there was none; undefined: not
   * known.
   */
  newest: number | null | undefined;
  past: Map<number, PastBar>;
  asked: number;
  isLost: boolean;
}

export interface BarResumeStage {
  readonly questions: PastBarQueries | null;
  /** The client that it is for. */
  readonly client: string;
  readonly late: LateBars;
  lastSeq(): number;
  readonly since: (seq: number) => Iterable<readonly BatchEvent[]> | undefined;
  /** Called when everything may be known. */
  ready(): void;
  /** Whether nobody waits for it any more. */
  isGone(): boolean;
}

export interface ResumedBars {
  readonly messages: readonly Bar[];
  readonly lost: ReadonlySet<TopicState>;
}

export class BarResume {
  private readonly stage: BarResumeStage;
  private readonly seq: number;
  private readonly lookFrom: number;
  private readonly all: Tracked[] = [];
  private readonly bySymbol = new Map<string, Tracked[]>();
  private readonly known = new Set<TopicState>();
  /** The `asOf` of topics that are added; for one that is added later nothing precedes. */
  private beginAt: number | null;
  private isAsking = false;

  /**
   * @param seq the position of the reader
   * @param lookFrom at or below it: bars that trades after this touched are sent as well
   */
  constructor(stage: BarResumeStage, seq: number, lookFrom: number) {
    this.stage = stage;
    this.seq = seq;
    this.lookFrom = lookFrom;
    this.beginAt = stage.lastSeq() - lookFrom <= LOOKED_MAX ? lookFrom : null;
  }

  /** For a position in a past epoch, which may have left bars unpublished. */
  static fromPast(stage: BarResumeStage, seq: number): BarResume {
    return new BarResume(stage, seq, lookFromOf(seq, stage.since));
  }

  /**
   * Whether everything is known in this turn; if not, it is queried and `ready` is called later.
   * This is called at each look and pong of the session, so it does nothing while a query is under
   * way.
   * @param topics of bars; topics of new instruments may be added later
   */
  isReady(topics: () => Iterable<readonly [TopicState, MirroredInstrument]>): boolean {
    if (this.isAsking) return false;
    for (const [topic, instrument] of topics()) {
      if (!this.known.has(topic)) this.track(topic, instrument);
    }
    this.beginAt = this.stage.lastSeq();
    this.follow();
    if (this.missing().length === 0) return true;
    void this.askAll();
    return false;
  }

  /** The messages. Only in a turn in which `isReady` returned true. */
  messages(): ResumedBars {
    const messages: Bar[] = [];
    const lost = new Set<TopicState>();
    for (const tracked of this.all) {
      const { topic } = tracked;
      const wanted = this.wanted(tracked);
      const isTooMuch = wanted === null || messages.length + wanted.size > RESUME_BARS_MAX;
      if (tracked.isLost || isTooMuch) lost.add(topic);
      else messages.push(...this.messagesOf(tracked, wanted));
    }
    return { messages, lost };
  }

  private track(topic: TopicState, instrument: MirroredInstrument): void {
    this.known.add(topic);
    const index = instrument.barTopics.indexOf(topic);
    const tracked: Tracked = {
      topic,
      instrument,
      index,
      asOf: this.beginAt,
      touched: new Map(),
      fronts: [],
      newest: undefined,
      past: new Map(),
      asked: 0,
      isLost: false,
    };
    this.all.push(tracked);
    const { symbol } = instrument.definition;
    const own = this.bySymbol.get(symbol);
    if (own === undefined) this.bySymbol.set(symbol, [tracked]);
    else own.push(tracked);
  }

  /** Follows the trades since the last call. */
  private follow(): void {
    const { stage, all } = this;
    const lastSeq = stage.lastSeq();
    const behind = all.filter(({ asOf, isLost }) => asOf !== null && asOf < lastSeq && !isLost);
    if (behind.length === 0) return;
    const from = Math.min(...behind.map(({ asOf }) => asOf!));
    const runs = stage.since(from);
    if (runs === undefined) {
      for (const tracked of behind) tracked.asOf = null;
      return;
    }
    for (const run of runs) {
      for (const event of run) {
        if (event.seq > lastSeq) break; // not published yet: it follows live
        if (event.type !== 'trade') continue;
        const own = this.bySymbol.get(event.symbol);
        if (own !== undefined) for (const tracked of own) this.touch(tracked, event);
      }
    }
    for (const tracked of behind) tracked.asOf = lastSeq;
  }

  private touch(tracked: Tracked, trade: Trade): void {
    if (tracked.asOf === null || trade.seq <= tracked.asOf) return;
    const { touched, past } = tracked;
    const { seconds } = marketTime(trade).floorToSeconds(
      BAR_SECONDS[BAR_INTERVALS[tracked.index]!],
    );
    const isBehind = trade.seq > this.seq;
    touched.set(seconds, (touched.get(seconds) ?? 0) + (isBehind ? 1 : 0));
    past.delete(seconds);
    if (isBehind && seconds > (tracked.fronts.at(-1)?.[0] ?? -1))
      tracked.fronts.push([seconds, trade.seq]);
    if (trade.prevSeq === 0 && isBehind && tracked.newest === undefined) tracked.newest = null;
  }

  /** Topics of which something must be read. */
  private missing(): Tracked[] {
    return this.all.filter((tracked) => {
      if (tracked.isLost) return false;
      if (tracked.asOf === null) return true;
      const wanted = this.wanted(tracked);
      if (wanted === null) return false;
      const { past, newest } = tracked;
      if (newest === undefined) return true;
      const isKept = keptAmong(tracked, wanted.size);
      for (const second of wanted) if (!isKept(second) && !past.has(second)) return true;
      return false;
    });
  }

  /** Opening seconds of all bars to send except the newest; null if they are too many. */
  private wanted(tracked: Tracked): Set<number> | null {
    const unsure = this.stage.late.unsure(tracked.topic, this.seq);
    if (unsure === undefined) return null;
    if (tracked.newest === undefined) tracked.newest = newestAt(tracked);
    const wanted = new Set([...tracked.touched.keys(), ...unsure]);
    if (typeof tracked.newest === 'number') wanted.add(tracked.newest);
    return wanted.size > TOPIC_BARS_MAX ? null : wanted;
  }

  private async askAll(): Promise<void> {
    this.isAsking = true;
    while (!this.stage.isGone()) {
      this.follow();
      const missing = this.missing();
      if (missing.length === 0) break;
      await this.ask(missing);
    }
    this.isAsking = false;
    if (!this.stage.isGone()) this.stage.ready();
  }

  private async ask(missing: readonly Tracked[]): Promise<void> {
    const { questions } = this.stage;
    const groups = groupsOf(missing);
    for (const tracked of groups.flat()) {
      tracked.asked += 1;
      if (questions === null || tracked.asked > ASKED_MAX) tracked.isLost = true;
    }
    const asked = groups
      .map((own) => own.filter(({ isLost }) => !isLost))
      .filter((own) => own.length > 0);
    if (asked.length === 0 || questions === null) return;
    let request: BarsBehindRequest | undefined;
    const distance = this.stage.lastSeq() - this.lookFrom;
    const answer = await questions.ask(this.stage.client, distance, () => {
      if (this.stage.isGone()) return null;
      return (request = this.request(asked));
    });
    if (answer === null || request === undefined) return;
    if ('code' in answer) {
      for (const tracked of asked.flat()) tracked.isLost = true;
    } else this.take(asked, answer, request.upTo);
  }

  private request(asked: readonly (readonly Tracked[])[]): BarsBehindRequest {
    const { late } = this.stage;
    const instruments = asked.map((own) => ({
      symbol: own[0]!.instrument.definition.symbol,
      topics: own.map((tracked) => ({
        interval: BAR_INTERVALS[tracked.index]!,
        below: Math.min(...keptOf(tracked).keys()),
        also: late.unsure(tracked.topic, this.seq) ?? [],
      })),
    }));
    return { instruments, after: this.seq, lookFrom: this.lookFrom, upTo: this.stage.lastSeq() };
  }

  private take(asked: readonly (readonly Tracked[])[], answer: BarsBehind, upTo: number): void {
    for (const [i, own] of asked.entries()) {
      const answers = answer.instruments[i];
      for (const [j, tracked] of own.entries()) {
        if (answers === undefined)
          tracked.asked -= 1; // the answer had no room for it
        else takeTopic(tracked, answers[j]!, upTo);
      }
    }
  }

  /**
   * The messages of a topic in the order of their seqs, so that a reader that is disconnected among
   * them can resume from the last one. A reader may have got a bar as the newest at any sequence
   * number before the trade that ended it, so the seq of its end is not below that.
   */
  private messagesOf(tracked: Tracked, wanted: ReadonlySet<number>): Bar[] {
    const { instrument, topic, index, touched, past, fronts } = tracked;
    const { symbol } = instrument.definition;
    const { current } = instrument.statistics.bars[index]!;
    if (current === null) return [];
    const kept = keptOf(tracked);
    const newest = current.openTime.seconds;
    const bars: { readonly bar: OpenBar; readonly seq: number; readonly count: number }[] = [];
    let next = 0;
    for (const second of [...wanted].sort((a, b) => a - b)) {
      if (second === newest) continue;
      const bar = kept.get(second) ?? openBar(past.get(second)!, index);
      while (next < fronts.length && fronts[next]![0] <= second) next += 1;
      const wasNewest = second >= (tracked.newest ?? 0) && next < fronts.length;
      const seq = wasNewest ? Math.max(bar.seq, fronts[next]![1] - 1) : bar.seq;
      bars.push({ bar, seq, count: touched.get(second) ?? 0 });
    }
    bars.push({ bar: current, seq: topic.head, count: touched.get(newest) ?? 0 });
    // Of two with the same seq, the one whose own trade has it comes first: from there on the other is the newest.
    bars.sort((a, b) => a.seq - b.seq || b.bar.seq - a.bar.seq);
    let prevSeq = 0;
    return bars.map(({ bar, seq, count }) => {
      const isFinal = bar !== current || topic.isFinal;
      const message = Object.assign(barMessage(symbol, bar, seq, isFinal, count), { prevSeq });
      prevSeq = message.seq;
      return message;
    });
  }
}

function takeTopic(tracked: Tracked, answer: TopicBars | 'not-kept', upTo: number): void {
  if (answer === 'not-kept') {
    tracked.isLost = true;
    return;
  }
  tracked.asOf = upTo;
  tracked.touched = new Map(answer.touched);
  tracked.fronts = [...answer.fronts];
  tracked.newest = answer.newest;
  tracked.past = new Map(answer.bars.map((bar) => [bar.second, bar]));
}

/** The bars of a topic that are in memory, by opening second. */
function keptOf({ instrument, index }: Tracked): Map<number, OpenBar> {
  const { current, recent } = instrument.statistics.bars[index]!;
  const bars = current === null ? recent : [...recent, current];
  return new Map(bars.map((bar) => [bar.openTime.seconds, bar]));
}

/** The newest bar in memory with a trade up to the position; undefined if none has one. */
function newestAt(tracked: Tracked): number | null | undefined {
  const { touched, instrument, index } = tracked;
  const { current, recent } = instrument.statistics.bars[index]!;
  if (current === null) return null;
  const isOlder = ({ openTime, trades }: OpenBar): boolean =>
    trades > (touched.get(openTime.seconds) ?? 0);
  return (isOlder(current) ? current : recent.findLast(isOlder))?.openTime.seconds;
}

/**
 * Up to this many are searched one by one, from the newest on; there may be as many topics as
 * instruments.
 */
const LOOKED_FOR_FEW = 4;

/** Whether bars are in memory, by opening second. @param count how many will be looked up */
function keptAmong(tracked: Tracked, count: number): (second: number) => boolean {
  if (count > LOOKED_FOR_FEW) {
    const kept = keptOf(tracked);
    return (second) => kept.has(second);
  }
  const { current, recent } = tracked.instrument.statistics.bars[tracked.index]!;
  return (second) =>
    current?.openTime.seconds === second ||
    recent.findLast(({ openTime }) => openTime.seconds <= second)?.openTime.seconds === second;
}

/** The first topics, grouped by instrument. */
function groupsOf(missing: readonly Tracked[]): Tracked[][] {
  const groups = new Map<MirroredInstrument, Tracked[]>();
  for (const tracked of missing) {
    const own = groups.get(tracked.instrument);
    if (own !== undefined) own.push(tracked);
    else if (groups.size < INSTRUMENTS_A_QUESTION) groups.set(tracked.instrument, [tracked]);
  }
  return [...groups.values()];
}

function openBar(bar: PastBar, index: number): OpenBar {
  const interval = BAR_INTERVALS[index]!;
  const openTime = Nanos.fromSeconds(bar.second, 0);
  const endTime = openTime.plus(BAR_SECONDS[interval] * 1e9);
  const eventTime = new Nanos(bar.eventTime.hi, bar.eventTime.lo);
  const receiveTime = new Nanos(bar.receiveTime.hi, bar.receiveTime.lo);
  const ends = { openAt: openTime, openSeq: bar.seq, closeAt: openTime, closeSeq: bar.seq };
  return { ...bar, interval, openTime, endTime, eventTime, receiveTime, ...ends };
}
