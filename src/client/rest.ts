/** REST: requests of a client that need no stream. */

import { fromJson } from '../../protocol/json';
import type { Instrument, Trade } from '../../protocol/messages';
import type { Scales } from '../../protocol/units';
import { TIMEOUT_MS } from './connection';
import { TapedeckError } from './errors';

/** Answer of `/v1/orderbook/:symbol`; decimals and times are strings. */
export interface RestBook {
  readonly symbol: string;
  readonly seq: number;
  readonly epoch: number;
  readonly eventTime: string;
  readonly receiveTime: string;
  readonly bids: readonly (readonly [price: string, quantity: string])[];
  readonly asks: readonly (readonly [price: string, quantity: string])[];
  /** Known levels a side, if those behind them were lost in a crash; else null. Absent for past books. */
  readonly depthKnown?: number | null;
  /** State of the instrument. Absent for past books. */
  readonly state?: string;
  /** Whether these are the last known levels: their source is gone, or they are from before a restart. */
  readonly mark?: 'stale' | 'recovered';
  readonly source: string;
  readonly ageMs: number;
}

/**
 * The order book, now or at a past time.
 * @throws TapedeckError with the server's code if it refuses, `connection-failed` if it cannot be reached
 */
export function fetchBook(
  url: string,
  symbol: string,
  query: { readonly depth?: number; readonly at?: string } = {},
  key?: string,
): Promise<RestBook> {
  const path = `/v1/orderbook/${encodeURIComponent(symbol)}?${parametersOf(query)}`;
  return fetchJson<RestBook>(url, path, key, (body) => Array.isArray(body.bids));
}

/** A bar of history; decimals and times are strings. */
export interface RestBar {
  /** Sequence number of its newest trade. */
  readonly seq: number;
  readonly openTime: string;
  readonly open: string;
  readonly high: string;
  readonly low: string;
  readonly close: string;
  readonly volume: string;
  readonly trades: number;
}

/** Answer of `/v1/bars/:symbol`, oldest first; `next` asks for the next page, if there is one. */
export interface RestBars {
  readonly bars: readonly RestBar[];
  readonly next: string | null;
  readonly seq: number;
}

/** Bars of a range of times, by their open time. @throws TapedeckError as `fetchBook` does */
export function fetchBars(
  url: string,
  symbol: string,
  query: {
    readonly interval: string;
    readonly from?: string;
    readonly to?: string;
    readonly limit?: number;
    readonly next?: string;
  },
  key?: string,
): Promise<RestBars> {
  const path = `/v1/bars/${encodeURIComponent(symbol)}?${parametersOf(query)}`;
  return fetchJson<RestBars>(url, path, key, (body) => Array.isArray(body.bars));
}

/** A trade of history; decimals and times are strings. */
export interface RestTrade {
  readonly seq: number;
  readonly eventTime: string;
  readonly receiveTime: string;
  readonly price: string;
  readonly quantity: string;
  readonly aggressor: 'buy' | 'sell' | 'none';
  /** Null if it counts at its eventTime and was not late. */
  readonly timing: Trade['timing'];
  /** Id by the source; 0 if it has none. */
  readonly tradeId: number;
}

/** Answer of `/v1/trades/:symbol`, newest first; `next` asks for the next page, if there is one. */
export interface RestTrades {
  readonly trades: readonly RestTrade[];
  readonly next: string | null;
}

/** The newest trades, or those after a page: the trades whose `seq` is below its `next`. @throws TapedeckError as `fetchBook` does */
export function fetchTrades(
  url: string,
  symbol: string,
  query: { readonly limit?: number; readonly next?: string } = {},
  key?: string,
): Promise<RestTrades> {
  const path = `/v1/trades/${encodeURIComponent(symbol)}?${parametersOf(query)}`;
  return fetchJson<RestTrades>(url, path, key, (body) => Array.isArray(body.trades));
}

