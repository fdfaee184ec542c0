/**
 * Schema of the journal: one table of records in SQLite, readable by people and by any SQL tool.
 *
 * The id of a record is its seq × 8 + its slot. Slot 0 holds the numbered event or command: exactly
 * one for each seq, unless a `gap` declares it missing. The other slots hold the notes at a seq: a
 * gap that ends there, a checkpoint of the state behind it, the end of one epoch, the beginning of
 * the next. So the order of ids is the order in which the records became true.
 *
 * A checkpoint is the mark that ends a cycle. During the cycle each thing that had changed was
 * written as a piece of the state, at a seq of its own. The newest pieces of complete cycles are
 * the state.
 *
 * The table has no index, which would cost the writer two thirds of its speed. Instead the table
 * `block` has a row for every `BLOCK_ROWS` records, with their checksum. The table `part` has a row
 * for each instrument of a block, with its times and its newest trade and book. So any record is
 * found by reading a block or two.
 *
 * Times are int64 nanoseconds. Bun's SQLite statements take and return numbers here, not bigints,
 * so a time is bound as two 32-bit halves that SQL puts together, and is split again when it is
 * read.
 */

import {
  channelDef,
  JOURNALED_CHANNELS,
  PLAIN_CHANNELS,
  type ChannelRow,
  type JournaledChannel,
  type PlainChannel,
} from '../../protocol/channels';

export const APPLICATION_ID = 0x7461_7065; // "tape"
export const SCHEMA_VERSION = 5;
/** The oldest version that is upgraded in place. */
export const UPGRADABLE_VERSION = 2;

/** Numbers of the kinds of record; those of channels stand in the channel table. */
export const KIND = {
  instrument: 1,
  ...ofChannels(({ kind }) => kind),
  command: 7,
  snapshot: 8,
  gap: 9,
  checkpoint: 10,
  epoch: 11,
} as const;
export type KindName = keyof typeof KIND;

/** Plain channels by the kinds of their records. */
const PLAIN_KINDS: ReadonlyMap<number, PlainChannel> = new Map(
  PLAIN_CHANNELS.map((channel) => [KIND[channel], channel]),
);

/** The plain channel that records of this kind belong to; undefined if it is another kind. */
export function plainChannelOf(kind: number): PlainChannel | undefined {
  return PLAIN_KINDS.get(kind);
}

/** Whether records of this kind are notes of the journal: gaps, checkpoints and epochs. */
export function isNote(kind: number): boolean {
  return kind >= KIND.gap && kind <= KIND.epoch;
}

/** The same in SQL. */
export const IS_NOTE = `kind BETWEEN ${KIND.gap} AND ${KIND.epoch}`;

/** Slots at one seq, in the order in which they become true. */
export const SLOT = { event: 0, gap: 1, checkpoint: 2, closed: 3, opened: 4 } as const;
export const SLOTS = 8;

/** `side` of a checkpoint that is the mark of a cycle. */
export const MARK_SIDE = 2;

/** Records in a block. */
export const BLOCK_ROWS = 1_024;

export function idOf(seq: number, slot: number = SLOT.event): number {
  return seq * SLOTS + slot;
}

export function seqOf(id: number): number {
  return Math.floor(id / SLOTS);
}

/** What schema 4 added. */
export const PIECE_TABLE = `CREATE TABLE piece (                   -- the state of one thing at one seq, as in write/piece.ts
  id    INTEGER PRIMARY KEY,
  kind  INTEGER NOT NULL,              -- 1 an instrument 2 a chunk of its open orders 3 a thousand ended orders 4 a thousand owners
  key   INTEGER NOT NULL,              -- kind 1: instrument id; kind 2: instrument id * 2^20 + chunk; kinds 3 and 4: number of the chunk
  cycle INTEGER NOT NULL,              -- pieces of a cycle above the newest checkpoint's do not count
  seq   INTEGER NOT NULL,              -- the seq
  crc   INTEGER NOT NULL,
  body  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX piece_of ON piece (kind, key, cycle);
`;

