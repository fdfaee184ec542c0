/**
 * Shutdown: the server's orderly end. Nothing new comes in; what was taken is journaled, answered and
 * pushed; every reader is told, gets what waits for it, and is closed; then the journal is closed.
 * Bounded: readers and requests under way have `drainMs` in all, whatever they do.
 */

import type { Prng } from '../base/prng';
import type { Broadcaster } from '../broadcast/broadcaster';
import type { Listening } from '../gateway/listen';
import type { History } from '../journal/history/history';
import type { Core } from '../base/contracts/core';

export interface Stages {
  readonly listening: Listening;
  readonly core: Core;
  readonly broadcaster: Broadcaster;
  /** Those that read the journal. */
  readonly threads: readonly History[];
}

/** What became of those who were there. */
export interface Drained {
  readonly readers: number;
  /** Of them, those that did not have all in time. */
  readonly readersCut: number;
  /** Requests that were not answered in time. */
  readonly requestsCut: number;
  /** Why something could not be written, if so. */
  readonly unwritten: Error | undefined;
}

/** Between looks for who has all. */
const LOOK_EVERY_MS = 10;

export async function shutDown(
  { listening, core, broadcaster, threads }: Stages,
  drainMs: number,
  random: Prng,
): Promise<Drained> {
  listening.refuse();
  const readers = broadcaster.sessions.size;
  const journaled = core.refuse();
  broadcaster.goAway(random);
  await within(drainMs, journaled, () => {
    broadcaster.closeDrained(false);
    return broadcaster.sessions.size === 0 && listening.pendingRequests() === 0;
  });
  const readersCut = broadcaster.sessions.size;
  const requestsCut = listening.pendingRequests();
  broadcaster.closeDrained(true);
  await listening.stop();
  await Promise.all(threads.map((thread) => thread.close()));
  core.close();
  return { readers, readersCut, requestsCut, unwritten: await core.closed };
}

/** Resolves when it is done, which is asked for behind `first`; or when the time is over. */
function within(ms: number, first: Promise<void>, isDone: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    let look: ReturnType<typeof setInterval> | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      clearInterval(look);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    void first.then(() => {
      if (isDone()) return finish();
      look = setInterval(() => {
        if (isDone()) finish();
      }, LOOK_EVERY_MS);
    });
  });
}
