/**
 * Orders over REST: entering, asking, cancelling, and the state of an instrument. Each answer comes
 * when the journal has the command.
 */

import { fieldFault, type Fault } from '../../../protocol/codes';
import { fromJson } from '../../../protocol/json';
import { MESSAGES, type Instrument, type MessageOf } from '../../../protocol/messages';
import { formatSum, sumOfBigInt } from '../../../protocol/sums';
import { formatDecimal, type ScalesOf } from '../../../protocol/units';
import { unknownMember, unknownName } from '../../base/members';
import { mayNot, type Principal } from '../auth/auth';
import { integer } from './answer';
import { objectOf } from './body';
import type { Query } from './query';
import type {
  OrderProgress,
  OrderStage,
  OrderView,
  OwnerCancelled,
  TradingState,
} from '../order-entry';

export class Orders {
  private readonly stage: OrderStage;
  private readonly onCancelled: (operator: string, owner: string, done: OwnerCancelled) => void;
  private readonly scalesOf: ScalesOf;

  /** @param onCancelled told what an operator has cancelled, and of whom */
  constructor(stage: OrderStage, onCancelled: Orders['onCancelled'] = () => {}) {
    this.stage = stage;
    this.onCancelled = onCancelled;
    this.scalesOf = (symbol) => stage.definition(symbol);
  }

  /** @param body JSON: an order message without type and id @returns JSON text */
  async submit(principal: Principal, body: string): Promise<string | Fault> {
    const refused = mayNot(principal, 'trade');
    if (refused !== undefined) return refused;
    const read = objectOf(body);
    if ('code' in read) return read;
    const { object: given } = read;
    const unknown = unknownMember(given, ORDER_FIELDS);
    if (unknown !== undefined) return unknown;
    const fields = fromJson({ ...given, type: 'order', id: 0 }, this.scalesOf, {
      kind: 'limit',
      timeInForce: given['kind'] === 'market' ? 'ioc' : 'gtc',
      postOnly: false,
      clientOrderId: '',
    });
    if (!('type' in fields)) return ofBody(fields);
    const outcome = await this.stage.submit(principal.name, fields as MessageOf<'order'>);
    if ('code' in outcome) return outcome;
    const entered = outcome.order!;
    return JSON.stringify(this.json(entered, entered.answer));
  }

  async cancel(principal: Principal, id: string): Promise<string | Fault> {
    const refused = mayNot(principal, 'trade');
    if (refused !== undefined) return refused;
    const orderId = parseId(id);
    if (typeof orderId !== 'number') return orderId;
    const target = { symbol: null, orderId, clientOrderId: null };
    const outcome = await this.stage.cancel(principal.name, target);
    if ('code' in outcome) return outcome;
    const { order, seq } = outcome;
    return JSON.stringify(
      order === undefined ? { orderId, status: 'cancelled', seq } : this.json(order),
    );
  }

  /** One order of the caller. */
  get(principal: Principal, id: string): string | Fault {
    const refused = mayNot(principal, 'trade');
    if (refused !== undefined) return refused;
    const orderId = parseId(id);
    if (typeof orderId !== 'number') return orderId;
    const order = this.stage.find(orderId);
    // Somebody else's order is as good as none: ids tell nothing about others.
    if (order === undefined || order.owner !== principal.name) {
      return fieldFault('orderId', orderId, 'an order of the same owner', 'unknown-order');
    }
    return JSON.stringify(this.json(order));
  }

  /** Orders of the caller: `status` (open, ended), `limit`, `next`; or the one of a `clientOrderId`. */
  list(principal: Principal, query: Query): string | Fault {
    const refused = mayNot(principal, 'trade');
    if (refused !== undefined) return refused;
    const { clientOrderId, status = 'open' } = query;
    if (clientOrderId !== undefined) return this.named(principal.name, query);
    if (status !== 'open' && status !== 'ended') {
      return fieldFault('status', status, 'open or ended');
    }
    const limit = integer('limit', query['limit'], ORDERS_MAX, ORDERS_MAX);
    if (typeof limit !== 'number') return limit;
    const place = integer('next', query['next'], 0, Number.MAX_SAFE_INTEGER);
    if (typeof place !== 'number') return place;
    const { name } = principal;
    const isOpen = status === 'open';
    const orders = isOpen
      ? this.stage.openOf(name, place, limit)
      : this.stage.endedOf(name, place === 0 ? null : place - 1, limit); // 0 is the first that ended
    const last = orders.length === limit ? orders.at(-1)! : undefined;
    const next = last === undefined ? null : String(isOpen ? last.seq : last.endedAs! + 1);
    return JSON.stringify({ orders: orders.map((order) => this.json(order)), next });
  }

  private named(owner: string, query: Query): string | Fault {
    const { clientOrderId, ...more } = query;
    const [other] = Object.keys(more);
    if (other !== undefined) {
      const expected = `a name without ${other}, since it is of one order`;
      return fieldFault('clientOrderId', clientOrderId, expected);
    }
    const order = this.stage.named(owner, clientOrderId!);
    const orders = order === undefined ? [] : [this.json(order)];
    return JSON.stringify({ orders, next: null });
  }

  async setState(principal: Principal, symbol: string, body: string): Promise<string | Fault> {
    const refused = mayNot(principal, 'admin');
    if (refused !== undefined) return refused;
    const read = objectOf(body);
    if ('code' in read) return read;
    const { state, ...more } = read.object;
    const [unknown] = Object.keys(more);
    if (unknown !== undefined) return unknownName(unknown, ['state']);
    if (!isState(state)) return fieldFault('state', state, `one of ${STATES.join(', ')}`);
    const outcome = await this.stage.setState(principal.name, symbol, state);
    return 'code' in outcome ? outcome : JSON.stringify({ symbol, state, seq: outcome.seq });
  }

  /** Cancels what an owner has open, also one whose key is revoked. */
  async cancelAll(principal: Principal, owner: string): Promise<string | Fault> {
    const refused = mayNot(principal, 'admin');
    if (refused !== undefined) return refused;
    const done = await this.stage.cancelAll(owner);
    if ('code' in done) return done;
    this.onCancelled(principal.name, owner, done);
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

/** A body is of one kind of message, and answered on its own. */
const { id: _, ...ORDER_FIELDS } = MESSAGES.order.fields;

/** The body is the order, so its fields go by their own names. */
function ofBody(f: Fault): Fault {
  const bare = (text: string): string => (text.startsWith('order.') ? text.slice(6) : text);
  return f.field === undefined ? f : { ...f, field: bare(f.field), message: bare(f.message) };
}

/** Decimals of an average beyond those of a price. */
const AVERAGE_DECIMALS = 4;

/** What has come of an order in trades; null where that is not known. */
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
    // To the nearest, a half upwards.
    averagePrice:
      fills === null
        ? null
        : formatSum(sumOfBigInt((scaled + volume / 2n) / volume), priceScale + AVERAGE_DECIMALS),
    firstFillTime: fills?.firstTime.toString() ?? null,
    lastFillTime: fills?.lastTime.toString() ?? null,
  };
}

/** Orders of one answer. */
const ORDERS_MAX = 1_000;

const STATES = ['pre-open', 'open', 'halted', 'closed'] as const;

function isState(value: unknown): value is TradingState {
  return STATES.some((state) => state === value);
}

function parseId(text: string): number | Fault {
  const id = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(id) ? id : fieldFault('orderId', text, 'the id of an order');
}
