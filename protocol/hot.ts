/**
 * Hot messages (tick, trade, bbo, book) written and read by hand. The bytes are those that the
 * general path of `tuple.ts` makes; a property test holds the two together.
 */

import { BOOK_FORMS, MESSAGES, SOURCE_LEVELS_MAX } from './messages';
import type { Bbo, Book, MarketEvent, SourceEvent, Tick, Trade } from './messages';
import { DecodeError, type MsgReader } from './reader';
import { isSymbol, SYMBOL_LENGTH_MAX } from './units';
import type { MsgWriter } from './writer';

export type HotMessage = Tick | Trade | Bbo | Book;

const AGGRESSORS = ['buy', 'sell', 'none'] as const;
const FIELDS_BYTES_MAX = 160; // header, code, symbol and up to 12 integers of 9 bytes
const LEVEL_BYTES_MAX = 18;
const NIL = 0xc0;

const TICK = MESSAGES.tick.code;
const TRADE = MESSAGES.trade.code;
const BBO = MESSAGES.bbo.code;
const BOOK = MESSAGES.book.code;

/** Number of array elements of each: the fields and the code before them. */
const LENGTHS: ReadonlyMap<number, number> = new Map(
  [MESSAGES.tick, MESSAGES.trade, MESSAGES.bbo, MESSAGES.book].map((def) => [
    def.code,
    def.names.length + 1,
  ]),
);

export function isHot(message: MarketEvent | SourceEvent): message is HotMessage {
  return message.type !== 'instrument' && message.type !== 'status';
}

export function writeHot(w: MsgWriter, m: HotMessage): void {
  switch (m.type) {
    case 'tick':
      return writeTick(w, m);
    case 'trade':
      return writeTrade(w, m);
    case 'bbo':
      return writeBbo(w, m);
    case 'book':
      return writeBook(w, m);
  }
}

export function writeTick(w: MsgWriter, m: Tick): void {
  open(w, m, TICK, 12);
  w.int(m.last);
  w.intOrNil(m.bid);
  w.intOrNil(m.ask);
  w.int(m.quantity);
  w.int(m.volume);
  w.int(m.count);
}

function writeTrade(w: MsgWriter, m: Trade): void {
  open(w, m, TRADE, 10);
  w.int(m.price);
  w.int(m.quantity);
  w.int(AGGRESSORS.indexOf(m.aggressor));
  w.int(m.tradeId);
}

function writeBbo(w: MsgWriter, m: Bbo): void {
  open(w, m, BBO, 11);
  w.intOrNil(m.bid);
  w.int(m.bidQuantity);
  w.intOrNil(m.ask);
  w.int(m.askQuantity);
  w.int(m.count);
}

function writeBook(w: MsgWriter, m: Book): void {
  w.ensure((m.bids.length + m.asks.length) * LEVEL_BYTES_MAX);
  open(w, m, BOOK, 11);
  w.int(BOOK_FORMS.indexOf(m.form));
  writeLevels(w, m.bids);
  writeLevels(w, m.asks);
  w.intOrNil(m.crc);
  w.int(m.count);
}

function open(w: MsgWriter, m: HotMessage, code: number, length: number): void {
  w.ensure(FIELDS_BYTES_MAX);
  w.arrayHeader(length);
  w.int(code);
  w.symbol(m.symbol);
  w.int(m.seq);
  w.int(m.prevSeq);
  w.nanos(m.eventTime);
  w.nanos(m.receiveTime);
}

function writeLevels(w: MsgWriter, levels: readonly number[]): void {
  w.ensure(FIELDS_BYTES_MAX + levels.length * LEVEL_BYTES_MAX);
  w.arrayHeader(levels.length);
  for (let i = 0; i < levels.length; i++) w.int(levels[i]!);
}

/**
 * Reads the fields of a hot message, after its array header and code.
 * @returns undefined when the code is not that of a hot message
 * @throws DecodeError on bytes that do not fit the message
 */
export function readHot(r: MsgReader, code: number, length: number): HotMessage | undefined {
  const least = LENGTHS.get(code);
  if (least === undefined) return undefined;
  if (length < least) {
    throw new DecodeError(`message ${code} has ${length} elements; ${least} are expected`);
  }
  const symbol = r.ascii(SYMBOL_LENGTH_MAX);
  if (!isSymbol(symbol)) throw new DecodeError('a symbol has letters that none may have');
  const seq = natural(r);
  const prevSeq = natural(r);
  const eventTime = r.nanos();
  const receiveTime = r.nanos();
  const m = readBody(r, code, { symbol, seq, prevSeq, eventTime, receiveTime });
  for (let extra = least; extra < length; extra++) r.skip(); // fields of a later version
  return m;
}

type Opening = Pick<Tick, 'symbol' | 'seq' | 'prevSeq' | 'eventTime' | 'receiveTime'>;

function readBody(r: MsgReader, code: number, o: Opening): HotMessage {
  switch (code) {
    case TICK:
      return {
        type: 'tick',
        ...o,
        last: r.int(),
        bid: r.intOrNil(),
        ask: r.intOrNil(),
        quantity: natural(r),
        volume: natural(r),
        count: uint32(r),
      };
    case TRADE:
      return {
        type: 'trade',
        ...o,
        price: r.int(),
        quantity: natural(r),
        aggressor: oneOf(r, AGGRESSORS),
        tradeId: natural(r),
      };
    case BBO:
      return {
        type: 'bbo',
        ...o,
        bid: r.intOrNil(),
        bidQuantity: natural(r),
        ask: r.intOrNil(),
        askQuantity: natural(r),
        count: uint32(r),
      };
    default:
      return {
        type: 'book',
        ...o,
        form: oneOf(r, BOOK_FORMS),
        bids: readLevels(r),
        asks: readLevels(r),
        crc: r.bytes[r.position] === NIL ? r.intOrNil() : uint32(r),
        count: uint32(r),
      };
  }
}

function readLevels(r: MsgReader): number[] {
  const length = r.arrayHeader();
  if (length % 2 !== 0 || length > SOURCE_LEVELS_MAX * 2) {
    throw new DecodeError(
      `levels are ${length} integers; pairs, at most ${SOURCE_LEVELS_MAX}, are expected`,
    );
  }
  const levels: number[] = [];
  for (let i = 0; i < length; i += 2) {
    levels.push(r.int());
    levels.push(natural(r));
  }
  return levels;
}

function natural(r: MsgReader): number {
  const value = r.int();
  if (value < 0) throw new DecodeError(`${value} is negative`, 'out-of-range');
  return value;
}

function uint32(r: MsgReader): number {
  const value = r.int();
  if (value < 0 || value > 0xffff_ffff) {
    throw new DecodeError(`${value} is outside 32 bits`, 'out-of-range');
  }
  return value;
}

function oneOf<const V extends readonly string[]>(r: MsgReader, values: V): V[number] {
  const index = r.int();
  const value = values[index];
  if (value === undefined) {
    throw new DecodeError(`${index} names none of ${values.join(', ')}`, 'out-of-range');
  }
  return value;
}
