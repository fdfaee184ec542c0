/**
 * Hot messages (tick, trade, bbo, book), written and read by specialised code. The bytes equal those of the general
 * path in `tuple.ts`; a property test compares the two.
 */

import { PLAIN_CHANNELS } from './channels';
import type { FieldSpec } from './fields';
import { NIL_VALUE, putSeqs, putTimes, putValues } from './integers';
import {
  BOOK_FORMS,
  MARKS,
  messageByCode,
  MESSAGES,
  PUBLISH_EVENTS_MAX,
  SOURCE_LEVELS_MAX,
  TIMINGS,
} from './messages';
import type { Bbo, Book, MessageOf, SourceEvent, Tick, Trade } from './messages';
import { DecodeError, type MsgReader } from './reader';
import { parseSumDigits, SUM_DIGITS_MAX, type Sum } from './sums';
import type { Nanos } from './time';
import { DECIMAL_LENGTH_MAX, isDecimalText, isSymbol, SYMBOL_LENGTH_MAX } from './units';
import { VALUES_MAX, type MsgWriter } from './writer';

export type HotMessage = Tick | Trade | Bbo | Book;

const AGGRESSORS = ['buy', 'sell', 'none'] as const;
/** Header, code, symbol and up to 10 integers of 9 bytes; a 32-bit write may reach past the last. */
const FIELDS_BYTES_MAX = 160;
const LEVEL_BYTES_MAX = 18;
const NIL = 0xc0;

const TICK = MESSAGES.tick.code;
const TRADE = MESSAGES.trade.code;
const BBO = MESSAGES.bbo.code;
const BOOK = MESSAGES.book.code;

/** Numbers of array elements: the code and the fields, without those omitted at the end. */
const LENGTHS: ReadonlyMap<number, { readonly least: number; readonly most: number }> = new Map(
  [MESSAGES.tick, MESSAGES.trade, MESSAGES.bbo, MESSAGES.book].map((def) => {
    const most = def.names.length + 1;
    const hasOptional = Object.values(def.fields).at(-1)!.spec.type === 'nullable';
    return [def.code, { least: hasOptional ? most - 1 : most, most }];
  }),
);

const PUBLISH_LENGTH = MESSAGES.publish.names.length + 1;

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
  const at = open(w, 12, TICK, m.symbol, m.seq, m.prevSeq, m.eventTime, m.receiveTime);
  const { values } = w;
  values[0] = m.last;
  values[1] = m.bid ?? NIL_VALUE;
  values[2] = m.ask ?? NIL_VALUE;
  values[3] = m.quantity;
  if (typeof m.volume === 'number') {
    values[4] = m.volume;
    values[5] = m.count;
    w.position = putValues(w.view, at, values, 6);
    return;
  }
  w.position = putValues(w.view, at, values, 4);
  w.ascii(m.volume.toString());
  values[0] = m.count;
  w.position = putValues(w.view, w.position, values, 1);
}

function writeTrade(w: MsgWriter, m: Trade): void {
  const at = open(w, 11, TRADE, m.symbol, m.seq, m.prevSeq, m.eventTime, m.receiveTime);
  const { values } = w;
  values[0] = m.price;
  values[1] = m.quantity;
  values[2] = AGGRESSORS.indexOf(m.aggressor);
  values[3] = m.tradeId;
  values[4] = m.timing === null ? NIL_VALUE : TIMINGS.indexOf(m.timing);
  w.position = putValues(w.view, at, values, 5);
}

function writeBbo(w: MsgWriter, m: Bbo): void {
  const at = open(w, 12, BBO, m.symbol, m.seq, m.prevSeq, m.eventTime, m.receiveTime);
  const { values } = w;
  values[0] = m.bid ?? NIL_VALUE;
  values[1] = m.bidQuantity;
  values[2] = m.ask ?? NIL_VALUE;
  values[3] = m.askQuantity;
  values[4] = m.count;
  values[5] = m.mark === null ? NIL_VALUE : MARKS.indexOf(m.mark);
  w.position = putValues(w.view, at, values, 6);
}

