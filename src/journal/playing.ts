/**
 * Playing: one play of the journal, a chunk of frames after another.
 *
 * What is played is what was pushed: the same messages with their places and times, and a `gap` where
 * the journal has not got all of a topic. Where nothing is timed a frame is cut by its size, else so that
 * what it holds happened within `SLICE_MS` of the play. A play runs by event time; where that steps back
 * it waits for nothing.
 * Bounded: the bytes of a chunk, and the rows that are gone through for it, since others wait.
 */

import type { Database, Statement } from 'bun:sqlite';

import { encodeTextFrame, FrameEncoder } from '../../protocol/codec';
import type { Instrument, Message } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { Blocks } from './history-blocks';
import type { MissingPlaces } from './history-messages';
import { PlayChain } from './play-chains';
import type { PlayTopics } from './play-range';
import type { PlayChunk } from './playback-messages';
import { rowToEvent, type RecordRow } from './records';
import { idOf, KIND, SELECT_RECORD, seqOf, SLOTS } from './schema';

/** A frame is closed at so many messages, when nothing is timed. */
const FRAME_MESSAGES = 200;
const CHUNK_BYTES = 131_072;
/** Rows that are asked for at a time; ids that are gone through for a chunk. */
const PAGE_ROWS = 2_048;
const CHUNK_IDS = 65_536 * SLOTS;
/** Of a timed play: what happened in so many ms of it goes out together. */
const SLICE_MS = 5;

/** What a play needs to know of instruments. */
export interface PlayInstruments {
  symbol(id: number): string;
  definition(symbol: string): Instrument | undefined;
}

export interface PlayPlan {
  readonly topics: PlayTopics;
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly gaps: readonly MissingPlaces[];
  /** Told before everything else. */
  readonly opening: readonly Message[];
  /** Places of the books that are in the opening, by instrument; of a book that is not, its state is void. */
  readonly books: ReadonlyMap<number, number>;
  /** Whether a reader of a book that is not in the opening holds its state. */
  readonly holdsBooks: boolean;
  readonly isText: boolean;
  /** Hundredths of real time; 0: not timed. */
  readonly speed: number;
}

type Page = Statement<RecordRow, [number, number]>;

export class Playing {
  private readonly plan: PlayPlan;
  private readonly blocks: Blocks;
  private readonly instruments: PlayInstruments;
  private readonly encoder = new FrameEncoder();
  private readonly page: Page;
  private readonly pageWithWhole: Page;
  /** By kind, then by instrument. */
  private readonly chains = new Map<number, Map<number, PlayChain>>();
  private readonly frames: FrameCutter;
  private nextId: number;
  private voidBooks = 0;
  private isOpened = false;

  constructor(db: Database, blocks: Blocks, plan: PlayPlan, instruments: PlayInstruments) {
    this.plan = plan;
    this.blocks = blocks;
    this.instruments = instruments;
    this.nextId = idOf(plan.fromSeq);
    this.frames = new FrameCutter(plan.speed);
    const { topics } = plan;
    const select = (kinds: readonly number[]): Page =>
      db.query<RecordRow, [number, number]>(
        `${SELECT_RECORD} WHERE id >= ? AND id <= ? AND kind IN (${kinds.join()}) AND (${topics.condition} OR kind = ${KIND.instrument})
           ORDER BY id LIMIT ${PAGE_ROWS}`,
      );
    this.page = select([...topics.kinds, KIND.instrument]);
    this.pageWithWhole = select([...topics.kinds, KIND.instrument, KIND.snapshot]);
    for (const id of topics.named) {
      for (const kind of topics.kinds) if (topics.isWanted(kind, id)) this.chain(kind, id);
    }
  }

  /** @throws Error when a record does not read */
  chunk(): PlayChunk {
    const { frames, plan } = this;
    frames.begin();
    if (!this.isOpened) {
      this.isOpened = true;
      for (const message of plan.opening) frames.add(message, 0, null);
      if (plan.opening.length > 0) frames.cut();
    }
    const end = idOf(plan.toSeq);
    const untilId = Math.min(end, this.nextId + CHUNK_IDS);
    while (this.nextId <= untilId && frames.bytesAbout < CHUNK_BYTES) this.readPage(untilId);
    const isLast = this.nextId > end;
    if (isLast) this.endChains();
    return this.encode(isLast);
  }

  private readPage(untilId: number): void {
    const statement = this.voidBooks > 0 ? this.pageWithWhole : this.page;
    const rows = statement.all(this.nextId, untilId);
    const { voidBooks } = this;
    for (const row of rows) {
      this.take(row);
      if (this.voidBooks > voidBooks) {
        this.nextId = row.id + 1; // from here on snapshots matter
        return;
      }
    }
    if (rows.length === PAGE_ROWS) this.nextId = rows.at(-1)!.id + 1;
    else this.nextId = rows.length === 0 ? this.skip(untilId + 1) : untilId + 1;
  }

