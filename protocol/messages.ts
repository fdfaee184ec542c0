/**
 * Messages: everything that crosses a Tapedeck connection, defined once.
 *
 * A message is an object in memory (`Tick`, `Trade` …), a MessagePack array whose first element is
 * the message's code and whose others are the fields in the order below, and a JSON object with
 * `type` and the fields by name. Codes and field order never change; new fields go to the end.
 * README.md beside this file is the normative specification.
 */

import {
  SOURCE_CHANNELS,
  type Channel,
  type NumberedChannel,
  type PlainChannel,
  type SourceChannel,
} from './channels';
import { define, type MessageDef } from './define';
import { field, type Memory } from './fields';
import { welcomeLimits } from './limits';
import { venueRules } from './venue-rules';
import { BOOK_DEPTH, SCALE_MAX } from './units';

/** Intervals of bars. */
export const BAR_INTERVALS = ['1s', '1m', '5m', '1h', '1d'] as const;
export const INSTRUMENT_STATES = [
  'live',
  'incomplete',
  'stale',
  'recovered',
  'pre-open',
  'halted',
  'closed',
] as const;
export const SIDES = ['buy', 'sell'] as const;
export const BOOK_FORMS = ['snapshot', 'delta', 'incomplete'] as const;
/** Why a trade does not count at its own time; absent for most. */
export const TIMINGS = ['late', 'ahead', 'late-and-ahead'] as const;
/** Why a quote or a book may be out of date; absent while its source is connected. */
export const MARKS = ['stale', 'recovered'] as const;
/** Which numbers of a source restart; `published`: all, and they are sequence numbers that a server published. */
export const NUMBERINGS = ['all', 'trades', 'book', 'published'] as const;
/** Most levels a side in one book message of a source. */
export const SOURCE_LEVELS_MAX = 20_000;
/** Most events in one publish message. */
export const PUBLISH_EVENTS_MAX = 10_000;
/** Most topics in one subscribe, unsubscribe, resume or replay message. */
export const TOPICS_MAX = 1_000;
/** Longest name of a shard. */
export const SHARD_NAME_MAX = 32;
/** Most shards of one server. */
export const SHARDS_MAX = 64;
/** Most heads in one heartbeat. */
export const HEADS_MAX = 0xffff;

const requestId = field.int(0, 0xffff_ffff, 'Chosen by the client; its answer carries it');
const topics = field.list(field.text(64, 'Topic'), TOPICS_MAX, 'Topics, such as `book:BTCUSDT`');
const epoch = field.int(
  0,
  Number.MAX_SAFE_INTEGER,
  'One run of the numbering, from a start to an end of the server',
);
const shardName = field.text(SHARD_NAME_MAX, 'Name of a shard');
const shard = field.nullable(
  field.text(SHARD_NAME_MAX, 'Shard of the numbers; nil: the server names none'),
);
const count = field.int(0, 0xffff_ffff, 'How many updates this one stands for; 1 unless conflated');
const side = field.oneOf(SIDES, 'Side');
const level = field.nullable(field.price());
const mark = field.nullable(
  field.oneOf(MARKS, 'Last known values: of a source that is gone, or from before a restart'),
);

/** The first fields of every numbered message. */
export const sequenced = {
  symbol: field.symbol(),
  seq: field.seq(),
  prevSeq: field.seq('The `seq` of the message before this one on the same topic; 0 for the first'),
  eventTime: field.nanos('When it happened, by the source'),
  receiveTime: field.nanos('When Tapedeck received it'),
};

// ── client to server ──────────────────────────────────────────────────────────────────────────

