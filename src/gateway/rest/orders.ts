/** Orders: passes the requests of the order routes to the market, and writes orders as JSON. */

import { fieldFault, type Fault } from '../../../protocol/codes';
import { fromJson } from '../../../protocol/json';
import type { Instrument, MessageOf } from '../../../protocol/messages';
import { formatSum, sumOfBigInt } from '../../../protocol/sums';
import { formatDecimal, type ScalesOf } from '../../../protocol/units';
import type {
  OrderProgress,
  OrderStage,
  OrderView,
  OwnerCancelled,
  TradingState,
} from '../../base/contracts/order-entry';

/** Most orders of one answer, if the request has no `limit`. */
export const ORDERS_MAX = 1_000;

interface OrdersQuery {
  readonly status?: 'open' | 'ended' | undefined;
  readonly clientOrderId?: string | undefined;
  readonly limit?: number | undefined;
  /** The `next` of an answer. */
  readonly next?: number | undefined;
}

export class Orders {
  private readonly stage: OrderStage;
  private readonly onCancelled: (operator: string, owner: string, done: OwnerCancelled) => void;
  private readonly scalesOf: ScalesOf;

  /** @param onCancelled called when an operator has cancelled the orders of an owner */
  constructor(stage: OrderStage, onCancelled: Orders['onCancelled'] = () => {}) {
    this.stage = stage;
    this.onCancelled = onCancelled;
    this.scalesOf = (symbol) => stage.definition(symbol);
  }

  /** @param given the fields of an order message, without type and id */
  async submit(owner: string, given: Readonly<Record<string, unknown>>): Promise<string | Fault> {
    const fields = fromJson({ ...given, type: 'order', id: 0 }, this.scalesOf, {
      kind: 'limit',
      timeInForce: given['kind'] === 'market' ? 'ioc' : 'gtc',
      postOnly: false,
      clientOrderId: '',
    });
    if (!('type' in fields)) return ofBody(fields);
    const outcome = await this.stage.submit(owner, fields as MessageOf<'order'>);
    if ('code' in outcome) return outcome;
    const entered = outcome.order!;
    return JSON.stringify(this.json(entered, entered.answer));
  }

  async cancel(owner: string, orderId: number): Promise<string | Fault> {
    const target = { symbol: null, orderId, clientOrderId: null };
    const outcome = await this.stage.cancel(owner, target);
    if ('code' in outcome) return outcome;
    const { order, seq } = outcome;
    return JSON.stringify(
      order === undefined ? { orderId, status: 'cancelled', seq } : this.json(order),
    );
  }

  /** One order of an owner. */
  get(owner: string, orderId: number): string | Fault {
    const order = this.stage.find(orderId);
    // Another owner's order is treated like a missing one, so ids reveal nothing.
    if (order === undefined || order.owner !== owner) {
      return fieldFault('orderId', orderId, 'an order of the same owner', 'unknown-order');
    }
    return JSON.stringify(this.json(order));
  }

  /** Orders of an owner: the open ones, the ended ones, or the one of a `clientOrderId`. */
  list(owner: string, query: OrdersQuery): string | Fault {
    if (query.clientOrderId !== undefined) return this.named(owner, query);
    const { status = 'open', limit = ORDERS_MAX, next: after = 0 } = query;
    const isOpen = status === 'open';
    const orders = isOpen
      ? this.stage.openOf(owner, after, limit)
      : this.stage.endedOf(owner, after === 0 ? null : after - 1, limit); // 0 is the first that ended
    const last = orders.length === limit ? orders.at(-1)! : undefined;
    const next = last === undefined ? null : String(isOpen ? last.seq : last.endedAs! + 1);
    return JSON.stringify({ orders: orders.map((order) => this.json(order)), next });
  }

  private named(owner: string, query: OrdersQuery): string | Fault {
    const { clientOrderId, ...more } = query;
    const other = Object.entries(more).find(([, value]) => value !== undefined);
    if (other !== undefined) {
      const expected = `a name without ${other[0]}, since it is of one order`;
      return fieldFault('clientOrderId', clientOrderId, expected);
    }
    const order = this.stage.named(owner, clientOrderId!);
    const orders = order === undefined ? [] : [this.json(order)];
    return JSON.stringify({ orders, next: null });
  }

  async setState(owner: string, symbol: string, state: TradingState): Promise<string | Fault> {
    const outcome = await this.stage.setState(owner, symbol, state);
    return 'code' in outcome ? outcome : JSON.stringify({ symbol, state, seq: outcome.seq });
  }

  /** Cancels all open orders of an owner, also of one whose key is revoked. */
  async cancelAll(operator: string, owner: string): Promise<string | Fault> {
    const done = await this.stage.cancelAll(owner);
    if ('code' in done) return done;
    this.onCancelled(operator, owner, done);
    return JSON.stringify({ owner, ...done });
  }

  private json(order: OrderView, at: OrderProgress = order): Record<string, unknown> {
    const definition = this.stage.definition(order.symbol)!;
    const price = (value: number): string => formatDecimal(value, definition.priceScale);
    const quantity = (value: number): string => formatDecimal(value, definition.quantityScale);
    return {
      orderId: order.orderId,
      clientOrderId: order.clientOrderId,
      symbol: order.symbol,
      side: order.side,
      kind: order.kind,
      timeInForce: order.timeInForce,
      postOnly: order.postOnly,
      price: order.kind === 'market' ? null : price(at.price),
      quantity: quantity(order.quantity),
      open: quantity(at.open),
      traded: quantity(at.traded),
      ...fillsOf(at, definition),
      status: at.status,
      code: order.code,
      seq: order.seq,
      time: order.time.toString(),
    };
  }
}

/** The body is the order, so a fault names its fields without `order.` in front. */
function ofBody(f: Fault): Fault {
  const bare = (text: string): string => (text.startsWith('order.') ? text.slice(6) : text);
  return f.field === undefined ? f : { ...f, field: bare(f.field), message: bare(f.message) };
}

/** Decimals of an average beyond those of a price. */
const AVERAGE_DECIMALS = 4;

/** The fills of an order; null if they were not counted. */
function fillsOf(
  { fills, traded }: OrderProgress,
  { priceScale, quantityScale }: Instrument,
): Record<string, number | string | null> {
  if (fills === 'unknown') {
    return {
      fills: null,
      turnover: null,
      averagePrice: null,
      firstFillTime: null,
      lastFillTime: null,
    };
  }
  const turnover = fills?.turnover ?? 0n;
  const volume = BigInt(traded);
  const scaled = turnover * 10n ** BigInt(AVERAGE_DECIMALS);
  return {
    fills: fills?.count ?? 0,
    turnover: formatSum(sumOfBigInt(turnover), priceScale + quantityScale),
    // Rounded to the nearest, a half upwards.
    averagePrice:
      fills === null
        ? null
        : formatSum(sumOfBigInt((scaled + volume / 2n) / volume), priceScale + AVERAGE_DECIMALS),
    firstFillTime: fills?.firstTime.toString() ?? null,
    lastFillTime: fills?.lastTime.toString() ?? null,
  };
}
