/**
 * Replay: reads one replay from the journal, one chunk of frames after another.
 *
 * The messages are those that were published, with the same sequence numbers and times, and a `gap`
 * where the journal lacks records of a topic. Bounded: the bytes of a chunk, and the rows that are
 * read for it, since other replays wait.
 */

import { CHANNEL_TABLE, REPLAYED_CHANNELS } from '../../../protocol/channels';
import type { Database, Statement } from 'bun:sqlite';

import type { Book, Instrument, Message } from '../../../protocol/messages';
import { orderTime, type BatchEvent } from '../../../protocol/records';
import type { Blocks } from '../history/blocks';
import { ReplayChain } from './chains';
import { ReplayFrame } from './frame';
import { ReplayFrames } from './frames';
import { isContinued, without } from '../history/gaps';
import type { MissingRange } from '../../base/contracts/past';
import type { ReplayGaps } from './gaps';
import type { ReplayTopics } from './range';
import { ReplayRows, selectReplayed, type ReplayRow } from './rows';
import type { ReplayChunk } from './messages';
import { DAMAGED } from '../proofs';
import { orderTimeOf, rowToEvent, type RecordRow } from '../records';
import { idOf, KIND, SELECT_RECORD, seqOf, SLOTS } from '../schema';

const CHUNK_BYTES = 131_072;
/** Rows per query; ids that one chunk may pass, and that may have to be proven. */
const PAGE_ROWS = 1_024;
const CHUNK_IDS = 16_384 * SLOTS;

/** What a replay needs to know of instruments. */
export interface ReplayInstruments {
  symbol(id: number): string;
  definition(symbol: string): Instrument | undefined;
}

export interface ReplayPlan {
  readonly topics: ReplayTopics;
  /** Ids of the instruments that may be in the replay, as far as they are known. */
  readonly instruments: readonly number[];
  readonly fromSeq: number;
  readonly toSeq: number;
  /** The missing ranges in the replay, and those since the books in the opening; in order. */
  readonly gaps: ReplayGaps;
  /** Sent before everything else. */
  readonly opening: readonly Message[];
  /**
   * The seq of each book in the opening, by instrument. The state of a book that is not there is
   * unknown.
   */
  readonly books: ReadonlyMap<number, number>;
  /** Whether the reader holds the state of books that are not in the opening. */
  readonly holdsBooks: boolean;
  /** Why a wanted book is not in the opening, if records are missing: the reason. */
  readonly incompleteBy: ReadonlyMap<number, string>;
  /** The book of an instrument as it was at a seq; null if it is unknown. */
  bookUpTo(seq: number, instrument: number): Book | null;
  /** The predecessor that the first book record after a seq names; null if there is none. */
  bookBefore(seq: number, instrument: number): number | null;
  /** The missing ranges from a seq on, as known now; in order. */
  missing(seq: number): readonly MissingRange[];
  readonly isText: boolean;
  /** Hundredths of real time; 0: not timed. */
  readonly speed: number;
  /** That gaps name. */
  readonly shard: string | null;
}

type Page = Statement<ReplayRow, [number, number]>;

export class Replay {
  private readonly plan: ReplayPlan;
  private readonly blocks: Blocks;
  private readonly instruments: ReplayInstruments;
  private readonly whole: Statement<RecordRow, [number]>;
  private readonly page: Page;
  private readonly pageWithWhole: Page;
  /** The kinds of a page: one bit for each kind. */
  private readonly mask: number;
  /** By kind, then by instrument. */
  private readonly chains = new Map<number, Map<number, ReplayChain>>();
  private readonly frames: ReplayFrames;
  private readonly rows = new ReplayRows();
  private nextId: number;
  /**
   * For a reader that continues from what it holds: the next gap that it crosses, and the messages
   * about it that are being sent.
   */
  private gapAhead: MissingRange | undefined;
  private crossing: Iterator<void> | null = null;
  private incompleteBooks = 0;
  private isOpened = false;
  /** Whether records were found missing since the replay was opened. */
  isBroken = false;

