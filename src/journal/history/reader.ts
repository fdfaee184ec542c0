/**
 * History reader: answers questions about the past over a read-only connection of its own.
 *
 * A short answer comes from one read transaction, so from one state of the journal. A long one
 * (ticks, bars) comes from several, between which other questions are answered. The journal only
 * grows at its end, so this is as if the question had been asked a little later. What retention
 * deletes meanwhile is a gap in the answer, since gaps are read last. No statement stays open after
 * a part: it would keep SQLite from shortening its WAL.
 */

import { Database } from 'bun:sqlite';

import { fault, type Fault } from '../../../protocol/codes';
import { toJsonText } from '../../../protocol/json-text';
import type { Instrument, Message } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import { PastBars } from './bars';
import { PastBarsBehind } from './bars-behind';
import { ALWAYS, Blocks, PART_BLOCKS, type Times } from './blocks';
import { PastBooks } from './book';
import { Gaps } from './gaps';
import type { MissingRange, PastPage } from '../../base/contracts/past';
import type {
  Answers,
  BarsBehindQuestion,
  PastQuestion,
  TicksQuestion,
  TradesQuestion,
} from './messages';
import { Topic } from './topics';
import type { ProofOptions, Proofs } from '../proofs';
import { orderTimeOf, parseDefinition, rowToEvent, rowToTrade, type RecordRow } from '../records';
import { idOf, SELECT_RECORD, seqOf } from '../schema';

interface Known {
  readonly id: number;
  readonly definition: Instrument;
}

type HistoryQuestion = PastQuestion | BarsBehindQuestion;

export class HistoryReader {
  private readonly db: Database;
  private readonly proofs: Proofs;
  private readonly gaps: Gaps;
  private readonly books: PastBooks;
  private readonly bars: PastBars;
  private readonly barsBehind: PastBarsBehind;
  private readonly tradeRows: Topic<RecordRow>;
  private readonly tickRows: Topic<RecordRow>;
  private readonly instruments = new Map<string, Known>();

  constructor(path: string, proofs: ProofOptions = {}) {
    this.db = new Database(path, { readonly: true });
    this.db.run('PRAGMA busy_timeout = 5000');
    this.db.run('PRAGMA mmap_size = 1073741824');
    const blocks = new Blocks(this.db, proofs);
    this.proofs = blocks.proofs;
    this.gaps = new Gaps(this.db, blocks);
    this.books = new PastBooks(this.db, blocks, this.gaps);
    this.bars = new PastBars(this.db, blocks, this.gaps);
    this.barsBehind = new PastBarsBehind(this.db, blocks, this.gaps, this.bars);
    this.tradeRows = new Topic<RecordRow>(this.db, blocks, 'trade', SELECT_RECORD);
    this.tickRows = new Topic<RecordRow>(this.db, blocks, 'tick', SELECT_RECORD);
  }

  /** The whole answer at once; see `work`. */
  answer(
    question: HistoryQuestion,
    open: MissingRange | null = null,
  ): Answers[HistoryQuestion['kind']] | Fault {
    const work = this.work(question, open);
    for (;;) {
      const part = work.next();
      if (part.done === true) return part.value;
    }
  }

  /**
   * The answer in parts. Later parts see what is recorded or deleted between the parts.
   * @param open what a failing disk had not taken when the question was asked
   * @throws Error when the journal cannot be read
   */
  *work(
    question: HistoryQuestion,
    open: MissingRange | null = null,
  ): Generator<undefined, Answers[HistoryQuestion['kind']] | Fault> {
    const parts = this.parts(question);
    let blocks = 0;
    for (;;) {
      const before = this.proofs.reads;
      this.db.run('BEGIN');
      try {
        this.gaps.begin(open);
        const part = parts.next();
        blocks += this.proofs.reads - before;
        if (part.done === true) return withEffort(part.value, blocks);
      } finally {
        this.db.run('COMMIT');
      }
      yield;
    }
  }