export const TABLES = `
CREATE TABLE instrument (
  id         INTEGER PRIMARY KEY,
  symbol     TEXT NOT NULL UNIQUE,
  price_scale    INTEGER NOT NULL,     -- decimals of its prices
  quantity_scale INTEGER NOT NULL,     -- decimals of its quantities
  definition TEXT NOT NULL             -- JSON with scaled integers
) STRICT;
CREATE TABLE record (
  id           INTEGER PRIMARY KEY,    -- seq * 8 + slot: 0 event 1 gap 2 checkpoint 3 epoch closed 4 epoch opened
  kind         INTEGER NOT NULL,       -- ${kindsText()}
  instrument   INTEGER NOT NULL,       -- 0 for kinds ${KIND.gap} to ${KIND.epoch}
  prev_seq     INTEGER NOT NULL,       -- the seq before it on its topic; checkpoint of pieces: where its cycle began
  event_time   INTEGER NOT NULL,       -- ns since 1970
  receive_time INTEGER NOT NULL,
  price        INTEGER,                -- scaled, as are all prices and quantities
  quantity     INTEGER,                -- status: number of events that its reason concerns
  bid          INTEGER,
  bid_quantity INTEGER,
  ask          INTEGER,
  ask_quantity INTEGER,
  volume       INTEGER,
  side         INTEGER,                -- trade, command: 0 buy 1 sell 2 none; book: 0 snapshot 1 delta 2 incomplete; checkpoint: 2 of pieces; of schema 3 and before: 1 behind a gap
  ref          INTEGER,                -- trade: id by the source; book, snapshot: CRC-32; status: missed; command: order id; gap: first seq missed; checkpoint: CRC-32; epoch: its number
  source_seq   INTEGER,                -- trade of a feed instrument: its number at the source; 0 if it has none
  levels       BLOB,                   -- book, snapshot: as in protocol/layout.ts
  text         TEXT,                   -- instrument: definition; status: state and reason; command: the rest as JSON; gap: reason; checkpoint: what is in no piece; epoch: opened, closed; other kinds: fields without a column as JSON, as in protocol/plain.ts
  as_of        INTEGER,                -- the time by which it is ordered, if that is not event_time
  flags        INTEGER,                -- 1 trade is late, 2 trade is dated ahead, 4 values are stale, 8 values are from before a restart
  volume_high  INTEGER                 -- times 2^53, to be added to volume
) STRICT;
CREATE TABLE block (                   -- ${BLOCK_ROWS} records each, without notes; the newest records are in none yet
  last_id  INTEGER PRIMARY KEY,
  first_id INTEGER NOT NULL,
  crc      INTEGER NOT NULL,           -- CRC-32 of the records, as in journal/blocks.ts
  written  INTEGER NOT NULL            -- seconds since 1970
) STRICT;
CREATE TABLE open_block (              -- the block that is not full yet, after each commit that added to it
  last_id  INTEGER PRIMARY KEY,
  first_id INTEGER NOT NULL,
  crc      INTEGER NOT NULL            -- of the records that it had then
) STRICT;
CREATE TABLE part (                    -- an instrument in a block
  instrument INTEGER NOT NULL,
  last_id    INTEGER NOT NULL,         -- of the block
  first_id   INTEGER NOT NULL,
  time_min   INTEGER NOT NULL,         -- times by which its records there are ordered
  time_max   INTEGER NOT NULL,
  trade_seq  INTEGER NOT NULL,         -- its newest trade there; 0: none
  book_seq   INTEGER NOT NULL,         -- its newest book event or snapshot there; 0: none
  PRIMARY KEY (instrument, last_id)
) STRICT, WITHOUT ROWID;
${PIECE_TABLE}CREATE TABLE note (                    -- where the records of kinds ${KIND.gap} to ${KIND.epoch} are
  kind INTEGER NOT NULL,
  id   INTEGER NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
`;

/**
 * The number columns that a kind has besides the common ones, in the order of a frame and of its
 * statement.
 */
