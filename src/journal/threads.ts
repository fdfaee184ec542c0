/**
 * Threads: how those of the journal are started, from the sources as in the single executable. There each
 * is bundled as a program of its own (src/deploy/build.ts), and all of them lie in one folder with the main one,
 * under the names of their files; so the address below holds in both, as long as every thread is a file
 * `NAME-thread.ts` of this folder and is named here. Bounded by those who start them.
 */

/** writer: the journal; wal: moves its WAL; history, playback: read it; verify: check it. */
export const THREADS = ['writer', 'wal', 'history', 'playback', 'verify'] as const;

export type ThreadName = (typeof THREADS)[number];

/** @param argv what the thread finds behind the others in `process.argv` */
export function startThread(name: ThreadName, argv: readonly string[] = []): Worker {
  const address = new URL(`./${name}-thread.ts`, import.meta.url);
  return new Worker(address.href, { name, argv: [...argv] });
}
