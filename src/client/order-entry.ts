/**
 * Order entry: orders, cancels and amendments over the client's connection, as promises, with the executions that each
 * caused at once. Bound: pending requests.
 *
 * A request whose connection ends before its answer is rejected with `connection-failed`, and its outcome is unknown: ask
 * over REST, or send the order again with the same `clientOrderId`, which is harmless [O3].
 */

import { shown, type ErrorCode } from '../../protocol/codes';
import type { Execution, Message } from '../../protocol/messages';
import { formatDecimal, parseDecimal, type Scales } from '../../protocol/units';
import { unknownName } from '../base/members';
import type { Connection } from './connection';
import { deferred } from './environment';
import { TapedeckError } from './errors';

/**
 * A decimal such as `"61837.63"`, or an integer that is already scaled by the instrument, as in messages:
 * `{scaled: tick.last}`. A plain number is refused, since 150 could mean either.
 */
export type Amount = string | { readonly scaled: number };

export interface OrderRequest {
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: Amount;
  /** The limit; a market order has none. */
  readonly price?: Amount;
  /** Default: `limit` with a price, else `market`. */
  readonly kind?: 'limit' | 'market';
  /** Default: `gtc` for a limit order, `ioc` for a market order. */
  readonly timeInForce?: 'gtc' | 'ioc' | 'fok';
  readonly postOnly?: boolean;
  /** At most 36 characters; the client creates one by default. */
  readonly clientOrderId?: string;
}

/** An order, by either of its ids. */
export interface OrderTarget {
  readonly symbol: string;
  readonly orderId?: number;
  readonly clientOrderId?: string;
}

export interface AmendRequest extends OrderTarget {
  readonly price?: Amount;
  /** The new open quantity. */
  readonly quantity?: Amount;
}

export interface OrderAnswer {
  /** Sequence number of the command. */
  readonly seq: number;
  /** Assigned by Tapedeck; undefined if no execution named it, as for a repetition [O3]. */
  readonly orderId: number | undefined;
  readonly clientOrderId: string | undefined;
  /** Executions that it caused at once; later ones come with the event `execution`. */
  readonly executions: readonly Execution[];
}

interface UnderWay {
  readonly symbol: string;
  readonly orderId: number | undefined;
  readonly clientOrderId: string | undefined;
  readonly executions: Execution[];
}

export class OrderEntry {
  private readonly underWay = new Set<UnderWay>();
  private readonly clientName: string;
  private orders = 0;

  constructor(clientName: string) {
    this.clientName = clientName;
  }

  async order(connection: Connection, r: OrderRequest, scales: Scales): Promise<OrderAnswer> {
    refuseUnknown(r, ORDER_MEMBERS);
    const kind = r.kind ?? (r.price === undefined ? 'market' : 'limit');
    const clientOrderId = r.clientOrderId ?? `${this.clientName}-${(this.orders += 1)}`;
    const timeInForce = r.timeInForce ?? (kind === 'market' ? 'ioc' : 'gtc');
    const price = scaled(r.price, scales.priceScale, 'price');
    const quantity = scaled(r.quantity, scales.quantityScale, 'quantity')!;
    const { symbol, side, postOnly = false } = r;
    connection.know(symbol, scales);
    const fields = { symbol, side, kind, timeInForce, postOnly, price, quantity, clientOrderId };
    return this.send(connection, { symbol, clientOrderId }, (id) => ({
      type: 'order',
      id,
      ...fields,
    }));
  }

  async cancel(connection: Connection, target: OrderTarget): Promise<OrderAnswer> {
    refuseUnknown(target, TARGET_MEMBERS);
    return this.send(connection, target, (id) => ({ type: 'cancel', id, ...idsOf(target) }));
  }

  async amend(connection: Connection, r: AmendRequest, scales: Scales): Promise<OrderAnswer> {
    refuseUnknown(r, AMEND_MEMBERS);
    const price = scaled(r.price, scales.priceScale, 'price');
    const quantity = scaled(r.quantity, scales.quantityScale, 'quantity');
    const ids = idsOf(r);
    connection.know(r.symbol, scales);
    return this.send(connection, r, (id) => ({ type: 'amend', id, ...ids, price, quantity }));
  }

