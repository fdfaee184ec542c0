/**
 * Ring encode: writes events as records (ring-layout.ts) directly into the shared memory.
 *
 * Nothing here allocates. Nothing here validates: the sequencer has already validated the events. `at`
 * is the index in `doubles` at which a record begins. `putHead` writes the head of a record. A record
 * becomes readable only when the writer advances `published`.
 */

import { BOOK_FORMS, INSTRUMENT_STATES } from '../../protocol/messages';
import type { Bbo, Book, Status, Tick, Trade } from '../../protocol/messages';
import { sumHigh, sumLow } from '../../protocol/sums';
import type { Nanos } from '../../protocol/time';
import {
  EVENTS_INDEX,
  FLAG,
  KIND,
  LEVELS_PER_RECORD,
  REASON_BYTES,
  REC,
  REC_INT,
  type RingWords,
} from './ring-layout';

const DELTA = BOOK_FORMS.indexOf('delta');
const AGGRESSORS = { buy: 0, sell: 1, none: 2 } as const;

/** The int32 with the same bits. For a double of 2^31 or more, `| 0` alone takes a slow path. */
function signed(word: number): number {
  return (word >= 2_147_483_648 ? word - 4_294_967_296 : word) | 0;
}

/**
 * Writes the first 48 bytes of a record. The caller reads the values from the event, because it
 * knows the event's shape; property access here would be polymorphic and slow.
 * @param check as int32
 * @param word kind, detail, levels and flags, lowest byte first
 */
export function putHead(
  { ints, doubles }: RingWords,
  at: number,
  check: number,
  word: number,
  instrument: number,
  aux: number,
  seq: number,
  prevSeq: number,
  eventTime: Nanos,
  receiveTime: Nanos,
): void {
  const int = at * 2;
  ints[int + REC_INT.check] = check;
  ints[int + REC_INT.kind] = word;
  ints[int + REC_INT.instrument] = instrument;
  ints[int + REC_INT.aux] = signed(aux);
  doubles[at + REC.seq] = seq;
  doubles[at + REC.prevSeq] = prevSeq;
  ints[int + REC_INT.event] = signed(eventTime.lo);
  ints[int + REC_INT.event + 1] = eventTime.hi;
  ints[int + REC_INT.receive] = signed(receiveTime.lo);
  ints[int + REC_INT.receive + 1] = receiveTime.hi;
}

export function putTick(
  words: RingWords,
  at: number,
  check: number,
  instrument: number,
  e: Tick,
): void {
  const { seq, prevSeq, eventTime, receiveTime } = e;
  putHead(words, at, check, KIND.tick, instrument, e.count, seq, prevSeq, eventTime, receiveTime);
  const { doubles } = words;
  const body = at + REC.body;
  doubles[body] = e.last;
  doubles[body + 1] = e.bid ?? Number.NaN;
  doubles[body + 2] = e.ask ?? Number.NaN;
  doubles[body + 3] = e.quantity;
  doubles[body + 4] = sumLow(e.volume);
  doubles[body + 5] = sumHigh(e.volume);
}

export function putTrade(
  words: RingWords,
  at: number,
  check: number,
  instrument: number,
  e: Trade,
): void {
  const { seq, prevSeq, eventTime, receiveTime } = e;
  const word = KIND.trade | (AGGRESSORS[e.aggressor] << 8) | (timingFlag(e.timing) << 24);
  putHead(words, at, check, word, instrument, 1, seq, prevSeq, eventTime, receiveTime);
  const { doubles } = words;
  const body = at + REC.body;
  doubles[body] = e.price;
  doubles[body + 1] = e.quantity;
  doubles[body + 2] = e.tradeId;
}

export function putBbo(
  words: RingWords,
  at: number,
  check: number,
  instrument: number,
  e: Bbo,
): void {
  const { seq, prevSeq, eventTime, receiveTime } = e;
  putHead(
    words,
    at,
    check,
    KIND.bbo | (markFlag(e.mark) << 24),
    instrument,
    e.count,
    seq,
    prevSeq,
    eventTime,
    receiveTime,
  );
  const { doubles } = words;
  const body = at + REC.body;
  doubles[body] = e.bid ?? Number.NaN;
  doubles[body + 1] = e.bidQuantity;
  doubles[body + 2] = e.ask ?? Number.NaN;
  doubles[body + 3] = e.askQuantity;
}

export function putStatus(
  words: RingWords,
  at: number,
  check: number,
  instrument: number,
  e: Status,
): void {
  const { seq, prevSeq, eventTime, receiveTime } = e;
  const word = KIND.status | (INSTRUMENT_STATES.indexOf(e.state) << 8);
  putHead(words, at, check, word, instrument, 1, seq, prevSeq, eventTime, receiveTime);
  words.doubles[at + REC.body] = e.missed;
  words.doubles[at + REC.body + EVENTS_INDEX] = e.events ?? Number.NaN;
  const text = (at + REC.body + 1) * 8;
  for (let i = 0; i < REASON_BYTES; i++) {
    words.bytes[text + i] = i < e.reason.length ? e.reason.charCodeAt(i) & 0x7f : 0;
  }
}

const TIMING_FLAGS = {
  'late': FLAG.late,
  'ahead': FLAG.ahead,
  'late-and-ahead': FLAG.late | FLAG.ahead,
} as const;

function timingFlag(timing: Trade['timing']): number {
  return timing === null ? 0 : TIMING_FLAGS[timing];
}

function markFlag(mark: Book['mark']): number {
  if (mark === null) return 0;
  return mark === 'stale' ? FLAG.stale : FLAG.recovered;
}

/** The 32-bit word of a book record: kind, form, number of bids and asks in the record, flags. */
export function bookWord(e: Book, bids: number, asks: number, flags: number): number {
  const form = e.form === 'delta' ? DELTA : BOOK_FORMS.indexOf(e.form);
  return (
    KIND.book | (form << 8) | ((bids | (asks << 4)) << 16) | ((flags | markFlag(e.mark)) << 24)
  );
}

/**
 * Writes one record of a book: the head and up to five levels.
 * @param from number of the first level; bids count first, then asks
 */
export function putBook(
  words: RingWords,
  at: number,
  check: number,
  instrument: number,
  e: Book,
  word: number,
  from: number,
): void {
  const { seq, prevSeq, eventTime, receiveTime, bids, asks, crc } = e;
  putHead(words, at, check, word, instrument, crc ?? 0, seq, prevSeq, eventTime, receiveTime);
  const { doubles } = words;
  const bidFields = bids.length;
  const first = from * 2;
  const end = Math.min(first + LEVELS_PER_RECORD * 2, bidFields + asks.length);
  let to = at + REC.body;
  let field = first;
  for (; field < end && field < bidFields; field++) doubles[to++] = bids[field]!;
  for (field -= bidFields; field < end - bidFields; field++) doubles[to++] = asks[field]!;
}
