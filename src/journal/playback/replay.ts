/**
 * Replay: one play of the journal, a chunk of frames after another.
 *
 * What is played is what was pushed: the same messages with their places and times, and a `gap` where
 * the journal has not got all of a topic.
 * Bounded: the bytes of a chunk, and the rows that are gone through for it, since others wait.
 */

import type { Database, Statement } from 'bun:sqlite';

import type { Book, Instrument, Message } from '../../../protocol/messages';
import { orderTime, type BatchEvent } from '../../../protocol/records';
import type { Blocks } from '../history/blocks';
import { PlayChain } from './chains';
import { ReplayFrame } from './frame';
import { PlayFrames } from './frames';
import { isContinued, without } from '../history/gaps';
import type { MissingRange } from '../../base/contracts/past';
import type { PlayGaps } from './gaps';
import type { ReplayTopics } from './range';
import { ReplayRows, selectReplayed, type ReplayRow } from './rows';
import type { ReplayChunk } from './messages';
import { DAMAGED } from '../proofs';
import { orderTimeOf, rowToEvent, type RecordRow } from '../records';
import { idOf, KIND, SELECT_RECORD, seqOf, SLOTS } from '../schema';

const CHUNK_BYTES = 131_072;
/** Rows that are asked for at a time; ids that are gone through for a chunk, and may have to be proven. */
const PAGE_ROWS = 1_024;
const CHUNK_IDS = 16_384 * SLOTS;

/** What a play needs to know of instruments. */
export interface ReplayInstruments {
  symbol(id: number): string;
  definition(symbol: string): Instrument | undefined;
}

export interface ReplayPlan {
  readonly topics: ReplayTopics;
  /** Ids of the instruments that may be in it, as far as they are known. */
  readonly instruments: readonly number[];
  readonly fromSeq: number;
  readonly toSeq: number;
  /** What is missing in it, and of books since they stood in the opening; in order. */
  readonly gaps: PlayGaps;
  /** Told before everything else. */
  readonly opening: readonly Message[];
  /** Places of the books that are in the opening, by instrument; of a book that is not, its state is void. */
  readonly books: ReadonlyMap<number, number>;
  /** Whether a reader of a book that is not in the opening holds its state. */
  readonly holdsBooks: boolean;
  /** Of a book that is wanted and not in the opening since records are missing: the reason. */
  readonly voidBy: ReadonlyMap<number, string>;
  /** The book of an instrument as it stood at a seq; null where none is known. */
  bookUpTo(seq: number, instrument: number): Book | null;
  /** The place that the first book record behind a seq names as the one before it; null without one. */
  bookBefore(seq: number, instrument: number): number | null;
  /** What is missing from a place on, as it is known now; in order. */
  missing(seq: number): readonly MissingRange[];
  readonly isText: boolean;
  /** Hundredths of real time; 0: not timed. */
  readonly speed: number;
}

type Page = Statement<ReplayRow, [number, number]>;

export class Replay {
  private readonly plan: ReplayPlan;
  private readonly blocks: Blocks;
  private readonly instruments: ReplayInstruments;
  private readonly whole: Statement<RecordRow, [number]>;
  private readonly page: Page;
  private readonly pageWithWhole: Page;
  /** Of a page: a bit for each kind. */
  private readonly mask: number;
  /** By kind, then by instrument. */
  private readonly chains = new Map<number, Map<number, PlayChain>>();
  private readonly frames: PlayFrames;
  private readonly rows = new ReplayRows();
  private nextId: number;
  /** The next gap that a reader crosses which goes on from what it holds, and what is told of it now. */
  private gapAhead: MissingRange | undefined;
  private crossing: Iterator<void> | null = null;
  private voidBooks = 0;
  private isOpened = false;
  /** Whether places were found missing since it was opened. */
  isBroken = false;

  constructor(db: Database, blocks: Blocks, plan: ReplayPlan, instruments: ReplayInstruments) {
    this.plan = plan;
    this.blocks = blocks;
    this.instruments = instruments;
    this.nextId = idOf(plan.fromSeq);
    this.gapAhead = this.gapBehind(plan.fromSeq - 1);
    this.frames = new PlayFrames(plan.speed, plan.isText, (s) => instruments.definition(s));
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
    // Of a play without gaps whose reader holds its books, a chain tells nothing before its first message;
    // there may be very many, and a crowd opens plays all the time.
    const hasToTell = !plan.holdsBooks || plan.gaps.all.length > 0;
    for (const id of hasToTell ? plan.instruments : []) {
      for (const kind of topics.kinds) if (topics.isWanted(kind, id)) this.chain(kind, id);
    }
  }

  /** The first place that has not been read. */
  get nextSeq(): number {
    return Math.ceil(this.nextId / SLOTS);
  }

  /**
   * Takes over what is missing now. To be asked before each chunk and behind it.
   * @returns whether a place was found missing that was not when it was opened
   */
  renewGaps(): boolean {
    const { plan, nextSeq } = this;
    if (plan.gaps.renew(nextSeq, plan.toSeq, plan.missing(nextSeq))) this.isBroken = true;
    return this.isBroken;
  }

