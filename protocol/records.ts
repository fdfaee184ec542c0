/**
 * Records: the content of a batch and of the journal. Besides the events that readers get these are the commands that
 * a venue executed, each before its events, and snapshots of books.
 */

import type { Instrument, Bbo, Book, MarketEvent, PlainMessage, Tick, Trade } from './messages';
import type { Nanos } from './time';
import { marketTime } from './trade-time';

/** A command to a venue, with all that is needed to execute it again with the same result. */
export interface Command {
  readonly type: 'command';
  readonly symbol: string;
  readonly seq: number;
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
  readonly action: 'submit' | 'cancel' | 'amend' | 'state';
  /** Name of the key that sent it; empty for the server itself. */
  readonly owner: string;
  /** Empty if the order has none, and is not tracked. */
  readonly clientOrderId: string;
  /** The order that it concerns; for a submit the assigned id, 0 if it was rejected. */
  orderId: number;
  readonly side: 'buy' | 'sell';
  readonly kind: 'limit' | 'market';
  readonly timeInForce: 'gtc' | 'ioc' | 'fok';
  readonly postOnly: boolean;
  /** Scaled; 0 without a limit. */
  readonly price: number;
  /** Scaled. */
  readonly quantity: number;
  /** For the action `state` only: the new state. */
  readonly state: 'pre-open' | 'open' | 'halted' | 'closed' | null;
  /**
   * Resting orders that it may trade with, for an auction trades that it may make; absent: no bound. It is a
   * setting, so it is recorded with each command that it can affect.
   */
  readonly fillsMax?: number;
}

/** A definition with the owner who defined the instrument first (none: the operator); readers do not get that. */
export interface RecordedInstrument extends Instrument {
  readonly definedBy?: string;
}

/**
 * A trade with the number of its source (0: none), which readers do not get. The journal stores it, so that a
 * trade that is sent again after a restart is recognised.
 */
export interface RecordedTrade extends Trade {
  readonly sourceSeq?: number;
}

/**
 * The time that orders an event if that is not its event time; readers do not get it. For an event with an
 * implausible time, or a time before that of earlier events.
 */
interface Ordered {
  readonly asOf?: Nanos;
}

export interface RecordedTick extends Tick, Ordered {}

export interface RecordedBbo extends Bbo, Ordered {}

/** The times that order the book events of an instrument never decrease. */
export interface RecordedBook extends Book, Ordered {}

export interface RecordedPlain extends PlainMessage, Ordered {}

/**
 * The ten levels of an instrument, for the journal alone: past books are found from it. Flat, best first,
 * scaled; the state after the newest book event before it.
 */
export interface Snapshot extends Ordered {
  readonly type: 'snapshot';
  readonly symbol: string;
  readonly seq: number;
  /** As of the newest book event. */
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
  readonly bids: readonly number[];
  readonly asks: readonly number[];
  readonly crc: number;
}

/** The ten best levels a side of an instrument, as published; flat, best first, scaled. */
export interface BookView {
  readonly symbol: string;
  /** Sequence number of the newest book event in these levels. */
  readonly seq: number;
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
  readonly bids: readonly number[];
  readonly asks: readonly number[];
}

/** One numbered record. */
export type BatchEvent =
  | Exclude<MarketEvent, Instrument | Tick | Trade | Bbo | Book>
  | RecordedInstrument
  | RecordedTick
  | RecordedTrade
  | RecordedBbo
  | RecordedBook
  | Command
  | Snapshot;

/** The time that history queries and replays use for an event. A definition has none. */
export function orderTime(event: Exclude<BatchEvent, { type: 'instrument' }>): Nanos {
  if (event.type === 'trade') return marketTime(event);
  return ('asOf' in event ? event.asOf : undefined) ?? event.eventTime;
}
