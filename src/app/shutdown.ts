/**
 * Shutdown: the orderly end of a server. Nothing new is accepted. What was accepted is journaled, answered and published.
 * Every reader is notified, gets what waits for it, and is closed; then the journal is closed.
 * Bound: readers and requests under way have `drainMs` in all.
 */

import type { Prng } from '../base/prng';
import type { Broadcaster } from '../broadcast/broadcaster';
import type { Listening } from '../gateway/listen';
import type { History } from '../journal/history/history';
import type { Core } from '../base/contracts/core';

export interface Stages {
  readonly listening: Listening;
  readonly cores: readonly Core[];
  readonly broadcaster: Broadcaster;
  /** The threads that read the journal. */
  readonly threads: readonly History[];
}

/** The outcome for readers and requests. */
export interface Drained {
  readonly readers: number;
  /** Readers that did not have everything in time. */
  readonly readersCut: number;
  /** Requests that were not answered in time. */
  readonly requestsCut: number;
  /** Why something could not be written, if so. */
  readonly unwritten: Error | undefined;
}

/** Time between checks whether all readers have everything. */
const LOOK_EVERY_MS = 10;

/** @param elsewhere a server that serves the same; null: none is known */
export async function shutDown(
  { listening, cores, broadcaster, threads }: Stages,
  drainMs: number,
  random: Prng,
  elsewhere: () => string | null,
): Promise<Drained> {
  listening.refuse();
  const readers = broadcaster.sessions.size;
  const journaled = Promise.all(cores.map((core) => core.refuse()));
  broadcaster.goAway(random, elsewhere);
  await within(drainMs, journaled, () => {
    broadcaster.closeDrained(false);
    return broadcaster.sessions.size === 0 && listening.pendingRequests() === 0;
  });
  const readersCut = broadcaster.sessions.size;
  const requestsCut = listening.pendingRequests();
  broadcaster.closeDrained(true);
  await listening.stop();
  await Promise.all(threads.map((thread) => thread.close()));
  for (const core of cores) core.close();
  const ended = await Promise.all(cores.map((core) => core.closed));
  const unwritten = ended.find((error) => error !== undefined);
  return { readers, readersCut, requestsCut, unwritten };
}

/** Resolves when `isDone` holds, which is checked once `first` has resolved, or when the time is over. */
function within(ms: number, first: Promise<unknown>, isDone: () => boolean): Promise<void> {
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