  constructor(db: Database, blocks: Blocks, plan: ReplayPlan, instruments: ReplayInstruments) {
    this.plan = plan;
    this.blocks = blocks;
    this.instruments = instruments;
    this.nextId = idOf(plan.fromSeq);
    this.gapAhead = this.gapBehind(plan.fromSeq - 1);
    this.frames = new ReplayFrames(plan.speed, plan.isText, (s) => instruments.definition(s));
    const { topics } = plan;
    this.mask = maskOf([...topics.kinds, KIND.instrument]);
    const select = (mask: number): Page =>
      db.query<ReplayRow, [number, number]>(
        `${selectReplayed(topics.kinds)} WHERE id >= ? AND id <= ? AND (${mask} >> kind) & 1 AND (${topics.condition} OR kind = ${KIND.instrument})
           ORDER BY id LIMIT ${PAGE_ROWS}`,
      );
    this.whole = db.query<RecordRow, [number]>(`${SELECT_RECORD} WHERE id = ?`);
    this.page = select(this.mask);
    this.pageWithWhole = select(this.mask | maskOf([KIND.snapshot]));
    // If there are no gaps and the reader holds its books, a chain has nothing to add before its
    // first message. There may be very many chains, and many replays may be opened at once, so none
    // is created then.
    const mustSend = !plan.holdsBooks || plan.gaps.all.length > 0;
    for (const id of mustSend ? plan.instruments : []) {
      for (const kind of topics.kinds) if (topics.isWanted(kind, id)) this.chain(kind, id);
    }
  }

  /** The first seq that has not been read. */
  get nextSeq(): number {
    return Math.ceil(this.nextId / SLOTS);
  }

  /**
   * Updates the missing ranges. Call it before and after each chunk.
   * @returns whether records are missing that were not when the replay was opened
   */
  renewGaps(): boolean {
    const { plan, nextSeq } = this;
    if (plan.gaps.renew(nextSeq, plan.toSeq, plan.missing(nextSeq))) this.isBroken = true;
    return this.isBroken;
  }

  /** @throws Error when a record cannot be read */
  chunk(): ReplayChunk {
    const { frames, plan } = this;
    if (!this.isOpened) {
      this.isOpened = true;
      for (const message of plan.opening) frames.add(this.named(message), 0, null);
      if (plan.opening.length > 0) frames.cut();
    }
    const end = idOf(plan.toSeq);
    const untilId = Math.min(end, this.nextId + CHUNK_IDS);
    while (frames.bytes < CHUNK_BYTES) {
      const gap = this.gapAhead;
      const borderId = gap === undefined ? Infinity : idOf(gap.to);
      if (gap !== undefined && this.nextId > borderId) this.cross(gap);
      else if (this.nextId <= untilId) this.readPage(Math.min(untilId, borderId));
      else break;
    }
    const isLast = this.nextId > end && this.gapAhead === undefined;
    if (isLast) this.endChains();
    return frames.take(this.reachedSeq(), isLast);
  }

  /**
   * The seq up to which everything was sent; 0 within a crossing, since a reader that continued
   * inside a gap would be sent a part of it.
   */
  private reachedSeq(): number {
    if (this.crossing !== null) return 0;
    const seq = this.nextSeq - 1;
    return this.gapAhead === undefined ? seq : Math.min(seq, this.gapAhead.from - 1);
  }

  /**
   * The first gap after a seq that such a reader crosses. The reader may hold messages from inside
   * the gap, and the market went on from before it. So the gap is sent to each topic, before
   * anything behind it.
   */
  private gapBehind(seq: number): MissingRange | undefined {
    const { gaps, holdsBooks, toSeq } = this.plan;
    if (!holdsBooks) return undefined;
    return gaps.all.find((gap) => isContinued(gap) && gap.to > seq && gap.to <= toSeq);
  }

  /** One topic of a crossing at a time: there may be very many, and other replays wait. */
  private cross(gap: MissingRange): void {
    this.crossing ??= this.crossings(gap);
    if (this.crossing.next().done !== true) return;
    this.crossing = null;
    this.frames.settle();
    this.gapAhead = this.gapBehind(gap.to);
  }

