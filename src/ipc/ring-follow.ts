/**
 * Ring follow: the convenient way to read a ring. It yields messages of the protocol by async
 * iteration: first the state of every instrument, then each new message. After the writer has lapped
 * the reader, it yields the number of lost records and then the state again. `followRing` continues
 * with the ring of the next server on the same path.
 *
 * It allocates, and it sleeps while there is no record, so it suits a thread that has other work. For
 * the lowest delay, poll a `RingReader`.
 */

import type { Bbo, Book, Instrument, Status, Tick, Trade } from '../../protocol/messages';
import { StartFault } from '../base/start-fault';
import { KIND } from './ring-layout';
import { RingReader, type RingReaderOptions } from './ring-reader';
import { addLevels, bboOf, bookOf, statusOf, tickOf, tradeOf } from './ring-record';
import type { RingState } from './ring-state';

/** `missed` records are lost. The state as of `seq` or later follows. */
export interface RingLapped {
  readonly type: 'lapped';
  readonly missed: number;
  /** The last sequence number that was read, and the newest one published. */
  readonly from: number;
  readonly seq: number;
}

/** A ring was opened; it carries the events of one epoch. The state follows. */
export interface RingOpened {
  readonly type: 'opened';
  readonly epoch: number;
  readonly seq: number;
}

/** `rules` of an instrument is always null: the ring does not carry the rules of a venue. */
export type RingMessage = Instrument | Tick | Trade | Bbo | Book | Status;
export type RingItem = RingMessage | RingLapped | RingOpened;

export interface FollowOptions extends Omit<RingReaderOptions, 'from'> {
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
}

const IDLE_MS = 1;
/** Time between two attempts to open the next server's ring. */
const RETRY_MS = 100;
/** Number of records after which it yields to other work of the thread. */
const RUN_MAX = 1_000;

/** Follows an open ring until its writer has ended and every record is read. */
export async function* ringItems(
  reader: RingReader,
  { signal }: FollowOptions = {},
): AsyncGenerator<RingItem> {
  const follower = new Follower(reader);
  yield* follower.state();
  for (let run = 0; ; run++) {
    if (signal?.aborted === true) return;
    const sign = reader.poll();
    if (sign === 'ended') return;
    if (sign === 'empty') {
      reader.look();
      await Bun.sleep(IDLE_MS);
    } else if (sign === 'lapped') {
      yield follower.lapped();
      yield* follower.state();
    } else {
      const message = follower.take();
      if (message !== null) yield message;
      if (run % RUN_MAX === 0) await Bun.sleep(0);
    }
  }
}

/**
 * Follows the ring at this path. When its server ends, waits for the ring of the next server. An absent
 * ring is no error: it retries until `signal` aborts.
 */
export async function* followRing(
  path: string,
  options: FollowOptions = {},
): AsyncGenerator<RingItem> {
  while (options.signal?.aborted !== true) {
    const reader = RingReader.open(path, options);
    if (reader instanceof StartFault || reader.writer() === 'gone') {
      await Bun.sleep(RETRY_MS);
      continue;
    }
    yield { type: 'opened', epoch: reader.epoch, seq: reader.lastSeq };
    yield* ringItems(reader, options);
  }
}

/** Turns records into messages, and skips those that the yielded state already includes. */
class Follower {
  private readonly reader: RingReader;
  private readonly latest: RingState;
  /** By instrument, then by kind: the newest sequence number that was yielded as state. */
  private readonly given: Map<number, number>[] = [];
  /** A book whose remaining records have not been read yet. */
  private open: Book | null = null;
  private lastSeq = 0;

  constructor(reader: RingReader) {
    this.reader = reader;
    this.latest = reader.state();
    this.lastSeq = reader.lastSeq;
  }

  *state(): Generator<RingMessage> {
    this.open = null;
    const { instruments } = this.reader;
    for (let i = 0; i < instruments; i++) {
      const given = (this.given[i] ??= new Map());
      if (!this.latest.load(i)) continue;
      // The writer continues while the consumer takes these, so all of them come from one copy.
      for (const message of this.messages()) {
        const kind = KIND[message.type];
        if ((given.get(kind) ?? -1) >= message.seq) continue;
        given.set(kind, message.seq);
        yield message;
      }
    }
  }

  lapped(): RingLapped {
    const { missed, lastSeq: seq } = this.reader;
    const from = this.lastSeq;
    this.lastSeq = seq;
    return { type: 'lapped', missed, from, seq };
  }

  /** The record as a message; null for a part of a book and for what the state already includes. */
  take(): RingMessage | null {
    const { record } = this.reader;
    this.lastSeq = record.seq;
    const given = this.given[record.instrument]?.get(record.kind) ?? -1;
    if (record.seq <= given) return null;
    switch (record.kind) {
      case KIND.tick:
        return tickOf(record);
      case KIND.trade:
        return tradeOf(record);
      case KIND.bbo:
        return bboOf(record);
      case KIND.status:
        return statusOf(record);
      case KIND.book:
        return this.takeBook();
      case KIND.instrument:
        return this.definition(record.instrument);
      default:
        return null; // a kind of a later version
    }
  }

  private takeBook(): Book | null {
    const { record } = this.reader;
    if (this.open?.seq === record.seq) addLevels(this.open, record);
    else this.open = bookOf(record);
    if (record.continues) return null;
    const book = this.open;
    this.open = null;
    return book;
  }

  private definition(instrument: number): Instrument | null {
    const definition = this.reader.definition(instrument);
    if (definition === undefined) return null;
    (this.given[instrument] ??= new Map()).set(KIND.instrument, definition.seq);
    return { type: 'instrument', ...definition, rules: null, shard: null };
  }

  private messages(): RingMessage[] {
    const { tick, bbo, status } = this.latest;
    const messages: RingMessage[] = [
      { type: 'instrument', ...this.latest.definition(), rules: null, shard: null },
    ];
    if (status !== null) messages.push(statusOf(status));
    if (bbo !== null) messages.push(bboOf(bbo));
    if (tick !== null) messages.push(tickOf(tick));
    const book = this.latest.book();
    if (book !== null) messages.push(book);
    return messages;
  }
}
