/**
 * Runs a ring across processes: one writer at full speed, and readers that check every record. The run
 * stops and continues processes at random, and kills readers and replaces them. The tests run it for
 * seconds, ring-soak.ts for any time.
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
  /** The signal that ends the writer: cleanly, or by a kill. */
  readonly end: 'SIGTERM' | 'SIGKILL';
}

export interface RunOutcome {
  readonly seen: Seen[];
  /** Number of records written; undefined when the writer was killed. */
  readonly records: number | undefined;
  readonly stops: number;
  readonly kills: number;
  /** Readers that exited early: they found a fault and printed it to standard error. */
  readonly faults: number;
}

const WITH_PARENT = Bun.which('setpriv') === null ? [] : ['setpriv', '--pdeathsig', 'KILL'];

/** Starts a script of this folder and waits for its first line of output. */
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

/** The last line of output, parsed as JSON; undefined when it is not JSON. */
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

/** The errors in the outcome of a run; empty if there are none. */
export function wrongsOf({ seen, records, faults }: RunOutcome, readers: number): string[] {
  const wrongs = faults > 0 ? [`${faults} readers found a fault`] : [];
  if (seen.length !== readers) wrongs.push(`${seen.length} of ${readers} readers read to the end`);
  for (const one of seen) {
    if (one.from + one.returned + one.missed !== one.position)
      wrongs.push(`the counts do not add up: ${JSON.stringify(one)}`);
    if (one.position !== one.published)
      wrongs.push(`records were not read: ${JSON.stringify(one)}`);
    if (records !== undefined && one.published !== records)
      wrongs.push(`${one.published} records published; ${records} written`);
    if (one.writer !== 'gone') wrongs.push(`the writer is ${one.writer}; expected gone`);
  }
  return wrongs;
}