  /** Adds an execution to the pending request that caused it: executions precede the answer [O2]. */
  execution(execution: Execution): void {
    for (const { symbol, orderId, clientOrderId, executions } of this.underWay) {
      if (symbol !== execution.symbol) continue;
      const own =
        orderId === undefined
          ? clientOrderId === execution.clientOrderId
          : orderId === execution.orderId;
      if (own) executions.push(execution);
    }
  }

  private async send(
    connection: Connection,
    { symbol, orderId, clientOrderId }: OrderTarget,
    make: (id: number) => Message,
  ): Promise<OrderAnswer> {
    const underWay: UnderWay = { symbol, orderId, clientOrderId, executions: [] };
    this.underWay.add(underWay);
    try {
      const { promise, resolve, reject } = deferred<number>();
      const settle = (): unknown => this.underWay.delete(underWay);
      connection.ask({
        make,
        resolve: (seq) => {
          settle();
          resolve(seq);
        },
        reject: (e) => reject(ofRequest(e)),
      });
      const seq = await promise;
      const { executions } = underWay;
      const named = executions.find((e) => e.orderId !== 0) ?? undefined;
      return {
        seq,
        orderId: orderId ?? named?.orderId,
        clientOrderId: clientOrderId ?? named?.clientOrderId,
        executions,
      };
    } finally {
      this.underWay.delete(underWay);
    }
  }
}

function idsOf({ symbol, orderId, clientOrderId }: OrderTarget) {
  return { symbol, orderId: orderId ?? null, clientOrderId: clientOrderId ?? null };
}

const TARGET_MEMBERS = ['symbol', 'orderId', 'clientOrderId'];
const AMEND_MEMBERS = [...TARGET_MEMBERS, 'price', 'quantity'];
const ORDER_MEMBERS = [
  'symbol',
  'side',
  'quantity',
  'price',
  'kind',
  'timeInForce',
  'postOnly',
  'clientOrderId',
];

/** Refuses unknown members: the caller meant something by them. */
function refuseUnknown(request: object, known: readonly string[]): void {
  const unknown = Object.keys(request).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const { code, message, field } = unknownName(unknown, known);
  throw new TapedeckError(code, message, null, field ?? null);
}

/**
 * The server refuses with the path in the message (`order.price`); the caller knows the member of
 * its request (`price`).
 */
function ofRequest(e: TapedeckError): TapedeckError {
  const message = /^(?:order|cancel|amend)\./.exec(e.field ?? '')?.[0];
  if (message === undefined) return e;
  const bare = (text: string): string =>
    text.startsWith(message) ? text.slice(message.length) : text;
  return new TapedeckError(e.code, bare(e.message), e.hint, bare(e.field!));
}

function scaled(value: Amount | undefined, scale: number, field: string): number | null {
  if (value === undefined) return null;
  const refuse = (code: ErrorCode, expected: string): TapedeckError => {
    const given = typeof value === 'object' ? `{scaled: ${shown(value?.scaled)}}` : shown(value);
    return new TapedeckError(code, `${field} is ${given}; expected ${expected}`, null, field);
  };
  if (typeof value === 'string') {
    const parsed = parseDecimal(value, scale);
    if (typeof parsed === 'number') return parsed;
    if (parsed === 'too-many-decimals') throw refuse('off-increment', `at most ${scale} decimals`);
    if (parsed === 'malformed') throw refuse('invalid-field', 'a decimal such as "1.50"');
    const most = formatDecimal(Number.MAX_SAFE_INTEGER, scale);
    throw refuse('out-of-range', `a value from -${most} to ${most}`);
  }
  const given = (value as { scaled?: unknown } | null)?.scaled;
  if (Number.isSafeInteger(given)) return given as number;
  throw typeof value === 'object'
    ? refuse('invalid-field', 'a whole number in scaled')
    : refuse(
        'invalid-field',
        'a decimal in quotes such as "1.50", or {scaled: 150} where it is scaled already',
      );
}
