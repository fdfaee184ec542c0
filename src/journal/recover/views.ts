/**
 * Views of the journal for any SQL tool, with decimals and times: ticks, trades, deltas, snapshots,
 * levels, orders, gaps, checkpoints, epochs, and the messages of plain channels. Decimals are exact,
 * since they are built from digits and never from floating point. `seq` is computed from the id of
 * the record. So select a range or an order by `id` (seq × 8), which reads no more than it must.
 */

import type { Database } from 'bun:sqlite';

import { PLAIN_CHANNELS, type PlainChannel } from '../../../protocol/channels';
import { kindOf, plainFields } from '../../../protocol/plain';
import { KIND, MARK_SIDE, SLOT, SLOTS } from '../schema';

/**
 * A scaled integer as an exact decimal: all digits, with the point `scale` digits from the right.
 */
function decimalSql(value: string, scale: string): string {
  const digits = `printf('%0*d', ${scale} + 1, abs(${value}))`;
  return `CASE WHEN ${value} IS NULL THEN NULL ELSE
    CASE WHEN ${value} < 0 THEN '-' ELSE '' END || substr(${digits}, 1, length(${digits}) - ${scale})
    || CASE ${scale} WHEN 0 THEN '' ELSE '.' || substr(${digits}, -${scale}) END END`;
}

/**
 * A sum as an exact decimal: `low`, plus `high` × 2^53 if `high` is not null. SQLite's integers end
 * at 2^63, so the product is computed in groups of nine digits: 2^53 is 9007199 · 10^9 + 254740992.
 */
function sumSql(high: string, low: string, scale: string): string {
  const [h1, h0] = [`${high} / 1000000000`, `${high} % 1000000000`];
  const groups = `SELECT (${h1}) * 9007199 AS g2,
    (${h1}) * 254740992 + (${h0}) * 9007199 + ${low} / 1000000000 AS g1,
    (${h0}) * 254740992 + ${low} % 1000000000 AS g0`;
  const carried = `SELECT g2, g1 + g0 / 1000000000 AS g1, g0 % 1000000000 AS g0 FROM (${groups})`;
  const digits = `SELECT ltrim(printf('%d%09d%09d', g2 + g1 / 1000000000, g1 % 1000000000, g0), '0') AS d
    FROM (${carried})`;
  // The number has at least sixteen digits, and no scale exceeds fifteen.
  return `CASE WHEN ${high} IS NULL THEN ${decimalSql(low, scale)} ELSE
    (SELECT substr(d, 1, length(d) - ${scale}) || CASE ${scale} WHEN 0 THEN ''
      ELSE '.' || substr(d, -${scale}) END FROM (${digits})) END`;
}

/** Nanoseconds as text: 2024-08-09 00:34:15.342000000. */
function timeSql(value: string): string {
  return `datetime(${value} / 1000000000, 'unixepoch') || printf('.%09d', ${value} % 1000000000)`;
}

/** The int64 that begins at a byte of the levels, computed from their hexadecimal digits. */
function int64Sql(hex: string, offset: string): string {
  const nibble = (at: string): string => `(instr('123456789ABCDEF', substr(${hex}, ${at}, 1)))`;
  return Array.from({ length: 8 }, (_, byte) => {
    const at = `(${offset} + ${byte}) * 2`;
    return `((${nibble(`${at} + 1`)} * 16 + ${nibble(`${at} + 2`)}) << ${byte * 8})`;
  }).join(' | ');
}

/** The notes of one kind, without reading all other records. */
function notedSql(kind: 'gap' | 'checkpoint' | 'epoch'): string {
  return `SELECT r.* FROM note n JOIN record r ON r.id = n.id WHERE n.kind = ${KIND[kind]}`;
}

const OPENING = `r.id / ${SLOTS} AS seq, i.symbol, ${timeSql('r.event_time')} AS time, r.event_time, r.id`;
const FROM = 'FROM record r JOIN instrument i ON i.id = r.instrument';
const price = (column: string): string =>
  `${decimalSql(`r.${column}`, 'i.price_scale')} AS ${column}`;
const quantity = (column: string): string =>
  `${decimalSql(`r.${column}`, 'i.quantity_scale')} AS ${column}`;

/** For columns that only a new order uses; other commands have meaningless values in them. */
const ofSubmit = (value: string): string =>
  `CASE r.text ->> 'action' WHEN 'submit' THEN ${value} END`;

/** The columns of a view of a plain channel: the fields of its messages, with decimals. */
function plainColumns(channel: PlainChannel): string[] {
  return Object.entries(plainFields(channel)).map(([name, field]) => {
    const value = `r.text ->> '${name}'`;
    const column = `"${name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}"`;
    const kind = kindOf(field);
    if (kind !== 'price' && kind !== 'quantity') return `${value} AS ${column}`;
    return `${decimalSql(`CAST(${value} AS INTEGER)`, `i.${kind}_scale`)} AS ${column}`;
  });
}

/** The view of a plain channel, named like those of others: `ticks` has the messages of `tick`. */
function plainView(channel: string, kind: number, columns: readonly string[]): string {
  return `CREATE VIEW ${channel}s AS SELECT ${[OPENING, ...columns].join(', ')}
  ${FROM} WHERE r.kind = ${kind};
`;
}

const PLAIN_VIEWS = PLAIN_CHANNELS.map((channel) =>
  plainView(channel, KIND[channel], plainColumns(channel)),
);

