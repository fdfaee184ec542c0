/**
 * Mirror: the market as it was published, kept from the batches.
 *
 * Snapshots for readers come from here and never from the live market, which may be ahead of what
 * was published; so a snapshot and the updates after it always fit. The mirror also holds the state
 * of each topic: its head and its readers.
 */

import {
  CHANNEL_TABLE,
  channelOfTopic,
  CHANNELS,
  STATE_CHANNELS,
  type Channel,
  type ChannelDef,
  type ChannelsWith,
  type NumberedChannel,
  type StateChannel,
} from '../../../protocol/channels';
import type { Topic } from '../../../protocol/topics';
import { barMessage, type BarInterval } from '../../../protocol/bars';
import { bookChecksum } from '../../../protocol/checksum';
import { TenLevels } from '../../../protocol/levels';
import { BAR_INTERVALS } from '../../../protocol/messages';
import type {
  Bar,
  Book,
  ChannelMessages,
  Instrument,
  MarketEvent,
  Message,
  Status,
} from '../../../protocol/messages';
import { TradeStatistics } from '../../../protocol/statistics';
import { Nanos } from '../../../protocol/time';
import { Numbering, Numberings } from '../numbering';
import { NativeReaders } from './native-readers';
import { newCounters, TopicCounters, type CountersByChannel } from './counters';
import { TopicChanges, type ChangeLink } from './topic-changes';
import { LogRoom, TopicLog } from './topic-log';

/** One topic: its native names, its head, its readers, and the messages of this turn. */
export class TopicState implements ChangeLink<TopicState> {
  readonly name: string;
  readonly nativeBinary: string;
  readonly nativeText: string;
  private newestSeq = 0;
  /** For `TopicChanges` only. */
  moved = 0;
  newer: TopicState | null = null;
  older: TopicState | null = null;
  private readonly changes: TopicChanges<TopicState>;
  /** Native readers of each form; null if there are none. */
  binary: NativeReaders | null = null;
  text: NativeReaders | null = null;
  /** The log for its other readers; null if there are none. */
  log: TopicLog | null = null;
  private readonly room: LogRoom | undefined;
  private logReaders = 0;
  /** The counters of its channel. */
  readonly counters: TopicCounters;
  /** Its instrument; null for `status`, which is of all instruments. */
  instrument: MirroredInstrument | null = null;
  /** The numbering of its messages. */
  readonly numbering: Numbering;
  /** Its channel in the table of channels. */
  readonly def: ChannelDef;
  /** For state channels: the newest message; null before the first. */
  newest: ChannelMessages[StateChannel] | null = null;
  /** For channels whose conflation needs it: makes the current state at the head of the topic. */
  whole: (() => Book | Bar | null) | null = null;
  readonly pending: Message[] = [];
  /** For bars and statistics: trades since the newest message. */
  unsentTrades = 0;
  /** For bars: whether the newest message was the end of a bar. */
  isFinal = false;
  /** For `BarEnds` only: when the clock ends its bar. */
  barEnd: BarEnd | null = null;

  /** Whether it has readers. */
  get hasReaders(): boolean {
    return this.binary !== null || this.text !== null || this.log !== null;
  }

  constructor(
    name: string,
    counters = new TopicCounters(),
    changes: TopicChanges<TopicState> = new TopicChanges(),
    room?: LogRoom,
    numbering = new Numbering(),
  ) {
    this.name = name;
    this.numbering = numbering;
    this.def = CHANNEL_TABLE[channelOfTopic(name)];
    this.room = room;
    this.counters = counters;
    this.changes = changes;
    // Each shard has a topic of the name `status`; a name of a topic has no `@`.
    const native = numbering.index === 0 ? name : `${name}@${numbering.index}`;
    this.nativeBinary = `b:${native}`;
    this.nativeText = `t:${native}`;
  }

  /** The newest sequence number of the topic that was published. */
  get head(): number {
    return this.newestSeq;
  }

  set head(seq: number) {
    if (seq === this.newestSeq) return;
    this.newestSeq = seq;
    this.changes.note(this);
  }

  /** The native readers of a form; created if there are none. */
  readers(isText: boolean): NativeReaders {
    if (isText) return (this.text ??= new NativeReaders(this.name));
    return (this.binary ??= new NativeReaders(this.name));
  }

  /** Releases the readers of a form if there are none left. */
  settle(isText: boolean): void {
    if (isText && this.text?.size === 0) this.text = null;
    else if (!isText && this.binary?.size === 0) this.binary = null;
  }

  /** Adds a reader of its log. @param bytesMax of the log, if it begins with this reader */
  read(bytesMax: number): TopicLog {
    this.log ??= new TopicLog(bytesMax, this.def.conflation === 'each-bar', this.room);
    this.logReaders += 1;
    return this.log;
  }