const hello = define(1, 'hello', 'Names the client and proves who it is', {
  version: field.int(1, 255, 'Protocol version; 1'),
  client: field.text(64, 'Name and version of the client, for the logs'),
  key: field.nullable(field.text(4096, 'API key or token')),
});
const subscribe = define(2, 'subscribe', 'Starts topics: a snapshot of each, then its updates', {
  id: requestId,
  topics,
  intervalMs: field.nullable(field.int(0, 60_000, 'At most one update per topic in this time')),
});
const unsubscribe = define(3, 'unsubscribe', 'Stops topics', { id: requestId, topics });
const resume = define(4, 'resume', 'Everything after a `seq`, then live', {
  id: requestId,
  epoch,
  seq: field.seq('The client has every message of the topics up to this `seq`'),
  topics,
  newest: field.nullable(
    field.seq(
      'The highest `seq` met under `epoch` in any topic; at least `seq`; nil: the same as `seq`',
    ),
  ),
  positions: field.nullable(
    field.list(
      field.struct(
        { shard: shardName, epoch, seq: field.seq(), newest: field.nullable(field.seq()) },
        'As `epoch`, `seq` and `newest` of the message',
      ),
      SHARDS_MAX,
      'The position in each shard, in place of `epoch`, `seq` and `newest`',
    ),
  ),
});
const replay = define(5, 'replay', 'Replays the journal in the live format', {
  id: requestId,
  action: field.oneOf(['start', 'pause', 'continue', 'seek', 'stop'], 'What to do'),
  topics,
  from: field.nullable(field.nanos('Where to begin: a time by the source')),
  to: field.nullable(field.nanos('Where to end: a time by the source')),
  fromSeq: field.nullable(field.seq('First `seq`, where `from` is nil')),
  toSeq: field.nullable(field.seq('Last `seq`, where `to` is nil')),
  speed: field.nullable(
    field.int(0, 1_000_000, 'Hundredths of real time: 100 is ×1; 0 is as fast as it is read'),
  ),
  shard: field.nullable(
    field.text(SHARD_NAME_MAX, 'Shard whose journal is read; nil: that of the topics'),
  ),
});
const ping = define(6, 'ping', 'Asks for a pong', {
  id: requestId,
  time: field.nanos("The sender's clock; the pong brings it back"),
});
/** What a source may send in one publish message. */
export const SOURCE_TYPES = ['instrument', ...SOURCE_CHANNELS, 'renumber'] as const;
const publish = define(7, 'publish', 'Submits events of a source; the server takes all or none', {
  id: requestId,
  events: field.messages<SourceEvent>(
    SOURCE_TYPES,
    PUBLISH_EVENTS_MAX,
    'Messages of these types; `seq` and `prevSeq` are the numbering of the source',
  ),
  continues: field.nullable(
    field.boolean("The source's numbers go on from those of its session before"),
  ),
});
const order = define(8, 'order', 'Enters an order', {
  id: requestId,
  clientOrderId: field.text(36, "The client's own name of the order; a repetition is harmless"),
  symbol: field.symbol(),
  side,
  kind: field.oneOf(['limit', 'market'], 'Order type'),
  timeInForce: field.oneOf(['gtc', 'ioc', 'fok'], 'How long the order is valid'),
  postOnly: field.boolean('Refused if it would trade at once'),
  price: field.nullable(field.price()),
  quantity: field.quantity(),
});
const cancel = define(9, 'cancel', 'Cancels an order, by either of its ids', {
  id: requestId,
  symbol: field.symbol(),
  orderId: field.nullable(field.seq('Id given by Tapedeck')),
  clientOrderId: field.nullable(field.text(36, "The client's own name of the order")),
});
const amend = define(10, 'amend', 'Changes price or quantity of a resting order', {
  id: requestId,
  symbol: field.symbol(),
  orderId: field.nullable(field.seq('Id given by Tapedeck')),
  clientOrderId: field.nullable(field.text(36, "The client's own name of the order")),
  price: field.nullable(field.price()),
  quantity: field.nullable(field.quantity('New open quantity')),
});
const received = define(11, 'received', 'Reports how far the reader has read', {
  seq: field.seq('The highest `seq` that the application has taken'),
});

// ── server to client: control ─────────────────────────────────────────────────────────────────

