/**
 * Truth of a journal, for the tests that kill servers: its rows folded in order in the simplest way, one epoch at a
 * time; it throws where they contradict each other. What it holds is what a restarted server must publish.
 */

import type { Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { levelsOf, messageOf, rowsAfter, timingOf, type Json, type Row } from './kill-rows';

/** @throws Error with what is wrong */
export function must(holds: boolean, wrong: () => string): asserts holds {
  if (!holds) throw new Error(wrong());
}

/** Ten levels a side of an instrument, by price; null while the book is incomplete. */
export interface NaiveBook {
  readonly seq: number;
  readonly bids: [string, string][];
  readonly asks: [string, string][];
  readonly isTrusted: boolean;
}

export interface CommandRow {
  readonly seq: number;
  readonly symbol: string;
  readonly action: string;
  readonly owner: string;
  readonly clientOrderId: string;
  readonly orderId: number;
}

export interface TruthOptions {
  /** Whether a crash may lose what was pushed. */
  readonly isAsync: boolean;
  /** The feed instrument, whose source numbers its trades from 1 and repeats what is not acknowledged. */
  readonly fed: string;
}

export class Truth {
  /** The newest seq: of a record, or the end of a gap. */
  seq = 0;
  records = 0;
  /** Newest seq and message of each topic; the status of an instrument counts as a topic here. */
  readonly newest = new Map<string, { readonly seq: number; readonly text: string }>();
  /** Instruments that are recorded. */
  readonly defined = new Set<string>();
  readonly books = new Map<string, NaiveBook>();
  readonly trades = new Map<string, Trade[]>();
  /** Newest last; at most a hundred are needed. */
  readonly tradeMessages = new Map<string, Json[]>();
  /** Recorded orders by owner and name. */
  readonly orders = new Map<string, CommandRow>();
  readonly gaps: { from: number; to: number }[] = [];
  sourceTrade = 0;
  /** Of the newest read: messages, commands and whole books, by seq. */
  readonly texts = new Map<number, string>();
  readonly commands = new Map<number, CommandRow>();
  readonly wholeBooks = new Map<number, NaiveBook>();
  /** Over all records except notes. */
  digest = 0n;
  private readonly heads = new Map<string, number>();
  private lastId = -1;
  private readonly options: TruthOptions;

  constructor(options: TruthOptions) {
    this.options = options;
  }

  /**
   * Reads what was added to the file since the last call.
   * @param shown the newest seq that any client received in the epochs read before
   */
  read(directory: string, received: number): void {
    this.texts.clear();
    this.commands.clear();
    this.wholeBooks.clear();
    for (const book of this.books.values()) this.wholeBooks.set(book.seq, { ...book });
    for (const { seq, text } of this.newest.values()) this.texts.set(seq, text);
    for (const row of rowsAfter(directory, this.lastId)) {
      this.lastId = row.id;
      this.take(row, received);
    }
  }

  private take(row: Row, received: number): void {
    const seq = Math.floor(row.id / 8);
    if (row.kind === 9) return this.gap(row, seq, received);
    if (row.kind > 9) return;
    must(row.id % 8 === 0, () => `record ${row.id} of kind ${row.kind} is in a slot of notes`);
    must(seq === this.seq + 1, () => `seq ${seq} follows ${this.seq}`);
    must(
      seq > received,
      () => `seq ${seq} is used again: ${received} was received before this start`,
    );
    this.seq = seq;
    this.records += 1;
    this.digest = Bun.hash.wyhash(
      JSON.stringify({ ...row, levels: row.levels?.toHex() ?? null }),
      this.digest,
    );
    const message = messageOf(row);
    this.defined.add(row.symbol);
    if (message !== undefined) this.event(row, message, seq);
    else if (row.kind === 7) this.command(row, seq);
    else if (row.kind === 8) this.snapshot(row);
  }

  private gap(row: Row, to: number, received: number): void {
    const from = row.ref!;
    must(this.options.isAsync, () => `a gap from ${from} to ${to}: ${row.text}`);
    must(row.text === 'crash', () => `a gap from ${from} to ${to} for ${row.text}`);
    must(
      from === this.seq + 1 && to >= from,
      () => `a gap from ${from} to ${to} after ${this.seq}`,
    );
    // It ends where the epoch before it ended, so it covers everything that any client received.
    must(to >= received, () => `a gap to ${to}, and seq ${received} was received`);
    this.gaps.push({ from, to });
    this.seq = to;
  }

  private event(row: Row, message: Json, seq: number): void {
    const type = message['type'] as string;
    const topic = type === 'status' ? type : `${type}:${row.symbol}`;
    const head = this.heads.get(topic) ?? 0;
    must(
      row.prev_seq === head,
      () => `${topic} ${seq}: its prev_seq is ${row.prev_seq}, its head ${head}`,
    );
    this.heads.set(topic, seq);
    const text = JSON.stringify(message);
    this.texts.set(seq, text);
    this.newest.set(type === 'status' ? `status:${row.symbol}` : topic, { seq, text });
    if (type === 'book') this.book(row, seq);
    if (type === 'trade') this.trade(row, message, seq);
  }

  private book(row: Row, seq: number): void {
    const form = row.side!;
    const { bids, asks } = levelsOf(row);
    const before = this.books.get(row.symbol);
    const isDelta = form === 1;
    must(
      !isDelta || before?.isTrusted === true,
      () => `a delta at ${seq} of a book that is not whole`,
    );
    const book: NaiveBook = {
      seq,
      bids: merged(isDelta ? before!.bids : [], bids, -1),
      asks: merged(isDelta ? before!.asks : [], asks, 1),
      isTrusted: form !== 2,
    };
    this.books.set(row.symbol, book);
    this.wholeBooks.set(seq, book);
    const deepest = Math.max(book.bids.length, book.asks.length);
    must(deepest <= 10, () => `the book at ${seq} has ${deepest} levels`);
    if (row.ref === null) return;
    must(row.ref === crcOf(book, row), () => `the CRC of the book at ${seq}`);
  }

  private trade(row: Row, message: Json, seq: number): void {
    const own = listOf(this.trades, row.symbol);
    own.push({
      type: 'trade',
      symbol: row.symbol,
      seq,
      prevSeq: row.prev_seq,
      eventTime: Nanos.parse(row.event_time)!,
      receiveTime: Nanos.parse(row.receive_time)!,
      price: row.price!,
      quantity: row.quantity!,
      aggressor: 'none',
      tradeId: row.ref!,
      timing: timingOf(row),
    });
    const messages = listOf(this.tradeMessages, row.symbol);
    messages.push(message);
    if (messages.length > 200) messages.splice(0, 100);
    if (row.symbol !== this.options.fed) return;
    const number = row.source_seq!;
    const follows = this.options.isAsync
      ? number > this.sourceTrade
      : number === this.sourceTrade + 1;
    must(follows, () => `trade ${number} of the source follows ${this.sourceTrade}`);
    this.sourceTrade = number;
  }

  private command(row: Row, seq: number): void {
    const { action, owner, clientOrderId } = JSON.parse(row.text!) as Record<string, string>;
    const command = {
      seq,
      symbol: row.symbol,
      action: action!,
      owner: owner!,
      clientOrderId: clientOrderId!,
      orderId: row.ref!,
    };
    this.commands.set(seq, command);
    if (action !== 'submit') return;
    const name = `${owner} ${clientOrderId}`;
    const known = this.orders.get(name);
    must(
      known === undefined,
      () => `the order ${name} is on record at ${known!.seq} and at ${seq}`,
    );
    this.orders.set(name, command);
  }

  private snapshot(row: Row): void {
    const book = this.books.get(row.symbol)!;
    const { bids, asks } = levelsOf(row);
    const agrees = JSON.stringify([bids, asks]) === JSON.stringify([book.bids, book.asks]);
    must(agrees, () => `the snapshot ${row.id / 8} is not the book at ${book.seq}`);
    must(row.ref === crcOf(book, row), () => `the CRC of the snapshot ${row.id / 8}`);
  }
}

function listOf<T>(lists: Map<string, T[]>, symbol: string): T[] {
  let list = lists.get(symbol);
  if (list === undefined) lists.set(symbol, (list = []));
  return list;
}

function merged(before: [string, string][], changes: [string, string][], sign: 1 | -1) {
  const levels = new Map([...before, ...changes]);
  return [...levels]
    .filter(([, quantity]) => Number(quantity) !== 0)
    .sort(([a], [b]) => (Number(a) - Number(b)) * sign);
}

/** As [B8] says. */
function crcOf({ bids, asks }: NaiveBook, { price_scale, quantity_scale }: Row): number {
  const bytes = new DataView(new ArrayBuffer(4 + (bids.length + asks.length) * 16));
  bytes.setUint16(0, bids.length, true);
  bytes.setUint16(2, asks.length, true);
  [...bids, ...asks].forEach(([price, quantity], i) => {
    bytes.setBigInt64(4 + i * 16, scaled(price, price_scale), true);
    bytes.setBigInt64(12 + i * 16, scaled(quantity, quantity_scale), true);
  });
  return Bun.hash.crc32(bytes.buffer);
}

function scaled(text: string, scale: number): bigint {
  const [whole, rest = ''] = text.split('.');
  return BigInt(`${whole}${rest.padEnd(scale, '0')}`);
}