function writeBook(w: MsgWriter, m: Book): void {
  w.ensure(FIELDS_BYTES_MAX + (m.bids.length + m.asks.length) * LEVEL_BYTES_MAX);
  const { values } = w;
  const at = open(w, 12, BOOK, m.symbol, m.seq, m.prevSeq, m.eventTime, m.receiveTime);
  values[0] = BOOK_FORMS.indexOf(m.form);
  w.position = putValues(w.view, at, values, 1);
  writeLevels(w, m.bids);
  writeLevels(w, m.asks);
  values[0] = m.crc ?? NIL_VALUE;
  values[1] = m.count;
  values[2] = m.mark === null ? NIL_VALUE : MARKS.indexOf(m.mark);
  w.position = putValues(w.view, w.position, values, 3);
}

/**
 * Writes the common first fields; returns the next offset. It takes the fields and not the message, since
 * code that reads fields of a single object type is twice as fast.
 */
function open(
  w: MsgWriter,
  length: number,
  code: number,
  symbol: string,
  seq: number,
  prevSeq: number,
  eventTime: Nanos,
  receiveTime: Nanos,
): number {
  w.ensure(FIELDS_BYTES_MAX);
  const { view, position } = w;
  view.setUint16(position, ((0x90 | length) << 8) | code);
  const at = putSeqs(view, w.symbol(position + 2, symbol), seq, prevSeq);
  return putTimes(view, at, eventTime, receiveTime);
}

function writeLevels(w: MsgWriter, levels: readonly number[]): void {
  w.arrayHeader(levels.length);
  const { view, values } = w;
  for (let from = 0; from < levels.length; from += VALUES_MAX) {
    const count = Math.min(VALUES_MAX, levels.length - from);
    for (let i = 0; i < count; i++) values[i] = levels[from + i]!;
    w.position = putValues(view, w.position, values, count);
  }
}

/**
 * Reads the fields of a hot message, after its array header and code.
 * @returns undefined if the code is not that of a hot message
 * @throws DecodeError on bytes that do not fit the message
 */
export function readHot(r: MsgReader, code: number, length: number): HotMessage | undefined {
  const lengths = LENGTHS.get(code);
  if (lengths === undefined) return undefined;
  const { least, most } = lengths;
  if (length < least) {
    throw new DecodeError(`message ${code} has ${length} elements; ${least} are expected`);
  }
  const symbol = readSymbol(r);
  const seq = natural(r);
  const prevSeq = natural(r);
  const eventTime = r.nanos();
  const receiveTime = r.nanos();
  const opening = { symbol, seq, prevSeq, eventTime, receiveTime };
  const m = readBody(r, code, opening, length >= most);
  for (let extra = most; extra < length; extra++) r.skip(); // fields of a later version
  return m;
}

/**
 * Reads the fields of a publish, after its array header and code, if all of its events are trades, quotes,
 * books and messages of plain channels with exactly the fields of this version.
 * @returns undefined if one is not: the general path reads it
 * @throws DecodeError on bytes that do not fit
 */
export function readPublish(r: MsgReader, length: number): MessageOf<'publish'> | undefined {
  if (length !== PUBLISH_LENGTH && length !== PUBLISH_LENGTH - 1) return undefined;
  const id = uint32(r);
  const count = r.arrayHeader();
  if (count > PUBLISH_EVENTS_MAX) return undefined;
  const events: SourceEvent[] = [];
  for (let i = 0; i < count; i++) {
    const fields = r.arrayHeader();
    if (fields === 0) return undefined;
    const code = r.int();
    const lengths = LENGTHS.get(code);
    if (lengths === undefined) {
      const plain = readPlain(r, code, fields);
      if (plain === undefined) return undefined;
      events.push(plain);
      continue;
    }
    if (code === TICK) return undefined;
    if (fields < lengths.least || fields > lengths.most) return undefined;
    events.push(readHot(r, code, fields) as Trade | Bbo | Book);
  }
  const continues = length === PUBLISH_LENGTH ? r.booleanOrNil() : null;
  return { type: 'publish', id, events, continues };
}