/** An order of the key's owner; decimals are strings. */
export interface RestOrder {
  readonly orderId: number;
  readonly clientOrderId: string;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly price: string | null;
  readonly quantity: string;
  readonly open: string;
  readonly traded: string;
  /** Number of trades that filled it; null, like the others, if it traded before they were counted. */
  readonly fills: number | null;
  /** Turnover ÷ traded quantity; null before the first trade. */
  readonly averagePrice: string | null;
  readonly firstFillTime: string | null;
  readonly lastFillTime: string | null;
  readonly status: string;
}

/** A page of `/v1/orders`; `next` asks for the next page, if there is one. */
export interface RestOrders {
  readonly orders: readonly RestOrder[];
  readonly next: string | null;
}

/**
 * All open orders of the key's owner.
 * @throws TapedeckError `unauthorized` or `forbidden`, else as `fetchBook` does
 */
export async function fetchOrders(url: string, key?: string): Promise<readonly RestOrder[]> {
  const orders: RestOrder[] = [];
  let next: string | null | undefined;
  while (next !== null) {
    const page: RestOrders = await fetchOrdersPage(url, { status: 'open', next }, key);
    orders.push(...page.orders);
    next = page.next;
  }
  return orders;
}

/**
 * Ended orders of the key's owner that the server keeps, newest end first.
 * @throws TapedeckError as `fetchOrders` does
 */
export function fetchEndedOrders(
  url: string,
  query: { readonly limit?: number; readonly next?: string } = {},
  key?: string,
): Promise<RestOrders> {
  return fetchOrdersPage(url, { status: 'ended', ...query }, key);
}

function fetchOrdersPage(
  url: string,
  query: Readonly<Record<string, string | number | undefined>>,
  key: string | undefined,
): Promise<RestOrders> {
  const path = `/v1/orders?${parametersOf(query)}`;
  return fetchJson<RestOrders>(url, path, key, (body) => Array.isArray(body.orders));
}

function parametersOf(query: Readonly<Record<string, string | number | undefined>>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  return parameters.toString();
}

/** `AbortSignal.any`, which browsers from before 2024 lack. */
function either(...signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) controller.abort(signal.reason);
    signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
  }
  return controller.signal;
}

async function fetchJson<T>(
  url: string,
  path: string,
  key: string | undefined,
  looksRight: (body: Partial<T>) => boolean,
  timeoutMs = TIMEOUT_MS,
  signal?: AbortSignal,
  method = 'GET',
): Promise<T> {
  let response: Response;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const address = new URL(path, url.includes('://') ? url : `http://${url}`);
    response = await fetch(address, {
      method,
      signal: signal === undefined ? timeout : either(timeout, signal),
      ...(key !== undefined && { headers: { authorization: `Bearer ${key}` } }),
    });
  } catch (e) {
    if (signal?.aborted === true) throw new TapedeckError('closed', 'the client was closed');
    const why = (e as Error).message;
    throw new TapedeckError('connection-failed', `no Tapedeck answers at ${url}: ${why}`);
  }
  const body: unknown = await response.json().catch(() => null);
  if (response.ok && typeof body === 'object' && body !== null && looksRight(body)) {
    return body as T;
  }
  const error = (body as { error?: { code: string; message: string; hint?: string } } | null)
    ?.error;
  if (typeof error?.code !== 'string') {
    const what = `something else answers at ${url}, with HTTP status ${response.status}`;
    throw new TapedeckError('connection-failed', `no Tapedeck answers at ${url}: ${what}`);
  }
  throw new TapedeckError(error.code, error.message, error.hint ?? null);
}

/**
 * The symbols of all instruments.
 * @param timeoutMs the longest wait for them
 * @throws TapedeckError as `fetchBook` does
 */
export async function fetchSymbols(
  url: string,
  key?: string,
  timeoutMs = TIMEOUT_MS,
): Promise<readonly string[]> {
  type Listed = { readonly instruments: readonly { readonly symbol: string }[] };
  const looksRight = (body: Partial<Listed>): boolean => Array.isArray(body.instruments);
  const { instruments } = await fetchJson<Listed>(
    url,
    '/v1/instruments',
    key,
    looksRight,
    timeoutMs,
  );
  return instruments.map(({ symbol }) => symbol);
}