const welcome = define(32, 'welcome', 'First message of a connection', {
  version: field.int(1, 255, 'Protocol version'),
  server: field.text(64, 'Name and version of the server'),
  session: field.text(36, 'Name of this session, for the logs'),
  epoch,
  seq: field.seq('Highest `seq` published'),
  time: field.nanos("The server's clock"),
  limits: welcomeLimits,
  shards: field.nullable(
    field.list(
      field.struct(
        { shard: shardName, epoch, seq: field.seq() },
        'A shard and its newest position',
      ),
      SHARDS_MAX,
      'The shards of the server; if there are several, `epoch` and `seq` of the message are 0',
    ),
  ),
});
const ack = define(33, 'ack', 'A request was performed', {
  id: requestId,
  seq: field.seq(
    'Subscribe: position of the state. Resume: every message up to this `seq` has come. Publish: the last `seq` that it produced. Orders: `seq` of the command',
  ),
  repeated: field.nullable(
    field.int(0, 0xffff_ffff, 'Publish: events dropped, since the source had sent them before'),
  ),
  waiting: field.nullable(
    field.int(0, 0xffff_ffff, 'Publish: book events without effect until a snapshot comes'),
  ),
  shards: field.nullable(
    field.list(
      field.struct({ shard: shardName, seq: field.seq() }, 'As `seq` of the message'),
      SHARDS_MAX,
      'Subscribe, unsubscribe, resume: `seq` in each shard of the server; `seq` is 0 if there are several',
    ),
  ),
});
const error = define(34, 'error', 'A request was refused and changed nothing', {
  id: field.nullable(requestId),
  code: field.text(40, 'Error code, from the table'),
  message: field.text(500, 'What was wrong, with field, value and what was expected'),
  field: field.nullable(field.text(120, 'The field at fault')),
  hint: field.nullable(field.text(300, 'What to do')),
});
const pong = define(35, 'pong', 'Answer to a ping', {
  id: requestId,
  time: field.nanos('The time of the ping'),
  serverTime: field.nanos("The server's clock"),
});
const gap = define(36, 'gap', 'Messages of a topic that this reader does not get', {
  topic: field.text(64, 'Topic'),
  from: field.seq('First `seq` missed'),
  to: field.seq('Last `seq` missed'),
  count: field.int(0, Number.MAX_SAFE_INTEGER, 'How many messages of the topic, at most'),
  reason: field.oneOf(['slow-reader', 'not-journaled', 'damaged', 'retention'], 'Why'),
  shard,
});
const reset = define(
  37,
  'reset',
  'What the reader holds of these topics is invalid; their state follows',
  {
    topics,
    epoch,
    seq: field.seq('Position of the state'),
    reason: field.oneOf(
      ['other-epoch', 'too-old', 'from-the-future', 'not-kept', 'too-slow'],
      'Why',
    ),
    shard,
  },
);
const heartbeat = define(
  38,
  'heartbeat',
  "Heads of the session's topics, so that a reader detects loss",
  {
    time: field.nanos("The server's clock"),
    seq: field.seq(
      'The server has sent every message of the topics of this connection up to this `seq`',
    ),
    heads: field.list(
      field.struct({ topic: field.text(64, 'Topic'), seq: field.seq() }, 'Head of a topic'),
      HEADS_MAX,
      'The highest `seq` of each concrete topic of the connection that changed since the last heartbeat',
    ),
    shard,
  },
);
const closing = define(39, 'closing', 'The server is about to close this connection', {
  code: field.int(1000, 4999, 'Close code'),
  reason: field.text(120, 'Why'),
  reconnect: field.boolean('Whether the client should reconnect'),
  retryMs: field.int(0, 600_000, 'How long to wait before it reconnects'),
  url: field.nullable(field.text(256, 'Another server of the same market; nil: none is known')),
});

const queued = define(40, 'queued', 'A resume waits for its turn to be read from the journal', {
  id: requestId,
  ahead: field.int(0, 0xffff_ffff, 'How many resumes of this client have waited longer'),
});

const epochMessage = define(
  41,
  'epoch',
  'Another server continues the numbering; nothing is lost',
  {
    epoch,
    seq: field.seq('The last `seq` of the previous epoch'),
    shard,
  },
);

// ── both ways: the market ─────────────────────────────────────────────────────────────────────

