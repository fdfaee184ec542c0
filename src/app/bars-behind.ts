/** Bars behind: joins what resumes ask about past bars to the thread of history. */

import { PastBarQueries } from '../broadcast/resume/past-bars';
import type { History } from '../journal/history/history';

/** Trades read of an instrument; a reader that missed more is sent the state. */
const TRADES_MAX = 1_000_000;

/** Others may have as many questions under way as there may be; that is no reason for a reset. */
const TRIES_MAX = 50;
const RETRY_MS = 100;

export function barsBehind(history: Pick<History, 'ask'>): PastBarQueries {
  return new PastBarQueries(async (request) => {
    for (let tries = 1; ; tries++) {
      const answer = await history.ask({ kind: 'bars-behind', ...request, tradesMax: TRADES_MAX });
      const isRefused = 'code' in answer && answer.code === 'overloaded';
      if (!isRefused || tries === TRIES_MAX) return answer;
      await Bun.sleep(RETRY_MS);
    }
  });
}
