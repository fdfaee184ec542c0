/**
 * Mirror: the market as readers know it, kept from the batches that were pushed.
 *
 * A new reader's snapshot comes from here and never from the live market, which may be ahead of what
 * was pushed; so snapshot and updates always fit. It also holds, for each topic, who counts on it.
 */

import { bookChecksum } from '../../protocol/checksum';
import { TenLevels } from '../../protocol/levels';
import type { Bbo, Book, Instrument, MarketEvent, Status, Tick } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';

/** One topic: its native names, its newest place, and what this turn brings for it. */
export class TopicState {
  readonly name: string;
  readonly nativeBinary: string;
  readonly nativeText: string;
  head = 0;
  binarySubscribers = 0;
  textSubscribers = 0;
  readonly pending: MarketEvent[] = [];

  constructor(name: string) {
    this.name = name;
    this.nativeBinary = `b:${name}`;
    this.nativeText = `t:${name}`;
  }
}

export type SymbolChannel = 'tick' | 'trade' | 'bbo' | 'book';

/** One instrument as readers know it. */
export class MirroredInstrument {
  definition: Instrument;
  readonly topics: Readonly<Record<SymbolChannel, TopicState>>;
  tick: Tick | null = null;
  bbo: Bbo | null = null;
  status: Status | null = null;
  private bookForm: 'none' | 'levels' | 'incomplete' = 'none';
  private bookEventTime = Nanos.ZERO;
  private bookReceiveTime = Nanos.ZERO;
  private readonly levels = new TenLevels();

  constructor(definition: Instrument) {
    this.definition = definition;
    const topic = (channel: SymbolChannel) => new TopicState(`${channel}:${definition.symbol}`);
    this.topics = {
      tick: topic('tick'),
      trade: topic('trade'),
      bbo: topic('bbo'),
      book: topic('book'),
    };
  }

  /** The book as a snapshot at its newest place; null before anything is known of it. */
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
    };
  }

  applyBook(e: Book): void {
    this.bookEventTime = e.eventTime;
    this.bookReceiveTime = e.receiveTime;
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
  readonly statusTopic = new TopicState('status');

  get(symbol: string): MirroredInstrument | undefined {
    return this.instruments.get(symbol);
  }

  all(): IterableIterator<MirroredInstrument> {
    return this.instruments.values();
  }

  /** Takes a definition on; returns the instrument when it is a new one. */
  define(e: Instrument): MirroredInstrument | undefined {
    const known = this.instruments.get(e.symbol);
    if (known !== undefined) {
      known.definition = e;
      return undefined;
    }
    const added = new MirroredInstrument(e);
    this.instruments.set(e.symbol, added);
    return added;
  }

  /** Takes an event on and returns its topic. @throws Error when its instrument was not defined */
  apply(e: Exclude<MarketEvent, Instrument>): TopicState {
    const instrument = this.instruments.get(e.symbol);
    if (instrument === undefined)
      throw new Error(`an event precedes the definition of ${e.symbol}`);
    const topic = e.type === 'status' ? this.statusTopic : instrument.topics[e.type];
    topic.head = e.seq;
    switch (e.type) {
      case 'tick':
        instrument.tick = e;
        break;
      case 'bbo':
        instrument.bbo = e;
        break;
      case 'book':
        instrument.applyBook(e);
        break;
      case 'status':
        instrument.status = e;
        break;
      case 'trade':
        break;
    }
    return topic;
  }
}
