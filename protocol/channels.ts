/**
 * Channels: the one table of what a server publishes on topics.
 *
 * Subscriptions, the mirror, conflation, rows of the journal, replay, export, the ring, the SDK and
 * the command line derive from it; no other list of channels exists (test/house holds that). A
 * channel's messages have the channel's name as their type and are defined in messages.ts.
 *
 * To add one: an entry here, its message in messages.ts, a golden frame in fixtures/frames, and a higher
 * version of the journal's schema. A plain channel (`isPlain`) needs no more. Any other one also needs what the
 * market does with its events, and code for its rows (journal/records.ts, journal/write/row-frame.ts).
 */

/** The row of the journal that holds a message of a channel. */
export interface ChannelRow {
  /** Number of the kind of record; never used for anything else. */
  readonly kind: number;
  /** Columns of its numbers, in the order of a row frame; at most five. */
  readonly numbers: readonly string[];
  /**
   * What else it has: levels as in layout.ts; a text of its own form; or as text the fields of the message
   * that have no column (plain.ts). A channel with `fields` has no code of its own: it is plain.
   */
  readonly body: 'levels' | 'text' | 'fields' | null;
  /** Columns that few of its rows have. */
  readonly extras: readonly string[];
}

export interface ChannelDef {
  /**
   * `state`: only the newest message matters. `stream`: every message matters. `book`: state
   * that is sent as a snapshot and changes. `derived`: state that readers could compute from trades.
   */
  readonly nature: 'state' | 'stream' | 'book' | 'derived';
  /** What a topic names: `CHANNEL:SYMBOL`, `CHANNEL:SYMBOL:INTERVAL`, or `CHANNEL` for all symbols. */
  readonly topic: 'symbol' | 'interval' | 'all';
  /** Whether a message takes a sequence number of its own; a derived one carries that of a trade. */
  readonly isNumbered: boolean;
  /**
   * What a slow reader gets of waiting messages: the newest; the whole book; the newest of each bar;
   * those that are not too old, and a gap for the others (`fresh`); or every one (`all`). A bound of
   * memory that overflows drops the oldest of the last three as well, with a gap.
   */
  readonly conflation: 'newest' | 'whole-book' | 'each-bar' | 'fresh' | 'all';
  /** Whether a source may send its messages: in `publish`, on tapes and in recordings. */
  readonly isFromSource: boolean;
  /** Its row in the journal; null: not journaled. */
  readonly row: ChannelRow | null;
  /** Number of its kind of record in the ring; null: not in the ring. */
  readonly ring: number | null;
  /** Whether the journal can be replayed on it. */
  readonly isReplayed: boolean;
  /** Whether `export` gives its records. */
  readonly isExported: boolean;
}

export const CHANNEL_TABLE = {
  tick: {
    nature: 'state',
    topic: 'symbol',
    isNumbered: true,
    conflation: 'newest',
    isFromSource: false,
    row: {
      kind: 2,
      numbers: ['price', 'quantity', 'bid', 'ask', 'volume'],
      body: null,
      extras: ['as_of', 'volume_high'],
    },
    ring: 49,
    isReplayed: true,
    isExported: true,
  },
  trade: {
    nature: 'stream',
    topic: 'symbol',
    isNumbered: true,
    conflation: 'fresh',
    isFromSource: true,
    row: {
      kind: 3,
      numbers: ['price', 'quantity', 'side', 'ref', 'source_seq'],
      body: null,
      extras: ['as_of', 'flags'],
    },
    ring: 50,
    isReplayed: true,
    isExported: true,
  },
  bbo: {
    nature: 'state',
    topic: 'symbol',
    isNumbered: true,
    conflation: 'newest',
    isFromSource: true,
    row: {
      kind: 4,
      numbers: ['bid', 'bid_quantity', 'ask', 'ask_quantity'],
      body: null,
      extras: ['as_of', 'flags'],
    },
    ring: 51,
    isReplayed: true,
    isExported: true,
  },
  book: {
    nature: 'book',
    topic: 'symbol',
    isNumbered: true,
    conflation: 'whole-book',
    isFromSource: true,
    row: { kind: 5, numbers: ['side', 'ref'], body: 'levels', extras: ['as_of', 'flags'] },
    ring: 52,
    isReplayed: true,
    isExported: true,
  },
  bar: {
    nature: 'derived',
    topic: 'interval',
    isNumbered: false,
    conflation: 'each-bar',
    isFromSource: false,
    row: null,
    ring: null,
    isReplayed: false,
    isExported: false,
  },
  stats: {
    nature: 'derived',
    topic: 'symbol',
    isNumbered: false,
    conflation: 'newest',
    isFromSource: false,
    row: null,
    ring: null,
    isReplayed: false,
    isExported: false,
  },
  status: {
    nature: 'stream',
    topic: 'all',
    isNumbered: true,
    conflation: 'all',
    isFromSource: false,
    row: { kind: 6, numbers: ['ref', 'quantity'], body: 'text', extras: [] },
    ring: 55,
    isReplayed: true,
    isExported: true,
  },
  mark: {
    nature: 'state',
    topic: 'symbol',
    isNumbered: true,
    conflation: 'newest',
    isFromSource: true,
    row: { kind: 12, numbers: [], body: 'fields', extras: ['as_of'] },
    ring: null,
    isReplayed: true,
    isExported: true,
  },
} as const satisfies Record<string, ChannelDef>;