export const OWN_COLUMNS: Record<KindName, readonly string[]> = {
  instrument: [],
  ...ofChannels(({ numbers }) => numbers),
  command: ['price', 'quantity', 'side', 'ref'],
  snapshot: ['ref'],
  gap: ['ref'],
  checkpoint: ['side', 'ref'],
  epoch: ['ref'],
};

/** The column that is neither number nor time; each kind has at most one. */
export const BODY_COLUMN: Record<KindName, 'levels' | 'text' | null> = {
  instrument: 'text',
  ...ofChannels(({ body }) => (body === 'fields' ? 'text' : body)),
  command: 'text',
  snapshot: 'levels',
  gap: 'text',
  checkpoint: 'text',
  epoch: 'text',
};

/** Binds: id, instrument, prev_seq, event hi, lo, receive hi, lo, the kind's own numbers, its body. */
export function insertSql(kind: KindName): string {
  const body = BODY_COLUMN[kind];
  const own = [...OWN_COLUMNS[kind], ...(body === null ? [] : [body])];
  const columns = ['kind', 'id', 'instrument', 'prev_seq', 'event_time', 'receive_time', ...own];
  const values = ['?', '?', '?', '(? << 32) | ?', '(? << 32) | ?', ...own.map(() => '?')];
  // An epoch that numbered nothing has its notes at the same seq as the next one, which replaces
  // them.
  const verb = isNote(KIND[kind]) ? 'INSERT OR REPLACE' : 'INSERT';
  return `${verb} INTO record (${columns.join(', ')}) VALUES (${KIND[kind]}, ${values.join(', ')})`;
}

/** Columns that few records of a kind have; null in the others. */
export const EXTRA_COLUMNS: Record<KindName, readonly string[]> = {
  instrument: [],
  ...ofChannels(({ extras }) => extras),
  command: [],
  snapshot: ['as_of'],
  gap: [],
  checkpoint: [],
  epoch: [],
};

/** Bits of `flags`. */
export const FLAG = { late: 1, ahead: 2, stale: 4, recovered: 8 } as const;

/** Binds: high and low half of the time, flags, high part of the volume, id. */
export const UPDATE_EXTRAS =
  'UPDATE record SET as_of = (? << 32) | ?, flags = ?, volume_high = ? WHERE id = ?';

/** The time by which a record is ordered. */
export const ORDER_TIME = 'coalesce(as_of, event_time)';

/** The extra columns, with the time as two halves. */
export const SELECT_EXTRAS =
  'as_of >> 32 AS as_of_hi, as_of & 4294967295 AS as_of_lo, flags, volume_high';

const COLUMNS = `id, kind, instrument, prev_seq,
  event_time >> 32 AS event_hi, event_time & 4294967295 AS event_lo,
  receive_time >> 32 AS receive_hi, receive_time & 4294967295 AS receive_lo,
  price, quantity, bid, bid_quantity, ask, ask_quantity, volume, side, ref, source_seq, levels, text`;

/** The columns of a record, with times as two halves; append a WHERE clause. */
export const SELECT_RECORD = `SELECT ${COLUMNS}, ${SELECT_EXTRAS} FROM record`;

/** The same for a journal of schema 2, which has no extra columns. */
export const SELECT_RECORD_2 = `SELECT ${COLUMNS},
  NULL AS as_of_hi, NULL AS as_of_lo, NULL AS flags, NULL AS volume_high FROM record`;

/** The kinds with their numbers, for readers of the file: `1 instrument 2 tick …`. */
function kindsText(): string {
  const kinds = Object.entries(KIND).sort(([, a], [, b]) => a - b);
  return kinds.map(([name, kind]) => `${kind} ${name}`).join(' ');
}

/** A property of the row of each journaled channel. */
function ofChannels<T>(property: (row: ChannelRow) => T): Record<JournaledChannel, T> {
  const all = JOURNALED_CHANNELS.map((channel) => [channel, property(channelDef(channel).row!)]);
  return Object.fromEntries(all) as Record<JournaledChannel, T>;
}
