/**
 * Threads: starts the threads of the journal, from the sources and from the single executable. In
 * the executable each is bundled as a program of its own (src/deploy/build.ts), in one folder with
 * the main program and under the name of its file. So the address below is right for both, as long
 * as every thread is a file `NAME-thread.ts` of this folder and is listed here. Bounded: the callers
 * limit the number of threads.
 */

/**
 * `writer` writes the journal; `wal` moves its WAL; `history` and `playback` read it; `verify` checks it; `checkpoint`
 * copies its state for a replica.
 */
export const THREADS = ['writer', 'wal', 'history', 'playback', 'verify', 'checkpoint'] as const;

export type ThreadName = (typeof THREADS)[number];

/** @param argv appended to `process.argv` of the thread */
export function startThread(name: ThreadName, argv: readonly string[] = []): Worker {
  const address = new URL(`./${name}-thread.ts`, import.meta.url);
  return new Worker(address.href, { name, argv: [...argv] });
}