  /**
   * All gaps come before the books: a reader that is cut off in between has been sent every gap.
   */
  private *crossings(gap: MissingRange): Generator<void> {
    for (const ofKind of this.chains.values()) {
      for (const chain of ofKind.values()) {
        const messages: Message[] = [];
        chain.cross(gap, messages);
        for (const message of messages) this.frames.add(message, gap.to, null);
        yield;
      }
    }
    for (const instrument of this.chains.get(KIND.book)?.keys() ?? []) {
      const book = this.plan.bookUpTo(gap.from - 1, instrument);
      if (book !== null) {
        this.frames.add({ ...book, seq: gap.to, prevSeq: gap.to }, gap.to, null);
      }
      yield;
    }
  }

  /** Reads some rows up to an id, from one block, once the block is proven. */
  private readPage(untilId: number): void {
    if (this.skip()) return;
    const { proofs } = this.blocks;
    const read = proofs.read(this.nextId);
    const span = read?.span ?? proofs.spanAt(this.nextId);
    if (span.first > this.nextId && span.first <= span.last) this.passHole(span.first);
    const lastId = Math.min(untilId, span.last);
    if (!span.isSound || lastId < this.nextId) {
      this.renewGaps();
      this.nextId = span.isSound ? untilId + 1 : lastId + 1;
    } else if (read?.frame == null) this.readRows(lastId);
    else this.readFrame(new ReplayFrame(read.frame), lastId);
  }

  private readFrame(frame: ReplayFrame, lastId: number): void {
    for (;;) {
      const mask = this.isWhole ? this.mask | WHOLE : this.mask;
      const row = frame.take(mask, this.nextId, lastId);
      if (row === undefined) break;
      this.take(row);
    }
    this.nextId = lastId + 1;
  }

  private readRows(lastId: number): void {
    const statement = this.isWhole ? this.pageWithWhole : this.page;
    const rows = statement.all(this.nextId, lastId);
    const { incompleteBooks } = this;
    for (const row of rows) {
      this.take(row);
      this.frames.settle();
      if (this.incompleteBooks > incompleteBooks) {
        this.nextId = row.id + 1; // from here on snapshots matter
        return;
      }
    }
    this.nextId = rows.length === PAGE_ROWS ? rows.at(-1)!.id + 1 : lastId + 1;
  }

  /** Whether snapshots matter. */
  private get isWhole(): boolean {
    return this.incompleteBooks > 0 || this.plan.gaps.all.length > 0;
  }

  /** Skips to where the next record may be. @returns whether that is elsewhere */
  private skip(): boolean {
    const { topics } = this.plan;
    if (!topics.isFew) return false;
    let next = Infinity;
    for (const instrument of topics.named)
      next = Math.min(next, this.blocks.nextPart(this.nextId, instrument));
    next = Math.min(next, this.blocks.proofs.end() + 1);
    if (next <= this.nextId) return false;
    this.nextId = next;
    return true;
  }

  /**
   * There is no block up to an id. Records that no gap declares are missing because their block is.
   */
  private passHole(untilId: number): void {
    const { proofs } = this.blocks;
    const { nextSeq } = this;
    const hole = { from: nextSeq, to: seqOf(untilId) - 1, reason: DAMAGED };
    if (hole.from <= hole.to) {
      const lost = without(hole, this.plan.missing(nextSeq));
      for (const { from, to } of lost) proofs.lose(from, to);
      if (lost.length > 0) this.renewGaps();
    }
    this.nextId = untilId;
  }

  private take(row: ReplayRow): void {
    const { kind, instrument } = row;
    const { topics } = this.plan;
    if (kind === KIND.snapshot || kind === KIND.instrument) return this.takeApart(row);
    if (!topics.isWanted(kind, instrument)) return;
    const chain = this.chain(kind, instrument);
    const hot = this.rows.read(row, this.instruments.symbol(instrument));
    if (hot === undefined || !chain.follows(hot)) return this.takeBroken(row, chain);
    const at = row.as_of_hi === null ? hot.eventTime : orderTimeOf(row);
    this.frames.add(hot, hot.seq, at);
  }

