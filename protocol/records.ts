/**
 * Records: what a batch and the journal hold. Besides the events that readers get there are the
 * commands that a venue carried out, each before the events that it made, and snapshots of books.
 */

import type { Instrument, Bbo, Book, MarketEvent, Tick, Trade } from './messages';
import type { Nanos } from './time';
import { marketTime } from './trade-time';

/** A command to a venue, complete enough to be carried out again with the same outcome. */
export interface Command {
  readonly type: 'command';
  readonly symbol: string;
  readonly seq: number;
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
  readonly action: 'submit' | 'cancel' | 'amend' | 'state';
  /** Name of the key that gave it; empty when the server itself did. */
  readonly owner: string;
  /** Empty when the order has none, and is not kept track of. */
  readonly clientOrderId: string;
  /** The order it is about; of a submit the id that it got, 0 when it was refused. */
  orderId: number;
  readonly side: 'buy' | 'sell';
  readonly kind: 'limit' | 'market';
  readonly timeInForce: 'gtc' | 'ioc' | 'fok';
  readonly postOnly: boolean;
  /** Scaled; 0 without a limit. */
  readonly price: number;
  /** Scaled. */
  readonly quantity: number;
  /** Of the action `state` only: the state to go to. */
  readonly state: 'pre-open' | 'open' | 'halted' | 'closed' | null;
  /**
   * Resting orders that it may meet, of an auction trades that it may make; absent: as many as there are.
   * A setting, so it is on record with each command that it may decide.
   */
  readonly fillsMax?: number;
}

/** A definition with whose key defined the instrument first (none: the operator), which readers do not get. */
export interface RecordedInstrument extends Instrument {
  readonly definedBy?: string;
}

/**
 * A trade with the number that its source gave it (0: none), which readers do not get. The journal
 * keeps it, so that a trade that is sent again after a restart is known.
 */
export interface RecordedTrade extends Trade {
  readonly sourceSeq?: number;
}

/**
 * The time by which an event is ordered where that is not its event time, which readers do not get: an
 * event that cannot have happened then, or is dated before others that came before it.
 */
interface Ordered {
  readonly asOf?: Nanos;
}

export interface RecordedTick extends Tick, Ordered {}

export interface RecordedBbo extends Bbo, Ordered {}

/** Of the book events of an instrument the times by which they are ordered only rise. */
export interface RecordedBook extends Book, Ordered {}

/**
 * The ten levels of an instrument whole, for the journal alone: what a past book is found from.
 * Flat, best first, scaled; they are those behind the newest book event before it.
 */
export interface Snapshot extends Ordered {
  readonly type: 'snapshot';
  readonly symbol: string;
  readonly seq: number;
  /** Those of the newest book event. */
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
  readonly bids: readonly number[];
  readonly asks: readonly number[];
  readonly crc: number;
}

/** The ten best levels a side of an instrument, as published; flat, best first, scaled. */
export interface BookView {
  readonly symbol: string;
  /** Place of the newest book event that the levels contain. */
  readonly seq: number;
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
  readonly bids: readonly number[];
  readonly asks: readonly number[];
}

/** One place in the numbering. */
export type BatchEvent =
  | Exclude<MarketEvent, Instrument | Tick | Trade | Bbo | Book>
  | RecordedInstrument
  | RecordedTick
  | RecordedTrade
  | RecordedBbo
  | RecordedBook
  | Command
  | Snapshot;

/** By which questions about the past, and replays, place an event in time. A definition has none. */
export function orderTime(event: Exclude<BatchEvent, { type: 'instrument' }>): Nanos {
  if (event.type === 'trade') return marketTime(event);
  return ('asOf' in event ? event.asOf : undefined) ?? event.eventTime;
}
