/**
 * Playback reader: the open replays of the journal, over one read-only connection.
 *
 * A replay is opened in one read transaction, so its range, its opening and its gaps are from one
 * state of the journal. Its chunks are from the state when they are read: existing records never
 * change, they can only be deleted. Bounded: by the callers, which open few replays
 * (`limits.playbacksMax`).
 */

import type { Database } from 'bun:sqlite';

import { fault, type Fault } from '../../../protocol/codes';
import type { Book, Instrument, Message } from '../../../protocol/messages';
import { Blocks } from '../history/blocks';
import { PastBooks } from '../history/book';
import { Gaps, isCrash } from '../history/gaps';
import type { MissingRange } from '../../base/contracts/past';
import { ReplayGaps } from './gaps';
import { ReplayTimes, ReplayTopics } from './range';
import type { ReplayChunk, ReplayOpen, ReplayOpened, ReplayQuestion } from './messages';
import { Replay, type ReplayInstruments } from './replay';
import { DAMAGED, type ProofOptions } from '../proofs';
import { connectToRead } from '../read-connection';
import { parseDefinition } from '../records';
import { KIND } from '../schema';

interface Known {
  readonly id: number;
  readonly symbol: string;
  readonly definition: Instrument | undefined;
}

/** Instruments by id and by symbol. Scales never change, so what was read stays valid. */
class KnownInstruments implements ReplayInstruments {
  private readonly db: Database;
  private readonly byId = new Map<number, Known>();
  private readonly bySymbol = new Map<string, Known>();

  constructor(db: Database) {
    this.db = db;
  }

  symbol(id: number): string {
    return this.get(id).symbol;
  }

  definition(symbol: string): Instrument | undefined {
    return this.find(symbol)?.definition;
  }

  find(symbol: string): Known | undefined {
    return this.bySymbol.get(symbol) ?? this.read('symbol', symbol);
  }

  /** @throws Error when the journal does not define it */
  get(id: number): Known {
    const known = this.byId.get(id) ?? this.read('id', id);
    if (known === undefined) throw new Error(`instrument ${id} is not defined`);
    return known;
  }

  all(): number[] {
    return this.db
      .query<{ id: number }, []>('SELECT id FROM instrument ORDER BY id')
      .all()
      .map(({ id }) => id);
  }

  private read(column: 'id' | 'symbol', value: number | string): Known | undefined {
    const row = this.db
      .query<{ id: number; symbol: string; definition: string }, [number | string]>(
        `SELECT id, symbol, definition FROM instrument WHERE ${column} = ?`,
      )
      .get(value);
    if (row === null) return undefined;
    const { id, symbol } = row;
    const known = { id, symbol, definition: parseDefinition(row.definition) };
    this.byId.set(id, known);
    this.bySymbol.set(symbol, known);
    return known;
  }
}

interface OpenReplay {
  readonly replay: Replay;
  /**
   * Whether it is for a resume: the reader continues from what it holds, so if records turn out to
   * be missing it fails instead of sending a gap.
   */
  readonly isWhole: boolean;
}

export class PlaybackReader {
  private readonly db: Database;
  private readonly blocks: Blocks;
  private readonly gaps: Gaps;
  private readonly books: PastBooks;
  private readonly times: ReplayTimes;
  private readonly instruments: KnownInstruments;
  private readonly replays = new Map<number, OpenReplay>();

  /** @throws Error when SQLite cannot read the file */
  constructor(path: string, proofs: ProofOptions = {}) {
    this.db = connectToRead(path);
    this.blocks = new Blocks(this.db, proofs);
    this.gaps = new Gaps(this.db, this.blocks);
    this.books = new PastBooks(this.db, this.blocks, this.gaps);
    this.times = new ReplayTimes(this.db, this.blocks);
    this.instruments = new KnownInstruments(this.db);
  }

  /**
   * @param open what a failing disk had not taken when the question was asked
   * @throws Error when the journal cannot be read
   */
  answer(
    question: ReplayQuestion,
    open: MissingRange | null = null,
  ): ReplayOpened | ReplayChunk | Fault | null {
    switch (question.kind) {
      case 'replay-open':
        return this.open(question, open);
      case 'replay-next':
        return this.next(question.replay, open);
      case 'replay-close':
        this.replays.delete(question.replay);
        return null;
    }
  }

  close(): void {
    this.db.close();
  }

  private next(id: number, missing: MissingRange | null): ReplayChunk | Fault {
    const open = this.replays.get(id);
    // The thread that had it ended, and this one was started since.
    if (open === undefined) return fault('history-failed', `replay ${id} is not open`);
    this.replays.delete(id);
    this.db.run('BEGIN');
    try {
      this.gaps.begin(missing);
      const { replay, isWhole } = open;
      if (replay.renewGaps() && isWhole) return gone();
      const chunk = replay.chunk();
      if (replay.isBroken && isWhole) return gone();
      if (!chunk.isLast) this.replays.set(id, open);
      return chunk;
    } finally {
      this.db.run('COMMIT');
    }
  }

