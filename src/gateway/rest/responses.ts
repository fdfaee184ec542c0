/** Responses: JSON bodies and coded errors, the same for every route. */

import { ERRORS, type Fault } from '../../../protocol/codes';

/** A browser must not guess the type of an answer, share it with other sites, or run anything in it. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** For a year a browser that came by TLS uses nothing else. */
const HSTS = 'max-age=31536000';

/** Adds the headers that are missing from an answer that no route has made, and that of TLS. */
export function sealed(response: Response, isTls: boolean): Response {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  if (isTls) response.headers.set('strict-transport-security', HSTS);
  return response;
}

/** Made once: to copy headers costs Bun less than half of what it costs to make them. */
const JSON_HEADERS = {
  headers: new Headers({ 'content-type': 'application/json;charset=utf-8', ...SECURITY_HEADERS }),
};

/** A body that is JSON already. */
export function json(body: string): Response {
  return new Response(body, JSON_HEADERS);
}

/** The same for something that the request has created. */
export function created(body: string): Response {
  return new Response(body, { status: 201, ...JSON_HEADERS });
}

/** Refusals that pass soon; the answer says to try again in a second. */
const RETRIED: ReadonlySet<string> = new Set([
  'limit-reached',
  'overloaded',
  'journal-failing',
  'no-leader',
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

/** Bun discards an unread body up to this size, which costs less than a new connection. */
const UNREAD_BYTES_MAX = 65_536;

/**
 * The same for a request whose body may not have been read. If the body is long, or its length unknown, the
 * server does not wait for it and closes the connection after the answer.
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