  private *parts(
    question: HistoryQuestion,
  ): Generator<undefined, Answers[HistoryQuestion['kind']] | Fault> {
    if (question.kind === 'bars-behind') {
      return yield* this.barsBehind.read(question, (symbol) => this.find(symbol)?.id);
    }
    const known = this.find(question.symbol);
    if (known === undefined) {
      return fault('no-data', `the journal has no record of ${question.symbol} yet`);
    }
    switch (question.kind) {
      case 'book':
        return this.books.at(question.symbol, known.id, known.definition, question.at);
      case 'trades':
        return yield* this.trades(question, known);
      case 'ticks':
        return yield* this.ticks(question, known);
      case 'bars':
        return yield* this.bars.read(question, known.id, known.definition);
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
    // Only the scales are used, which never change.
    this.instruments.set(symbol, { id: row.id, definition });
    return { id: row.id, definition };
  }

  private *trades(
    { symbol, before, limit, blocksMax = Infinity }: TradesQuestion,
    { id, definition }: Known,
  ): Generator<undefined, PastPage> {
    const rows: RecordRow[] = [];
    const effort = new PartEffort(this.proofs, blocksMax);
    for (const row of this.tradeRows.below(before, id)) {
      rows.push(row);
      if (rows.length === limit || effort.isOver) break;
      if (effort.isPart) yield* effort.rest();
    }
    const last = rows.at(-1);
    const isCut = rows.length < limit && effort.isOver;
    const first = last === undefined || (rows.length < limit && !isCut) ? 0 : seqOf(last.id);
    return {
      ...page(rows, (row) => rowToTrade(row, symbol), definition),
      isCut,
      newest: receivedAt(rows[0]),
      gaps: this.gaps.within(first, before - 1, id, ALWAYS),
    };
  }

  private *ticks(q: TicksQuestion, { id, definition }: Known): Generator<undefined, PastPage> {
    const times = timesOf(q);
    const { rows, cutAt } = times === null ? NO_TICKS : yield* this.ticksIn(q, id, times);
    const isAll = rows.length < q.limit && cutAt === null;
    const last = isAll ? Number.MAX_SAFE_INTEGER : (cutAt ?? seqOf(rows.at(-1)!.id));
    const made = page(rows, (row) => rowToEvent(row, q.symbol) as Message | undefined, definition);
    return {
      ...made,
      last: cutAt ?? made.last,
      isCut: cutAt !== null,
      newest: receivedAt(rows.at(-1)),
      gaps: times === null ? [] : this.gaps.within(q.after + 1, last, id, times),
    };
  }

  private *ticksIn(
    { after, limit, blocksMax = Infinity }: TicksQuestion,
    id: number,
    times: Times,
  ): Generator<undefined, FoundTicks> {
    const found: RecordRow[] = [];
    const effort = new PartEffort(this.proofs, blocksMax);
    let blocks = 0;
    for (const { rows, last } of this.tickRows.from(idOf(after + 1), id, times)) {
      for (const row of rows) {
        if (!isWithin(row, times)) continue;
        found.push(row);
        if (found.length === limit) return { rows: found, cutAt: null };
      }
      if (effort.isOver) return { rows: found, cutAt: seqOf(last) };
      if (++blocks % PART_BLOCKS === 0) yield* effort.rest();
    }
    return { rows: found, cutAt: null };
  }
}

interface FoundTicks {
  readonly rows: RecordRow[];
  /**
   * The seq up to which it was read, if there may be more; null: complete, or as many as requested.
   */
  readonly cutAt: number | null;
}

const NO_TICKS: FoundTicks = { rows: [], cutAt: null };

/**
 * Counts the blocks that one question had proven, without those of questions that were answered
 * between its parts.
 */
class PartEffort {
  private readonly proofs: Proofs;
  private readonly most: number;
  private before: number;
  private blocks = 0;

  constructor(proofs: Proofs, most: number) {
    this.proofs = proofs;
    this.most = most;
    this.before = proofs.reads;
  }

  get isOver(): boolean {
    return this.blocks + this.ofPart >= this.most;
  }

  get isPart(): boolean {
    return this.ofPart >= PART_BLOCKS;
  }

  /** A pause in which other questions continue. */
  *rest(): Generator<undefined, void> {
    this.blocks += this.ofPart;
    yield;
    this.before = this.proofs.reads;
  }

  private get ofPart(): number {
    return this.proofs.reads - this.before;
  }
}

function withEffort<A extends Answers[HistoryQuestion['kind']] | Fault>(
  answer: A,
  blocks: number,
): A {
  return 'code' in answer || 'instruments' in answer ? answer : { ...answer, blocks };
}

/** Null if no time is in the range. */
function timesOf({ from, to }: TicksQuestion): Times | null {
  if (to !== null && to.hi === 0 && to.lo === 0) return null;
  return {
    first: from ?? ALWAYS.first,
    last: to === null ? ALWAYS.last : new Nanos(to.hi, to.lo).plus(-1),
  };
}

function isWithin(row: RecordRow, { first, last }: Times): boolean {
  const { hi, lo } = orderTimeOf(row);
  return (
    (hi !== first.hi ? hi > first.hi : lo >= first.lo) &&
    (hi !== last.hi ? hi < last.hi : lo <= last.lo)
  );
}

function receivedAt(row: RecordRow | undefined): PastPage['newest'] {
  return row === undefined ? null : { hi: row.receive_hi, lo: row.receive_lo };
}

function page(
  rows: readonly RecordRow[],
  read: (row: RecordRow) => Message | undefined,
  definition: Instrument,
): Pick<PastPage, 'items' | 'count' | 'last'> {
  const items = rows.map((row) => {
    const message = read(row);
    if (message === undefined) throw new Error(`record ${seqOf(row.id)} does not read`);
    return toJsonText(message, () => definition);
  });
  const last = rows.at(-1);
  return {
    items: `[${items.join(',')}]`,
    count: items.length,
    last: last === undefined ? 0 : seqOf(last.id),
  };
}
