/**
 * Ring follow: the comfortable way to read a ring. Messages of the protocol, one after the other, by
 * async iteration: first the state of every instrument, then what happens. Whoever is lapped is told
 * how much is lost, and gets the state anew; whoever follows a path goes on with the next server's.
 *
 * It allocates, and it sleeps when there is nothing: for a thread that has other work. For the lowest
 * delay poll a `RingReader`.
 */

import type { Bbo, Book, Instrument, Status, Tick, Trade } from '../../protocol/messages';
import { StartFault } from '../base/start-fault';
import { KIND } from './ring-layout';
import { RingReader, type RingReaderOptions } from './ring-reader';
import { addLevels, bboOf, bookOf, statusOf, tickOf, tradeOf } from './ring-record';
import type { RingState } from './ring-state';

/** `missed` records are lost; behind it comes the state at `seq` or later. */
export interface RingLapped {
  readonly type: 'lapped';
  readonly missed: number;
  /** The last place that was read, and the newest one by now. */
  readonly from: number;
  readonly seq: number;
}

/** A ring was opened: that of one life of the numbering. Behind it comes the state. */
export interface RingOpened {
  readonly type: 'opened';
  readonly epoch: number;
  readonly seq: number;
}

/** The rules of a venue's instrument are not in the ring. */
export type RingMessage = Instrument | Tick | Trade | Bbo | Book | Status;
export type RingItem = RingMessage | RingLapped | RingOpened;

export interface FollowOptions extends Omit<RingReaderOptions, 'from'> {
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
}

const IDLE_MS = 1;
/** Between looks for the next server's ring. */
const RETRY_MS = 100;
/** How many records are handed on before other work of the thread gets its turn. */
const RUN_MAX = 1_000;

/** Follows a ring that is open, until its writer has ended and everything was read. */
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
 * Follows whatever ring has this path: where a server ends, the next one is waited for.
 * @throws nothing for a ring that is not there; it is looked for until `signal` says otherwise
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

/** Records as messages, each instrument from the state on that was given of it. */
class Follower {
  private readonly reader: RingReader;
  private readonly latest: RingState;
  /** Of each instrument the places of its definition, status, bbo, tick and book that were given. */
  private readonly given: Map<number, number>[] = [];
  /** A book whose further records have not come yet. */
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
      // A writer goes on while these are handed out, so all of them come out of one copy.
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

  /** The record as a message; null when it is a part, or is in the state that was given. */
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
        return null; // of a later version
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
    return { type: 'instrument', ...definition, rules: null };
  }

  private messages(): RingMessage[] {
    const { tick, bbo, status } = this.latest;
    const messages: RingMessage[] = [
      { type: 'instrument', ...this.latest.definition(), rules: null },
    ];
    if (status !== null) messages.push(statusOf(status));
    if (bbo !== null) messages.push(bboOf(bbo));
    if (tick !== null) messages.push(tickOf(tick));
    const book = this.latest.book();
    if (book !== null) messages.push(book);
    return messages;
  }
}