  unread(): void {
    this.logReaders -= 1;
    if (this.logReaders > 0) return;
    this.log?.close();
    this.log = null;
  }
}

/** When the clock ends the open bar of a topic. */
export interface BarEnd {
  readonly at: Nanos;
  readonly instrument: MirroredInstrument;
  /** Index of the interval in `BAR_INTERVALS`. */
  readonly index: number;
}

/** A topic without its symbol. */
export type SymbolChannel =
  ChannelsWith<'topic', 'symbol'> | `${ChannelsWith<'topic', 'interval'>}:${BarInterval}`;

/** One instrument as it was published. */
export class MirroredInstrument {
  definition: Instrument;
  /** Its index in the order of definition. */
  readonly index: number;
  readonly numbering: Numbering;
  readonly topics: Readonly<Record<SymbolChannel, TopicState>>;
  private bookForm: 'none' | 'levels' | 'incomplete' = 'none';
  private bookEventTime = Nanos.ZERO;
  private bookReceiveTime = Nanos.ZERO;
  private bookMark: Book['mark'] = null;
  private readonly levels = new TenLevels();
  readonly statistics: TradeStatistics;
  /** Its topics of bars, in the order of `BAR_INTERVALS`. */
  readonly barTopics: readonly TopicState[];

  constructor(
    definition: Instrument,
    sessionBoundary: number,
    counters: CountersByChannel = newCounters(),
    changes: TopicChanges<TopicState> = new TopicChanges(),
    index = 0,
    room?: LogRoom,
    numbering = new Numbering(),
  ) {
    this.definition = definition;
    this.index = index;
    this.numbering = numbering;
    this.statistics = new TradeStatistics(sessionBoundary);
    const { symbol } = definition;
    const topic = (channel: Channel, interval = ''): TopicState =>
      new TopicState(
        `${channel}:${symbol}${interval}`,
        counters[channel],
        changes,
        room,
        numbering,
      );
    const topics: Record<string, TopicState> = {};
    for (const channel of CHANNELS) {
      const form: ChannelDef['topic'] = CHANNEL_TABLE[channel].topic;
      if (form === 'symbol') topics[channel] = topic(channel);
      if (form !== 'interval') continue;
      for (const interval of BAR_INTERVALS) {
        topics[`${channel}:${interval}`] = topic(channel, `:${interval}`);
      }
    }
    this.topics = topics as Record<SymbolChannel, TopicState>;
    this.topics.book.whole = () => this.bookSnapshot();
    this.barTopics = BAR_INTERVALS.map((interval) => this.topics[`bar:${interval}`]);
    for (const [i, bars] of this.barTopics.entries()) bars.whole = () => this.newestBar(i, bars);
    for (const own of Object.values(this.topics)) own.instrument = this;
  }

  /** @param index of the interval @returns null before the first trade */
  private newestBar(index: number, { head, isFinal }: TopicState): Bar | null {
    const bar = this.statistics.bars[index]!.current;
    // The next message follows the head, which a revision may have moved.
    return bar && { ...barMessage(this.definition.symbol, bar, head, isFinal, 1), prevSeq: 0 };
  }

  /** The book as a snapshot at its head; null if it is unknown. */
  bookSnapshot(): Book | null {
    if (this.bookForm === 'none') return null;
    const whole = this.bookForm === 'levels';
    return {
      type: 'book',
      symbol: this.definition.symbol,
      seq: this.topics.book.head,
      prevSeq: 0,
      eventTime: this.bookEventTime,
      receiveTime: this.bookReceiveTime,
      form: whole ? 'snapshot' : 'incomplete',
      bids: this.levels.bids,
      asks: this.levels.asks,
      crc: whole ? bookChecksum(this.levels.bids, this.levels.asks) : null,
      count: 1,
      mark: this.bookMark,
    };
  }

  applyBook(e: Book): void {
    this.bookEventTime = e.eventTime;
    this.bookReceiveTime = e.receiveTime;
    this.bookMark = e.mark;
    if (e.form === 'delta') {
      this.levels.apply(e.bids, e.asks);
      return;
    }
    this.levels.replace(e.bids, e.asks);
    this.bookForm = e.form === 'snapshot' ? 'levels' : 'incomplete';
  }
}

export class Mirror {
  private readonly instruments = new Map<string, MirroredInstrument>();
  /** Counters by channel. */
  readonly counters = newCounters();
  /** All topics in the order of their last change. */
  readonly changes = new TopicChanges<TopicState>();
  readonly numberings: Numberings;
  /** The topic `status` and the newest statuses of each numbering. */
  private readonly status: readonly Statuses[];
  private readonly room: LogRoom;
  private readonly sessionBoundary: number;

