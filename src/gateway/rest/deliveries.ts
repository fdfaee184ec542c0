/** Deliveries: from the result of a handler to its response; a long one is compressed, or sent in pieces. */

import type { Fault } from '../../../protocol/codes';
import type { ByteAccount } from '../../base/byte-account';
import type { Compression } from './compression';
import type { KeptAnswer } from './kept-answers';
import { Replies, REPLY_BYTES_MIN } from './replies';
import type { Requests } from './requests';
import { errorResponse, json, refusal } from './responses';
import { LONG_BYTES, SENT_BYTE } from './work';

/** Makes the response of a result; of a long one, compressed or in pieces, it makes a promise. */
export type Deliver = (
  request: Request,
  result: string | Fault,
  respond?: (body: string) => Response,
) => Response | Promise<Response>;

export type DeliverKept = (request: Request, answer: KeptAnswer) => Promise<Response>;

export function createDeliveries(
  account: ByteAccount,
  requests: Requests,
  compression: Compression,
) {
  const replies = new Replies((request) => requests.meterOf(request, account));
  const inPieces = async (request: Request, whole: Promise<Response>): Promise<Response> => {
    const reply = await replies.of(request, await whole);
    return reply instanceof Response ? reply : errorResponse(reply);
  };
  const deliver: Deliver = (request, result, respond = json) => {
    if (typeof result !== 'string') return refusal(request, result);
    const response = respond(result);
    if (!compression.isFor(result)) return response;
    const compressed = compression.of(request, result, response);
    return result.length < REPLY_BYTES_MIN ? compressed : inPieces(request, compressed);
  };
  /** It was made for many: its client pays for the sending alone. */
  const deliverKept: DeliverKept = async (request, answer) => {
    const kept = await answer.get();
    if (kept.text.length >= LONG_BYTES) requests.sends(request, kept.text.length * SENT_BYTE);
    const response = answer.respond(kept.text);
    if (!compression.isFor(kept.text)) return response;
    const compressed = compression.of(request, kept.text, response, kept);
    return kept.text.length < REPLY_BYTES_MIN ? await compressed : inPieces(request, compressed);
  };
  return { deliver, deliverKept };
}
