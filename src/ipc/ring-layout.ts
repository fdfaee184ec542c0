/**
 * Ring layout: the position of each byte in the shared file. ring-writer.ts and ring-reader.ts have
 * the algorithm. protocol/ring.md is the specification for readers in other languages.
 *
 *     0 ┌──────────────────────────────────────────────┐
 *       │ header        512 bytes                      │ constants, then a cache line for each value
 *       │               (state, claimed, published)    │ that the writer changes
 *   512 ├──────────────────────────────────────────────┤
 *       │ instruments   `instruments` × 1,024 bytes    │ definition, newest tick, bbo, status, book;
 *       │               (latest values)                │ a seqlock each
 *       ├──────────────────────────────────────────────┤
 *       │ records       `slots` × 128 bytes            │ record n lies in slot n modulo `slots`
 *       └──────────────────────────────────────────────┘
 *
 * Every value is little-endian and aligned to its size. Prices, quantities and sequence numbers are
 * whole numbers in a float64: every scaled integer is within ±(2^53 − 1), where a double is exact. NaN
 * means none. A double takes one load or store on both sides. An int64 would take two, since JavaScript
 * reads a whole int64 only as a bigint. Times are int64; this code accesses them as two 32-bit words.
 *
 * A record, and each of the latest values:
 *
 *      0        4    5        6       7       8            12          16      24
 *     ┌────────┬────┬────────┬───────┬───────┬────────────┬───────────┬───────┬─────────┐
 *     │ check  │kind│ detail │ levels│ flags │ instrument │ aux       │ seq   │ prevSeq │
 *     │ uint32 │ u8 │ u8     │ u8    │ u8    │ uint32     │ uint32    │ f64   │ f64     │
 *     └────────┴────┴────────┴───────┴───────┴────────────┴───────────┴───────┴─────────┘
 *     32            40            48                                               128
 *     ┌─────────────┬─────────────┬────────────────────────────────────────────────┐
 *     │ eventTime   │ receiveTime │ body: ten doubles, by kind                     │
 *     │ int64       │ int64       │                                                │
 *     └─────────────┴─────────────┴────────────────────────────────────────────────┘
 *
 * `check` is the low 32 bits of the record's number plus one. It proves that a slot holds the record
 * that the reader expects.
 */

import { CHANNEL_TABLE, RING_CHANNELS, type RingChannel } from '../../protocol/channels';

/** `TPDKRING` in ASCII, as two little-endian 32-bit words. */
export const MAGIC_LOW = 0x4b44_5054;
export const MAGIC_HIGH = 0x474e_4952;
export const LAYOUT_VERSION = 2;

export const HEADER_BYTES = 512;
export const ENTRY_BYTES = 1_024;
export const SLOT_BYTES = 128;
/** Size of a slot in 32-bit words, and in doubles. */
export const SLOT_INTS = SLOT_BYTES / 4;
export const SLOT_DOUBLES = SLOT_BYTES / 8;

export const SLOTS_MIN = 64;
export const SLOTS_MAX = 16_777_216;
export const ENTRIES_MAX = 1_000_000;

/** Indexes of the header's 32-bit words in `ints`. */
export const INT = {
  magicLow: 0,
  magicHigh: 1,
  version: 2,
  headerBytes: 3,
  slotBytes: 4,
  slots: 5,
  entryBytes: 6,
  /** Maximum number of instruments. */
  entries: 7,
  pid: 16,
  /** `STATE_…`; written when the writer starts and ends. */
  state: 32,
  /** Number of defined instruments. */
  defined: 33,
} as const;

/** Indexes of the header's doubles in `doubles`. */
export const DOUBLE = {
  entriesOffset: 4,
  slotsOffset: 5,
  fileBytes: 6,
  epoch: 7,
  /** Start time of the writer's process, in clock ticks after boot (/proc/PID/stat). */
  pidStart: 9,
  /** Time of the writer's last heartbeat, in ms since 1970. */
  heartbeatMs: 17,
  /**
   * The writer may be writing any record below this number, or has written it. Record n is lost as
   * soon as `claimed` exceeds n + `slots`.
   */
  claimed: 32,
  /** Number of published records: a reader may read all records below this number. */
  published: 48,
  /** The newest published sequence number; written before `published`. */
  lastSeq: 49,
} as const;

