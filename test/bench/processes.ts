/** Processes: servers, sources and readers of the benches, each in its own process. */

import type { Subprocess } from 'bun';
import { readFileSync } from 'node:fs';

/** The unit in /proc/PID/stat: Linux counts processor time in hundredths of a second. */
const CPU_TICK_US = 10_000;

export interface Target {
  readonly url: URL;
  readonly process: Subprocess;
}

/** Starts a server, and reads its address from its first line. */
export async function startServerProcess(
  args: readonly string[],
  running: Subprocess[],
): Promise<Target> {
  const child = Bun.spawn([process.execPath, ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
  });
  running.push(child);
  let text = '';
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const url = /http:\/\/\S+/.exec(text)?.[0];
    if (url !== undefined && text.includes('\n')) return { url: new URL(url), process: child };
  }
  throw new Error(`${args.join(' ')} ended without an address`);
}

/** Starts a process that does one job at a time: each is sent to it, and answered. */
export function startWorkerProcess<Job, Done>(
  path: string,
  running: Subprocess[],
  runtime: string = process.execPath,
): (job: Job) => Promise<Done> {
  let done: (result: Done) => void = () => {};
  const child = Bun.spawn([runtime, path], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
    serialization: 'json',
    ipc: (result: Done) => done(result),
  });
  running.push(child);
  return (job) =>
    new Promise((resolve, reject) => {
      done = resolve;
      void child.exited.then((code) => reject(new Error(`${path} ended with ${code}`)));
      child.send(job);
    });
}

export async function endAll(running: readonly Subprocess[]): Promise<void> {
  for (const process of running) process.kill();
  await Promise.all(running.map((process) => process.exited));
}

/** Processor time of a process so far, user and system; 0 where the system does not report it. */
export function cpuUs(pid: number): number {
  return cpuOf(`/proc/${pid}/stat`);
}

/** The same for its first thread, which runs its event loop. */
export function loopUs(pid: number): number {
  return cpuOf(`/proc/${pid}/task/${pid}/stat`);
}

function cpuOf(path: string): number {
  if (process.platform !== 'linux') return 0;
  // The name of the program comes before, in parentheses, and may contain spaces.
  const fields = readFileSync(path, 'latin1').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * CPU_TICK_US;
}
