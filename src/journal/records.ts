/** Records: the rows of the journal, and the events that they hold. */

import { decodeLevels } from '../../protocol/layout';
import { BOOK_FORMS, INSTRUMENT_STATES, SIDES } from '../../protocol/messages';
import type { Bbo, Instrument, Status, Trade } from '../../protocol/messages';
import { asEvent, plainMessage } from '../../protocol/plain';
import type {
  BatchEvent,
  Command,
  RecordedBbo,
  RecordedBook,
  RecordedTick,
  RecordedTrade,
  Snapshot,
} from '../../protocol/records';
import { sumOfHalves } from '../../protocol/sums';
import { Nanos } from '../../protocol/time';
import { FLAG, KIND, plainChannelOf, seqOf } from './schema';

export const AGGRESSORS = ['buy', 'sell', 'none'] as const;

/** A row of `SELECT_RECORD`. */
export interface RecordRow {
  id: number;
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
  as_of_hi: number | null;
  as_of_lo: number | null;
  flags: number | null;
  volume_high: number | null;
}

/** The flags for whether a trade is late, ahead of its time, or both. */
export function timingFlags(timing: Trade['timing']): number {
  switch (timing) {
    case null:
      return 0;
    case 'late':
      return FLAG.late;
    case 'ahead':
      return FLAG.ahead;
    case 'late-and-ahead':
      return FLAG.late | FLAG.ahead;
  }
}

export function timingOf(flags: number | null): Trade['timing'] {
  if (flags === null) return null;
  const isAhead = (flags & FLAG.ahead) !== 0;
  if ((flags & FLAG.late) !== 0) return isAhead ? 'late-and-ahead' : 'late';
  return isAhead ? 'ahead' : null;
}

export function markFlags(mark: Bbo['mark']): number {
  return mark === null ? 0 : FLAG[mark];
}

export function markOf(flags: number | null): Bbo['mark'] {
  if (flags === null) return null;
  if ((flags & FLAG.stale) !== 0) return 'stale';
  return (flags & FLAG.recovered) !== 0 ? 'recovered' : null;
}

/** The order time, if it is not the event time. */
function orderedAt(r: Pick<RecordRow, 'as_of_hi' | 'as_of_lo'>): { asOf?: Nanos } {
  if (r.as_of_hi === null || r.as_of_lo === null) return {};
  return { asOf: new Nanos(r.as_of_hi, r.as_of_lo) };
}

/** The time by which a row is ordered. */
export function orderTimeOf(
  r: Pick<RecordRow, 'as_of_hi' | 'as_of_lo' | 'event_hi' | 'event_lo'>,
): Nanos {
  return orderedAt(r).asOf ?? new Nanos(r.event_hi, r.event_lo);
}

/** Adds the order time, if it is not the event time; few events have one. */
function ordered<E extends { readonly asOf?: Nanos }>(r: RecordRow, event: E): E {
  return r.as_of_hi === null ? event : { ...event, ...orderedAt(r) };
}

/** The event of a row; undefined for a row that no version of this program wrote. */
export function rowToEvent(r: RecordRow, symbol: string): BatchEvent | undefined {
  switch (r.kind) {
    case KIND.trade: {
      const trade: RecordedTrade | undefined = rowToTrade(r, symbol);
      if (trade === undefined || r.source_seq === null) return trade;
      return Object.assign(trade, { sourceSeq: r.source_seq });
    }
    case KIND.tick:
      return rowToTick(r, symbol);
    case KIND.bbo:
      return rowToBbo(r, symbol);
    case KIND.book:
      return rowToBook(r, symbol);
    case KIND.snapshot:
      return rowToSnapshot(r, symbol);
    case KIND.status:
      return rowToStatus(r, symbol);
    case KIND.command:
      return rowToCommand(r, symbol);
    case KIND.instrument:
      return r.text === null ? undefined : parseDefinition(r.text);
    default:
      return rowToPlain(r, symbol);
  }
}

function rowToPlain(r: RecordRow, symbol: string): BatchEvent | undefined {
  const channel = plainChannelOf(r.kind);
  if (channel === undefined || r.text === null) return undefined;
  const opening = {
    symbol,
    seq: seqOf(r.id),
    prevSeq: r.prev_seq,
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
  };
  const message = plainMessage(channel, opening, r.text);
  return message && asEvent(ordered(r, message));
}

function rowToTick(r: RecordRow, symbol: string): RecordedTick | undefined {
  if (r.price === null || r.quantity === null || r.volume === null) return undefined;
  return ordered<RecordedTick>(r, {
    type: 'tick',
    symbol,
    seq: seqOf(r.id),
    prevSeq: r.prev_seq,
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
    last: r.price,
    bid: r.bid,
    ask: r.ask,
    quantity: r.quantity,
    volume: sumOfHalves(r.volume_high ?? 0, r.volume),
    count: 1,
  });
}

function rowToBbo(r: RecordRow, symbol: string): RecordedBbo {
  return ordered<RecordedBbo>(r, {
    type: 'bbo',
    symbol,
    seq: seqOf(r.id),
    prevSeq: r.prev_seq,
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
    bid: r.bid,
    bidQuantity: r.bid_quantity ?? 0,
    ask: r.ask,
    askQuantity: r.ask_quantity ?? 0,
    count: 1,
    mark: markOf(r.flags),
  });
}