export const STATE_LIVE = 1;
/** The writer has ended; no record follows. */
export const STATE_ENDED = 2;

/** Kinds of records: the codes of the messages in protocol/messages.ts. */
export const KIND = { instrument: 48, ...channelKinds() } as const;

/** The kinds of the channels that the ring has, as the table of channels numbers them. */
function channelKinds(): { readonly [C in RingChannel]: (typeof CHANNEL_TABLE)[C]['ring'] } {
  const kinds = RING_CHANNELS.map((channel) => [channel, CHANNEL_TABLE[channel].ring]);
  return Object.fromEntries(kinds) as ReturnType<typeof channelKinds>;
}

/** Bits of `flags`. */
export const FLAG = {
  /** The last record of a batch. */
  endsBatch: 1,
  /** `aux` of a book is its CRC-32. */
  hasCrc: 2,
  /** This book has more levels than fit: the next record continues it. */
  continues: 4,
  /** Trade: `late` changes only past bars; `ahead` has an impossible `eventTime`. */
  late: 8,
  ahead: 16,
  /** Bbo or book: last known values of a lost source, or of the time before a restart. */
  stale: 32,
  recovered: 64,
} as const;

/** Indexes of a record's 32-bit words, from its start. */
export const REC_INT = { check: 0, kind: 1, instrument: 2, aux: 3, event: 8, receive: 10 } as const;
/** Indexes of its doubles, from its start. */
export const REC = { seq: 2, prevSeq: 3, body: 6 } as const;
/** Maximum number of levels in one book record; each is a price and a quantity. */
export const LEVELS_PER_RECORD = 5;
/** Size of a status's reason; it begins at the second double of the body. */
export const REASON_BYTES = 40;
/** Index of `events` in the body of a status, in doubles. */
export const EVENTS_INDEX = 6;

/** Indexes of the 32-bit words of an instrument's entry, from its start. */
export const ENTRY_INT = {
  /** Seqlock: odd while the entry is being written. */
  version: 0,
  /** `HAS_…`: which of the latest values the entry has. */
  has: 1,
  symbol: 4,
  priceScale: 8,
  quantityScale: 9,
  market: 10,
} as const;
/** Indexes of its doubles and records in units of 8 bytes, from its start. */
export const ENTRY = {
  priceIncrement: 6,
  quantityIncrement: 7,
  previousClose: 8,
  definedSeq: 9,
  tick: 16,
  bbo: 32,
  status: 48,
  /** A record's head; uint32 bids and uint32 asks at +6; ten bids at +7; ten asks at +27. */
  book: 64,
} as const;
export const BOOK_COUNTS = 6;
export const BOOK_BIDS = 7;
export const BOOK_ASKS = 27;

export const HAS_TICK = 1;
export const HAS_BBO = 2;
export const HAS_STATUS = 4;
export const HAS_BOOK = 8;
export const SYMBOL_BYTES = 16;

export interface RingShape {
  /** A power of two. */
  readonly slots: number;
  /** Maximum number of instruments. */
  readonly entries: number;
}

/** Offsets of the parts of a file of this shape, and its size, in bytes. */
export function ringBytes({ slots, entries }: RingShape) {
  const slotsOffset = HEADER_BYTES + entries * ENTRY_BYTES;
  return { entriesOffset: HEADER_BYTES, slotsOffset, fileBytes: slotsOffset + slots * SLOT_BYTES };
}

/** Typed views of the same bytes of the file. */
export interface RingWords {
  readonly ints: Int32Array;
  readonly doubles: Float64Array;
  readonly bytes: Uint8Array;
}

export function wordsOf(bytes: Uint8Array): RingWords {
  return {
    ints: new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2),
    doubles: new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3),
    bytes,
  };
}