/** Views with decimals and times; `levels` has a row for each level of a delta or snapshot. */
export const VIEWS = `
CREATE VIEW trades AS SELECT ${OPENING}, ${price('price')}, ${quantity('quantity')},
  CASE r.side WHEN 0 THEN 'buy' WHEN 1 THEN 'sell' ELSE 'none' END AS aggressor, r.ref AS trade_id,
  CASE r.flags & 3 WHEN 1 THEN 'late' WHEN 2 THEN 'ahead' WHEN 3 THEN 'late-and-ahead' END AS timing
  ${FROM} WHERE r.kind = ${KIND.trade};
CREATE VIEW ticks AS SELECT ${OPENING}, ${decimalSql('r.price', 'i.price_scale')} AS last,
  ${price('bid')}, ${price('ask')}, ${quantity('quantity')},
  ${sumSql('r.volume_high', 'r.volume', 'i.quantity_scale')} AS volume
  ${FROM} WHERE r.kind = ${KIND.tick};
CREATE VIEW deltas AS SELECT ${OPENING},
  CASE r.side WHEN 0 THEN 'snapshot' WHEN 1 THEN 'delta' ELSE 'incomplete' END AS form,
  r.ref AS crc, CASE r.flags WHEN 4 THEN 'stale' WHEN 8 THEN 'recovered' END AS mark, r.levels
  ${FROM} WHERE r.kind = ${KIND.book};
CREATE VIEW snapshots AS SELECT ${OPENING}, r.ref AS crc, r.levels
  ${FROM} WHERE r.kind = ${KIND.snapshot};
CREATE VIEW orders AS SELECT ${OPENING}, r.text ->> 'action' AS action, r.text ->> 'owner' AS owner,
  r.text ->> 'clientOrderId' AS client_order_id, r.ref AS order_id,
  ${ofSubmit("CASE r.side WHEN 0 THEN 'buy' ELSE 'sell' END")} AS side,
  ${ofSubmit("r.text ->> 'kind'")} AS kind, ${ofSubmit("r.text ->> 'timeInForce'")} AS time_in_force,
  ${decimalSql('nullif(r.price, 0)', 'i.price_scale')} AS price,
  ${decimalSql('nullif(r.quantity, 0)', 'i.quantity_scale')} AS quantity,
  r.text ->> 'state' AS state ${FROM} WHERE r.kind = ${KIND.command};
CREATE VIEW gaps AS SELECT ref AS from_seq, id / ${SLOTS} AS to_seq, text AS reason,
  ${timeSql('event_time')} AS time FROM record WHERE id IN (SELECT id FROM note WHERE kind = ${KIND.gap});
CREATE VIEW checkpoints AS SELECT id / ${SLOTS} AS seq,
  CASE side WHEN ${MARK_SIDE} THEN prev_seq ELSE id / ${SLOTS} END AS from_seq, ref AS crc,
  side = 1 AS behind_gap, text AS state,
  ${timeSql('event_time')} AS time FROM record WHERE id IN (SELECT id FROM note WHERE kind = ${KIND.checkpoint});
CREATE VIEW pieces AS SELECT
  CASE p.kind WHEN 1 THEN 'instrument' WHEN 2 THEN 'orders' WHEN 3 THEN 'ended' ELSE 'owners' END AS kind,
  i.symbol, p.key, p.cycle, p.seq, length(p.body) AS bytes FROM piece p
  LEFT JOIN instrument i ON i.id = CASE p.kind WHEN 1 THEN p.key WHEN 2 THEN p.key >> 20 END;
CREATE VIEW epochs AS SELECT o.ref AS epoch, o.id / ${SLOTS} + 1 AS first_seq,
  coalesce(c.id, lead(o.id) OVER (ORDER BY o.id)) / ${SLOTS} AS last_seq,
  c.id IS NOT NULL AS clean, ${timeSql('o.event_time')} AS time
  FROM (${notedSql('epoch')} AND n.id % ${SLOTS} = ${SLOT.opened}) o
  LEFT JOIN (${notedSql('epoch')} AND n.id % ${SLOTS} = ${SLOT.closed}) c ON c.ref = o.ref;
CREATE VIEW levels AS
  WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < 19),
  raw AS (SELECT id, instrument, kind, hex(levels) AS h,
    instr('123456789ABCDEF', substr(hex(levels), 1, 1)) * 16
      + instr('123456789ABCDEF', substr(hex(levels), 2, 1)) AS bids,
    instr('123456789ABCDEF', substr(hex(levels), 9, 1)) * 16
      + instr('123456789ABCDEF', substr(hex(levels), 10, 1)) AS asks
    FROM record WHERE kind IN (${KIND.book}, ${KIND.snapshot})),
  level AS (SELECT raw.id, raw.instrument, CASE WHEN k < bids THEN 'bid' ELSE 'ask' END AS side,
    CASE WHEN k < bids THEN k ELSE k - bids END AS rank,
    ${int64Sql('h', '(8 + 16 * k)')} AS price, ${int64Sql('h', '(16 + 16 * k)')} AS quantity
    FROM raw JOIN n ON k < bids + asks)
  SELECT r.id / ${SLOTS} AS seq, i.symbol, r.side, r.rank, ${price('price')}, ${quantity('quantity')}, r.id
  FROM level r JOIN instrument i ON i.id = r.instrument;
${PLAIN_VIEWS.join('')}`;

/**
 * Replaces the views in the file unless they are those above. They hold no data, and may be of
 * another version or damaged.
 */
export function renewViews(db: Database): void {
  const stored = db
    .query<{ name: string; sql: string }, []>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'view'",
    )
    .all();
  const count = VIEWS.split('CREATE VIEW').length - 1;
  if (stored.length === count && stored.every(({ sql }) => VIEWS.includes(sql))) return;
  db.transaction(() => {
    for (const { name } of stored) db.run(`DROP VIEW "${name}"`);
    db.run(VIEWS);
  })();
}
