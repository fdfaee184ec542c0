/**
 * History reader: answers questions about the past from a connection of its own, which only reads.
 *
 * Each answer comes out of one read transaction, so out of one state of the journal. No statement
 * stays open behind it: an open one would keep SQLite from shortening its WAL.
 */

import { Database } from 'bun:sqlite';

import { fault, type Fault } from '../../protocol/codes';
import { toJson } from '../../protocol/json';
import type { Instrument, Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { PastBars } from './history-bars';
import { ALWAYS, Blocks, type Times } from './history-blocks';
import { PastBooks } from './history-book';
import { Gaps } from './history-gaps';
import type {
  Answers,
  MissingPlaces,
  Page,
  PastQuestion,
  TicksQuestion,
  TradesQuestion,
} from './history-messages';
import { Topic } from './history-topics';
import { parseDefinition, rowToEvent, rowToTrade, type RecordRow } from './records';
import { idOf, SELECT_RECORD, seqOf } from './schema';

interface Known {
  readonly id: number;
  readonly definition: Instrument;
}

export class HistoryReader {
  private readonly db: Database;
  private readonly gaps: Gaps;
  private readonly books: PastBooks;
  private readonly bars: PastBars;
  private readonly tradeRows: Topic<RecordRow>;
  private readonly tickRows: Topic<RecordRow>;
  private readonly instruments = new Map<string, Known>();

  constructor(path: string) {
    this.db = new Database(path, { readonly: true });
    this.db.run('PRAGMA busy_timeout = 5000');
    this.db.run('PRAGMA mmap_size = 1073741824');
    const blocks = new Blocks(this.db);
    this.gaps = new Gaps(this.db, blocks);
    this.books = new PastBooks(this.db, blocks, this.gaps);
    this.bars = new PastBars(this.db, blocks, this.gaps);
    this.tradeRows = new Topic<RecordRow>(this.db, blocks, 'trade', SELECT_RECORD);
    this.tickRows = new Topic<RecordRow>(this.db, blocks, 'tick', SELECT_RECORD);
  }

  /**
   * @param open what a failing disk had not taken when it was asked
   * @throws Error when the journal does not read
   */
  answer(
    question: PastQuestion,
    open: MissingPlaces | null = null,
  ): Answers[PastQuestion['kind']] | Fault {
    this.db.run('BEGIN');
    try {
      const known = this.find(question.symbol);
      if (known === undefined) {
        return fault('no-data', `the journal holds nothing of ${question.symbol} yet`);
      }
      this.gaps.begin(open);
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

  private trades({ symbol, before, limit }: TradesQuestion, { id, definition }: Known): Page {
    const rows: RecordRow[] = [];
    for (const row of this.tradeRows.below(before, id)) {
      rows.push(row);
      if (rows.length === limit) break;
    }
    const last = rows.at(-1);
    const first = last === undefined || rows.length < limit ? 0 : seqOf(last.id);
    return {
      ...page(rows, (row) => rowToTrade(row, symbol), definition),
      newest: receivedAt(rows[0]),
      gaps: this.gaps.within(first, before - 1, id, ALWAYS),
    };
  }

  private ticks(q: TicksQuestion, { id, definition }: Known): Page {
    const times = timesOf(q);
    const rows = times === null ? [] : this.ticksIn(q, id, times);
    const last = rows.length < q.limit ? Number.MAX_SAFE_INTEGER : seqOf(rows.at(-1)!.id);
    return {
      ...page(rows, (row) => rowToEvent(row, q.symbol) as Message | undefined, definition),
      newest: receivedAt(rows.at(-1)),
      gaps: times === null ? [] : this.gaps.within(q.after + 1, last, id, times),
    };
  }

  private ticksIn({ after, limit }: TicksQuestion, id: number, times: Times): RecordRow[] {
    const found: RecordRow[] = [];
    for (const rows of this.tickRows.from(idOf(after + 1), id, times)) {
      for (const row of rows) {
        if (!isWithin(row, times)) continue;
        found.push(row);
        if (found.length === limit) return found;
      }
    }
    return found;
  }
}

/** Null when no time is in the range. */
function timesOf({ from, to }: TicksQuestion): Times | null {
  if (to !== null && to.hi === 0 && to.lo === 0) return null;
  return {
    first: from ?? ALWAYS.first,
    last: to === null ? ALWAYS.last : new Nanos(to.hi, to.lo).plus(-1),
  };
}

function isWithin({ event_hi: hi, event_lo: lo }: RecordRow, { first, last }: Times): boolean {
  return (
    (hi !== first.hi ? hi > first.hi : lo >= first.lo) &&
    (hi !== last.hi ? hi < last.hi : lo <= last.lo)
  );
}

function receivedAt(row: RecordRow | undefined): Page['newest'] {
  return row === undefined ? null : { hi: row.receive_hi, lo: row.receive_lo };
}

function page(
  rows: readonly RecordRow[],
  read: (row: RecordRow) => Message | undefined,
  definition: Instrument,
): Pick<Page, 'items' | 'count' | 'last'> {
  const items = rows.map((row) => {
    const message = read(row);
    if (message === undefined) throw new Error(`record ${seqOf(row.id)} does not read`);
    return JSON.stringify(toJson(message, () => definition));
  });
  const last = rows.at(-1);
  return {
    items: `[${items.join(',')}]`,
    count: items.length,
    last: last === undefined ? 0 : seqOf(last.id),
  };
}
