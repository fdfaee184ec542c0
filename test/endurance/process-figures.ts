/** Process figures: what the system reports for a process in /proc; Linux only. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface ProcessFigures {
  /**
   * Private memory of the process: heap of the engine, allocators, stacks. This is what is judged: pages of mapped
   * files, as SQLite reads the journal, come and go as the system decides; they are `rssFileBytes`.
   */
  readonly rssAnonBytes: number;
  readonly rssFileBytes: number;
  readonly threads: number;
  readonly fds: number;
}

export function processFigures(pid: number): ProcessFigures {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  return {
    rssAnonBytes: field('RssAnon') * 1024,
    rssFileBytes: (field('RssFile') + field('RssShmem')) * 1024,
    threads: field('Threads'),
    fds: readdirSync(`/proc/${pid}/fd`).length,
  };
}

/** Processor time so far of the threads of a process, in seconds, summed by their names. */
export function threadSeconds(pid: number): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const text = statOf(`/proc/${pid}/task/${thread}/stat`);
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    sums[name] = (sums[name] ?? 0) + (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
  }
  return sums;
}

/** Empty for a thread that has just ended. */
function statOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '() ';
  }
}

/** Size of the files in it; files that are deleted meanwhile count nothing. */
export function directoryBytes(directory: string): number {
  return readdirSync(directory).reduce(
    (sum, name) => sum + (statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

/** A value in the Prometheus text, by the end of its name; undefined when there is none. */
export function metricValue(text: string, name: string): number | undefined {
  const found = new RegExp(`^\\w*${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text);
  return found === null ? undefined : Number(found[1]);
}
