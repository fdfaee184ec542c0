/** Order entry: what the gateway needs to take orders, over REST and over WebSocket. */

import type { Fault } from '../../../protocol/codes';
import type { Instrument, MessageOf } from '../../../protocol/messages';
import type { Nanos } from '../../../protocol/time';

/** The part of an order that changes with time; prices and quantities are scaled. */
export interface OrderProgress {
  readonly status: string;
  readonly price: number;
  readonly open: number;
  readonly traded: number;
  /** Its trades; null before the first, `unknown` where they were not counted. */
  readonly fills: FillsView | null | 'unknown';
}

export interface FillsView {
  readonly count: number;
  /** Sum of price times quantity, in the scales of both. */
  readonly turnover: bigint;
  readonly firstTime: Nanos;
  readonly lastTime: Nanos;
}

/** An order as its owner sees it; prices and quantities scaled. */
export interface OrderView extends OrderProgress {
  readonly orderId: number;
  readonly owner: string;
  readonly clientOrderId: string;
  readonly symbol: string;
  readonly side: string;
  readonly kind: string;
  readonly timeInForce: string;
  readonly postOnly: boolean;
  readonly quantity: number;
  readonly code: string | null;
  readonly seq: number;
  readonly time: Nanos;
  /** How many orders had ended before it; absent while it is open. */
  readonly endedAs?: number;
  /** Its state when its command was done. */
  readonly answer: OrderProgress;
}

export interface OrderOutcome {
  /** Sequence number of the command. */
  readonly seq: number;
  readonly orderId: number;
  readonly order: OrderView | undefined;
}

/** Result of cancelling all open orders of an owner. */
export interface OwnerCancelled {
  readonly cancelled: number;
  /** Orders that are still open, since their venues took no cancel. */
  readonly left: number;
  /** Sequence number of the last cancel; null if there was none. */
  readonly seq: number | null;
}

export type OrderFields = Omit<MessageOf<'order'>, 'type' | 'id'>;

export type OrderTarget = {
  /** Null where the caller does not say. */
  readonly symbol: string | null;
  readonly orderId: number | null;
  readonly clientOrderId: string | null;
};

export type AmendFields = OrderTarget & {
  readonly price: number | null;
  readonly quantity: number | null;
};

export type TradingState = 'pre-open' | 'open' | 'halted' | 'closed';

/** What order entry needs of the market; each resolves when the journal has the command. */
export interface OrderStage {
  /** An order without a `clientOrderId` gets one, so that its owner can look it up and cancel it. */
  submit(owner: string, fields: OrderFields): Promise<OrderOutcome | Fault>;
  cancel(owner: string, target: OrderTarget): Promise<OrderOutcome | Fault>;
  amend(owner: string, fields: AmendFields): Promise<OrderOutcome | Fault>;
  setState(owner: string, symbol: string, state: TradingState): Promise<OrderOutcome | Fault>;
  /** Cancels all open orders of an owner, after the commands that the owner has sent before. */
  cancelAll(owner: string): Promise<OwnerCancelled | Fault>;
  find(orderId: number): OrderView | undefined;
  named(owner: string, clientOrderId: string): OrderView | undefined;
  /** Open orders, oldest first, with a sequence number above `after`; at most `limit`. */
  openOf(owner: string, after: number, limit: number): OrderView[];
  /** Ended orders, the last to end first: those that ended before the `before`th of all; null: all that are kept. */
  endedOf(owner: string, before: number | null, limit: number): OrderView[];
  definition(symbol: string): Instrument | undefined;
}