  /** @throws Error when a record does not read */
  chunk(): ReplayChunk {
    const { frames, plan } = this;
    if (!this.isOpened) {
      this.isOpened = true;
      for (const message of plan.opening) frames.add(message, 0, null);
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

  /** The seq up to which all was told; 0 within a crossing. Who went on within a gap would be told a part of it. */
  private reachedSeq(): number {
    if (this.crossing !== null) return 0;
    const seq = this.nextSeq - 1;
    return this.gapAhead === undefined ? seq : Math.min(seq, this.gapAhead.from - 1);
  }

  /**
   * The first gap behind a seq that such a reader crosses. It may hold messages of the gap, and the market
   * went on from before it, so each topic is told, before anything behind it.
   */
  private gapBehind(seq: number): MissingRange | undefined {
    const { gaps, holdsBooks, toSeq } = this.plan;
    if (!holdsBooks) return undefined;
    return gaps.all.find((gap) => isContinued(gap) && gap.to > seq && gap.to <= toSeq);
  }

  /** One topic of a crossing: there may be very many, and others wait. */
  private cross(gap: MissingRange): void {
    this.crossing ??= this.crossings(gap);
    if (this.crossing.next().done !== true) return;
    this.crossing = null;
    this.frames.settle();
    this.gapAhead = this.gapBehind(gap.to);
  }

  /** First all gaps, then the books: who is cut off in between has been told of each gap. */
  private *crossings(gap: MissingRange): Generator<void> {
    for (const ofKind of this.chains.values()) {
      for (const chain of ofKind.values()) {
        const told: Message[] = [];
        chain.cross(gap, told);
        for (const message of told) this.frames.add(message, gap.to, null);
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

  /** Some rows up to an id, of one block, once it is proven. */
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
    const { voidBooks } = this;
    for (const row of rows) {
      this.take(row);
      this.frames.settle();
      if (this.voidBooks > voidBooks) {
        this.nextId = row.id + 1; // from here on snapshots matter
        return;
      }
    }
    this.nextId = rows.length === PAGE_ROWS ? rows.at(-1)!.id + 1 : lastId + 1;
  }

  /** Whether snapshots matter. */
  private get isWhole(): boolean {
    return this.voidBooks > 0 || this.plan.gaps.all.length > 0;
  }

  /** Goes to where the next may be. @returns whether it is elsewhere */
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

  /** There is no block up to an id. Places that nothing says are missing are lost with theirs. */
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

  /** What is not told as it is, or not hot. */
  private takeBroken(row: ReplayRow, chain: PlayChain): void {
    const event = this.event(row);
    if (event.type === 'instrument' || event.type === 'command' || event.type === 'snapshot')
      return;
    const at = orderTime(event);
    if (chain.follows(event)) return this.frames.add(event, event.seq, at);
    const before = chain.needsWhole;
    const told: Message[] = [];
    chain.tell(event, told);
    this.voidBooks += Number(chain.needsWhole) - Number(before);
    for (const message of told) this.frames.add(message, event.seq, at);
  }

  private takeApart(row: ReplayRow): void {
    const { topics, holdsBooks } = this.plan;
    const { instrument } = row;
    if (row.kind === KIND.snapshot) {
      if (topics.isWanted(KIND.book, instrument)) this.takeWhole(row);
      return;
    }
    // A reader that goes on is told each definition, as it would have been live.
    if (!holdsBooks && !topics.hasAll && !topics.named.has(instrument)) return;
    const event = this.event(row);
    if (event.type === 'instrument') this.frames.add(event, event.seq, null);
  }

  private takeWhole(row: ReplayRow): void {
    const { id, instrument } = row;
    const seq = seqOf(id);
    const chain = this.chain(KIND.book, instrument);
    if (!chain.wantsWhole(seq)) return;
    const event = this.event(row);
    if (event.type !== 'snapshot') return;
    const before = chain.needsWhole;
    const told: Message[] = [];
    chain.takeWhole(event, this.plan.bookBefore(seq, instrument), told);
    this.voidBooks += Number(chain.needsWhole) - Number(before);
    for (const message of told) this.frames.add(message, seq, orderTime(event));
  }

  /** @throws Error when the record does not read */
  private event({ id, instrument }: ReplayRow): BatchEvent {
    const row = this.whole.get(id);
    const event = row === null ? undefined : rowToEvent(row, this.instruments.symbol(instrument));
    if (event === undefined) throw new Error(`record ${seqOf(id)} does not read`);
    return event;
  }

  private chain(kind: number, instrument: number): PlayChain {
    const key = kind === KIND.status ? 0 : instrument;
    let ofKind = this.chains.get(kind);
    if (ofKind === undefined) this.chains.set(kind, (ofKind = new Map()));
    const known = ofKind.get(key);
    if (known !== undefined) return known;
    const { plan } = this;
    const lastSeq = plan.fromSeq - 1;
    const held = kind === KIND.book ? plan.books.get(instrument) : undefined;
    const isVoid = kind === KIND.book && held === undefined && !plan.holdsBooks;
    const voidBy = isVoid ? (plan.voidBy.get(instrument) ?? DAMAGED) : null;
    const chain = new PlayChain(
      this.topicName(kind, instrument),
      held ?? lastSeq,
      plan.fromSeq,
      plan.gaps.all,
      voidBy,
    );
    if (isVoid) this.voidBooks += 1;
    ofKind.set(key, chain);
    return chain;
  }

  private topicName(kind: number, instrument: number): string {
    if (kind === KIND.status) return 'status';
    const channel = (['tick', 'trade', 'bbo', 'book'] as const).find((name) => KIND[name] === kind);
    return `${channel}:${this.instruments.symbol(instrument)}`;
  }

  private endChains(): void {
    const told: Message[] = [];
    for (const ofKind of this.chains.values()) {
      for (const chain of ofKind.values()) chain.end(this.plan.toSeq, told);
    }
    for (const message of told) this.frames.add(message, this.plan.toSeq, null);
  }
}

const WHOLE = maskOf([KIND.snapshot]);

/** A bit for each kind: SQLite tests one faster than it looks a kind up in a list. */
function maskOf(kinds: readonly number[]): number {
  return kinds.reduce((mask, kind) => mask | (1 << kind), 0);
}
