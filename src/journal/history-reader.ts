/**
 * History reader: answers questions about the past from a connection of its own, which only reads.
 *
 * Each answer comes out of one read transaction, so out of one state of the journal. No statement
 * stays open behind it: an open one would keep SQLite from shortening its WAL.
 */

import { Database, type SQLQueryBindings, type Statement } from 'bun:sqlite';

import { fault, type Fault } from '../../protocol/codes';
import { toJson } from '../../protocol/json';
import type { Instrument, Message } from '../../protocol/messages';
import type { Answers, Page, Question, TicksQuestion, TradesQuestion } from './history-messages';
import { PastBars } from './history-bars';
import { PastBooks } from './history-book';
import { parseDefinition, rowToEvent, rowToTrade, type RecordRow } from './records';
import { KIND, SELECT_RECORD } from './schema';

const TIME_MIN = { hi: 0, lo: 0 };

interface Known {
  readonly id: number;
  readonly definition: Instrument;
}

export class HistoryReader {
  private readonly db: Database;
  private readonly books: PastBooks;
  private readonly bars: PastBars;
  private readonly tradesBefore: Statement<RecordRow, [number, number, number]>;
  private readonly instruments = new Map<string, Known>();

  constructor(path: string) {
    this.db = new Database(path, { readonly: true });
    this.db.run('PRAGMA busy_timeout = 5000');
    this.db.run('PRAGMA mmap_size = 1073741824');
    this.books = new PastBooks(this.db);
    this.bars = new PastBars(this.db);
    this.tradesBefore = this.db.prepare(
      `${SELECT_RECORD} WHERE kind = ${KIND.trade} AND instrument = ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
    );
  }

  /** @throws Error when the journal does not read */
  answer(question: Question): Answers[Question['kind']] | Fault {
    this.db.run('BEGIN');
    try {
      const known = this.find(question.symbol);
      if (known === undefined) {
        return fault('no-data', `the journal holds nothing of ${question.symbol} yet`);
      }
      switch (question.kind) {
        case 'book':
          return this.books.at(question.symbol, known.id, known.definition, question.at);
        case 'trades':
          return this.trades(question, known);
        case 'ticks':
          return this.ticks(question, known);
        case 'bars':
          return this.bars.read(question, known.id, known.definition);
      }
    } finally {
      this.db.run('COMMIT');
    }
  }

  close(): void {
    this.db.close();
  }

  private find(symbol: string): Known | undefined {
    const known = this.instruments.get(symbol);
    if (known !== undefined) return known;
    const row = this.db
      .query('SELECT id, definition FROM instrument WHERE symbol = ?')
      .get(symbol) as { id: number; definition: string } | null;
    const definition = row === null ? undefined : parseDefinition(row.definition);
    if (row === null || definition === undefined) return undefined;
    // What is used of it are the scales, which never change.
    this.instruments.set(symbol, { id: row.id, definition });
    return { id: row.id, definition };
  }

  private trades(q: TradesQuestion, { id, definition }: Known): Page {
    const rows = this.tradesBefore.all(id, q.before, q.limit);
    return page(rows, rows[0], rows.at(-1)?.seq, (row) => rowToTrade(row, q.symbol), definition);
  }

  /** The tick of a trade has the place behind it. */
  private ticks(q: TicksQuestion, { id, definition }: Known): Page {
    const bindings: SQLQueryBindings[] = [id, this.firstTick(q, id)];
    let range = '';
    for (const [time, comparison] of [
      [q.from, '>='],
      [q.to, '<'],
    ] as const) {
      if (time === null) continue;
      range += ` AND event_time ${comparison} (? << 32) | ?`;
      bindings.push(time.hi, time.lo);
    }
    const last = q.to === null ? Number.MAX_SAFE_INTEGER : this.lastTick(q, id);
    const rows = this.db
      .query<RecordRow, SQLQueryBindings[]>(
        `${SELECT_RECORD} WHERE kind = ${KIND.tick} AND seq IN (SELECT seq + 1 FROM record INDEXED BY record_trade
           WHERE kind = ${KIND.trade} AND instrument = ? AND seq >= ?${range} AND seq <= ? ORDER BY seq LIMIT ?)
         ORDER BY seq`,
      )
      .all(...bindings, last, q.limit);
    const newest = rows.at(-1);
    return page(
      rows,
      newest,
      newest === undefined ? 0 : newest.seq - 1,
      (row) => rowToEvent(row, q.symbol) as Message | undefined,
      definition,
    );
  }

  /** Where to begin: below it no trade lies in the range. */
  private firstTick(q: TicksQuestion, id: number): number {
    if (q.after > 0 || q.from === null) return q.after + 1;
    return this.bound('min', q, id) ?? Number.MAX_SAFE_INTEGER;
  }

  /** Where to end: above it no trade lies in the range. Without it a page would read on to the newest. */
  private lastTick(q: TicksQuestion, id: number): number {
    return this.bound('max', q, id) ?? 0;
  }

  private bound(which: 'min' | 'max', q: TicksQuestion, id: number): number | null {
    const from = q.from ?? TIME_MIN;
    const until = q.to === null ? '' : 'AND event_time < (? << 32) | ?';
    const to = q.to === null ? [] : [q.to.hi, q.to.lo];
    const row = this.db
      .query<{ seq: number | null }, number[]>(
        `SELECT ${which}(seq) AS seq FROM record INDEXED BY record_trade_time
           WHERE kind = ${KIND.trade} AND instrument = ? AND event_time >= (? << 32) | ? ${until}`,
      )
      .get(id, from.hi, from.lo, ...to);
    return row?.seq ?? null;
  }
}

function page(
  rows: readonly RecordRow[],
  newest: RecordRow | undefined,
  last: number | undefined,
  read: (row: RecordRow) => Message | undefined,
  definition: Instrument,
): Page {
  const items = rows.map((row) => {
    const message = read(row);
    if (message === undefined) throw new Error(`record ${row.seq} does not read`);
    return JSON.stringify(toJson(message, () => definition));
  });
  return {
    items: `[${items.join(',')}]`,
    count: items.length,
    last: last ?? 0,
    newest: newest === undefined ? null : { hi: newest.receive_hi, lo: newest.receive_lo },
  };
}
