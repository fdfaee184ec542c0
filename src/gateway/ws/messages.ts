/** Stream messages: messages that a connection creates itself, from what the server knows. */

import { ERRORS, type Fault } from '../../../protocol/codes';
import type { MessageOf } from '../../../protocol/messages';
import type { StreamHub, StreamSession } from './hub';

/** Version of the protocol. */
export const VERSION = 1;
const MESSAGE_LENGTH_MAX = 500;
const FIELD_LENGTH_MAX = 120;

/** The first message of a session. */
export function welcome<S extends StreamSession>(
  hub: StreamHub<S>,
  session: string,
): MessageOf<'welcome'> {
  return {
    type: 'welcome',
    version: VERSION,
    server: hub.server,
    session,
    ...hub.numberings.newest(),
    time: hub.clock.now(),
    limits: hub.welcomeLimits(),
  };
}

/** The error message for a fault. @param id id of the request at fault, if known */
export function errorOf(id: number | null, f: Fault): MessageOf<'error'> {
  return {
    type: 'error',
    id,
    code: f.code,
    message: f.message.slice(0, MESSAGE_LENGTH_MAX).toWellFormed(), // the cut may split a surrogate pair
    field: f.field?.slice(0, FIELD_LENGTH_MAX) ?? null,
    hint: ERRORS[f.code].hint,
  };
}
