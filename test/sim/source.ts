/**
 * Source: a journal that is a plain list of events and answers when the test says so: at once, late, in small
 * pieces, with a failure, or with a report of missing events.
 */

import { encodeTextFrame, FrameEncoder } from '../../protocol/codec';
import { fault, type Fault } from '../../protocol/codes';
import type { Book, Instrument, Message } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { parseTopic } from '../../protocol/topics';
import type { Prng } from '../../src/base/prng';
import type { PlaybackChunk } from '../../src/broadcast/playback/chunk';
import type {
  PlaybackRange,
  PlaybackRequest,
  PlaybackSource,
} from '../../src/broadcast/playback/playback';
import type { Truth } from './truth';

/** The events that a playback wants. */
export class Wanted {
  private readonly names: ReadonlySet<string>;
  private readonly symbols: ReadonlySet<string>;

  constructor(topics: readonly string[]) {
    this.names = new Set(topics);
    this.symbols = new Set(topics.map((name) => parseTopic(name)!.symbol));
  }

  /** Whether the event is of one of the topics. */
  hasMessage(e: BatchEvent): boolean {
    if (e.type === 'command' || e.type === 'snapshot' || e.type === 'instrument') return false;
    if (e.type === 'status') return this.names.has('status');
    return this.names.has(`${e.type}:${e.symbol}`) || this.names.has(`${e.type}:*`);
  }

  hasSymbol(symbol: string): boolean {
    return this.symbols.has('*') || this.symbols.has('') || this.symbols.has(symbol);
  }

  hasBook(symbol: string): boolean {
    return this.names.has(`book:${symbol}`) || this.names.has('book:*');
  }

  has(e: BatchEvent): boolean {
    return e.type === 'instrument' ? this.hasSymbol(e.symbol) : this.hasMessage(e);
  }

  /** The names of the topics, for the instruments that exist. */
  topics(symbols: readonly string[]): string[] {
    const all = [...this.names].flatMap((name) =>
      name.includes('*') ? symbols.map((symbol) => name.replace('*', symbol)) : [name],
    );
    return [...new Set(all)];
  }

  /** The seqs of a request that gives them as times. */
  range(
    truth: Truth,
    r: Pick<PlaybackRequest, 'from' | 'to' | 'fromSeq' | 'toSeq'>,
  ): PlaybackRange {
    let { fromSeq, toSeq } = r;
    if (r.to !== null) {
      const to = truth.events.findLast((e) => this.hasMessage(e) && timeOf(e)!.compare(r.to!) <= 0);
      toSeq = Math.min(toSeq, to?.seq ?? 0);
    }
    if (r.from !== null) {
      const from = truth.events.find((e) => this.hasMessage(e) && timeOf(e)!.compare(r.from!) >= 0);
      fromSeq = Math.max(fromSeq, from?.seq ?? toSeq + 1);
    }
    return { fromSeq, toSeq, isBroken: false };
  }
}

export function timeOf(e: BatchEvent) {
  return e.type === 'instrument' ? undefined : e.eventTime;
}

interface OpenPlayback {
  readonly request: PlaybackRequest;
  readonly wanted: Wanted;
  readonly toSeq: number;
  nextSeq: number;
  opening: Message[];
}

interface Framed {
  readonly messages: Message[];
  readonly seq: number;
  readonly border: number;
  atMs: number;
}

export interface SourceTemper {
  /** How many seqs a frame covers at most. */
  readonly frameEventsMax: number;
  /** The chance that a request is answered in the next turn. */
  readonly prompt: number;
  readonly failing: number;
  readonly broken: number;
}

export class SteeredSource implements PlaybackSource {
  /** Open playbacks; empty when nothing is being replayed or resumed. */
  readonly playbacks = new Map<number, OpenPlayback>();
  private readonly waiting: (() => void)[] = [];
  private readonly truth: Truth;
  private readonly random: Prng;
  private readonly encoder = new FrameEncoder();
  private readonly temper: SourceTemper;
  private readonly definitionOf: (symbol: string) => Instrument | undefined;

  constructor(
    truth: Truth,
    random: Prng,
    temper: SourceTemper,
    definitionOf: (symbol: string) => Instrument | undefined,
  ) {
    this.truth = truth;
    this.random = random;
    this.temper = temper;
    this.definitionOf = definitionOf;
  }

  get isAsked(): boolean {
    return this.waiting.length > 0;
  }

  /** Answers the open requests, or leaves them for later. */
  step(isPrompt = false): void {
    const prompt = isPrompt ? 1 : this.temper.prompt;
    while (this.waiting.length > 0 && this.random.chance(prompt)) this.waiting.shift()!();
  }

  open(id: number, request: PlaybackRequest): Promise<PlaybackRange | Fault> {
    return this.later(() => {
      if (this.random.chance(this.temper.failing)) return fault('history-failed', 'not now');
      const wanted = new Wanted(request.topics);
      const range = wanted.range(this.truth, request);
      const opening =
        request.hasOpening && request.goesOn !== true ? this.opening(wanted, range.fromSeq) : [];
      const { fromSeq, toSeq } = range;
      this.playbacks.set(id, { request, wanted, toSeq, nextSeq: fromSeq, opening });
      return { ...range, isBroken: this.random.chance(this.temper.broken) };
    });
  }