  private open(q: ReplayOpen, open: MissingRange | null): ReplayOpened {
    this.db.run('BEGIN');
    try {
      this.gaps.begin(open);
      const topics = new ReplayTopics(q.topics, (symbol) => this.instruments.find(symbol)?.id);
      const { fromSeq, toSeq } = this.range(q, topics, open);
      const books = new Map<number, number>();
      const incompleteBy = new Map<number, string>();
      const opening = q.hasOpening ? this.opening(topics, fromSeq, books, incompleteBy) : [];
      const { isText, speed } = q;
      const gaps = this.gapsSince(Math.min(fromSeq, ...books.values()), fromSeq, toSeq);
      const instruments = topics.instruments(() => this.instruments.all());
      const plan = {
        topics,
        instruments,
        fromSeq,
        toSeq,
        gaps: new ReplayGaps(gaps),
        opening: q.goesOn === true ? [] : opening,
        books,
        incompleteBy,
        holdsBooks: !q.hasOpening,
        bookUpTo: this.bookUpTo,
        bookBefore: this.bookBefore,
        missing: this.missing,
        isText,
        speed,
        shard: q.shard ?? null,
      };
      const replay = new Replay(this.db, this.blocks, plan, this.instruments);
      this.replays.set(q.replay, { replay, isWhole: !q.hasOpening });
      return { fromSeq, toSeq, gaps: gaps.filter(({ to }) => to >= fromSeq) };
    } finally {
      this.db.run('COMMIT');
    }
  }

  private readonly bookUpTo = (seq: number, instrument: number): Book | null => {
    const book = this.books.upTo(seq, this.instruments.symbol(instrument), instrument);
    return book !== null && 'type' in book ? book : null;
  };

  private readonly bookBefore = (seq: number, instrument: number): number | null =>
    this.books.before(seq, instrument);

  private readonly missing = (seq: number): readonly MissingRange[] => this.gaps.from(seq);

  /**
   * The range ends at the newest seq that is on record or declared missing; what comes later needs
   * another replay.
   */
  private range(
    q: ReplayOpen,
    topics: ReplayTopics,
    open: MissingRange | null,
  ): { fromSeq: number; toSeq: number } {
    const of =
      q.from === null && q.to === null ? [] : topics.instruments(() => this.instruments.all());
    const first = q.from === null ? 0 : this.times.first(of, topics, q.from);
    const last = q.to === null ? q.toSeq : this.times.last(of, topics, q.to);
    const newest = Math.max(this.gaps.newestSeq(), open?.to ?? 0);
    const toSeq = Math.min(q.toSeq, last ?? 0, newest);
    return { fromSeq: Math.max(1, q.fromSeq, first ?? toSeq + 1), toSeq };
  }

  /**
   * The gaps of the replay, and those because of which a book of the opening may not be the newest.
   */
  private gapsSince(seq: number, fromSeq: number, toSeq: number): MissingRange[] {
    const gaps = this.gaps.from(seq).filter((gap) => gap.from <= toSeq);
    return gaps.filter((gap) => gap.to >= fromSeq || !isCrash(gap));
  }

  /** The definitions, and the books as they were before the first seq. */
  private opening(
    topics: ReplayTopics,
    fromSeq: number,
    books: Map<number, number>,
    incompleteBy: Map<number, string>,
  ): Message[] {
    const messages: Message[] = [];
    for (const id of topics.instruments(() => this.instruments.all())) {
      const { symbol, definition } = this.instruments.get(id);
      if (definition === undefined) continue;
      messages.push(definition);
      if (!topics.isWanted(KIND.book, id)) continue;
      const book = this.books.upTo(fromSeq - 1, symbol, id);
      if (book === null || !('type' in book)) {
        incompleteBy.set(id, this.whyIncomplete(id, fromSeq, book));
        continue;
      }
      books.set(id, book.seq);
      messages.push(book);
    }
    return messages;
  }

  /**
   * The reason of the gap that took the newest changes of a book; else of the gap that its levels
   * depend on, or of the newest gap.
   */
  private whyIncomplete(instrument: number, fromSeq: number, lost: MissingRange | null): string {
    const before = this.books.before(fromSeq - 1, instrument) ?? 0;
    const took = before > 0 && before < fromSeq ? this.gaps.at(before) : undefined;
    const newest = (): MissingRange | undefined =>
      this.gaps.from(1).findLast((gap) => gap.from < fromSeq);
    return (took ?? lost ?? newest())?.reason ?? DAMAGED;
  }
}

function gone(): Fault {
  return fault('records-missing', 'records were deleted, or found damaged, during the replay');
}
