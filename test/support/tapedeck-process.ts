/**
 * Tapedeck as a separate process: the command line as users call it, with a temporary data directory. Servers
 * listen on a port that the system chooses, and are ended by their own pid.
 */

import type { Subprocess } from 'bun';
import { setDefaultTimeout } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { changeKeys, storedKey, type Role } from '../../src/gateway/auth/stored-keys';
import { PROGRAM } from './program';

const START_MS_MAX = 20_000;
/** Where the system supports it, a child process ends with the test run, however the run ends. */
const SETPRIV = Bun.which('setpriv');
const WITH_PARENT = SETPRIV === null ? [] : [SETPRIV, '--pdeathsig', 'KILL'];

// A test that starts processes is slow on a busy machine.
setDefaultTimeout(30_000);

/** A key of each kind, as the servers of these tests know them. */
export const PUBLISH_KEY = testKey('feed');
export const OTHER_PUBLISH_KEY = testKey('other');
export const TRADE_KEY = testKey('trader');
export const ADMIN_KEY = testKey('operator');
const KEYS: readonly TestKey[] = [
  { name: 'feed', roles: ['publish'] },
  { name: 'other', roles: ['publish'] },
  { name: 'trader', roles: ['trade'] },
  { name: 'operator', roles: ['admin'] },
];

export interface TestKey {
  readonly name: string;
  readonly roles: readonly Role[];
  readonly symbols?: readonly string[];
  readonly expiresAt?: number;
}

/** The key for a name, the same each time. */
export function testKey(name: string): string {
  const digest = createHash('sha256').update(name).digest();
  return `tk_${digest.toString('hex').slice(0, 12)}_${digest.toString('base64url')}`;
}

/** Makes these the only keys of a data directory. */
export function writeTestKeys(directory: string, keys: readonly TestKey[]): void {
  const stored = keys.map(({ name, roles, symbols = ['*'], expiresAt = null }) =>
    storedKey(testKey(name), { name, roles, symbols, expiresAt }, 0, '5a'.repeat(16)),
  );
  const fault = changeKeys(directory, () => stored);
  if (fault !== undefined) throw new Error(fault.message);
}

export interface Finished {
  readonly code: number;
  readonly signal: string | number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The command to run, with an empty environment; by default `PROGRAM`. */
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

/** A directory for the files of one test file. */
export class Scratch {
  readonly path = mkdtempSync(join(tmpdir(), 'tapedeck-test-'));
  private count = 0;

  /** An unused path. */
  fresh(suffix = ''): string {
    return join(this.path, `${this.count++}${suffix}`);
  }

  write(content: string | Uint8Array, suffix = ''): string {
    const path = this.fresh(suffix);
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Starts the command line with these arguments, without waiting for it. */
export function spawnTapedeck(
  args: readonly string[],
  { command, env = {}, cwd, timeoutMs = 30_000 }: RunOptions = {},
): Subprocess<'ignore', 'pipe', 'pipe'> {
  return Bun.spawn([...WITH_PARENT, ...(command ?? PROGRAM), ...args], {
    env: command === undefined ? { PATH: process.env['PATH'] ?? '', ...env } : { ...env },
    ...(cwd === undefined ? {} : { cwd }),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
}

/** Runs the command line to its end. */
export async function tapedeck(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const child = spawnTapedeck(args, options);
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, signal: child.signalCode, stdout, stderr };
}

export interface ServerOptions extends RunOptions {
  /** Settings in TOML. */
  readonly config?: string;
  /** In addition to those of each kind; null: only those that are in the data directory. */
  readonly keys?: readonly TestKey[] | null;
  readonly data?: string;
  readonly args?: readonly string[];
  readonly logLevel?: string;
}

/** A running server. */
export class ServerProcess {
  readonly url: string;
  readonly data: string;
  private readonly child: Subprocess<'ignore', 'pipe', 'pipe'>;
  private readonly errors: Promise<string>;
  private readonly scratch: Scratch;

  private constructor(
    url: string,
    data: string,
    child: Subprocess<'ignore', 'pipe', 'pipe'>,
    errors: Promise<string>,
    scratch: Scratch,
  ) {
    this.url = url;
    this.data = data;
    this.child = child;
    this.errors = errors;
    this.scratch = scratch;
  }

  static async start(options: ServerOptions = {}): Promise<ServerProcess> {
    const scratch = new Scratch();
    const data = options.data ?? scratch.fresh();
    if (options.keys !== null) writeTestKeys(data, [...KEYS, ...(options.keys ?? [])]);
    // On a busy machine any turn may be long; that is not to be a warning.
    const log = `[log]\nlevel = "${options.logLevel ?? 'warn'}"\nturnMs = 60000\n`;
    const config = scratch.write(`${options.config ?? ''}\n${log}`, '.toml');
    // Events must be journaled when they are acknowledged, unless a test says otherwise.
    const durable = /durability/.test(options.config ?? '') ? [] : ['--durability', 'commit'];
    const args = ['serve', '--port', '0', '--data', data, '--config', config, ...durable];
    const child = spawnTapedeck([...args, ...(options.args ?? [])], {
      timeoutMs: 120_000,
      ...options,
    });
    const errors = new Response(child.stderr).text();
    const url = await announcedUrl(child);
    if (url === undefined) {
      throw new Error(`the server did not start (${await child.exited}): ${await errors}`);
    }
    return new ServerProcess(url, data, child, errors, scratch);
  }

  get pid(): number {
    return this.child.pid;
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Ends it. @returns how it ended; the data directory stays until `remove` */
  async stop(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGKILL' = 'SIGTERM'): Promise<Finished> {
    if (this.alive) this.child.kill(signal);
    return this.ended();
  }

  /** Sends a signal after which the server continues. */
  signal(signal: 'SIGHUP' | 'SIGSTOP' | 'SIGCONT'): void {
    this.child.kill(signal);
  }

  /** Waits until the server ends by itself. */
  async ended(): Promise<Finished> {
    const code = await this.child.exited;
    return { code, signal: this.child.signalCode, stdout: '', stderr: await this.errors };
  }

  /** Ends it, and removes its directory if it was made for it. */
  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    this.scratch.remove();
  }

  get(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, init);
  }

  async json(path: string): Promise<Record<string, unknown>> {
    return (await (await this.get(path)).json()) as Record<string, unknown>;
  }

  /** Sends tape lines to the server, with the key for it. */
  ingest(lines: string | Uint8Array<ArrayBuffer>, key: string = PUBLISH_KEY): Promise<Response> {
    return this.get('/v1/ingest', {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: lines,
    });
  }
}

async function announcedUrl(
  child: Subprocess<'ignore', 'pipe', 'pipe'>,
): Promise<string | undefined> {
  const timer = setTimeout(() => child.kill('SIGKILL'), START_MS_MAX);
  const reader = child.stdout.getReader();
  let text = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return undefined;
      text += Buffer.from(value as Uint8Array).toString();
      const url = /Tapedeck (https?:\/\/\S+)/.exec(text)?.[1];
      if (url !== undefined && text.includes('/v1/stream')) return url;
    }
  } finally {
    clearTimeout(timer);
    reader.releaseLock();
  }
}