/** The decimals of an instrument. @throws TapedeckError as `fetchBook` does */
export async function fetchScales(
  url: string,
  symbol: string,
  key?: string,
  signal?: AbortSignal,
): Promise<Scales> {
  const path = `/v1/instruments/${encodeURIComponent(symbol)}`;
  const looksRight = (body: Partial<Scales>): boolean => typeof body.priceScale === 'number';
  return fetchJson<Scales>(url, path, key, looksRight, TIMEOUT_MS, signal);
}

/** The definitions of all instruments. @throws TapedeckError as `fetchBook` does */
export async function fetchDefinitions(url: string, key?: string): Promise<Instrument[]> {
  const { instruments } = await fetchJson<{ instruments: object[] }>(
    url,
    '/v1/instruments',
    key,
    (body) => Array.isArray(body.instruments),
  );
  return instruments.flatMap((one) => {
    const definition = fromJson({ ...one, type: 'instrument' }, () => undefined);
    return 'code' in definition ? [] : [definition as Instrument];
  });
}

/** The state of an instrument. @throws TapedeckError as `fetchBook` does */
export function fetchState(url: string, symbol: string, key?: string): Promise<{ state: string }> {
  const path = `/v1/instruments/${encodeURIComponent(symbol)}`;
  return fetchJson<{ state: string }>(url, path, key, (body) => typeof body.state === 'string');
}

/** A member of a cluster, as the server that answers knows it. */
export interface RestClusterMember {
  readonly name: string;
  readonly role: 'leader' | 'standby' | 'edge';
  /** `lost`: it begins again. */
  readonly state: 'following' | 'taking-over' | 'leading' | 'lost' | 'stopped';
  /** Where clients reach it; null: it does not say. */
  readonly url: string | null;
  readonly version: string;
  readonly epoch: number;
  readonly seq: number;
  /** For how long it has lacked events, in ms; of the leader: how long its oldest event has waited for the log. */
  readonly behindMs: number;
  /** Since it last announced itself, in ms. */
  readonly silentMs: number;
  readonly isAway: boolean;
  readonly isSelf: boolean;
  /** Null or absent: the cluster has no shards. */
  readonly shard?: string | null;
}

export interface RestCluster {
  /** Null: the server belongs to none. */
  readonly name: string | null;
  /** Name of the member that leads; null: none, or several shards. */
  readonly leader: string | null;
  /** The shards of this server, and who leads each; absent or empty: it has none. */
  readonly shards?: readonly { readonly shard: string; readonly leader: string | null }[];
  readonly isConnected: boolean;
  readonly unlogged: number;
  readonly members: readonly RestClusterMember[];
}

/** Who serves this market together. @throws TapedeckError as `fetchBook` does */
export function fetchCluster(url: string, key?: string): Promise<RestCluster> {
  return fetchJson<RestCluster>(url, '/v1/cluster', key, (body) => Array.isArray(body.members));
}

/** Cancelling many orders takes many turns, behind what their owner has sent before. */
const CANCEL_TIMEOUT_MS = 60_000;

/** Result of an operator's cancel of an owner's orders. */
export interface RestOwnerCancelled {
  readonly cancelled: number;
  readonly left: number;
}

/** Cancels all open orders of an owner. @throws TapedeckError as `fetchBook` does */
export function cancelOrdersOf(
  url: string,
  owner: string,
  key?: string,
): Promise<RestOwnerCancelled> {
  const path = `/v1/admin/owners/${encodeURIComponent(owner)}/orders`;
  const looksRight = (body: Partial<RestOwnerCancelled>): boolean =>
    typeof body.cancelled === 'number';
  return fetchJson<RestOwnerCancelled>(
    url,
    path,
    key,
    looksRight,
    CANCEL_TIMEOUT_MS,
    undefined,
    'DELETE',
  );
}
