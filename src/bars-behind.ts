/** Bars behind: joins what resumes ask about past bars to the thread of history. */

import { PastBarQuestions } from './broadcast/past-bars';
import type { History } from './journal/history';

/** Trades read of an instrument; a reader that missed more is sent the state. */
const TRADES_MAX = 1_000_000;

export function barsBehind(history: History): PastBarQuestions {
  return new PastBarQuestions((request) =>
    history.ask({ kind: 'bars-behind', ...request, tradesMax: TRADES_MAX }),
  );
}