type Read = (r: MsgReader) => unknown;

/** How the fields of plain messages are read, by code; without those that have a field of a rare kind. */
const PLAIN: ReadonlyMap<number, readonly (readonly [name: string, read: Read])[]> = new Map(
  PLAIN_CHANNELS.flatMap((channel) => {
    const { code, fields } = MESSAGES[channel];
    const all = Object.entries(fields).map(([name, { spec }]) => [name, readerOf(spec)] as const);
    const known = all.flatMap(([name, read]) =>
      read === undefined ? [] : [[name, read] as const],
    );
    return known.length === all.length ? [[code, known] as const] : [];
  }),
);

/** @returns undefined if it needs the general path @throws DecodeError on bytes that do not fit */
function readPlain(r: MsgReader, code: number, length: number): SourceEvent | undefined {
  const fields = PLAIN.get(code);
  if (fields === undefined || length !== fields.length + 1) return undefined;
  const message: Record<string, unknown> = { type: messageByCode(code)!.type };
  for (const [name, read] of fields) message[name] = read(r);
  return message as unknown as SourceEvent;
}

function readerOf(spec: FieldSpec): Read | undefined {
  switch (spec.type) {
    case 'nullable': {
      const read = readerOf(spec.inner.spec);
      if (read === undefined) return undefined;
      return (r) => {
        if (r.bytes[r.position] !== NIL) return read(r);
        r.position += 1;
        return null;
      };
    }
    case 'symbol':
      return readSymbol;
    case 'price':
      return (r) => r.int();
    case 'quantity':
      return natural;
    case 'nanos':
      return (r) => r.nanos();
    case 'int':
      return (r) => within(r.int(), spec.min, spec.max);
    case 'decimal':
      return readDecimal;
    default:
      return undefined;
  }
}

function within(value: number, min: number, max: number): number {
  if (value >= min && value <= max) return value;
  throw new DecodeError(`${value} is not from ${min} to ${max}`, 'out-of-range');
}

function readSymbol(r: MsgReader): string {
  const symbol = r.ascii(SYMBOL_LENGTH_MAX);
  if (!isSymbol(symbol)) throw new DecodeError('a symbol has letters that none may have');
  return symbol;
}

function readDecimal(r: MsgReader): string {
  const text = r.ascii(DECIMAL_LENGTH_MAX);
  if (!isDecimalText(text)) throw new DecodeError('a string is no decimal');
  return text;
}

type Opening = Pick<Tick, 'symbol' | 'seq' | 'prevSeq' | 'eventTime' | 'receiveTime'>;

/** @param hasLast whether its last field is present */
function readBody(r: MsgReader, code: number, o: Opening, hasLast: boolean): HotMessage {
  switch (code) {
    case TICK:
      return {
        type: 'tick',
        ...o,
        last: r.int(),
        bid: r.intOrNil(),
        ask: r.intOrNil(),
        quantity: natural(r),
        volume: sum(r),
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
        timing: hasLast ? oneOfOrNil(r, TIMINGS) : null,
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
        mark: hasLast ? oneOfOrNil(r, MARKS) : null,
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
        mark: hasLast ? oneOfOrNil(r, MARKS) : null,
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

/** An integer, or beyond 2^53 − 1 the string of its digits. */
function sum(r: MsgReader): Sum {
  const tag = r.bytes[r.position]!;
  if ((tag & 0xe0) !== 0xa0 && tag !== 0xd9) return natural(r);
  const value = parseSumDigits(r.ascii(SUM_DIGITS_MAX));
  if (value === undefined) throw new DecodeError('a sum is a string that is no whole number');
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

function oneOfOrNil<const V extends readonly string[]>(r: MsgReader, values: V): V[number] | null {
  if (r.bytes[r.position] !== NIL) return oneOf(r, values);
  r.position += 1;
  return null;
}