  next(id: number): Promise<PlaybackChunk | Fault> {
    return this.later(() => {
      const playback = this.playbacks.get(id);
      if (playback === undefined) return fault('internal', `playback ${id} is not open`);
      if (this.random.chance(this.temper.failing)) {
        this.playbacks.delete(id);
        return fault('history-failed', 'not now');
      }
      const chunk = this.chunk(playback);
      if (chunk.isLast) this.playbacks.delete(id);
      return chunk;
    });
  }

  /** The process that sent the requests has ended. */
  forget(): void {
    this.waiting.length = 0;
    this.playbacks.clear();
  }

  close(id: number): void {
    this.playbacks.delete(id);
  }

  private later<T>(answer: () => T): Promise<T> {
    return new Promise((resolve) => {
      this.waiting.push(() => resolve(answer()));
    });
  }

  private opening(wanted: Wanted, fromSeq: number): Message[] {
    const messages: Message[] = [];
    const symbols = new Set<string>();
    for (const e of this.truth.events) if (e.type === 'instrument') symbols.add(e.symbol);
    for (const symbol of symbols) {
      if (!wanted.hasSymbol(symbol)) continue;
      const definition = this.definitionOf(symbol)!;
      messages.push(definition);
      const book = wanted.hasBook(symbol) ? this.bookUpTo(symbol, fromSeq - 1) : undefined;
      if (book !== undefined) messages.push(book);
    }
    return messages;
  }

  private bookUpTo(symbol: string, position: number): Book | undefined {
    const book = this.truth.book(symbol, position);
    if (book === undefined) return undefined;
    const seq = this.truth.head(`book:${symbol}`, position);
    const form = book.crc === undefined ? 'incomplete' : 'snapshot';
    const { eventTime, receiveTime } = this.truth.events[seq - 1] as Book;
    return {
      type: 'book',
      symbol,
      seq,
      prevSeq: 0,
      eventTime,
      receiveTime,
      form,
      bids: [...book.bids],
      asks: [...book.asks],
      crc: book.crc ?? null,
      count: 1,
      mark: null,
    };
  }

  private chunk(playback: OpenPlayback): PlaybackChunk {
    const { request, wanted, toSeq } = playback;
    const frames: Framed[] = [];
    if (playback.opening.length > 0) {
      frames.push({ messages: playback.opening, seq: 0, border: 0, atMs: 0 });
      playback.opening = [];
    }
    for (let i = this.random.int(0, 4); i > 0; i--) {
      const messages: Message[] = [];
      let atMs = 0;
      for (
        let n = this.random.int(1, this.temper.frameEventsMax);
        n > 0 && playback.nextSeq <= toSeq;
        n--
      ) {
        const lost = this.truth.lostAt(playback.nextSeq);
        if (lost !== undefined && !request.hasOpening) messages.push(...this.loss(playback, lost));
        const e = this.truth.events[playback.nextSeq++ - 1]!;
        if (!wanted.has(e) || e.type === 'command' || e.type === 'snapshot') continue;
        messages.push(e);
        if (request.speed > 0) atMs = this.dueMs(playback, e);
      }
      if (messages.length === 0) continue;
      const seq = Math.max(...messages.map((m) => ('seq' in m ? m.seq : 0)));
      frames.push({ messages, seq, border: playback.nextSeq - 1, atMs });
    }
    for (let i = 1; i < frames.length; i++) {
      frames[i]!.atMs = Math.max(frames[i]!.atMs, frames[i - 1]!.atMs);
    }
    return this.encode(frames, request.isText, playback.nextSeq - 1, playback.nextSeq > toSeq);
  }

  /** The gap that the journal reports for events that a crash lost, and the books from before it. */
  private loss(playback: OpenPlayback, { from, to }: { from: number; to: number }): Message[] {
    const first = Math.max(from, playback.nextSeq);
    playback.nextSeq = to;
    const gaps: Message[] = [];
    const books: Message[] = [];
    for (const topic of playback.wanted.topics(this.truth.symbols)) {
      gaps.push({
        type: 'gap',
        topic,
        from: first,
        to,
        count: to - first + 1,
        reason: 'not-journaled',
        shard: null,
      });
      if (!topic.startsWith('book:')) continue;
      const book = this.bookUpTo(topic.slice('book:'.length), from - 1);
      if (book !== undefined) books.push({ ...book, seq: to, prevSeq: to });
    }
    return [...gaps, ...books];
  }

  private dueMs({ request, wanted }: OpenPlayback, e: BatchEvent): number {
    const first = this.truth.events.find((f) => f.seq >= request.fromSeq && wanted.hasMessage(f));
    const time = timeOf(e);
    if (first === undefined || time === undefined) return 0;
    return (time.since(timeOf(first)!) / 1e6 / request.speed) * 100;
  }

  private encode(
    frames: readonly Framed[],
    isText: boolean,
    reached: number,
    isLast: boolean,
  ): PlaybackChunk {
    const texts = isText ? frames.map((f) => encodeTextFrame(f.messages, this.definitionOf)) : [];
    const parts = isText ? [] : frames.map((f) => this.encoder.encode(f.messages));
    let length = 0;
    const ends = parts.map((part) => (length += part.length));
    const bytes = new Uint8Array(Buffer.concat(parts));
    return {
      bytes,
      ends,
      texts,
      atMs: frames.map((f) => f.atMs),
      seqs: frames.map((f) => f.seq),
      borders: frames.map((f) => f.border),
      reached,
      isLast,
    };
  }
}
