/** What happened to messages, summed over all sessions that a broadcaster has had. */

import type { Broadcaster } from '../../src/broadcast/broadcaster';
import { addCounters, type SessionCounters } from '../../src/broadcast/sessions/session-counters';

export function countersOf({ past, sessions }: Broadcaster): SessionCounters {
  const sum = { ...past };
  for (const session of sessions) addCounters(sum, session.counters);
  return sum;
}