export type Channel = keyof typeof CHANNEL_TABLE;

/** Channels for which a property of the table has a value of this type. */
export type ChannelsWith<P extends keyof ChannelDef, V> = {
  [C in Channel]: (typeof CHANNEL_TABLE)[C][P] extends V ? C : never;
}[Channel];

export type StateChannel = ChannelsWith<'nature', 'state'>;
export type NumberedChannel = ChannelsWith<'isNumbered', true>;
export type SourceChannel = ChannelsWith<'isFromSource', true>;
export type JournaledChannel = ChannelsWith<'row', ChannelRow>;
export type RingChannel = ChannelsWith<'ring', number>;
export type ReplayedChannel = ChannelsWith<'isReplayed', true>;
export type ExportedChannel = ChannelsWith<'isExported', true>;
/**
 * Channels without code of their own: state that a source sends and the server passes on. Everything between
 * the protocol and readers derives from the table and from the definition of the message (plain.ts).
 */
export type PlainChannel = ChannelsWith<'row', { readonly body: 'fields' }>;

/** All channels, in the order of the table. */
export const CHANNELS = Object.keys(CHANNEL_TABLE) as Channel[];
export const STATE_CHANNELS = where((c) => c.nature === 'state') as StateChannel[];
export const SOURCE_CHANNELS = where((c) => c.isFromSource) as SourceChannel[];
export const JOURNALED_CHANNELS = where((c) => c.row !== null) as JournaledChannel[];
export const RING_CHANNELS = where((c) => c.ring !== null) as RingChannel[];
export const REPLAYED_CHANNELS = where((c) => c.isReplayed) as ReplayedChannel[];
export const EXPORTED_CHANNELS = where((c) => c.isExported) as ExportedChannel[];
export const PLAIN_CHANNELS = where((c) => c.row?.body === 'fields') as PlainChannel[];

const ALL: ReadonlySet<string> = new Set(CHANNELS);
const PLAIN: ReadonlySet<string> = new Set(PLAIN_CHANNELS);

export function isChannel(name: string): name is Channel {
  return ALL.has(name);
}

/** Whether a message of this type is one of a plain channel. */
export function isPlain(type: string): type is PlainChannel {
  return PLAIN.has(type);
}

/** What a channel is; the literal table types are widened. */
export function channelDef(channel: Channel): ChannelDef {
  return CHANNEL_TABLE[channel];
}

/** Whether a newer message may stand for older ones that wait. */
export function isReplaced({ conflation }: ChannelDef): boolean {
  return conflation !== 'fresh' && conflation !== 'all';
}

/**
 * Whether a new reader gets a state first. A stream of all symbols has one, the newest message of each
 * symbol; a stream of one symbol has none.
 */
export function hasState({ nature, topic }: ChannelDef): boolean {
  return nature !== 'stream' || topic === 'all';
}

/** The channel of a topic by its name, such as `bar:ACME:1m`. */
export function channelOfTopic(topic: string): Channel {
  const end = topic.indexOf(':');
  return (end < 0 ? topic : topic.slice(0, end)) as Channel;
}

/** How topics of a channel are written. */
export function topicForm(channel: Channel): string {
  const { topic } = CHANNEL_TABLE[channel];
  if (topic === 'all') return channel;
  return topic === 'interval' ? `${channel}:SYMBOL:INTERVAL` : `${channel}:SYMBOL`;
}

function where(fits: (channel: ChannelDef) => boolean): Channel[] {
  return CHANNELS.filter((channel) => fits(CHANNEL_TABLE[channel]));
}
