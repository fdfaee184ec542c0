/** Responses: JSON bodies and coded errors, the same for every route. */

import { ERRORS, type Fault } from '../../../protocol/codes';

/** A browser is to take an answer for what it says it is, keep it to itself, and run nothing in it. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** A year: who came by TLS once comes by nothing else. */
const HSTS = 'max-age=31536000';

/** What an answer lacks that no route of ours has made, or that came by TLS. */
export function sealed(response: Response, isTls: boolean): Response {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  if (isTls) response.headers.set('strict-transport-security', HSTS);
  return response;
}

/** Made once: Bun copies finished headers for less than half of what it costs to make them anew. */
const JSON_HEADERS = {
  headers: new Headers({ 'content-type': 'application/json;charset=utf-8', ...SECURITY_HEADERS }),
};

/** A body that is JSON already. */
export function json(body: string): Response {
  return new Response(body, JSON_HEADERS);
}

/** A body that is JSON already, of something that was made by the request. */
export function created(body: string): Response {
  return new Response(body, { status: 201, ...JSON_HEADERS });
}

/** Refusals that are over soon; the answer says to come back in a second. */
const RETRIED: ReadonlySet<string> = new Set([
  'limit-reached',
  'overloaded',
  'journal-failing',
  'shutting-down',
]);

/** `{error: {code, message, field?, hint}}` with the status of the code. */
export function errorResponse(fault: Fault): Response {
  const { status, hint } = ERRORS[fault.code];
  const error = {
    code: fault.code,
    message: fault.message,
    ...(fault.field === undefined ? {} : { field: fault.field }),
    hint,
  };
  const response = new Response(JSON.stringify({ error }), { status, ...JSON_HEADERS });
  if (RETRIED.has(fault.code)) response.headers.set('retry-after', '1');
  return response;
}

/** A body that is not read is thrown away by Bun up to here, which costs less than a new connection. */
const UNREAD_BYTES_MAX = 65_536;

/**
 * The same for a request whose body may not have been read: one that is long, or does not say how long it is,
 * is not waited for then, and its connection ends with the answer.
 */
export function refusal(request: Request, fault: Fault): Response {
  const response = errorResponse(fault);
  const { headers } = request;
  const isLong =
    headers.get('transfer-encoding') !== null ||
    Number(headers.get('content-length') ?? 0) > UNREAD_BYTES_MAX;
  if (isLong && !request.bodyUsed) response.headers.set('connection', 'close');
  return response;
}
