/** Responses: JSON bodies and coded errors, the same for every route. */

import { ERRORS, type ErrorCode, type Fault } from '../../protocol/codes';

const JSON_HEADERS = { headers: { 'content-type': 'application/json;charset=utf-8' } };

/** A body that is JSON already. */
export function json(body: string): Response {
  return new Response(body, JSON_HEADERS);
}

/** `{error: {code, message, field?, hint}}` with the status of the code. */
export function errorResponse(fault: Fault): Response {
  const { status, hint } = ERRORS[fault.code];
  const error = {
    code: fault.code,
    message: fault.message,
    ...(fault.field === undefined ? {} : { field: fault.field }),
    hint,
  };
  return new Response(JSON.stringify({ error }), { status, ...JSON_HEADERS });
}

export function httpStatus(code: ErrorCode): number {
  return ERRORS[code].status;
}
