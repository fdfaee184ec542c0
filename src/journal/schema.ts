/**
 * Schema of the journal: one table of records in SQLite, readable by people and by any SQL tool.
 *
 * A record is an event at its place in the numbering, `seq` being the row id. Times are int64
 * nanoseconds; since neither end of the statement is a bigint, they are bound as two words and put
 * together by SQL, and taken apart again when read.
 */

export const APPLICATION_ID = 0x7461_7065; // "tape"
export const SCHEMA_VERSION = 1;

export const KIND = {
  instrument: 1,
  tick: 2,
  trade: 3,
  bbo: 4,
  book: 5,
  status: 6,
  command: 7,
  snapshot: 8,
} as const;
export type KindName = keyof typeof KIND;

export const TABLES = `
CREATE TABLE epoch (
  epoch     INTEGER PRIMARY KEY,
  first_seq INTEGER NOT NULL,          -- first place of this life of the numbering
  last_seq  INTEGER,                   -- last place found or written; null while it is open
  clean     INTEGER NOT NULL DEFAULT 0 -- 1 after an orderly end
) STRICT;
CREATE TABLE instrument (
  id         INTEGER PRIMARY KEY,
  symbol     TEXT NOT NULL UNIQUE,
  price_scale    INTEGER NOT NULL,     -- decimals of its prices
  quantity_scale INTEGER NOT NULL,     -- decimals of its quantities
  definition TEXT NOT NULL             -- JSON with scaled integers
) STRICT;
CREATE TABLE record (
  seq          INTEGER PRIMARY KEY,
  kind         INTEGER NOT NULL,       -- 1 instrument 2 tick 3 trade 4 bbo 5 book 6 status 7 command 8 snapshot
  instrument   INTEGER NOT NULL,
  prev_seq     INTEGER NOT NULL,
  event_time   INTEGER NOT NULL,       -- ns since 1970
  receive_time INTEGER NOT NULL,
  price        INTEGER,                -- scaled, as are all prices and quantities
  quantity     INTEGER,
  bid          INTEGER,
  bid_quantity INTEGER,
  ask          INTEGER,
  ask_quantity INTEGER,
  volume       INTEGER,
  side         INTEGER,                -- trade, command: 0 buy 1 sell 2 none; book: 0 snapshot 1 delta 2 incomplete
  ref          INTEGER,                -- trade: id by the source; book, snapshot: CRC-32; status: missed; command: order id
  source_seq   INTEGER,                -- trade of a feed: its number by the source; 0 when it gave none
  levels       BLOB,                   -- book, snapshot: as in protocol/layout.ts
  text         TEXT                    -- instrument: definition; status: state and reason; command: the rest as JSON
) STRICT;
CREATE TABLE checkpoint (
  seq   INTEGER PRIMARY KEY,           -- the state after this place
  crc   INTEGER NOT NULL,              -- CRC-32 of state
  state TEXT NOT NULL                  -- JSON
) STRICT;
`;

/**
 * Each ends in the place, as every index of SQLite does in the row id. Those of trades and books open
 * with the time and not with the instrument: so they grow at one end, which costs the writer half.
 */
export const INDEXES = `
CREATE INDEX IF NOT EXISTS record_trade ON record (instrument, seq) WHERE kind = 3;
CREATE INDEX IF NOT EXISTS record_trade_time ON record (event_time, instrument) WHERE kind = 3;
CREATE INDEX IF NOT EXISTS record_book_time ON record (event_time, instrument) WHERE kind = 5;
CREATE INDEX IF NOT EXISTS record_snapshot ON record (instrument, event_time) WHERE kind = 8;
`;

const COMMON = ['seq', 'instrument', 'prev_seq', 'event_time', 'receive_time'] as const;

/** The columns that each kind fills besides the common ones, in binding order. */
const COLUMNS: Record<KindName, readonly string[]> = {
  instrument: ['text'],
  tick: ['price', 'quantity', 'bid', 'ask', 'volume'],
  trade: ['price', 'quantity', 'side', 'ref', 'source_seq'],
  bbo: ['bid', 'bid_quantity', 'ask', 'ask_quantity'],
  book: ['side', 'levels', 'ref'],
  status: ['text', 'ref'],
  command: ['price', 'quantity', 'side', 'ref', 'text'],
  snapshot: ['levels', 'ref'],
};

/** Binds: seq, instrument, prev_seq, event hi, lo, receive hi, lo, then the kind's own columns. */
export function insertSql(kind: KindName): string {
  const own = COLUMNS[kind];
  const values = ['?', '?', '?', '(? << 32) | ?', '(? << 32) | ?', ...own.map(() => '?')];
  return `INSERT INTO record (kind, ${[...COMMON, ...own].join(', ')}) VALUES (${KIND[kind]}, ${values.join(', ')})`;
}

/** A record's columns with its times as words; put a WHERE clause behind it. */
export const SELECT_RECORD = `SELECT seq, kind, instrument, prev_seq,
  event_time >> 32 AS event_hi, event_time & 4294967295 AS event_lo,
  receive_time >> 32 AS receive_hi, receive_time & 4294967295 AS receive_lo,
  price, quantity, bid, bid_quantity, ask, ask_quantity, volume, side, ref, source_seq, levels, text
  FROM record`;
