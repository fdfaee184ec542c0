/** Records: events to rows and back. */

import type { SQLQueryBindings, Statement } from 'bun:sqlite';

import { decodeLevels, encodeLevels } from '../../protocol/layout';
import { BOOK_FORMS, INSTRUMENT_STATES, SIDES } from '../../protocol/messages';
import type { Instrument, Status, Trade } from '../../protocol/messages';
import type { BatchEvent, Command } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { KIND, type KindName } from './schema';

export const AGGRESSORS = ['buy', 'sell', 'none'] as const;

/** A row of `SELECT_RECORD`. */
export interface RecordRow {
  seq: number;
  kind: number;
  instrument: number;
  prev_seq: number;
  event_hi: number;
  event_lo: number;
  receive_hi: number;
  receive_lo: number;
  price: number | null;
  quantity: number | null;
  bid: number | null;
  bid_quantity: number | null;
  ask: number | null;
  ask_quantity: number | null;
  volume: number | null;
  side: number | null;
  ref: number | null;
  source_seq: number | null;
  levels: Uint8Array | null;
  text: string | null;
}

/** Writes one event with the statement of its kind (`insertSql`). */
export function insertEvent(
  statements: Record<KindName, Statement<unknown, SQLQueryBindings[]>>,
  e: BatchEvent,
  instrument: number,
): void {
  const statement = statements[e.type];
  if (e.type === 'instrument') {
    statement.run(e.seq, instrument, 0, 0, 0, 0, 0, definitionText(e));
    return;
  }
  const { eventTime: at, receiveTime: got } = e;
  if (e.type === 'command') {
    statement.run(e.seq, instrument, 0, at.hi, at.lo, got.hi, got.lo, e.price, e.quantity, AGGRESSORS.indexOf(e.side), e.orderId, commandText(e)); // prettier-ignore
    return;
  }
  switch (e.type) {
    case 'tick':
      statement.run(e.seq, instrument, e.prevSeq, at.hi, at.lo, got.hi, got.lo, e.last, e.quantity, e.bid, e.ask, e.volume); // prettier-ignore
      return;
    case 'trade':
      statement.run(e.seq, instrument, e.prevSeq, at.hi, at.lo, got.hi, got.lo, e.price, e.quantity, AGGRESSORS.indexOf(e.aggressor), e.tradeId, e.sourceSeq ?? null); // prettier-ignore
      return;
    case 'bbo':
      statement.run(e.seq, instrument, e.prevSeq, at.hi, at.lo, got.hi, got.lo, e.bid, e.bidQuantity, e.ask, e.askQuantity); // prettier-ignore
      return;
    case 'book':
      statement.run(e.seq, instrument, e.prevSeq, at.hi, at.lo, got.hi, got.lo, BOOK_FORMS.indexOf(e.form), encodeLevels(e.bids, e.asks), e.crc); // prettier-ignore
      return;
    case 'snapshot':
      statement.run(e.seq, instrument, 0, at.hi, at.lo, got.hi, got.lo, encodeLevels(e.bids, e.asks), e.crc); // prettier-ignore
      return;
    case 'status':
      statement.run(e.seq, instrument, e.prevSeq, at.hi, at.lo, got.hi, got.lo, `${e.state} ${e.reason}`, e.missed); // prettier-ignore
  }
}

/** The event of a row; undefined when the row is not one that was ever written. */
export function rowToEvent(r: RecordRow, symbol: string): BatchEvent | undefined {
  const opening = {
    symbol,
    seq: r.seq,
    prevSeq: r.prev_seq,
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
  };
  switch (r.kind) {
    case KIND.trade: {
      const trade = rowToTrade(r, symbol);
      if (trade === undefined || r.source_seq === null) return trade;
      return { ...trade, sourceSeq: r.source_seq };
    }
    case KIND.tick:
      if (r.price === null || r.quantity === null || r.volume === null) return undefined;
      return { type: 'tick', ...opening, last: r.price, bid: r.bid, ask: r.ask, quantity: r.quantity, volume: r.volume, count: 1 }; // prettier-ignore
    case KIND.bbo:
      return { type: 'bbo', ...opening, bid: r.bid, bidQuantity: r.bid_quantity ?? 0, ask: r.ask, askQuantity: r.ask_quantity ?? 0, count: 1 }; // prettier-ignore
    case KIND.book: {
      const levels = r.levels === null ? undefined : decodeLevels(r.levels);
      const form = BOOK_FORMS[r.side ?? -1];
      if (levels === undefined || form === undefined) return undefined;
      return { type: 'book', ...opening, form, ...levels, crc: r.ref, count: 1 };
    }
    case KIND.snapshot: {
      const levels = r.levels === null ? undefined : decodeLevels(r.levels);
      if (levels === undefined || r.ref === null) return undefined;
      const { symbol: of, seq, eventTime, receiveTime } = opening;
      return { type: 'snapshot', symbol: of, seq, eventTime, receiveTime, ...levels, crc: r.ref };
    }
    case KIND.status:
      return rowToStatus(r, opening);
    case KIND.command:
      return rowToCommand(r, opening);
    case KIND.instrument:
      return r.text === null ? undefined : parseDefinition(r.text);
    default:
      return undefined;
  }
}

