/** Bars behind: connects the questions of resumes about past bars to the history thread. */

import { PastBarQueries } from '../broadcast/resume/past-bars';
import type { PastQuestions } from './past';

/** Trades read of one instrument; a reader that missed more is sent the state instead. */
const TRADES_MAX = 1_000_000;

/** Tries while other clients occupy the history thread, which is no reason for a reset. */
const TRIES_MAX = 50;
const RETRY_MS = 100;

export function barsBehind(history: PastQuestions): PastBarQueries {
  return new PastBarQueries(async (request) => {
    for (let tries = 1; ; tries++) {
      const answer = await history.ask({ kind: 'bars-behind', ...request, tradesMax: TRADES_MAX });
      const isRefused = 'code' in answer && answer.code === 'overloaded';
      if (!isRefused || tries === TRIES_MAX) return answer;
      await Bun.sleep(RETRY_MS);
    }
  });
}
