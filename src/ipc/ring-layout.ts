/**
 * Ring layout: where each byte of the shared file lies. The algorithm is in ring-writer.ts and
 * ring-reader.ts; the words for readers in other languages are in protocol/ring.md.
 *
 *     0 ┌──────────────────────────────────────────────┐
 *       │ header        512 bytes                      │ what never changes, then one line for each
 *       │               (state, claimed, published)    │ word that the writer moves
 *   512 ├──────────────────────────────────────────────┤
 *       │ instruments   `instruments` × 1,024 bytes    │ definition, newest tick, bbo, status, book;
 *       │               (latest values)                │ a seqlock each
 *       ├──────────────────────────────────────────────┤
 *       │ records       `slots` × 128 bytes            │ record n lies in slot n modulo `slots`
 *       └──────────────────────────────────────────────┘
 *
 * Everything is little-endian and aligned to its size. Prices, quantities and places are whole numbers
 * in a float64 (every scaled integer is within ±(2^53 − 1), where a double is exact); NaN stands for
 * none. A double is one load and one store, on both sides; an int64 would be two of each, since Bun
 * reads one whole only as a bigint. Times are int64, as two words that lie as one.
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
 *     │ eventTime   │ receiveTime │ body: ten words, by kind                       │
 *     │ int64       │ int64       │                                                │
 *     └─────────────┴─────────────┴────────────────────────────────────────────────┘
 *
 * `check` is the low 32 bits of the record's number plus one, so that bytes of no record are known.
 */

/** `TPDKRING` in ASCII, as two little-endian words. */
export const MAGIC_LOW = 0x4b44_5054;
export const MAGIC_HIGH = 0x474e_4952;
export const LAYOUT_VERSION = 2;

export const HEADER_BYTES = 512;
export const ENTRY_BYTES = 1_024;
export const SLOT_BYTES = 128;
/** A slot in words of four bytes, and of eight. */
export const SLOT_INTS = SLOT_BYTES / 4;
export const SLOT_DOUBLES = SLOT_BYTES / 8;

export const SLOTS_MIN = 64;
export const SLOTS_MAX = 16_777_216;
export const ENTRIES_MAX = 1_000_000;

/** Where the header's 32-bit words lie, in words of four bytes. */
export const INT = {
  magicLow: 0,
  magicHigh: 1,
  version: 2,
  headerBytes: 3,
  slotBytes: 4,
  slots: 5,
  entryBytes: 6,
  /** How many instruments there is room for. */
  entries: 7,
  pid: 16,
  /** `STATE_…`; written when the writer begins and ends. */
  state: 32,
  /** How many instruments are defined. */
  defined: 33,
} as const;

/** Where the header's doubles lie, in words of eight bytes. */
export const DOUBLE = {
  entriesOffset: 4,
  slotsOffset: 5,
  fileBytes: 6,
  epoch: 7,
  /** When the writer's process began, in clock ticks after the machine's start (/proc/PID/stat). */
  pidStart: 9,
  /** When the writer last gave a sign of life, in ms since 1970. */
  heartbeatMs: 17,
  /** All below this number has been written, or may be at this moment: n − `slots` is lost from here. */
  claimed: 32,
  /** How many records may be read: all below this number. */
  published: 48,
  /** The newest place (`seq`) that readers may know; written before `published`. */
  lastSeq: 49,
} as const;

export const STATE_LIVE = 1;
/** The writer has said that nothing more comes. */
export const STATE_ENDED = 2;

/** Kinds are the codes of the messages in protocol/messages.ts. */
export const KIND = { instrument: 48, tick: 49, trade: 50, bbo: 51, book: 52, status: 55 } as const;

/** Bits of `flags`. */
export const FLAG = {
  /** The last record of a batch. */
  endsBatch: 1,
  /** `aux` of a book is its CRC-32. */
  hasCrc: 2,
  /** Of a book with more levels than fit: the next record goes on. */
  continues: 4,
  /** Of a trade: why it does not stand in the present by its own time. */
  late: 8,
  ahead: 16,
  /** Of a bbo or book: last known values of a source that is gone, or from before a restart. */
  stale: 32,
  recovered: 64,
} as const;

/** A record's words of four bytes, from its start. */
export const REC_INT = { check: 0, kind: 1, instrument: 2, aux: 3, event: 8, receive: 10 } as const;
/** Its words of eight bytes. */
export const REC = { seq: 2, prevSeq: 3, body: 6 } as const;
/** Levels of one book record; price, then quantity. */
export const LEVELS_PER_RECORD = 5;
/** Bytes of a status's reason, from the second word of its body on. */
export const REASON_BYTES = 40;
/** Which word of a status's body has its `events`. */
export const EVENTS_WORD = 6;

/** An instrument's entry: words of four bytes. */
export const ENTRY_INT = {
  /** Seqlock: odd while the entry is being written. */
  version: 0,
  /** `HAS_…`: which of the latest values there are. */
  has: 1,
  symbol: 4,
  priceScale: 8,
  quantityScale: 9,
  market: 10,
} as const;
/** Words of eight bytes. */
export const ENTRY = {
  priceIncrement: 6,
  quantityIncrement: 7,
  previousClose: 8,
  definedSeq: 9,
  tick: 16,
  bbo: 32,
  status: 48,
  /** A record's header, then uint32 bids, uint32 asks at +6, ten bids at +7 and ten asks at +27. */
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
  /** How many instruments there is room for. */
  readonly entries: number;
}

/** Where the parts of a file of this shape begin, and where it ends. */
export function ringBytes({ slots, entries }: RingShape) {
  const slotsOffset = HEADER_BYTES + entries * ENTRY_BYTES;
  return { entriesOffset: HEADER_BYTES, slotsOffset, fileBytes: slotsOffset + slots * SLOT_BYTES };
}

/** The file as typed words; all of them lie on the same bytes. */
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