const instrument = define(48, 'instrument', 'Definition of an instrument', {
  symbol: field.symbol(),
  seq: field.seq('`seq` at which it was defined or last changed'),
  market: field.oneOf(['feed', 'venue'], 'Data of a source, or orders matched here'),
  priceScale: field.int(0, SCALE_MAX, 'Decimals of a price'),
  quantityScale: field.int(0, SCALE_MAX, 'Decimals of a quantity'),
  priceIncrement: field.price('Prices are whole multiples of this'),
  quantityIncrement: field.quantity('Quantities are whole multiples of this'),
  previousClose: field.nullable(field.price('Last price of the session before')),
  rules: field.nullable(venueRules),
  shard: field.nullable(
    field.text(SHARD_NAME_MAX, 'Shard that numbers its events; nil: the server names none'),
  ),
});
const tick = define(49, 'tick', 'State after a trade', {
  ...sequenced,
  last: field.price('Price of the trade'),
  bid: level,
  ask: level,
  quantity: field.quantity('Quantity of the trade'),
  volume: field.sum('Sum of quantities of the session'),
  count,
});
const trade = define(50, 'trade', 'A trade', {
  ...sequenced,
  price: field.price(),
  quantity: field.quantity(),
  aggressor: field.oneOf(['buy', 'sell', 'none'], 'Side of the taker; none in an auction'),
  tradeId: field.int(0, Number.MAX_SAFE_INTEGER, 'Id by the source; 0 when it gives none'),
  timing: field.nullable(
    field.oneOf(TIMINGS, 'Late: it changes only the past. Ahead: its `eventTime` is impossible'),
  ),
});
const bbo = define(51, 'bbo', 'Best bid and offer', {
  ...sequenced,
  bid: level,
  bidQuantity: field.quantity(),
  ask: level,
  askQuantity: field.quantity(),
  count,
  mark,
});
const book = define(52, 'book', 'Ten best levels a side, whole or as changes', {
  ...sequenced,
  form: field.oneOf(
    BOOK_FORMS,
    'Whole book, changes (quantity 0 deletes), or a book that cannot be trusted',
  ),
  bids: field.levels(SOURCE_LEVELS_MAX, 'Price and quantity, best first'),
  asks: field.levels(SOURCE_LEVELS_MAX, 'Price and quantity, best first'),
  crc: field.nullable(field.int(0, 0xffff_ffff, `CRC-32 of the ${BOOK_DEPTH} best levels after`)),
  count,
  mark,
});
const bar = define(53, 'bar', 'Open, high, low, close of an interval, so far or final', {
  ...sequenced,
  interval: field.oneOf(BAR_INTERVALS, 'Length'),
  openTime: field.nanos('Start of the interval'),
  open: field.price(),
  high: field.price(),
  low: field.price(),
  close: field.price(),
  volume: field.sum('Sum of quantities'),
  trades: field.int(0, Number.MAX_SAFE_INTEGER, 'Number of trades'),
  final: field.boolean('The interval is over'),
  count,
});
const stats = define(54, 'stats', 'Statistics of the session', {
  ...sequenced,
  open: level,
  high: level,
  low: level,
  last: level,
  previousClose: level,
  volume: field.sum('Sum of quantities'),
  turnover: field.decimal('Sum of price times quantity'),
  vwap: field.nullable(field.decimal('Turnover by volume')),
  trades: field.int(0, Number.MAX_SAFE_INTEGER, 'Number of trades'),
  count,
  change: field.nullable(field.price('Last less previous close')),
});
const status = define(55, 'status', 'State of an instrument', {
  ...sequenced,
  state: field.oneOf(INSTRUMENT_STATES, 'State'),
  reason: field.text(40, 'Code of the reason'),
  missed: field.int(0, Number.MAX_SAFE_INTEGER, 'Messages of the source known to be missing'),
  events: field.nullable(
    field.int(
      0,
      Number.MAX_SAFE_INTEGER,
      'How many events the reason is about, if it is about events',
    ),
  ),
});
const execution = define(56, 'execution', "What happened to an order of the session's owner", {
  ...sequenced,
  id: field.nullable(requestId),
  orderId: field.seq('Id given by Tapedeck; 0 when it was rejected'),
  clientOrderId: field.text(36, "The client's own name of the order"),
  event: field.oneOf(
    ['accepted', 'rejected', 'traded', 'amended', 'cancelled', 'expired'],
    'What happened',
  ),
  side,
  price: field.nullable(field.price('Limit')),
  open: field.quantity('Quantity still open'),
  tradePrice: field.nullable(field.price()),
  tradeQuantity: field.nullable(field.quantity()),
  code: field.nullable(field.text(40, 'Error code of a rejection')),
});