function rowToBook(r: RecordRow, symbol: string): RecordedBook | undefined {
  const levels = r.levels === null ? undefined : decodeLevels(r.levels);
  const form = BOOK_FORMS[r.side ?? -1];
  if (levels === undefined || form === undefined) return undefined;
  return ordered<RecordedBook>(r, {
    type: 'book',
    symbol,
    seq: seqOf(r.id),
    prevSeq: r.prev_seq,
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
    form,
    bids: levels.bids,
    asks: levels.asks,
    crc: r.ref,
    count: 1,
    mark: markOf(r.flags),
  });
}

function rowToSnapshot(r: RecordRow, symbol: string): Snapshot | undefined {
  const levels = r.levels === null ? undefined : decodeLevels(r.levels);
  if (levels === undefined || r.ref === null) return undefined;
  return ordered<Snapshot>(r, {
    type: 'snapshot',
    symbol,
    seq: seqOf(r.id),
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
    bids: levels.bids,
    asks: levels.asks,
    crc: r.ref,
  });
}

export function rowToTrade(r: RecordRow, symbol: string): Trade | undefined {
  const aggressor = AGGRESSORS[r.side ?? -1];
  if (r.price === null || r.quantity === null || aggressor === undefined) return undefined;
  return {
    type: 'trade',
    symbol,
    seq: seqOf(r.id),
    prevSeq: r.prev_seq,
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
    price: r.price,
    quantity: r.quantity,
    aggressor,
    tradeId: r.ref ?? 0,
    timing: timingOf(r.flags),
  };
}

function rowToStatus(r: RecordRow, symbol: string): Status | undefined {
  const text = r.text ?? '';
  const split = text.indexOf(' ');
  const state = INSTRUMENT_STATES.find((s) => s === text.slice(0, split));
  if (state === undefined) return undefined;
  return {
    type: 'status',
    symbol,
    seq: seqOf(r.id),
    prevSeq: r.prev_seq,
    eventTime: new Nanos(r.event_hi, r.event_lo),
    receiveTime: new Nanos(r.receive_hi, r.receive_lo),
    state,
    reason: text.slice(split + 1),
    missed: r.ref ?? 0,
    events: r.quantity,
  };
}

/** The fields of a command that have no column of their own. */
type CommandRest = Pick<
  Command,
  'action' | 'owner' | 'clientOrderId' | 'kind' | 'timeInForce' | 'postOnly' | 'state' | 'fillsMax'
>;

export function commandText(c: Command): string {
  const { action, owner, clientOrderId, kind, timeInForce, postOnly, state, fillsMax } = c;
  const rest = { action, owner, clientOrderId, kind, timeInForce, postOnly, state };
  const all: CommandRest = fillsMax === undefined ? rest : { ...rest, fillsMax };
  return JSON.stringify(all);
}

function rowToCommand(r: RecordRow, symbol: string): Command | undefined {
  const side = SIDES[r.side ?? -1];
  if (r.text === null || r.price === null || r.quantity === null || side === undefined) {
    return undefined;
  }
  try {
    const rest: unknown = JSON.parse(r.text);
    if (!isCommandRest(rest)) return undefined;
    return {
      type: 'command',
      symbol,
      seq: seqOf(r.id),
      eventTime: new Nanos(r.event_hi, r.event_lo),
      receiveTime: new Nanos(r.receive_hi, r.receive_lo),
      ...rest,
      orderId: r.ref ?? 0,
      side,
      price: r.price,
      quantity: r.quantity,
    };
  } catch {
    return undefined;
  }
}

/** The values that a command may have in these fields. In `state`, null means none. */
const COMMAND_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  action: ['submit', 'cancel', 'amend', 'state'],
  kind: ['limit', 'market'],
  timeInForce: ['gtc', 'ioc', 'fok'],
  postOnly: [true, false],
  state: ['pre-open', 'open', 'halted', 'closed', null],
};

/**
 * Whether this is what `commandText` writes. A command that is not would be carried out as a
 * different one.
 */
function isCommandRest(value: unknown): value is CommandRest {
  if (typeof value !== 'object' || value === null) return false;
  const given = value as Record<string, unknown>;
  const named = typeof given['owner'] === 'string' && typeof given['clientOrderId'] === 'string';
  const fillsMax = given['fillsMax'] ?? 1;
  return (
    named &&
    Number.isSafeInteger(fillsMax) &&
    Number(fillsMax) > 0 &&
    Object.entries(COMMAND_VALUES).every(([name, values]) => values.includes(given[name]))
  );
}

/** A definition as JSON with scaled integers; it contains the scales. */
export function definitionText(d: Instrument): string {
  return JSON.stringify(d);
}

export function parseDefinition(text: string): Instrument | undefined {
  try {
    const d = JSON.parse(text) as Instrument;
    // Journals of earlier versions have no `shard`.
    return d.type === 'instrument' && typeof d.symbol === 'string'
      ? { ...d, shard: d.shard ?? null }
      : undefined;
  } catch {
    return undefined;
  }
}