  /** Nothing is there up to an id: where the next may be. */
  private skip(id: number): number {
    const { topics } = this.plan;
    if (topics.hasAll || topics.condition === 'true') return id;
    let next = Infinity;
    for (const instrument of topics.named) next = Math.min(next, this.blocks.nextPart(id, instrument)); // prettier-ignore
    return Math.max(id, Math.min(next, this.blocks.end() + 1));
  }

  private take(row: RecordRow): void {
    const { kind, instrument } = row;
    if (kind === KIND.snapshot) return this.takeWhole(row);
    const { topics } = this.plan;
    if (kind === KIND.instrument) {
      if (!topics.hasAll && !topics.named.has(instrument)) return;
    } else if (!topics.isWanted(kind, instrument)) return;
    const event = rowToEvent(row, this.instruments.symbol(instrument));
    if (event === undefined) throw new Error(`record ${seqOf(row.id)} does not read`);
    if (event.type === 'instrument') return this.frames.add(event, event.seq, null);
    if (event.type === 'command' || event.type === 'snapshot') return;
    const chain = this.chain(kind, instrument);
    if (!chain.isBroken(event)) return this.frames.add(event, event.seq, event.eventTime);
    const before = chain.needsWhole;
    const told: Message[] = [];
    chain.tell(event, told);
    this.voidBooks += Number(chain.needsWhole) - Number(before);
    for (const message of told) this.frames.add(message, event.seq, event.eventTime);
  }

  private takeWhole(row: RecordRow): void {
    const { topics } = this.plan;
    if (!topics.isWanted(KIND.book, row.instrument)) return;
    const event = rowToEvent(row, this.instruments.symbol(row.instrument));
    if (event?.type !== 'snapshot') throw new Error(`record ${seqOf(row.id)} does not read`);
    this.chain(KIND.book, row.instrument).takeWhole(event);
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
    const chain = new PlayChain(this.topicName(kind, instrument), held ?? lastSeq, plan.gaps, isVoid); // prettier-ignore
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

  private encode(isLast: boolean): PlayChunk {
    const { isText } = this.plan;
    const parts: Uint8Array[] = [];
    const texts: string[] = [];
    const ends: number[] = [];
    const atMs: number[] = [];
    const seqs: number[] = [];
    let length = 0;
    let messages = 0;
    for (const frame of this.frames.end()) {
      messages += frame.messages.length;
      atMs.push(frame.atMs);
      seqs.push(frame.seq);
      if (isText) {
        texts.push(encodeTextFrame(frame.messages, (s) => this.instruments.definition(s)));
        continue;
      }
      const bytes = this.encoder.encode(frame.messages);
      parts.push(bytes);
      length += bytes.length;
      ends.push(length);
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return { bytes, ends, texts, atMs, seqs, messages, isLast };
  }
}

interface Frame {
  readonly messages: Message[];
  seq: number;
  atMs: number;
}

/** Cuts what is played into frames. */
class FrameCutter {
  /** About; enough to bound a chunk. */
  bytesAbout = 0;
  private readonly speed: number;
  private frames: Frame[] = [];
  private open: Frame | null = null;
  /** Event times: of the first, and the latest so far. */
  private first: Nanos | null = null;
  private atMs = 0;

  constructor(speed: number) {
    this.speed = speed;
  }

  begin(): void {
    this.frames = [];
    this.bytesAbout = 0;
  }

  /** @param seq its place, 0 where it has none @param time by which it is due; null: with what is before it */
  add(message: Message, seq: number, time: Nanos | null): void {
    if (this.speed > 0 && time !== null) this.pass(time);
    const { open } = this;
    const isFull =
      open !== null &&
      (this.speed > 0 ? this.atMs - open.atMs >= SLICE_MS : open.messages.length >= FRAME_MESSAGES);
    if (isFull) this.cut();
    this.open ??= { messages: [], seq: 0, atMs: this.atMs };
    this.open.messages.push(message);
    this.open.seq = Math.max(this.open.seq, seq);
    this.bytesAbout +=
      'bids' in message ? 64 + (message.bids.length + message.asks.length) * 6 : 72;
  }

  cut(): void {
    if (this.open !== null) this.frames.push(this.open);
    this.open = null;
  }

  end(): readonly Frame[] {
    this.cut();
    return this.frames;
  }

  private pass(time: Nanos): void {
    this.first ??= time;
    this.atMs = Math.max(this.atMs, (time.since(this.first) / 1e6 / this.speed) * 100);
  }
}