const renumber = define(57, 'renumber', "A source's numbers of a symbol restart", {
  ...sequenced,
  numbers: field.oneOf(NUMBERINGS, 'Which numbers restart; a book then waits for a snapshot'),
});

const markMessage = define(58, 'mark', 'Mark price, index price and funding of a derivative', {
  ...sequenced,
  price: field.nullable(field.price('Mark price')),
  index: field.nullable(field.price('Index price')),
  fundingRate: field.nullable(
    field.decimal('Funding rate of the current period; 0.0001 is 0.01 %'),
  ),
  fundingTime: field.nullable(field.nanos('When funding is due next')),
  openInterest: field.nullable(field.quantity('Open interest')),
  count,
});

/** Every message, by type. */
export const MESSAGES = {
  hello,
  subscribe,
  unsubscribe,
  resume,
  replay,
  ping,
  publish,
  order,
  cancel,
  amend,
  received,
  welcome,
  ack,
  error,
  pong,
  gap,
  reset,
  heartbeat,
  closing,
  queued,
  epoch: epochMessage,
  instrument,
  tick,
  trade,
  bbo,
  book,
  bar,
  stats,
  status,
  execution,
  renumber,
  mark: markMessage,
} as const;

export type MessageType = keyof typeof MESSAGES;

/** The in-memory message of a type. */
export type MessageOf<T extends MessageType> = { type: T } & Memory<(typeof MESSAGES)[T]['fields']>;

export interface Instrument extends MessageOf<'instrument'> {}
export interface Tick extends MessageOf<'tick'> {}
export interface Trade extends MessageOf<'trade'> {}
export interface Bbo extends MessageOf<'bbo'> {}
export interface Book extends MessageOf<'book'> {}
export interface Bar extends MessageOf<'bar'> {}
export interface Stats extends MessageOf<'stats'> {}
export interface Status extends MessageOf<'status'> {}
export interface Mark extends MessageOf<'mark'> {}
export interface Execution extends MessageOf<'execution'> {}
export interface Renumber extends MessageOf<'renumber'> {}

/** The message of each channel. */
export interface ChannelMessages {
  tick: Tick;
  trade: Trade;
  bbo: Bbo;
  book: Book;
  bar: Bar;
  stats: Stats;
  status: Status;
  mark: Mark;
}

/** A message of a topic. */
export type TopicMessage = ChannelMessages[Channel];

/** What all messages of plain channels have; their own fields are read by their definitions. */
export interface PlainMessage extends Memory<typeof sequenced> {
  type: PlainChannel;
  count: number;
}

/** Events of a source. */
export type SourceEvent = Instrument | ChannelMessages[SourceChannel] | Renumber;

/** Messages that the server numbers and pushes. */
export type MarketEvent = Instrument | ChannelMessages[NumberedChannel];

export type Message = { [T in MessageType]: MessageOf<T> }[MessageType];

const BY_CODE: readonly (MessageDef | undefined)[] = Object.values(MESSAGES).reduce<
  (MessageDef | undefined)[]
>((table, def) => {
  if (table[def.code] !== undefined) throw new Error(`message code ${def.code} is used twice`);
  table[def.code] = def;
  return table;
}, new Array<MessageDef | undefined>(128).fill(undefined));

export function messageByCode(code: number): MessageDef | undefined {
  return BY_CODE[code];
}

const FROM_SOURCE: ReadonlySet<string> = new Set(SOURCE_TYPES);

/** Whether a source may send messages of this type. */
export function isSourceType(type: string): type is SourceEvent['type'] {
  return FROM_SOURCE.has(type);
}

export function messageByType(type: string): MessageDef | undefined {
  return Object.hasOwn(MESSAGES, type) ? MESSAGES[type as MessageType] : undefined;
}
