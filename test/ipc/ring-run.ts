/**
 * A run of a ring across processes: one writer at full speed, some readers that check every record,
 * and a hand that stops and continues them at random, kills some, and starts others in their place.
 * Used by the tests for seconds and by ring-soak.ts for as long as one likes.
 */

import type { Subprocess } from 'bun';
import { join } from 'node:path';

import { Prng } from '../../src/base/prng';
import type { Seen } from './ring-reader-child';

export type Child = Subprocess<'ignore', 'pipe', 'inherit'>;

export interface RunShape {
  readonly path: string;
  readonly slots: number;
  readonly readers: number;
  readonly seconds: number;
  readonly seed: number;
  /** How the writer ends: in order, or not. */
  readonly end: 'SIGTERM' | 'SIGKILL';
}

export interface RunOutcome {
  readonly seen: Seen[];
  /** Of a writer that ended in order: how many records there were. */
  readonly records: number | undefined;
  readonly stops: number;
  readonly kills: number;
  /** Readers that ended by themselves: they have found a fault, and said it on standard error. */
  readonly faults: number;
}

const WITH_PARENT = Bun.which('setpriv') === null ? [] : ['setpriv', '--pdeathsig', 'KILL'];

/** Starts a child of this folder, and waits for its first line. */
export async function startChild(name: string, ...args: string[]): Promise<Child> {
  const child = Bun.spawn(
    [...WITH_PARENT, process.execPath, join(import.meta.dir, name), ...args],
    {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    },
  );
  const [first, rest] = child.stdout.tee();
  Object.defineProperty(child, 'stdout', { value: rest });
  const lines = first.getReader();
  const { done } = await lines.read();
  if (done) throw new Error(`${name} ended with ${await child.exited}`);
  void lines.cancel();
  return child;
}

/** The last line that a child printed, as JSON; undefined when it ended without one. */
export async function lastLine<T>(child: Child): Promise<T | undefined> {
  const text = await new Response(child.stdout).text();
  const line = text.trim().split('\n').at(-1)!;
  return line.startsWith('{') ? (JSON.parse(line) as T) : undefined;
}

export async function runRing(shape: RunShape): Promise<RunOutcome> {
  const { path, slots, seconds, seed } = shape;
  const random = new Prng(seed);
  const writer = await startChild(
    'ring-writer-child.ts',
    path,
    String(slots),
    String(seed),
    '0',
    '0',
  );
  const start = (): Promise<Child> =>
    startChild('ring-reader-child.ts', path, random.chance(0.3) ? 'wait' : 'poll');
  const readers = await Promise.all(Array.from({ length: shape.readers }, start));
  let stops = 0;
  let kills = 0;
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    await Bun.sleep(random.int(5, 200));
    if (readers.some(({ exitCode }) => exitCode !== null)) break;
    const which = random.int(0, readers.length - 1);
    if (random.chance(0.1)) {
      kills += 1;
      readers[which]!.kill('SIGKILL');
      await readers[which]!.exited;
      readers[which] = await start();
    } else {
      stops += 1;
      const stopped = random.chance(0.2) ? writer : readers[which]!;
      stopped.kill('SIGSTOP');
      await Bun.sleep(random.int(1, 100));
      stopped.kill('SIGCONT');
    }
  }
  const faults = readers.filter(({ exitCode }) => exitCode !== null).length;
  writer.kill(shape.end);
  await writer.exited;
  const seen = await Promise.all(readers.map((reader) => lastLine<Seen>(reader)));
  const records = (await lastLine<{ records: number }>(writer))?.records;
  return { seen: seen.filter((one) => one !== undefined), records, stops, kills, faults };
}

/** What is wrong with what the readers saw. */
export function wrongsOf({ seen, records, faults }: RunOutcome, readers: number): string[] {
  const wrongs = faults > 0 ? [`${faults} readers found a fault`] : [];
  if (seen.length !== readers) wrongs.push(`${seen.length} of ${readers} readers came to an end`);
  for (const one of seen) {
    if (one.from + one.returned + one.missed !== one.position)
      wrongs.push(`the counts of ${JSON.stringify(one)}`);
    if (one.position !== one.published) wrongs.push(`not all was read: ${JSON.stringify(one)}`);
    if (records !== undefined && one.published !== records)
      wrongs.push(`${one.published} of ${records}`);
    if (one.writer !== 'gone') wrongs.push(`the writer is ${one.writer}`);
  }
  return wrongs;
}