  /**
   * @param sessionBoundary when a market session ends, in seconds after midnight UTC
   * @param logsBytesMax approximate bound for the logs of all topics
   */
  constructor(sessionBoundary: number, logsBytesMax = Infinity, numberings = new Numberings()) {
    const { counters, changes } = this;
    this.sessionBoundary = sessionBoundary;
    this.numberings = numberings;
    this.room = new LogRoom(logsBytesMax);
    this.status = numberings.all.map(
      (numbering) =>
        new Statuses(new TopicState('status', counters.status, changes, this.room, numbering)),
    );
  }

  /** The topic `status` of each numbering. */
  get statusTopics(): readonly TopicState[] {
    return this.status.map(({ topic }) => topic);
  }

  get(symbol: string): MirroredInstrument | undefined {
    return this.instruments.get(symbol);
  }

  all(): IterableIterator<MirroredInstrument> {
    return this.instruments.values();
  }

  get size(): number {
    return this.instruments.size;
  }

  /** Approximate bytes in the logs of topics. */
  get logBytes(): number {
    return this.room.bytes;
  }

  /**
   * Applies a definition. @returns the instrument if it is new
   * @param numbering of its events
   */
  define(e: Instrument, numbering = this.numberings.at(0)): MirroredInstrument | undefined {
    const known = this.instruments.get(e.symbol);
    if (known !== undefined) {
      known.definition = e;
      return undefined;
    }
    const { size } = this.instruments;
    const added = new MirroredInstrument(
      e,
      this.sessionBoundary,
      this.counters,
      this.changes,
      size,
      this.room,
      numbering,
    );
    this.instruments.set(e.symbol, added);
    return added;
  }

  /** @throws Error when its instrument was not defined */
  topicOf(e: Exclude<MarketEvent, Instrument>): TopicState {
    const instrument = this.instruments.get(e.symbol);
    if (instrument === undefined) {
      throw new Error(`an event precedes the definition of ${e.symbol}`);
    }
    return this.topicAt(instrument, e.type);
  }

  private topicAt(instrument: MirroredInstrument, type: NumberedChannel): TopicState {
    if (type !== 'status') return instrument.topics[type];
    return this.status[instrument.numbering.index]!.topic;
  }

  /** Applies an event and returns its topic. @throws Error when its instrument was not defined */
  apply(e: Exclude<MarketEvent, Instrument>): TopicState {
    const instrument = this.instruments.get(e.symbol);
    if (instrument === undefined)
      throw new Error(`an event precedes the definition of ${e.symbol}`);
    const topic = this.topicAt(instrument, e.type);
    topic.head = e.seq;
    if (e.type === 'book') instrument.applyBook(e);
    else if (e.type === 'status') this.status[instrument.numbering.index]!.keep(instrument, e);
    else if (topic.def.nature === 'state') topic.newest = e as ChannelMessages[StateChannel];
    return topic;
  }

  /**
   * The newest states of those topics that have had no message since sequence numbers were lost in
   * a crash: a reader may hold a lost message in place of them.
   * @param lostTo the newest lost sequence number; 0: none
   */
  standing(topics: Iterable<TopicState>, lostTo: number): Message[] {
    if (lostTo === 0) return [];
    const wanted = new Set(topics);
    const newest: (ChannelMessages[StateChannel] | Status)[] = [];
    for (const { topics: own } of this.all()) {
      for (const channel of STATE_CHANNELS) {
        const topic = own[channel];
        if (topic.newest !== null && wanted.has(topic)) newest.push(topic.newest);
      }
    }
    for (const own of this.status) if (wanted.has(own.topic)) newest.push(...own.statuses());
    return newest.filter(({ seq }) => seq <= lostTo);
  }

  /** The newest status of each instrument of a numbering that has one, in the order of `seq`. */
  statuses({ index }: Numbering): Status[] {
    return this.status[index]!.statuses();
  }
}

/** The newest statuses of one numbering. */
class Statuses {
  readonly topic: TopicState;
  private newest = new Map<MirroredInstrument, Status>();
  private seq = 0;
  private areInOrder = true;

  constructor(topic: TopicState) {
    this.topic = topic;
  }

  /** The newest status of each instrument that has one, in the order of `seq`. */
  statuses(): Status[] {
    if (!this.areInOrder) {
      this.newest = new Map([...this.newest].sort(([, a], [, b]) => a.seq - b.seq));
      this.areInOrder = true;
    }
    return [...this.newest.values()];
  }

  /** Restored statuses come by instrument; all others in the order of `seq`. */
  keep(instrument: MirroredInstrument, status: Status): void {
    this.newest.delete(instrument);
    this.newest.set(instrument, status);
    if (status.seq < this.seq) this.areInOrder = false;
    else this.seq = status.seq;
  }
}

/** The topic without its symbol; of a bar with its interval. */
export function channelOf({ channel, interval }: Topic): string {
  return interval === '' ? channel : `${channel}:${interval}`;
}