  /** Handles a record that is not sent as it was published, or is of a rare kind. */
  private takeBroken(row: ReplayRow, chain: ReplayChain): void {
    const event = this.event(row);
    if (event.type === 'instrument' || event.type === 'command' || event.type === 'snapshot')
      return;
    const at = orderTime(event);
    if (chain.follows(event)) return this.frames.add(event, event.seq, at);
    const before = chain.needsWhole;
    const messages: Message[] = [];
    chain.addRecord(event, messages);
    this.incompleteBooks += Number(chain.needsWhole) - Number(before);
    for (const message of messages) this.frames.add(message, event.seq, at);
  }

  private takeApart(row: ReplayRow): void {
    const { topics, holdsBooks } = this.plan;
    const { instrument } = row;
    if (row.kind === KIND.snapshot) {
      if (topics.isWanted(KIND.book, instrument)) this.takeWhole(row);
      return;
    }
    // A reader that continues is sent each definition, as a live reader is.
    if (!holdsBooks && !topics.hasAll && !topics.named.has(instrument)) return;
    const event = this.event(row);
    if (event.type === 'instrument') this.frames.add(this.named(event), event.seq, null);
  }

  private takeWhole(row: ReplayRow): void {
    const { id, instrument } = row;
    const seq = seqOf(id);
    const chain = this.chain(KIND.book, instrument);
    if (!chain.wantsWhole(seq)) return;
    const event = this.event(row);
    if (event.type !== 'snapshot') return;
    const before = chain.needsWhole;
    const messages: Message[] = [];
    chain.takeWhole(event, this.plan.bookBefore(seq, instrument), messages);
    this.incompleteBooks += Number(chain.needsWhole) - Number(before);
    for (const message of messages) this.frames.add(message, seq, orderTime(event));
  }

  /** A definition names the shard, which a journal does not know. */
  private named(message: Message): Message {
    const { shard } = this.plan;
    return shard === null || message.type !== 'instrument' ? message : { ...message, shard };
  }

  /** @throws Error when the record cannot be read */
  private event({ id, instrument }: ReplayRow): BatchEvent {
    const row = this.whole.get(id);
    const event = row === null ? undefined : rowToEvent(row, this.instruments.symbol(instrument));
    if (event === undefined) throw new Error(`record ${seqOf(id)} does not read`);
    return event;
  }

  private chain(kind: number, instrument: number): ReplayChain {
    const key = kind === KIND.status ? 0 : instrument;
    let ofKind = this.chains.get(kind);
    if (ofKind === undefined) this.chains.set(kind, (ofKind = new Map()));
    const known = ofKind.get(key);
    if (known !== undefined) return known;
    const { plan } = this;
    const lastSeq = plan.fromSeq - 1;
    const held = kind === KIND.book ? plan.books.get(instrument) : undefined;
    const isIncomplete = kind === KIND.book && held === undefined && !plan.holdsBooks;
    const incompleteBy = isIncomplete ? (plan.incompleteBy.get(instrument) ?? DAMAGED) : null;
    const chain = new ReplayChain(
      this.topicName(kind, instrument),
      held ?? lastSeq,
      plan.fromSeq,
      plan.gaps.all,
      incompleteBy,
      plan.shard,
    );
    if (isIncomplete) this.incompleteBooks += 1;
    ofKind.set(key, chain);
    return chain;
  }

  private topicName(kind: number, instrument: number): string {
    const channel = REPLAYED_CHANNELS.find((name) => KIND[name] === kind)!;
    if (CHANNEL_TABLE[channel].topic === 'all') return channel;
    return `${channel}:${this.instruments.symbol(instrument)}`;
  }

  private endChains(): void {
    const messages: Message[] = [];
    for (const ofKind of this.chains.values()) {
      for (const chain of ofKind.values()) chain.end(this.plan.toSeq, messages);
    }
    for (const message of messages) this.frames.add(message, this.plan.toSeq, null);
  }
}

const WHOLE = maskOf([KIND.snapshot]);

/** One bit for each kind: SQLite tests a bit faster than it searches a list. */
function maskOf(kinds: readonly number[]): number {
  return kinds.reduce((mask, kind) => mask | (1 << kind), 0);
}
