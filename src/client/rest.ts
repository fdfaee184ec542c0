/** REST: the questions of a client that needs no stream. */

import type { Scales } from '../../protocol/json';
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
  readonly source: string;
  readonly ageMs: number;
}

/**
 * The order book, now or at a past time.
 * @throws TapedeckError with the server's code when it refuses, `connection-failed` when it is away
 */
export function fetchBook(
  url: string,
  symbol: string,
  query: { readonly depth?: number; readonly at?: string } = {},
  key?: string,
): Promise<RestBook> {
  const parameters = new URLSearchParams();
  if (query.depth !== undefined) parameters.set('depth', String(query.depth));
  if (query.at !== undefined) parameters.set('at', query.at);
  const path = `/v1/orderbook/${encodeURIComponent(symbol)}?${parameters.toString()}`;
  return fetchJson<RestBook>(url, path, key, (body) => Array.isArray(body.bids));
}

async function fetchJson<T>(
  url: string,
  path: string,
  key: string | undefined,
  looksRight: (body: Partial<T>) => boolean,
): Promise<T> {
  let response: Response;
  try {
    const address = new URL(path, url.includes('://') ? url : `http://${url}`);
    response = await fetch(address, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(key !== undefined && { headers: { authorization: `Bearer ${key}` } }),
    });
  } catch (e) {
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

/** The decimals of an instrument. @throws TapedeckError as `fetchBook` does */
export async function fetchScales(url: string, symbol: string, key?: string): Promise<Scales> {
  const path = `/v1/instruments/${encodeURIComponent(symbol)}`;
  return fetchJson<Scales>(url, path, key, (body) => typeof body.priceScale === 'number');
}
