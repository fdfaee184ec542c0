/** Virtual sockets for sessions, and limits that fit them. */

import type { SessionLimits } from '../../src/broadcast/sessions/session-limits';
import type { Socket } from '../../src/broadcast/sessions/socket';

export const LIMITS: SessionLimits = {
  outboxBytesMax: 1_048_576,
  staleMs: 500,
  tradeAgeMs: 1_500,
  lagMs: 150,
  pingMs: 10_000,
  pongMs: 30_000,
  controlMs: 30_000,
  controlMessagesMax: 10_000,
};

/** A socket that accepts everything and does nothing, except for the given functions. */
export function socketWith(own: Partial<Socket>): Socket {
  return {
    send: () => 1,
    ping: () => 1,
    cork: (send) => send(),
    getBufferedAmount: () => 0,
    subscribe: () => {},
    unsubscribe: () => {},
    close: () => {},
    terminate: () => {},
    ...own,
  };
}