export function rowToTrade(r: RecordRow, symbol: string): Trade | undefined {
  const aggressor = AGGRESSORS[r.side ?? -1];
  if (r.price === null || r.quantity === null || aggressor === undefined) return undefined;
  return {
    type: 'trade',
    symbol,
    seq: r.seq,
    prevSeq: r.prev_seq,
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
    price: r.price,
    quantity: r.quantity,
    aggressor,
    tradeId: r.ref ?? 0,
  };
}

function rowToStatus(
  r: RecordRow,
  opening: Omit<Status, 'type' | 'state' | 'reason' | 'missed'>,
): Status | undefined {
  const text = r.text ?? '';
  const split = text.indexOf(' ');
  const state = INSTRUMENT_STATES.find((s) => s === text.slice(0, split));
  if (state === undefined) return undefined;
  return { type: 'status', ...opening, state, reason: text.slice(split + 1), missed: r.ref ?? 0 };
}

/** What of a command has no column of its own. */
type CommandRest = Pick<
  Command,
  'action' | 'owner' | 'clientOrderId' | 'kind' | 'timeInForce' | 'postOnly' | 'state'
>;

function commandText(c: Command): string {
  const { action, owner, clientOrderId, kind, timeInForce, postOnly, state } = c;
  const rest: CommandRest = { action, owner, clientOrderId, kind, timeInForce, postOnly, state };
  return JSON.stringify(rest);
}

function rowToCommand(
  r: RecordRow,
  {
    symbol,
    seq,
    eventTime,
    receiveTime,
  }: Pick<Status, 'symbol' | 'seq' | 'eventTime' | 'receiveTime'>,
): Command | undefined {
  const side = SIDES[r.side ?? -1];
  if (r.text === null || r.price === null || r.quantity === null || side === undefined) {
    return undefined;
  }
  try {
    const rest: unknown = JSON.parse(r.text);
    if (!isCommandRest(rest)) return undefined;
    const { price, quantity } = r;
    const orderId = r.ref ?? 0;
    return { type: 'command', symbol, seq, eventTime, receiveTime, ...rest, orderId, side, price, quantity }; // prettier-ignore
  } catch {
    return undefined;
  }
}

/** Every word a command may hold, where it holds one; null is another `state`. */
const COMMAND_WORDS: Readonly<Record<string, readonly unknown[]>> = {
  action: ['submit', 'cancel', 'amend', 'state'],
  kind: ['limit', 'market'],
  timeInForce: ['gtc', 'ioc', 'fok'],
  postOnly: [true, false],
  state: ['pre-open', 'open', 'halted', 'closed', null],
};

/** Whether this is what `commandText` writes: a command that is not would be carried out as another. */
function isCommandRest(value: unknown): value is CommandRest {
  if (typeof value !== 'object' || value === null) return false;
  const given = value as Record<string, unknown>;
  const named = typeof given['owner'] === 'string' && typeof given['clientOrderId'] === 'string';
  return (
    named && Object.entries(COMMAND_WORDS).every(([name, words]) => words.includes(given[name]))
  );
}

/** A definition as JSON with scaled integers; the scales stand beside them. */
export function definitionText(d: Instrument): string {
  return JSON.stringify(d);
}

export function parseDefinition(text: string): Instrument | undefined {
  try {
    const d = JSON.parse(text) as Instrument;
    return d.type === 'instrument' && typeof d.symbol === 'string' ? d : undefined;
  } catch {
    return undefined;
  }
}
